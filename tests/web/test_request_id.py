"""Requests that have ids: what becomes of them where the application fails, and when they are over."""

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


def answered(application: "WSGIApplication", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Return status, headers and body, by a server that does what PEP 3333 asks of it."""
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], object]:
        told[:] = [status, dict(headers)]
        return bytes

    chunks: Any = RequestIdMiddleware(application)(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        chunks.close()
    return told[0], told[1], body


class Closing:
    """What an application returns: the id at that time; ``closed`` has it at the end."""

    def __init__(self) -> None:
        self.closed = ""

    def __iter__(self) -> Iterator[bytes]:
        yield request_id.get().encode()

    def close(self) -> None:
        self.closed = request_id.get()


def test_the_id_lasts_until_the_answer_has_been_sent() -> None:
    """Not longer: the next request of its connection is another one."""
    chunks = Closing()

    def application(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return chunks

    _, headers, body = answered(application, HTTP_X_REQUEST_ID="mine")
    assert (headers["X-Request-Id"], body, chunks.closed, request_id.get()) == ("mine", b"mine", "mine", "")


@pytest.mark.parametrize("error", [KeyError("key"), OSError(5, "not theirs"), gevent.Timeout(1)])
def test_an_exception_is_500_with_the_id_and_a_reference_that_the_log_has(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def application(_environ: "WSGIEnvironment", _start_response: "StartResponse") -> Iterable[bytes]:
        raise error

    status, headers, body = answered(application, HTTP_X_REQUEST_ID="mine")
    assert status == "500 Internal Server Error"
    assert headers["X-Request-Id"] == "mine"
    (reference,) = re.findall(r"^internal error, reference ([0-9a-f]{8})\n$", body.decode())
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["reference"]) == (logging.ERROR, reference)
    assert record.exc_info is not None


def test_what_a_request_sets_off_has_its_id() -> None:
    def application(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [spawn(lambda: spawn(request_id.get).get()).get().encode()]

    assert answered(application, HTTP_X_REQUEST_ID="mine")[2] == b"mine"


def test_ids_differ_over_processes_and_go_on() -> None:
    mine, others = generate_request_ids(), generate_request_ids()
    assert len({next(ids) for ids in (mine, others) for _ in range(2000)}) == 4000
