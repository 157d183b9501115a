"""The WSGI application: which path is answered by what."""

import http
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from app.web.request_body import BodyRejected
from app.web.response import Handler, Response, plain_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_STATUS_LINES = {status: f"{status.value} {status.phrase}" for status in http.HTTPStatus}

#: What answers the requests of a path, by their methods.
MethodHandlers = Mapping[str, Handler]


class Router:
    """The WSGI application. ``routes`` has what answers by path; a path that ends in ``/*`` stands for all below it."""

    def __init__(self, routes: Mapping[str, MethodHandlers]) -> None:
        self._paths = {path: methods for path, methods in routes.items() if not path.endswith("/*")}
        self._trees = {path[:-1]: methods for path, methods in routes.items() if path.endswith("/*")}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        response = self._answer(environ)
        content = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        if response.status is http.HTTPStatus.NOT_MODIFIED:
            content.clear()  # they would speak of the answer that the caller has (RFC 9110, 8.6)
        start_response(_STATUS_LINES[response.status], [*content, *response.headers])
        # HEAD gets the head alone, by whatever handler: gunicorn would leave a body out, and write a warning for each.
        return (b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body,)

    def _answer(self, environ: "WSGIEnvironment") -> Response:
        methods = self._methods(environ["PATH_INFO"])
        if methods is None:
            return plain_text(
                http.HTTPStatus.NOT_FOUND, "Nothing is here. XML-RPC is answered at /RPC2, the page is at /."
            )
        handler = methods.get(environ["REQUEST_METHOD"])
        if handler is None:
            allowed = ", ".join(methods)
            return plain_text(
                http.HTTPStatus.METHOD_NOT_ALLOWED, f"What is answered here is {allowed}.", (("Allow", allowed),)
            )
        try:
            return handler(environ)
        except BodyRejected as refused:
            return plain_text(refused.status, str(refused), refused.headers)

    def _methods(self, path: str) -> MethodHandlers | None:
        methods = self._paths.get(path)
        if methods is None:
            for root, below in self._trees.items():
                if path.startswith(root):
                    return below
        return methods
