"""The body of a request within its limits."""

import gzip
import io
from typing import Any

import gevent
import pytest

from app.web.request_body import BodyRejected, read_body


def environ(body: bytes, **more: str) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **more}


def chunked(body: bytes, **more: str) -> dict[str, Any]:
    """What gunicorn makes of a chunked body: no length, and an input that ends where the body does."""
    return {"wsgi.input": io.BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked", **more}


def refused(environ: dict[str, Any], max_body: int = 100) -> int:
    with pytest.raises(BodyRejected) as caught:
        read_body(environ, max_body=max_body)
    return int(caught.value.status)


GZIP = {"HTTP_CONTENT_ENCODING": "gzip"}


@pytest.mark.parametrize("make", [environ, chunked])
def test_a_body_of_max_body_bytes_is_read_and_one_more_is_not(make: Any) -> None:
    assert read_body(make(b"x" * 100), max_body=100) == b"x" * 100
    assert refused(make(b"x" * 101)) == 413


def test_a_body_larger_than_a_step_is_read_whole() -> None:
    body = bytes(range(256)) * 1000
    assert read_body(environ(body), max_body=1_000_000) == body
    assert read_body(chunked(body), max_body=1_000_000) == body


def test_nothing_more_than_the_body_is_read() -> None:
    """What follows is the next request."""
    source = environ(b"body")
    source["wsgi.input"] = io.BytesIO(b"bodynext")
    assert read_body(source, max_body=100) == b"body"
    assert source["wsgi.input"].read() == b"next"


def test_gzip_is_read() -> None:
    assert read_body(environ(gzip.compress(b"body"), **GZIP), max_body=100) == b"body"
    assert read_body(environ(gzip.compress(b"body"), HTTP_CONTENT_ENCODING=" GZip "), max_body=100) == b"body"


def test_gzip_may_inflate_to_four_times_max_body() -> None:
    assert read_body(environ(gzip.compress(b"x" * 400), **GZIP), max_body=100) == b"x" * 400
    assert refused(environ(gzip.compress(b"x" * 401), **GZIP)) == 413


def test_a_bomb_is_not_inflated_whole() -> None:
    """Ten megabytes of zeros in ten kilobytes."""
    assert refused(environ(gzip.compress(bytes(10_000_000)), **GZIP), max_body=100_000) == 413


@pytest.mark.parametrize(
    "body", [b"", b"plain", gzip.compress(b"body")[:-3], gzip.compress(b"body") + b"more", gzip.compress(b"a") * 2]
)
def test_what_is_not_one_whole_gzip_is_a_bad_request(body: bytes) -> None:
    assert refused(environ(body, **GZIP)) == 400


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "compress"])
def test_another_encoding_is_unsupported_and_told_what_is_not(encoding: str) -> None:
    with pytest.raises(BodyRejected) as caught:
        read_body(environ(b"", HTTP_CONTENT_ENCODING=encoding), max_body=100)
    assert caught.value.status == 415
    assert caught.value.headers == (("Accept-Encoding", "gzip"),)


def test_without_a_length_it_is_asked_for() -> None:
    assert refused({"wsgi.input": io.BytesIO(b"")}) == 411


def test_a_body_shorter_than_its_length_is_a_bad_request() -> None:
    assert refused(environ(b"body") | {"CONTENT_LENGTH": "5"}) == 400


def test_a_broken_body_is_a_bad_request() -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError("reset")

    assert refused(chunked(b"") | {"wsgi.input": Broken()}) == 400


class Slow:
    """A body that sends a byte now and then."""

    def read(self, _size: int) -> bytes:
        gevent.sleep(0.02)
        return b"x"


def test_a_body_that_drips_is_too_slow() -> None:
    with pytest.raises(BodyRejected, match=r"within 0\.1 seconds") as caught:
        read_body({"wsgi.input": Slow(), "CONTENT_LENGTH": "100000"}, max_body=100_000, seconds=0.1)
    assert caught.value.status == 408


def test_a_timer_of_somebody_elses_is_not_taken_for_the_bodys() -> None:
    mine = gevent.Timeout(0.05)
    with pytest.raises(gevent.Timeout) as caught, mine:
        read_body({"wsgi.input": Slow(), "CONTENT_LENGTH": "100000"}, max_body=100_000)
    assert caught.value is mine
