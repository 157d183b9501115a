"""The lines of the log: what stands in them, and that nothing breaks them."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import LogFormat
from app.rpc.dispatcher import Dispatcher
from app.telemetry.logs import create_formatter, log_greenlet_errors
from app.telemetry.request_context import request_id
from app.web.request_id import RequestIdMiddleware
from app.web.router import Router
from app.web.rpc_endpoint import RpcEndpoint

JSON, PLAIN = LogFormat("json"), LogFormat("plain")
NASTY = 'one\ntwo\r\x1b[31mred\x00\x85\u2028\udc80 {"level": "info"}'


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to(stream: io.StringIO, form: LogFormat | None = JSON) -> Iterator[logging.Logger]:
    """Have what is logged written there while the block runs, by the logger that is given or any other."""
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(create_formatter(handler, form))
    root.addHandler(handler)
    try:
        yield logging.getLogger("app.room")
    finally:
        root.removeHandler(handler)


def line_of(message: str, form: LogFormat | None = JSON, stream: io.StringIO | None = None, **more: Any) -> str:
    """Return what becomes of an event."""
    stream = stream or io.StringIO()
    with logging_to(stream, form) as log:
        log.warning("%s", message, **more)
    return stream.getvalue()


def failure(text: str) -> BaseException:
    """An exception that has been raised."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_line_says_when_how_bad_where_what_and_by_whom() -> None:
    event = json.loads(line_of("it happened", extra={"host": "shop.example", "seconds": 1.5}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert isinstance(event.pop("pid"), int)
    assert event == {
        "level": "warning",
        "logger": "app.room",
        "event": "it happened",
        "host": "shop.example",
        "seconds": 1.5,
    }


def test_an_exception_is_one_field() -> None:
    event = json.loads(line_of("it failed", exc_info=failure("why")))
    assert event["exception"].startswith("Traceback (most recent call last):\n")
    assert event["exception"].endswith("ValueError: why")


def test_a_field_cannot_stand_for_what_each_line_has() -> None:
    assert json.loads(line_of("it happened", extra={"level": "info", "pid": 0}))["level"] == "warning"


@given(st.text(), st.text(), st.text())
def test_json_is_one_line_whatever_is_in_it(message: str, value: str, reason: str) -> None:
    line = line_of(message, extra={"value": value}, exc_info=failure(reason))
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()
    event = json.loads(line)
    assert (event["event"], event["value"]) == (message, value)
    assert event["exception"].endswith(reason)


@given(st.text(), st.text(), st.text())
def test_plain_is_one_line_and_a_traceback_that_looks_like_none(message: str, value: str, reason: str) -> None:
    first, *others, last = line_of(message, PLAIN, extra={"value": value}, exc_info=failure(reason)).split("\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[warning", first)
    assert all(line.startswith("    ") for line in others)
    assert all(line.isprintable() for line in (first, *others))
    assert last == ""


def test_plain_shows_what_cannot_be_printed_by_its_number() -> None:
    line = line_of(NASTY, PLAIN)
    assert 'one\\ntwo\\r\\x1b[31mred\\x00\\x85\\u2028\\udc80 {"level": "info"}' in line


@pytest.mark.parametrize(
    ("stream", "form", "looks"),
    [
        (Terminal(), None, "coloured"),
        (Terminal(), PLAIN, "coloured"),
        (Terminal(), JSON, "json"),
        (io.StringIO(), None, "json"),
        (io.StringIO(), PLAIN, "plain"),
    ],
)
def test_it_is_plain_and_coloured_on_a_terminal_unless_told_otherwise(
    stream: io.StringIO, form: LogFormat | None, looks: str
) -> None:
    line = line_of("it happened", form, stream)
    assert looks == ("json" if line.startswith("{") else "coloured" if "\x1b[" in line else "plain")


def test_a_file_has_no_colours(tmp_path: Any) -> None:
    handler = logging.FileHandler(tmp_path / "log")
    record = logging.LogRecord("app", logging.INFO, "", 0, "it happened", (), None)
    assert "\x1b" not in create_formatter(handler, PLAIN).format(record)
    handler.close()


def test_lines_of_a_request_have_its_id() -> None:
    request_id.set("mine")
    during = json.loads(line_of("it happened"))
    request_id.set("")
    assert during["request_id"] == "mine"
    assert "request_id" not in json.loads(line_of("it happened"))


def test_an_internal_error_has_its_reference_and_the_requests_id() -> None:
    """In one line with the traceback; the caller is told the reference, and of the traceback nothing."""

    def divide() -> int:
        """Fail."""
        return 1 // 0

    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(divide)
    service = RequestIdMiddleware(Router({"/RPC2": {"POST": RpcEndpoint(dispatcher=dispatcher, max_body=1000)}}))
    call = b"<methodCall><methodName>divide</methodName></methodCall>"
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/RPC2",
        "CONTENT_TYPE": "text/xml",
        "CONTENT_LENGTH": str(len(call)),
        "HTTP_X_REQUEST_ID": "mine",
        "wsgi.input": io.BytesIO(call),
    }
    stream = io.StringIO()
    with logging_to(stream):
        (answer,) = service(environ, lambda _status, _headers, _error=None: bytes)
    event = json.loads(stream.getvalue())
    assert f"internal error, reference {event['reference']}<" in answer.decode()
    assert event["event"] == f"internal error {event['reference']}"
    assert event["request_id"] == "mine"
    assert event["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")
    assert b"Zero" not in answer


def test_a_greenlet_that_fails_is_logged_like_anything_else() -> None:
    """Else its traceback would be printed."""
    hub: Any = gevent.get_hub()
    stream = io.StringIO()
    with logging_to(stream):
        log_greenlet_errors()
        try:
            gevent.spawn(failing_alone).join()
        finally:
            del hub.print_exception
    event = json.loads(stream.getvalue())
    assert "failing_alone" in event["event"]
    assert event["exception"].endswith("ValueError: alone")


def failing_alone() -> None:
    raise ValueError("alone")


def test_what_is_said_is_not_said_twice_over_a_second_handler() -> None:
    """A record goes through as many handlers as there are, each with a form of its own."""
    plain, lines = io.StringIO(), io.StringIO()
    with logging_to(plain, PLAIN), logging_to(lines) as log:
        log.error("it failed", exc_info=failure("why"))
    assert plain.getvalue().count("ValueError: why") == lines.getvalue().count("ValueError: why") == 1
