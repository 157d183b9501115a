"""The request id middleware: ids in responses, errors and greenlets, and when they are cleared."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from app.concurrency.greenlets import spawn
from app.telemetry.request_context import generate_request_ids, request_id
from app.web.request_id import RequestIdMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def call(application: "WSGIApplication", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Call the application behind the middleware as a WSGI server does; return status, headers and body."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], object]:
        started[:] = [status, dict(headers)]
        return bytes

    chunks: Any = RequestIdMiddleware(application)(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        chunks.close()
    return started[0], started[1], body


class IdRecorder:
    """A response body with the request id at the time of sending. ``id_at_close`` is the request id at the close."""

    def __init__(self) -> None:
        self.id_at_close = ""

    def __iter__(self) -> Iterator[bytes]:
        yield request_id.get().encode()

    def close(self) -> None:
        self.id_at_close = request_id.get()


def test_the_id_is_set_until_the_response_has_been_sent() -> None:
    """After the response the id is cleared, because the next request on the connection has another id."""
    chunks = IdRecorder()

    def application(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return chunks

    _, headers, body = call(application, HTTP_X_REQUEST_ID="mine")
    assert (headers["X-Request-Id"], body, chunks.id_at_close, request_id.get()) == ("mine", b"mine", "mine", "")


@pytest.mark.parametrize("error", [KeyError("key"), OSError(5, "input/output error"), gevent.Timeout(1)])
def test_an_exception_is_500_with_the_id_and_a_logged_reference(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def application(_environ: "WSGIEnvironment", _start_response: "StartResponse") -> Iterable[bytes]:
        raise error

    status, headers, body = call(application, HTTP_X_REQUEST_ID="mine")
    assert status == "500 Internal Server Error"
    assert headers["X-Request-Id"] == "mine"
    assert headers["Access-Control-Allow-Origin"] == "*"
    (reference,) = re.findall(r"^internal error, reference ([0-9a-f]{8})\n$", body.decode())
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["reference"]) == (logging.ERROR, reference)
    assert record.exc_info is not None


def test_greenlets_of_a_request_have_its_id() -> None:
    def application(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [spawn(lambda: spawn(request_id.get).get()).get().encode()]

    assert call(application, HTTP_X_REQUEST_ID="mine")[2] == b"mine"


def test_two_generators_share_no_id() -> None:
    own, other = generate_request_ids(), generate_request_ids()
    assert len({next(ids) for ids in (own, other) for _ in range(2000)}) == 4000
