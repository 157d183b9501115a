"""The log: each event is one line, whether it comes from the application, gunicorn, gevent or Python's warnings.

A line is a JSON object, or plain text on a terminal. Modules of the application log with
``logging.getLogger(__name__)``: the message is the event, ``extra`` holds further fields. Text from clients and origins
cannot break a line, because it is escaped.
"""

import importlib
import logging
import logging.handlers
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

import gevent
from gunicorn import glogging
from gunicorn.config import AccessLogFormat
from gunicorn.instrument.statsd import Statsd
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor

from app.config.loading import load_server_settings
from app.config.settings import LogFormat
from app.telemetry.request_context import ACCESS_FIELDS, request_id

_log = logging.getLogger(__name__)

_STATUS: Final = re.compile(r"\d{3}", re.ASCII)

#: The key among gunicorn's access log atoms that holds the fields of our access log line.
_FIELDS_ATOM: Final = "covers.fields"

#: Keys that structlog and other formatters add to an event dict and that are not fields of the event.
_INTERNAL_KEYS: Final = {"_record", "_from_structlog", "positional_args", "message", "asctime"}


class Logger(glogging.Logger):
    """gunicorn's logger with our line format. The application's loggers write to the same handlers, at its level."""

    def __new__(cls, cfg: Any) -> Self:
        """Create a StatsdLogger if statsd is configured. gunicorn does so itself only for its default class."""
        class_: Any = StatsdLogger if cfg.statsd_host else cls
        logger: Self = super().__new__(class_)
        return logger

    def setup(self, cfg: Any) -> None:
        """Create the handlers from gunicorn's settings, at the start and at each reload."""
        super().setup(cfg)
        # A reload keeps this object but imports this module again. The formatters must come from the new module: its
        # context variable is the one that requests set.
        importlib.import_module(__name__).configure_handlers(self)

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """Return the atoms of gunicorn's access log formats, and the fields of our line."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return atoms | {_FIELDS_ATOM: _access_fields(resp, environ, request_time)}


class StatsdLogger(Logger, Statsd):
    """As Logger; it also sends gunicorn's metrics to statsd."""


def configure_handlers(logger: Logger) -> None:
    """Set our formatters on gunicorn's handlers, and let the root logger use the handlers of its error log.

    Handlers from gunicorn's ``--log-config`` are not changed. The root logger is not changed either in that case:
    the log configuration decides about it.
    """
    log_format = load_server_settings(os.environ).log_format
    for handler in _gunicorn_handlers(logger.error_log) + _gunicorn_handlers(logger.access_log):
        handler.setFormatter(create_formatter(handler, log_format))
    if not (logger.cfg.logconfig or logger.cfg.logconfig_dict or logger.cfg.logconfig_json):
        root = logging.getLogger()
        for handler in _gunicorn_handlers(root):
            root.removeHandler(handler)
        for handler in _gunicorn_handlers(logger.error_log):
            root.addHandler(handler)
        root.setLevel(logger.loglevel)
        logging.captureWarnings(capture=True)


def _gunicorn_handlers(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that gunicorn created from its own flags. It marks them with an attribute."""
    return [handler for handler in logger.handlers if getattr(handler, "_gunicorn", False)]


def create_formatter(handler: logging.Handler, log_format: LogFormat | None) -> logging.Formatter:
    """Return a formatter for a handler. If the format is None, it is plain on a terminal and JSON elsewhere."""
    is_terminal = isinstance(handler, logging.StreamHandler) and handler.stream.isatty()
    renderers: list[Processor] = [JSONRenderer()]
    if log_format == "plain" or (log_format is None and is_terminal):
        renderers = [
            _escape_unprintable,
            ConsoleRenderer(
                colors=is_terminal and not os.environ.get("NO_COLOR"),
                timestamp_key="time",
                sort_keys=False,
                # The other formatters print the values of local variables, which may be secrets.
                exception_formatter=plain_traceback,
            ),
        ]
    return ProcessorFormatter(
        foreign_pre_chain=[ExtraAdder()],
        processors=[_to_event, format_exc_info, *renderers],
        pass_foreign_args=True,
        fmt=_syslog_prefix(handler) + "%(message)s",
    )


def _syslog_prefix(handler: logging.Handler) -> str:
    """Return what gunicorn puts before the message in syslog (the program's name), else an empty string."""
    if not isinstance(handler, logging.handlers.SysLogHandler):
        return ""
    format_ = handler.formatter and handler.formatter._fmt  # noqa: SLF001 - gunicorn offers no other access
    return (format_ or "").partition("%(message)s")[0]


def log_greenlet_errors() -> None:
    """Log exceptions that end a greenlet of this process. gevent would print them to standard error."""
    hub: Any = gevent.get_hub()
    hub.print_exception = _log_greenlet_error


def _log_greenlet_error(
    context: object, error_type: type[BaseException], error: object, traceback: TracebackType | None
) -> None:
    exception = error if isinstance(error, BaseException) else error_type(error)
    _log.error("%s failed", context, exc_info=(error_type, exception, traceback))


def _to_event(_logger: Any, _method: str, event_dict: EventDict) -> EventDict:
    """Return the fields of a line: first those that every line has, then those of the event."""
    record: logging.LogRecord = event_dict["_record"]
    event = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event_dict["event"],
        "pid": record.process,
    }
    if current_id := request_id.get():
        event["request_id"] = current_id
    atoms = event_dict.get("positional_args")
    if isinstance(atoms, Mapping) and _FIELDS_ATOM in atoms:
        fields = atoms.get(_FIELDS_ATOM, {})
        if record.msg == AccessLogFormat.default:
            event |= {"event": "request", **fields}
        elif "request_id" in fields:  # the text in the operator's own format holds everything else
            event["request_id"] = fields["request_id"]
    return event | {
        name: value for name, value in event_dict.items() if name not in event and name not in _INTERNAL_KEYS
    }


def _access_fields(response: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
    """Return the access log fields of a request, without those that have no value."""
    fields = {
        "method": environ.get("REQUEST_METHOD"),
        "path": environ.get("RAW_URI", "").partition("?")[0],
        "status": int(status[0]) if (status := _STATUS.match(str(response.status))) else None,
        "bytes": getattr(response, "sent", None),
        "seconds": round(request_time.total_seconds(), 6),
        "peer": environ.get("REMOTE_ADDR"),
        "user_agent": environ.get("HTTP_USER_AGENT"),
        **environ.get(ACCESS_FIELDS, {}),
    }
    return {name: value for name, value in fields.items() if value not in {None, ""}}


def _escape_unprintable(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Escape control characters and line breaks, so that text from clients and origins cannot forge a line.

    A traceback keeps its lines, indented: an indented line does not look like the start of an event.
    """
    for name, value in event.items():
        if name == "exception":
            event[name] = "\n".join(f"    {_escape(line)}" for line in value.split("\n"))
        elif isinstance(value, str):
            event[name] = _escape(value)
    return event


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
