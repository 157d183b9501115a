"""Reading request bodies: limits of size and time, chunked and gzip."""

import gzip
import io
from typing import Any

import gevent
import pytest

from app.web.request_body import BodyRejected, read_body


def environ(body: bytes, **variables: str) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **variables}


def chunked(body: bytes, **variables: str) -> dict[str, Any]:
    """Return gunicorn's environ of a chunked body: without a length; the input ends with the body."""
    return {"wsgi.input": io.BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked", **variables}


def rejected_status(environ: dict[str, Any], max_body: int = 100) -> int:
    with pytest.raises(BodyRejected) as caught:
        read_body(environ, max_body=max_body)
    return int(caught.value.status)


GZIP = {"HTTP_CONTENT_ENCODING": "gzip"}


@pytest.mark.parametrize("make_environ", [environ, chunked])
def test_a_body_of_max_body_bytes_is_read_and_one_more_is_not(make_environ: Any) -> None:
    assert read_body(make_environ(b"x" * 100), max_body=100) == b"x" * 100
    assert rejected_status(make_environ(b"x" * 101)) == 413


def test_a_body_larger_than_a_chunk_is_read_in_full() -> None:
    body = bytes(range(256)) * 1000
    assert read_body(environ(body), max_body=1_000_000) == body
    assert read_body(chunked(body), max_body=1_000_000) == body


def test_only_the_body_is_read() -> None:
    """The bytes after it belong to the next request."""
    source = environ(b"body")
    source["wsgi.input"] = io.BytesIO(b"bodynext")
    assert read_body(source, max_body=100) == b"body"
    assert source["wsgi.input"].read() == b"next"


def test_gzip_is_decompressed() -> None:
    assert read_body(environ(gzip.compress(b"body"), **GZIP), max_body=100) == b"body"
    assert read_body(environ(gzip.compress(b"body"), HTTP_CONTENT_ENCODING=" GZip "), max_body=100) == b"body"


def test_gzip_may_inflate_to_four_times_max_body() -> None:
    assert read_body(environ(gzip.compress(b"x" * 400), **GZIP), max_body=100) == b"x" * 400
    assert rejected_status(environ(gzip.compress(b"x" * 401), **GZIP)) == 413


def test_a_decompression_bomb_is_rejected() -> None:
    """Ten megabytes of zeros are ten kilobytes of gzip."""
    assert rejected_status(environ(gzip.compress(bytes(10_000_000)), **GZIP), max_body=100_000) == 413


@pytest.mark.parametrize(
    "body", [b"", b"plain", gzip.compress(b"body")[:-3], gzip.compress(b"body") + b"more", gzip.compress(b"a") * 2]
)
def test_anything_but_one_complete_gzip_member_is_a_bad_request(body: bytes) -> None:
    assert rejected_status(environ(body, **GZIP)) == 400


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "compress"])
def test_another_encoding_is_415_with_accept_encoding(encoding: str) -> None:
    with pytest.raises(BodyRejected) as caught:
        read_body(environ(b"", HTTP_CONTENT_ENCODING=encoding), max_body=100)
    assert caught.value.status == 415
    assert caught.value.headers == (("Accept-Encoding", "gzip"),)


def test_a_body_without_a_length_is_411() -> None:
    assert rejected_status({"wsgi.input": io.BytesIO(b"")}) == 411


def test_a_body_shorter_than_its_length_is_a_bad_request() -> None:
    assert rejected_status(environ(b"body") | {"CONTENT_LENGTH": "5"}) == 400


def test_an_error_while_reading_is_a_bad_request() -> None:
    class BrokenInput:
        def read(self, _size: int) -> bytes:
            raise OSError("reset")

    assert rejected_status(chunked(b"") | {"wsgi.input": BrokenInput()}) == 400


class SlowInput:
    """A body of which one byte arrives every 20 milliseconds."""

    def read(self, _size: int) -> bytes:
        gevent.sleep(0.02)
        return b"x"


def test_a_slow_body_is_a_request_timeout() -> None:
    with pytest.raises(BodyRejected, match=r"within 0\.1 seconds") as caught:
        read_body({"wsgi.input": SlowInput(), "CONTENT_LENGTH": "100000"}, max_body=100_000, timeout=0.1)
    assert caught.value.status == 408


def test_another_timeout_is_raised_unchanged() -> None:
    outer_timeout = gevent.Timeout(0.05)
    with pytest.raises(gevent.Timeout) as caught, outer_timeout:
        read_body({"wsgi.input": SlowInput(), "CONTENT_LENGTH": "100000"}, max_body=100_000)
    assert caught.value is outer_timeout
