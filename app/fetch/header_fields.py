"""Header fields, as requests has them: found by their names, whatever the case of the letters."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TypeVar, overload

from requests.structures import CaseInsensitiveDict

T = TypeVar("T")

# RFC 9110, 5.5 and 5.6.2; one pass over all fields costs less than one for each
_LINES = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")


class InvalidHeaderFieldError(ValueError):
    """This cannot be a header field."""


class HeaderFields(CaseInsensitiveDict[str]):
    """Fields that nobody changes, of which no two have one name. They are stored at once, and written once."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        # Where requests keeps them; its own way takes them in one by one, by which each page would cost a tenth more.
        self._store = {name.lower(): (name, value) for name, value in fields.items()}

    # Its own ways to look for what is not there raise and catch a KeyError through four functions.

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._store

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str) -> str: ...
    @overload
    def get(self, key: str, /, default: T) -> str | T: ...
    def get(self, key: str, /, default: T | None = None) -> str | T | None:
        """Return the field's value, or ``default`` where there is no such field."""
        field = self._store.get(key.lower())
        return default if field is None else field[1]

    @cached_property
    def serialized(self) -> bytes:
        """The fields and the blank line behind them. Raises BadFieldError."""
        return serialize_fields(self._store.values())


def serialize_fields(fields: Iterable[tuple[str, str | bytes]]) -> bytes:
    """Return fields as bytes, and the blank line behind them.

    Raises:
        BadFieldError: a field that would not arrive as the one that it is.

    """
    lines = [f"{name}: {_text(value)}\r\n" for name, value in fields]
    head = "".join(lines)
    # The count shows that no field was two.
    if not _LINES.fullmatch(head) or head.count("\n") != len(lines):
        raise InvalidHeaderFieldError("a header field that cannot be sent")
    return f"{head}\r\n".encode("latin-1")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
