"""The settings as data: the top-level keys of the configuration, and the settings of the server.

``app.config.loading`` reads them. docs/configuration.md describes every key.
"""

import os
import re
from typing import Annotated, Any, ClassVar, Self

import msgspec

from app.config.source import Source, Timeout
from app.domain.version import NAME, VERSION

_STORE_URL = re.compile(r"none|sqlite:.+|rediss?://.+")
_ADDRESS = re.compile(r"unix:.+|fd://\d+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)


class StoreUrl(str):
    """The persistent store: ``none``, ``sqlite:PATH``, ``redis://…`` or ``rediss://…``."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a store URL."""
        if not isinstance(value, str) or not value.isprintable() or not _STORE_URL.fullmatch(value):
            raise ValueError('expected "none", "sqlite:PATH", "redis://…" or "rediss://…"')
        return cls(value)


class HeaderValue(str):
    """The value of a request header: printable ASCII."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a header value."""
        if not isinstance(value, str) or not value.strip() or not value.isascii() or not value.isprintable():
            raise ValueError("expected a text of printable ASCII characters")
        return cls(value)


class BindAddress(str):
    """The address that the server listens on: ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:PATH`` or ``fd://N``."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate an address."""
        match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match["port"] or 0) > 65535:  # noqa: PLR2004 - the highest TCP port
            raise ValueError("expected HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")
        return cls(match[0])


class _Choice(str):
    """A text that must be one of ``CHOICES``."""

    __slots__ = ()
    CHOICES: ClassVar[tuple[str, ...]]

    @classmethod
    def parse(cls, value: object) -> Self:
        """Validate a choice."""
        if not isinstance(value, str) or value not in cls.CHOICES:
            raise ValueError(f"expected {', '.join(cls.CHOICES[:-1])} or {cls.CHOICES[-1]}")
        return cls(value)


class LogLevel(_Choice):
    """The lowest level of the events that are logged."""

    __slots__ = ()
    CHOICES = ("debug", "info", "warning", "error")


class LogFormat(_Choice):
    """The format of a log line."""

    __slots__ = ()
    CHOICES = ("json", "plain")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The top-level keys, and the sources by name."""

    default_source: str = "ozon"
    store: StoreUrl = StoreUrl("sqlite:var/covers.db")
    store_size: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    lru_size: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    deadline: Timeout = Timeout(10)
    max_body: Annotated[int, msgspec.Meta(ge=1)] = 1_048_576
    max_calls: Annotated[int, msgspec.Meta(ge=1)] = 1000
    fetch_concurrency: Annotated[int, msgspec.Meta(ge=1)] = 256
    admin_token: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    user_agent: HeaderValue = HeaderValue(f"{NAME}/{VERSION}")
    sources: dict[str, Source] = {}


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of gunicorn, which are read from the environment only."""

    bind: BindAddress = BindAddress("127.0.0.1:8080")
    workers: Annotated[int, msgspec.Meta(ge=1, le=1024)] = os.cpu_count() or 1
    log_level: LogLevel = LogLevel("info")
    #: None stands for plain on a terminal and JSON elsewhere.
    log_format: LogFormat | None = None


def redacted_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings for a log: without secrets, and with only the names of the enabled sources."""
    store: str = settings.store
    if store.startswith("redis"):
        store = re.sub(r"//.*@", "//***@", store.partition("?")[0])
    return {
        **{key: getattr(settings, key) for key in settings.__struct_fields__},
        "store": store,
        "admin_token": None if settings.admin_token is None else "***",
        "sources": [name for name, source in settings.sources.items() if not source.is_disabled],
    }
