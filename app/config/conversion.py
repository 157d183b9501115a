"""Converts configuration values to the types of their fields, with error messages for the operator."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Rule, decode_hook
from app.domain.errors import SettingsError

#: Keys whose values may be secrets. Error messages, which may be logged, do not repeat these values.
_SECRET = re.compile(r"admin_token|headers", re.IGNORECASE)
#: The user name and password of a store URL.
_PASSWORD = re.compile(r"(?<=/).*@|(?<=redis).*@|(?<=rediss).*@")
#: msgspec's message for an unknown key of a rule or a response pattern.
_UNKNOWN_FIELD = re.compile("Object contains unknown field `(.+)`")
#: A number in the syntax that TOML and a variable have in common.
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_MAX_LINE = 200  # characters of a text that an error message repeats: two rows of a terminal


def config_fields(struct: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    """Return the fields of a struct that are keys of a table, by name: all but ``sources`` and ``name``.

    The loader sets these two itself, from the names of tables.
    """
    return {field.name: field for field in fields(struct) if field.name not in {"sources", "name"}}


def convert_table(table: dict[str, Any], struct: type[msgspec.Struct], prefix: str) -> dict[str, Any]:
    """Convert each value of a table to the type of its field. ``prefix`` precedes the key in an error message.

    Each value is converted separately because msgspec's messages do not have the invalid value.

    Raises:
        SettingsError: a key is unknown or missing, or a value is invalid.

    """
    known = config_fields(struct)
    values = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{prefix}{one_line(key)}: {unknown_key(key, known)}")
        values[key] = _convert(value, known[key].type, f"{prefix}{key}")
    for key, field in known.items():
        if field.required and key not in values:
            raise SettingsError(f"{prefix}{key}: expected a value, since the key is required, got none")
    return values


def convert_variable(text: str, expected: Any, location: str) -> Any:
    """Convert the text of an environment variable: as a text if the field accepts it, else as a number.

    Raises:
        SettingsError: the value is invalid.

    """
    try:
        return _convert(text, expected, location)
    except SettingsError:
        if not _NUMBER.fullmatch(text):
            raise
        return _convert(float(text) if "." in text else int(text), expected, location)


def _convert(value: object, expected: Any, location: str) -> Any:
    try:
        return msgspec.convert(value, expected, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        # The message ends with the path inside the value, such as " - at `$[0].regex`".
        text, _, path = one_line(error).partition(" - at `$")
        location += path.rstrip("`")
        if unknown := _UNKNOWN_FIELD.fullmatch(text):
            known = config_fields(ResponsePattern if expected is ResponsePatterns else Rule)
            raise SettingsError(f"{location}.{unknown[1]}: {unknown_key(unknown[1], known)}") from error
        text = text.partition(", got ")[0] if text.startswith("Expected") else text
        text = text.replace("Expected", "expected").replace(" | null`", "`")
        got = "" if _SECRET.search(location) else f", got {_PASSWORD.sub('***@', one_line(repr(value)))}"
        raise SettingsError(f"{location}: {text}{got}") from error


def unknown_key(key: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the error text for an unknown key: it suggests a similar known key, or lists all of them.

    With a ``prefix``, the keys are written as environment variables.
    """
    known = sorted(known)
    similar = difflib.get_close_matches(key, known, n=1)
    names = ", ".join(f"{prefix}{name.upper()}" if prefix else name for name in similar or known)
    return f"unknown key, expected {'perhaps' if similar else 'one of'} {names}"


def one_line(value: object) -> str:
    """Return the text of a value in one line of limited length."""
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}…"
