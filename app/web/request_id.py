"""WSGI middleware that gives each request an id, for its response header and its log lines."""

import http
import itertools
import logging
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gevent import Timeout

from app.telemetry.request_context import ACCESS_FIELDS, accept_request_id, generate_request_ids, request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

#: The header with the id, in requests and in responses.
HEADER: Final = "X-Request-Id"
_ENVIRON_KEY: Final = "HTTP_X_REQUEST_ID"

#: The environ key under which app/server passes ``allow_caching(header, next_value)``. By calling it, the application
#: allows the server to send the response again to identical requests, each time with the next value of that header.
_ALLOW_CACHING: Final = "worker.repeat"

#: The environ key under which this middleware then passes ``on_cacheable(is_valid)`` to the application. By calling it,
#: an endpoint makes its response cacheable for as long as ``is_valid`` returns True.
ON_CACHEABLE: Final = "covers.on_cacheable"

_ERROR_STATUS: Final = f"{http.HTTPStatus.INTERNAL_SERVER_ERROR.value} {http.HTTPStatus.INTERNAL_SERVER_ERROR.phrase}"


class RequestIdMiddleware:
    """Wraps a WSGI application. A request keeps the id that its client sent, if that is valid, or gets a new one."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._next_id = generate_request_ids().__next__

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the application (PEP 3333). An exception that it raises becomes a response with status 500."""
        client_id = accept_request_id(environ.get(_ENVIRON_KEY, ""))
        own_id = client_id or self._next_id().decode()
        request_id.set(own_id)
        environ[ACCESS_FIELDS] = {"request_id": own_id}
        if (allow_caching := environ.get(_ALLOW_CACHING)) is not None:
            # Identical requests have the same client id, if any. Otherwise each cached response gets a new id.
            next_id = itertools.repeat(client_id.encode()).__next__ if client_id else self._next_id
            environ[ON_CACHEABLE] = partial(_allow_caching_while, allow_caching, next_id)

        # Not a nested function: to create its annotations each time would take as long as the rest of this method.
        start = partial(_start_response, start_response, own_id)
        try:
            return _ResponseBody(self._application(environ, start))
        except (Exception, Timeout) as error:  # noqa: BLE001 - every exception becomes a 500 with a reference
            return _ResponseBody(_internal_error(error, start))


def _allow_caching_while(
    allow_caching: Callable[[str, Callable[[], bytes | None]], None],
    next_id: Callable[[], bytes],
    is_valid: Callable[[], bool],
) -> None:
    allow_caching(HEADER, lambda: next_id() if is_valid() else None)


def _start_response(
    start_response: "StartResponse", own_id: str, status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Callable[[bytes], object]:
    return start_response(status, [*headers, (HEADER, own_id)], exc_info)


def _internal_error(error: BaseException, start_response: "StartResponse") -> Iterable[bytes]:
    """Log an exception under a new reference, and send a response that names the reference alone."""
    reference = secrets.token_hex(4)
    _log.error("internal error %s", reference, exc_info=error, extra={"reference": reference})
    body = f"internal error, reference {reference}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(_ERROR_STATUS, headers, sys.exc_info())
    return (body,)


class _ResponseBody:
    """The iterable that an application returned. Its ``close`` ends the request and so clears the request id."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Close the application's iterable. The server calls this in every case, also after an error (PEP 3333)."""
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        request_id.set("")
