"""Loads the configuration from a TOML file, environment variables and the built-in sources.

Every error is a SettingsError with one line of text: the place, the key, what was expected and what was found.
"""

import functools
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config.conversion import config_fields, convert_table, convert_variable, one_line, unknown_key
from app.config.rules import compile_regex
from app.config.settings import ServerSettings, Settings
from app.config.source import Source
from app.domain.errors import SettingsError

_BUILTIN_SOURCES = Path(__file__).with_name("builtin.toml")
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_PREFIX = "COVERS_"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the file that ``COVERS_CONFIG`` names, if any. Variables ``COVERS_<KEY>`` take precedence over its keys.

    Raises:
        SettingsError: the configuration is invalid.

    """
    name = environ.get("COVERS_CONFIG")
    table = _read_toml(Path(name)) if name else {}
    config_name = one_line(name or "default settings")

    values = convert_table({key: table[key] for key in table if key != "sources"}, Settings, f"{config_name}: ")
    values |= _read_environment(environ, Settings)
    settings = Settings(**values, sources=_read_sources(table.get("sources", {}), config_name))

    enabled = [name for name, source in settings.sources.items() if not source.is_disabled]
    if settings.default_source not in enabled:
        location, got = setting_location("default_source", environ), one_line(repr(settings.default_source))
        raise SettingsError(f"{location}: expected one of {', '.join(enabled)}, got {got}")
    return settings


def load_server_settings(environ: Mapping[str, str]) -> ServerSettings:
    """Read the settings of the server from ``COVERS_BIND`` and similar variables.

    Raises:
        SettingsError: a variable is invalid.

    """
    return ServerSettings(**_read_environment(environ, ServerSettings))


@functools.cache
def current_settings() -> Settings:
    """Return the settings of this process: read at the first call, cached afterwards.

    gunicorn.conf.py makes the first call in the master, and workers inherit the result through fork. So all workers
    have the same settings, and a changed or broken file has no effect before the next reload.
    """
    return load_settings(os.environ)


def setting_location(key: str, environ: Mapping[str, str]) -> str:
    """Return the place where a top-level key was set, for an error message: a variable, or a file and a key."""
    variable = f"{_PREFIX}{key.upper()}"
    if variable in environ:
        return f"environment: {variable}"
    return f"{one_line(environ.get('COVERS_CONFIG') or 'default settings')}: {key}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{one_line(path)}: expected a readable TOML file: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, an int of 5,000 digits
        raise SettingsError(f"{one_line(path)}: expected a TOML file: {one_line(error)}") from error


def _read_environment(environ: Mapping[str, str], struct: type[Settings | ServerSettings]) -> dict[str, Any]:
    """Read the variables for the fields of ``struct``.

    Raises:
        SettingsError: a value is invalid, or a variable ``COVERS_…`` stands for no setting.

    """
    known = {"config", *config_fields(Settings), *config_fields(ServerSettings)}
    variables = {name.removeprefix(_PREFIX).lower(): name for name in environ if name.startswith(_PREFIX)}
    for key, name in variables.items():
        if key not in known or name != name.upper():
            raise SettingsError(f"environment: {name}: {unknown_key(key, known, _PREFIX)}")
    fields = config_fields(struct)
    return {
        key: convert_variable(environ[name], fields[key].type, f"environment: {name}")
        for key, name in variables.items()
        if key in fields
    }


def _read_sources(tables: object, config_name: str) -> dict[str, Source]:
    """Merge the configured sources with the built-in ones.

    A table with both ``page_url`` and ``extract`` replaces the built-in source of its name. Any other table changes
    only the keys that it has.
    """
    builtin = _read_toml(_BUILTIN_SOURCES)["sources"]
    if not isinstance(tables, dict):
        raise SettingsError(f"{config_name}: sources: expected tables [sources.NAME], got {tables!r}")
    merged = dict(builtin)
    for name, table in tables.items():
        if not _SOURCE_NAME.fullmatch(name):
            raise SettingsError(
                f"{config_name}: sources.{one_line(name)}: expected a name of lower-case letters, digits, - and _"
            )
        if not isinstance(table, dict):
            raise SettingsError(f"{config_name}: sources.{name}: expected a table, got {table!r}")
        merged[name] = table if {"page_url", "extract"} <= table.keys() else builtin.get(name, {}) | table
    sources = {name: _read_source(name, merged[name], f"{config_name}: sources.{name}") for name in merged}
    for name, table in tables.items():
        if sources[name].is_disabled and "page_url" in table:
            location = f"{config_name}: sources.{name}.allowed_hosts"
            raise SettingsError(f"{location}: expected the hosts that an id may name, since page_url has none")
    return sources


def _read_source(name: str, table: dict[str, Any], location: str) -> Source:
    source = Source(name=name, **convert_table(table, Source, f"{location}."))
    id_pattern = compile_regex(source.id_pattern)
    for index, item_id in enumerate(source.canary):
        if id_pattern.fullmatch(str(item_id).encode()) is None:
            raise SettingsError(
                f"{location}.canary[{index}]: expected an id that id_pattern matches, got {one_line(repr(item_id))}"
            )
    return source
