"""WSGI middleware that gives each request an id, which is sent in a response header and written to the log."""

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
from app.web.cross_origin import ALLOW_ANY_ORIGIN

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

#: The header with the id, in requests and in responses.
HEADER: Final = "X-Request-Id"
_ENVIRON_KEY: Final = "HTTP_X_REQUEST_ID"

#: The environ key under which app/server passes the function ``allow_caching(header, next_value)``. A call allows the
#: server to reuse the response for identical requests. Each time, ``next_value`` returns the value of ``header``.
_ALLOW_CACHING: Final = "covers.cache_response"

#: The environ key under which this middleware passes the function ``on_cacheable(is_valid)`` to endpoints if the server
#: passes ``allow_caching``. A call makes the response reusable for as long as ``is_valid`` returns True.
ON_CACHEABLE: Final = "covers.on_cacheable"

_ERROR_STATUS: Final = f"{http.HTTPStatus.INTERNAL_SERVER_ERROR.value} {http.HTTPStatus.INTERNAL_SERVER_ERROR.phrase}"


class RequestIdMiddleware:
    """Wraps a WSGI application. A request has the id that the client sent, or a new id if there is no valid one."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._next_id = generate_request_ids().__next__

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the application (PEP 3333). An exception that it raises becomes a response with status 500."""
        client_id = accept_request_id(environ.get(_ENVIRON_KEY, ""))
        current_id = client_id or self._next_id().decode()
        request_id.set(current_id)
        environ[ACCESS_FIELDS] = {"request_id": current_id}
        if (allow_caching := environ.get(_ALLOW_CACHING)) is not None:
            # Identical requests have the same client id. Without a client id, each reuse of the response has a new id.
            next_id = itertools.repeat(client_id.encode()).__next__ if client_id else self._next_id
            environ[ON_CACHEABLE] = partial(_allow_caching_while, allow_caching, next_id)

        # A nested function would double the time of this method: its annotations would be created for each request.
        start = partial(_start_response, start_response, current_id)
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
    start_response: "StartResponse", current_id: str, status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Callable[[bytes], object]:
    return start_response(status, [*headers, (HEADER, current_id)], exc_info)


def _internal_error(error: BaseException, start_response: "StartResponse") -> Iterable[bytes]:
    """Log an exception with a new reference, and send a response that contains only the reference."""
    reference = secrets.token_hex(4)
    _log.error("internal error %s", reference, exc_info=error, extra={"reference": reference})
    body = f"internal error, reference {reference}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ALLOW_ANY_ORIGIN]
    start_response(_ERROR_STATUS, headers, sys.exc_info())
    return (body,)


class _ResponseBody:
    """Wraps the iterable that an application returned. ``close`` also clears the request id."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Close the iterable and clear the request id. The server calls this even after an error (PEP 3333)."""
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        request_id.set("")
