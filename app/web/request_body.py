"""Reads request bodies in full, within limits of size and time, and decompresses gzip."""

import http
import io
import zlib
from typing import TYPE_CHECKING

import gevent

from app.concurrency.greenlets import yield_to_hub

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The timeout, in seconds, for the whole body to arrive, regardless of the length of the body.
BODY_TIMEOUT = 10.0

#: A decompressed body may be this many times as large as ``max_body``.
MAX_INFLATION = 4

_CHUNK_BYTES = 65_536


class BodyRejected(Exception):
    """The request is rejected because of its body. The exception has the status, text and headers of the response."""

    def __init__(self, status: http.HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


def read_body(environ: "WSGIEnvironment", *, max_body: int, timeout: float = BODY_TIMEOUT) -> bytes:
    """Return the request's body, decompressed.

    The body may have up to ``max_body`` bytes as sent, and ``MAX_INFLATION`` times as many when decompressed. The whole
    body must arrive within ``timeout`` seconds.

    Raises:
        BodyRejected: with status 400 (malformed), 408 (too slow), 411 (no length), 413 (too large), 415 (an encoding
            other than gzip) or 501 (a transfer coding other than chunked; RFC 9112, 6.1).

    """
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        # Accept-Encoding in the response lists the supported encodings (RFC 9110, 12.5.3).
        raise BodyRejected(
            http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The only supported Content-Encoding is gzip.",
            (("Accept-Encoding", "gzip"),),
        )
    body = _read_encoded(environ, max_body, timeout)
    return body if encoding in {"", "identity"} else _gunzip(body, MAX_INFLATION * max_body)


def _read_encoded(environ: "WSGIEnvironment", max_body: int, timeout: float) -> bytes:
    """Return the body without its transfer coding (chunked), but with its content coding (gzip)."""
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    if coding not in {"", "chunked"}:
        raise BodyRejected(http.HTTPStatus.NOT_IMPLEMENTED, "The only supported Transfer-Encoding is chunked.")
    chunked = coding == "chunked"
    content_length = environ.get("CONTENT_LENGTH", "")
    if not chunked and not content_length:
        raise BodyRejected(http.HTTPStatus.LENGTH_REQUIRED, "A Content-Length is required.")
    length = None if chunked else int(content_length)  # gunicorn has rejected everything but digits
    if length is not None and length > max_body:
        raise _too_large(max_body)

    if length is not None and type(environ["wsgi.input"]) is io.BytesIO:
        body = environ["wsgi.input"].read(length)  # the body is in memory already, so no timeout is needed
    else:
        body = _read_with_timeout(environ, max_body + 1 if length is None else length, timeout)

    if length is None and len(body) > max_body:
        raise _too_large(max_body)
    if length is not None and len(body) < length:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, f"The body ended after {len(body)} of {length} bytes.")
    return body


def _read_with_timeout(environ: "WSGIEnvironment", limit: int, seconds: float) -> bytes:
    timeout = gevent.Timeout.start_new(seconds)
    try:
        return _read(environ, limit)
    except gevent.Timeout as expired:
        if expired is not timeout:
            raise
        raise BodyRejected(
            http.HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {seconds:g} seconds."
        ) from None
    except Exception as error:  # such as a malformed chunk or a reset; gunicorn's errors have no common class
        status = getattr(error, "status", http.HTTPStatus.BAD_REQUEST)  # app/server raises errors with a status
        raise BodyRejected(status, f"The body is broken: {error}") from error
    finally:
        timeout.close()
        del timeout  # breaks the reference cycle between a raised timeout's traceback and this frame


def _read(environ: "WSGIEnvironment", limit: int) -> bytes:
    """Read up to ``limit`` bytes in chunks.

    The function yields to the hub after each chunk, because a read from a fast client never blocks and therefore never
    switches greenlets.
    """
    source = environ["wsgi.input"]
    if limit <= _CHUNK_BYTES:
        return bytes(source.read(limit))
    chunks = []
    while limit > 0 and (chunk := source.read(min(limit, _CHUNK_BYTES))):
        chunks.append(chunk)
        limit -= len(chunk)
        yield_to_hub()
    return b"".join(chunks)


def _gunzip(body: bytes, limit: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = decompressor.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, "The body is not valid gzip.") from error
    if len(data) > limit:
        raise _too_large(limit)
    if not decompressor.eof or decompressor.unused_data:
        raise BodyRejected(http.HTTPStatus.BAD_REQUEST, "The body is not exactly one gzip member.")
    return data


def _too_large(limit: int) -> BodyRejected:
    return BodyRejected(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {limit} bytes.")
