"""Header fields in the form that the requests library uses: a mapping with case-insensitive names."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TypeVar, overload

from requests.structures import CaseInsensitiveDict

T = TypeVar("T")

# RFC 9110, 5.5 and 5.6.2. One match over the whole header costs less than one match per field.
_HEADER = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


class InvalidHeaderFieldError(ValueError):
    """The name or the value of a header field cannot be sent."""


class HeaderFields(CaseInsensitiveDict[str]):
    """Immutable header fields, serialised at most once. No two names may differ only in case."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        # Fills the dict of CaseInsensitiveDict directly, because its constructor calls a method for each item. These
        # calls would make fetching a page 10 % slower.
        self._store = {name.lower(): (name, value) for name, value in fields.items()}

    # These two methods are overridden because the inherited ones are slow for a missing field: they raise a KeyError,
    # which passes through four functions.

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._store

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str) -> str: ...
    @overload
    def get(self, key: str, /, default: T) -> str | T: ...
    def get(self, key: str, /, default: T | None = None) -> str | T | None:
        """Return the value of a field, or ``default`` if the field is missing."""
        field = self._store.get(key.lower())
        return default if field is None else field[1]

    @cached_property
    def serialized(self) -> bytes:
        """The field lines and the empty line that ends them. Raises InvalidHeaderFieldError."""
        return serialize_fields(self._store.values())


def serialize_fields(fields: Iterable[tuple[str, str | bytes]]) -> bytes:
    """Return the field lines (RFC 9112, 5) and the empty line that ends them.

    Raises:
        InvalidHeaderFieldError: a name or a value has a character that is not allowed, such as a line break.

    """
    lines = [f"{name}: {_to_text(value)}\r\n" for name, value in fields]
    header = "".join(lines)
    # A value with a line break could match as two fields, so the lines are counted too.
    if not _HEADER.fullmatch(header) or header.count("\n") != len(lines):
        raise InvalidHeaderFieldError("invalid header field")
    return f"{header}\r\n".encode("latin-1")


def _to_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
