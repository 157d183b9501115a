"""Log lines: their fields, and the escaping of text that would break a line."""

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
HOSTILE = 'one\ntwo\r\x1b[31mred\x00\x85\u2028\udc80 {"level": "info"}'


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to(stream: io.StringIO, log_format: LogFormat | None = JSON) -> Iterator[logging.Logger]:
    """Write the lines of all loggers to the stream while the block runs. Yields a logger of the application."""
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(create_formatter(handler, log_format))
    root.addHandler(handler)
    try:
        yield logging.getLogger("app.module")
    finally:
        root.removeHandler(handler)


def log_line(message: str, log_format: LogFormat | None = JSON, stream: io.StringIO | None = None, **more: Any) -> str:
    """Log a warning and return the written line. ``more`` are further arguments of the logging call."""
    stream = stream or io.StringIO()
    with logging_to(stream, log_format) as log:
        log.warning("%s", message, **more)
    return stream.getvalue()


def raised_error(text: str) -> BaseException:
    """Return an exception with a traceback."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_line_has_time_level_logger_event_pid_and_extra_fields() -> None:
    event = json.loads(log_line("it happened", extra={"host": "shop.example", "seconds": 1.5}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert isinstance(event.pop("pid"), int)
    assert event == {
        "level": "warning",
        "logger": "app.module",
        "event": "it happened",
        "host": "shop.example",
        "seconds": 1.5,
    }


def test_an_exception_is_one_field() -> None:
    event = json.loads(log_line("it failed", exc_info=raised_error("why")))
    assert event["exception"].startswith("Traceback (most recent call last):\n")
    assert event["exception"].endswith("ValueError: why")


def test_an_extra_field_does_not_replace_a_standard_field() -> None:
    assert json.loads(log_line("it happened", extra={"level": "info", "pid": 0}))["level"] == "warning"


@given(st.text(), st.text(), st.text())
def test_json_is_one_line_of_printable_ascii_for_any_text(message: str, value: str, reason: str) -> None:
    line = log_line(message, extra={"value": value}, exc_info=raised_error(reason))
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()
    event = json.loads(line)
    assert (event["event"], event["value"]) == (message, value)
    assert event["exception"].endswith(reason)


@given(st.text(), st.text(), st.text())
def test_plain_text_is_one_line_followed_by_an_indented_traceback(message: str, value: str, reason: str) -> None:
    first, *others, last = log_line(message, PLAIN, extra={"value": value}, exc_info=raised_error(reason)).split("\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[warning", first)
    assert all(line.startswith("    ") for line in others)
    assert all(line.isprintable() for line in (first, *others))
    assert last == ""


def test_plain_text_escapes_unprintable_characters() -> None:
    line = log_line(HOSTILE, PLAIN)
    assert 'one\\ntwo\\r\\x1b[31mred\\x00\\x85\\u2028\\udc80 {"level": "info"}' in line


@pytest.mark.parametrize(
    ("stream", "log_format", "expected"),
    [
        (Terminal(), None, "coloured"),
        (Terminal(), PLAIN, "coloured"),
        (Terminal(), JSON, "json"),
        (io.StringIO(), None, "json"),
        (io.StringIO(), PLAIN, "plain"),
    ],
)
def test_the_default_format_is_coloured_plain_text_on_a_terminal_and_json_elsewhere(
    stream: io.StringIO, log_format: LogFormat | None, expected: str
) -> None:
    line = log_line("it happened", log_format, stream)
    assert expected == ("json" if line.startswith("{") else "coloured" if "\x1b[" in line else "plain")


def test_plain_text_in_a_file_has_no_colours(tmp_path: Any) -> None:
    handler = logging.FileHandler(tmp_path / "log")
    record = logging.LogRecord("app", logging.INFO, "", 0, "it happened", (), None)
    assert "\x1b" not in create_formatter(handler, PLAIN).format(record)
    handler.close()


def test_lines_logged_during_a_request_have_its_id() -> None:
    request_id.set("mine")
    during = json.loads(log_line("it happened"))
    request_id.set("")
    assert during["request_id"] == "mine"
    assert "request_id" not in json.loads(log_line("it happened"))


def test_an_internal_error_is_logged_with_its_reference_request_id_and_traceback() -> None:
    """The response contains the reference, but nothing of the traceback."""

    def divide() -> int:
        """Fail."""
        return 1 // 0

    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(divide)
    application = RequestIdMiddleware(Router({"/RPC2": {"POST": RpcEndpoint(dispatcher=dispatcher, max_body=1000)}}))
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
        (body,) = application(environ, lambda _status, _headers, _error=None: bytes)
    event = json.loads(stream.getvalue())
    assert f"internal error, reference {event['reference']}<" in body.decode()
    assert event["event"] == f"internal error {event['reference']}"
    assert event["request_id"] == "mine"
    assert event["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")
    assert b"Zero" not in body


def test_an_exception_that_ends_a_greenlet_is_logged() -> None:
    """By default, gevent prints the traceback to standard error."""
    hub: Any = gevent.get_hub()
    stream = io.StringIO()
    with logging_to(stream):
        log_greenlet_errors()
        try:
            gevent.spawn(failing_greenlet).join()
        finally:
            del hub.print_exception
    event = json.loads(stream.getvalue())
    assert "failing_greenlet" in event["event"]
    assert event["exception"].endswith("ValueError: why")


def failing_greenlet() -> None:
    raise ValueError("why")


def test_two_handlers_with_different_formats_write_a_traceback_once_each() -> None:
    """Formatting a record for one handler does not change the record for the next handler."""
    plain, json_lines = io.StringIO(), io.StringIO()
    with logging_to(plain, PLAIN), logging_to(json_lines) as log:
        log.error("it failed", exc_info=raised_error("why"))
    assert plain.getvalue().count("ValueError: why") == json_lines.getvalue().count("ValueError: why") == 1
