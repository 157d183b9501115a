"""Ids of requests: each has one, which its answer and all lines of the log about it name."""

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

#: The header that a caller may give an id by, and is told it by.
HEADER: Final = "X-Request-Id"
_VARIABLE: Final = "HTTP_X_REQUEST_ID"

#: Where the environ has, if it comes from app/server, what is to be told of an answer that may be given again.
_REPEAT: Final = "covers.cache_response"

#: Where the environ has then what is to be told of an answer that holds for as long as a function returns True.
ON_CACHEABLE: Final = "covers.lasts"

_ERROR_STATUS: Final = f"{http.HTTPStatus.INTERNAL_SERVER_ERROR.value} {http.HTTPStatus.INTERNAL_SERVER_ERROR.phrase}"


class RequestIdMiddleware:
    """A WSGI application around another: requests get their ids here, the caller's where that is a good one."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._next_id = generate_request_ids().__next__

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Have the request answered (PEP 3333). An exception that nobody has caught is answered here with 500."""
        given = accept_request_id(environ.get(_VARIABLE, ""))
        own = given or self._next_id().decode()
        request_id.set(own)
        environ[ACCESS_FIELDS] = {"request_id": own}
        if (repeat := environ.get(_REPEAT)) is not None:
            # The same bytes have the same id, if any.
            environ[ON_CACHEABLE] = _lasting(
                repeat, itertools.repeat(given.encode()).__next__ if given else self._next_id
            )

        # No function of its own: its annotations would be made each time, which takes as long as all the rest of this.
        start = partial(_start, start_response, own)
        try:
            return _Chunks(self._application(environ, start))
        except (Exception, Timeout) as error:  # noqa: BLE001 - whatever it is, the caller is told by which id to ask
            return _Chunks(_failed(error, start))


def _lasting(
    repeat: Callable[[str, Callable[[], bytes | None]], None], next_id: Callable[[], bytes]
) -> Callable[[Callable[[], bool]], None]:
    return lambda holds: repeat(HEADER, lambda: next_id() if holds() else None)


def _start(
    start_response: "StartResponse", own: str, status: str, headers: list[tuple[str, str]], exc_info: Any = None
) -> Callable[[bytes], object]:
    return start_response(status, [*headers, (HEADER, own)], exc_info)


def _failed(error: BaseException, start_response: "StartResponse") -> Iterable[bytes]:
    reference = secrets.token_hex(4)
    _log.error("internal error %s", reference, exc_info=error, extra={"reference": reference})
    body = f"internal error, reference {reference}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(_ERROR_STATUS, headers, sys.exc_info())
    return (body,)


class _Chunks:
    """What an application returns, at whose end the request is over: the next one of its connection has another id."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Tell the application that it is over, whichever way."""
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        request_id.set("")
