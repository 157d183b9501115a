"""Settings and sources: read once at the start, from a TOML file and the environment, and never changed afterwards.

Whatever is wrong with them ends in a SettingsError of one line: where it stands, which key, what was expected, what was
found. docs/configuration.md describes every key.
"""

import difflib
import functools
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Rule, compile_regex, decode_hook
from app.config.source import Source, Timeout
from app.domain.errors import SettingsError
from app.domain.version import NAME, VERSION

_BUILTIN_SOURCES = Path(__file__).with_name("builtin.toml")
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_STORE = re.compile(r"none|sqlite:.+|rediss?://.+")
_PREFIX = "COVERS_"

#: What may hold passwords and keys: it is not repeated in a message that a log may keep.
_SECRET = re.compile(r"admin_token|headers", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=/).*@|(?<=redis).*@|(?<=rediss).*@")
#: What msgspec says of a key that a rule or a sign does not have.
_UNKNOWN = re.compile("Object contains unknown field `(.+)`")
#: A number as TOML would have it.
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,20})?", re.ASCII)


class StoreUrl(str):
    """What stands behind the memory: ``none``, ``sqlite:PATH``, ``redis://…`` or ``rediss://…``."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read the place of a store."""
        if not isinstance(value, str) or not value.isprintable() or not _STORE.fullmatch(value):
            raise ValueError('expected "none", "sqlite:PATH", "redis://…" or "rediss://…"')
        return cls(value)


class HeaderValue(str):
    """A text that may stand in a header of a request: printable ASCII."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read such a text."""
        if not isinstance(value, str) or not value.strip() or not value.isascii() or not value.isprintable():
            raise ValueError("expected a text of printable ASCII characters")
        return cls(value)


class BindAddress(str):
    """Where the server listens: ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:PATH`` or ``fd://N``."""

    __slots__ = ()
    _FORM = re.compile(r"unix:.+|fd://\d+|(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read an address."""
        match = cls._FORM.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match["port"] or 0) > 65535:  # noqa: PLR2004 - the highest port there is
            raise ValueError("expected HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N")
        return cls(match[0])


class LogLevel(str):
    """From which level on events are logged."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a level."""
        if value not in {"debug", "info", "warning", "error"}:
            raise ValueError("expected debug, info, warning or error")
        return cls(value)


class LogFormat(str):
    """What the lines of the log are."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read the name of a form."""
        if value not in {"json", "plain"}:
            raise ValueError("expected json or plain")
        return cls(value)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The top-level keys, and the sources by their names."""

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
    """What gunicorn itself is told, from the environment alone."""

    bind: BindAddress = BindAddress("127.0.0.1:8080")
    workers: Annotated[int, msgspec.Meta(ge=1, le=1024)] = os.cpu_count() or 1
    log_level: LogLevel = LogLevel("info")
    #: None: plain on a terminal, JSON elsewhere.
    log_format: LogFormat | None = None


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings: the file that ``COVERS_CONFIG`` names, if any, then ``COVERS_<KEY>`` over its keys.

    Raises:
        SettingsError: something is wrong; the text is one line for the operator.

    """
    name = environ.get("COVERS_CONFIG")
    table = _read_toml(Path(name)) if name else {}
    where = _one_line(name or "default settings")

    values = _read_table({key: table[key] for key in table if key != "sources"}, Settings, where)
    values |= _read_environment(environ, Settings)
    settings = Settings(**values, sources=_read_sources(table.get("sources", {}), where))

    usable = [name for name, source in settings.sources.items() if not source.is_disabled]
    if settings.default_source not in usable:
        place, got = setting_location("default_source", environ), _one_line(repr(settings.default_source))
        raise SettingsError(f"{place}: expected one of {', '.join(usable)}, got {got}")
    return settings


def setting_location(key: str, environ: Mapping[str, str]) -> str:
    """Return where a top-level key was set, as it is named in messages."""
    variable = f"{_PREFIX}{key.upper()}"
    if variable in environ:
        return f"environment: {variable}"
    return f"{_one_line(environ.get('COVERS_CONFIG') or 'default settings')}: {key}"


def load_server_settings(environ: Mapping[str, str]) -> ServerSettings:
    """Read where the server listens, with how many workers, and how it logs: ``COVERS_BIND`` and its like.

    Raises:
        SettingsError: as ``load`` does.

    """
    return ServerSettings(**_read_environment(environ, ServerSettings))


@functools.cache
def current_settings() -> Settings:
    """Return this process's settings: read at the first call, the same ever after.

    gunicorn.conf.py makes that first call in the master, and workers inherit what it read through fork. So all workers
    agree, and a file that is edited (or broken) meanwhile is looked at with the next reload, whole or not at all.
    """
    return load_settings(os.environ)


def redacted_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings as a log may have them: no secrets, and of the sources the names of those in use."""
    store: str = settings.store
    if store.startswith("redis"):
        store = re.sub(r"//.*@", "//***@", store.partition("?")[0])
    return {
        **{key: getattr(settings, key) for key in settings.__struct_fields__},
        "store": store,
        "admin_token": None if settings.admin_token is None else "***",
        "sources": [name for name, source in settings.sources.items() if not source.is_disabled],
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{_one_line(path)}: expected a readable TOML file: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, an int of 5,000 digits
        raise SettingsError(f"{_one_line(path)}: expected a TOML file: {_one_line(error)}") from error


def _read_sources(table: object, where: str) -> dict[str, Source]:
    """Lay the configured sources over the built-in ones.

    A table with a ``page_url`` and rules of its own stands alone; another one changes just the keys of a built-in
    source that it names.
    """
    builtin = _read_toml(_BUILTIN_SOURCES)["sources"]
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: sources: expected tables [sources.NAME], got {table!r}")
    merged = dict(builtin)
    for name, given in table.items():
        if not _SOURCE_NAME.fullmatch(name):
            raise SettingsError(
                f"{where}: sources.{_one_line(name)}: expected a name of lower-case letters, digits, - and _"
            )
        if not isinstance(given, dict):
            raise SettingsError(f"{where}: sources.{name}: expected a table, got {given!r}")
        merged[name] = given if {"page_url", "extract"} <= given.keys() else builtin.get(name, {}) | given
    sources = {name: _read_source(name, merged[name], f"{where}: sources.{name}") for name in merged}
    for name, given in table.items():
        if sources[name].is_disabled and "page_url" in given:
            place = f"{where}: sources.{name}.allowed_hosts"
            raise SettingsError(f"{place}: expected the hosts that an id may name, since page_url has none")
    return sources


def _read_source(name: str, table: dict[str, Any], where: str) -> Source:
    source = Source(name=name, **_read_table(table, Source, where, separator="."))
    pattern = compile_regex(source.id_pattern)
    for number, item_id in enumerate(source.canary):
        if pattern.fullmatch(str(item_id).encode()) is None:
            raise SettingsError(
                f"{where}.canary[{number}]: expected an id that id_pattern takes, got {_one_line(repr(item_id))}"
            )
    return source


def _read_environment(environ: Mapping[str, str], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Read the variables that are keys of ``struct``; refuse those that are nobody's, which are slips."""
    known = _keys(Settings) | _keys(ServerSettings) | {"config"}
    given = {name.removeprefix(_PREFIX).lower(): name for name in environ if name.startswith(_PREFIX)}
    for key, name in given.items():
        if key not in known or name != name.upper():
            raise SettingsError(f"environment: {name}: {_unknown(key, known, _PREFIX)}")
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    return {
        key: _convert_text(environ[name], fields[key], f"environment: {name}")
        for key, name in given.items()
        if key in fields
    }


def _read_table(
    table: dict[str, Any], struct: type[msgspec.Struct], where: str, *, separator: str = ": "
) -> dict[str, Any]:
    """Convert each value of a table to its field's type, so that a wrong one is named with its key."""
    known = _keys(struct)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct) if field.encode_name in known}
    values = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{where}{separator}{_one_line(key)}: {_unknown(key, known)}")
        values[key] = _convert(value, fields[key].type, f"{where}{separator}{key}")
    for key, field in fields.items():
        if field.required and key not in values:
            raise SettingsError(f"{where}{separator}{key}: expected, since it is required, but it is missing")
    return values


def _convert(value: object, expected: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, expected, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        # msgspec ends with the place inside the value, such as " - at `$[0].regex`".
        text, _, place = _one_line(error).partition(" - at `$")
        where += place.rstrip("`")
        if unknown := _UNKNOWN.fullmatch(text):
            known = _keys(ResponsePattern if expected is ResponsePatterns else Rule)
            raise SettingsError(f"{where}.{unknown[1]}: {_unknown(unknown[1], known)}") from error
        text = text.partition(", got ")[0] if text.startswith("Expected") else text
        text = text.replace("Expected", "expected").replace(" | null`", "`")
        got = "" if _SECRET.search(where) else f", got {_PASSWORD.sub('***@', _one_line(repr(value)))}"
        raise SettingsError(f"{where}: {text}{got}") from error


def _convert_text(text: str, expected: Any, where: str) -> Any:
    """Convert a variable's text: as it stands where the field takes a text, else as the number that it spells."""
    try:
        return _convert(text, expected, where)
    except SettingsError:
        if not _NUMBER.fullmatch(text):
            raise
        return _convert(float(text) if "." in text else int(text), expected, where)


def _keys(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)} - {"sources", "name"}


def _unknown(key: str, known: set[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(key, known, n=1)
    names = near or sorted(known)
    hint = ", ".join(f"{prefix}{name.upper()}" if prefix else name for name in names)
    return f"unknown key, expected {'perhaps' if near else 'one of'} {hint}"


def _one_line(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - what a terminal shows in two rows
