"""The router: the WSGI application that selects a handler by path and method."""

import http
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from app.web.cross_origin import ALLOW_ANY_ORIGIN
from app.web.response import Handler, Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_STATUS_LINES = {status: f"{status.value} {status.phrase}" for status in http.HTTPStatus}

#: The handlers of one path, keyed by HTTP method.
MethodHandlers = Mapping[str, Handler]


class Router:
    """The WSGI application. ``routes`` maps each path to its handlers, which are keyed by HTTP method.

    A path that ends in ``/*`` matches every path below it.
    """

    def __init__(self, routes: Mapping[str, MethodHandlers]) -> None:
        self._paths = {path: handlers for path, handlers in routes.items() if not path.endswith("/*")}
        self._prefixes = {path[:-1]: handlers for path, handlers in routes.items() if path.endswith("/*")}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve a request (PEP 3333)."""
        response = self._dispatch(environ)
        content_headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        if response.status is http.HTTPStatus.NOT_MODIFIED or response.status is http.HTTPStatus.NO_CONTENT:
            # A 204 response must not have Content-Length, and that of a 304 response would have to be that of the 200
            # response (RFC 9110, 8.6). So both headers are omitted.
            content_headers.clear()
        start_response(_STATUS_LINES[response.status], [*content_headers, *response.headers])
        # gunicorn would also omit the body of a response to HEAD, but it would log a warning each time.
        return (b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body,)

    def _dispatch(self, environ: "WSGIEnvironment") -> Response:
        handlers = self._find_handlers(environ["PATH_INFO"])
        if handlers is None:
            return plain_text(
                http.HTTPStatus.NOT_FOUND, "Not found. XML-RPC is at /RPC2, the web page at /.", (ALLOW_ANY_ORIGIN,)
            )
        handler = handlers.get(environ["REQUEST_METHOD"])
        if handler is None:
            allowed = ", ".join(handlers)
            return plain_text(
                http.HTTPStatus.METHOD_NOT_ALLOWED,
                f"Method not allowed. Allowed: {allowed}.",
                (("Allow", allowed), ALLOW_ANY_ORIGIN),
            )
        return handler(environ)

    def _find_handlers(self, path: str) -> MethodHandlers | None:
        if (handlers := self._paths.get(path)) is not None:
            return handlers
        return next((handlers for prefix, handlers in self._prefixes.items() if path.startswith(prefix)), None)
