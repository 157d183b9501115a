"""The log: each event is one line, by whomever it is told: the rooms, gunicorn, Python's warnings, gevent.

A line is a JSON object, or plain text on a terminal. The rooms tell events by ``logging.getLogger(__name__)``: the
message is the event, ``extra`` has its further fields. Whatever origins and callers put into them, it breaks no line.
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

#: Among gunicorn's atoms of an access, what our line of it has.
_FIELDS: Final = "covers.fields"

#: What structlog and other formatters leave with an event besides its fields.
_INNER: Final = {"_record", "_from_structlog", "positional_args", "message", "asctime"}


class Logger(glogging.Logger):
    """gunicorn's logger, but for the form of its lines; the rooms' go where its own go, at its level."""

    def __new__(cls, cfg: Any) -> Self:
        """Return one that tells statsd as well where that is configured: gunicorn has it take its own's place only."""
        kind: Any = StatsdLogger if cfg.statsd_host else cls
        own: Self = super().__new__(kind)
        return own

    def setup(self, cfg: Any) -> None:
        """Make the handlers by gunicorn's settings, at the start and at each reload."""
        super().setup(cfg)
        # This object outlives a reload, after which the code and the ids of requests are others.
        importlib.import_module(__name__).configure_handlers(self)

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """Return what an access log format may name, and what our form has."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return atoms | {_FIELDS: _access_fields(resp, environ, request_time)}


class StatsdLogger(Logger, Statsd):
    """Likewise, for gunicorn's logger that tells statsd."""


def configure_handlers(log: Logger) -> None:
    """Give the handlers that gunicorn has made our form, and those of its errors to all others who log.

    Handlers of a ``--log-config`` stay as they are, and then it says itself what becomes of the others.
    """
    form = load_server_settings(os.environ).log_format
    for handler in _own(log.error_log) + _own(log.access_log):
        handler.setFormatter(create_formatter(handler, form))
    if not (log.cfg.logconfig or log.cfg.logconfig_dict or log.cfg.logconfig_json):
        others = logging.getLogger()
        for handler in _own(others):
            others.removeHandler(handler)
        for handler in _own(log.error_log):
            others.addHandler(handler)
        others.setLevel(log.loglevel)
        logging.captureWarnings(capture=True)


def _own(log: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that gunicorn has made by itself, which it marks so."""
    return [handler for handler in log.handlers if getattr(handler, "_gunicorn", False)]


def create_formatter(handler: logging.Handler, form: LogFormat | None) -> logging.Formatter:
    """Return what makes a handler's lines; without a form they are plain on a terminal, and JSON elsewhere."""
    is_terminal = isinstance(handler, logging.StreamHandler) and handler.stream.isatty()
    rendering: list[Processor] = [JSONRenderer()]
    if form == "plain" or (form is None and is_terminal):
        rendering = [
            _made_visible,
            ConsoleRenderer(
                colors=is_terminal and not os.environ.get("NO_COLOR"),
                timestamp_key="time",
                sort_keys=False,
                # Others show the values of variables, which may be secrets.
                exception_formatter=plain_traceback,
            ),
        ]
    return ProcessorFormatter(
        foreign_pre_chain=[ExtraAdder()],
        processors=[_as_event, format_exc_info, *rendering],
        pass_foreign_args=True,
        fmt=_prefix(handler) + "%(message)s",
    )


def _prefix(handler: logging.Handler) -> str:
    """Return what a line begins with by gunicorn's format: a line for syslog says whose it is."""
    if not isinstance(handler, logging.handlers.SysLogHandler):
        return ""
    format_ = handler.formatter and handler.formatter._fmt  # noqa: SLF001 - gunicorn tells it nowhere else
    return (format_ or "").partition("%(message)s")[0]


def log_greenlet_errors() -> None:
    """Have the log told of an exception that ends a greenlet of this process, which gevent would print."""
    hub: Any = gevent.get_hub()
    hub.print_exception = _tell_failure


def _tell_failure(context: object, kind: type[BaseException], error: object, trace: TracebackType | None) -> None:
    exception = error if isinstance(error, BaseException) else kind(error)
    _log.error("%s failed", context, exc_info=(kind, exception, trace))


def _as_event(_logger: Any, _method: str, given: EventDict) -> EventDict:
    """Return the fields of a line, those first that each line has."""
    record: logging.LogRecord = given["_record"]
    event = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": given["event"],
        "pid": record.process,
    }
    if own := request_id.get():
        event["request_id"] = own
    atoms = given.get("positional_args")
    if isinstance(atoms, Mapping) and _FIELDS in atoms:
        event |= _access_event(atoms.get(_FIELDS, {}), is_text=record.msg != AccessLogFormat.default)
    return event | {name: value for name, value in given.items() if name not in event and name not in _INNER}


def _access_event(fields: dict[str, Any], *, is_text: bool) -> dict[str, Any]:
    """Return what a line about a request has; a text in a format of somebody's choice has all in it but the id."""
    if is_text:
        return {name: fields[name] for name in ("request_id",) if name in fields}
    return {"event": "request", **fields}


def _access_fields(response: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
    """Return the fields of a request that was answered; what there is none of is left out."""
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


def _made_visible(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Keep what origins and callers have said to one line: it is theirs what stands there, not how.

    A traceback has many lines: none of them begins as an event does.
    """
    for name, value in event.items():
        if name == "exception":
            event[name] = "\n".join(f"    {_visible(line)}" for line in value.split("\n"))
        elif isinstance(value, str):
            event[name] = _visible(value)
    return event


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
