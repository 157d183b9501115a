"""The body of a request, read whole within its limits: so many bytes, so much time, plain or gzip."""

import http
import io
import zlib
from typing import TYPE_CHECKING

import gevent

from app.concurrency.greenlets import yield_to_hub

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A body may take this many seconds to arrive, however large it is allowed to be.
BODY_SECONDS = 10.0

#: After decompression a body may be this many times as large as before.
MAX_INFLATION = 4

_CHUNK = 65_536


class BodyRejected(Exception):
    """The body cannot be had: ``status`` says how that is answered, the text why."""

    def __init__(self, status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


def read_body(environ: "WSGIEnvironment", *, max_body: int, seconds: float = BODY_SECONDS) -> bytes:
    """Return the request's body, decompressed: ``max_body`` bytes as sent at most, ``INFLATED`` times that afterwards.

    ``seconds`` is how long all of it may take to arrive.

    Raises:
        BodyRefused: 411 without a length, 413 too large, 408 too slow, 400 broken, 415 an encoding other than gzip, 501
            a transfer coding other than chunked (RFC 9112, 6.1).

    """
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        # RFC 9110, 12.5.3: the answer names what would have been accepted.
        raise BodyRejected(
            http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The only Content-Encoding that is read is gzip.",
            (("Accept-Encoding", "gzip"),),
        )
    body = _received(environ, max_body, seconds)
    return body if encoding in {"", "identity"} else _gunzip(body, MAX_INFLATION * max_body)


def _received(environ: "WSGIEnvironment", max_body: int, seconds: float) -> bytes:
    """Return the bytes as sent."""
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    if coding not in {"", "chunked"}:
        raise BodyRejected(http.HTTPStatus.NOT_IMPLEMENTED, "The only Transfer-Encoding that is read is chunked.")
    chunked = coding == "chunked"
    declared = environ.get("CONTENT_LENGTH", "")
    if not chunked and not declared:
        raise BodyRejected(http.HTTPStatus.LENGTH_REQUIRED, "A Content-Length is needed.")
    length = None if chunked else int(declared)  # gunicorn has refused any other than digits
    if length is not None and length > max_body:
        raise _too_large(max_body)

    if length is not None and type(environ["wsgi.input"]) is io.BytesIO:
        body = environ["wsgi.input"].read(length)  # it is here already, so nothing has to be timed
    else:
        body = _read_in_time(environ, max_body + 1 if length is None else length, seconds)

    if length is None and len(body) > max_body:
        raise _too_large(max_body)
    if length is not None and len(body) < length:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, f"The body ended after {len(body)} of {length} bytes.")
    return body


def _read_in_time(environ: "WSGIEnvironment", limit: int, seconds: float) -> bytes:
    timer = gevent.Timeout.start_new(seconds)
    try:
        return _read(environ, limit)
    except gevent.Timeout as expired:
        if expired is not timer:
            raise
        raise BodyRejected(
            http.HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {seconds:g} seconds."
        ) from None
    except Exception as error:  # a broken chunk, a reset: gunicorn's errors have no common class
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, f"The body is broken: {error}") from error
    finally:
        timer.close()
        del timer  # else, where it was raised, its traceback and this frame would hold each other


def _read(environ: "WSGIEnvironment", limit: int) -> bytes:
    """Read up to ``limit`` bytes in steps, letting others run: a fast peer never makes a socket wait."""
    source = environ["wsgi.input"]
    if limit <= _CHUNK:
        return bytes(source.read(limit))
    parts = []
    while limit > 0 and (part := source.read(min(limit, _CHUNK))):
        parts.append(part)
        limit -= len(part)
        yield_to_hub()
    return b"".join(parts)


def _gunzip(body: bytes, limit: int) -> bytes:
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, "The body is not the gzip that it claims to be.") from error
    if len(data) > limit:
        raise _too_large(limit)
    if not inflate.eof or inflate.unused_data:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, "The body is not one whole gzip member.")
    return data


def _too_large(limit: int) -> BodyRejected:
    return BodyRejected(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {limit} bytes.")
