"""The serialiser: turns a value or a fault into the bytes of a response.

The bytes are well-formed XML 1.0 in UTF-8, whatever characters the strings have. A character that XML does not allow
becomes U+FFFD. A carriage return becomes a character reference: XML parsers turn a literal one into a line feed.
"""

import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from app.rpc.dialect import MAX_DEPTH, PLAIN, Dialect
from app.rpc.faults import INTERNAL_ERROR

_Write = Callable[[str], None]
_Writer = Callable[[Any, _Write, Dialect, int], None]

_MIN_INT: Final = -(1 << 31)
_MAX_INT: Final = (1 << 31) - 1
_RESPONSE_START: Final = '<?xml version="1.0" encoding="utf-8"?>\n<methodResponse'
# Characters that XML 1.0 does not allow (section 2.2), and those that have to be written as references.
_special_characters: Final = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def serialize_value(value: Any, *, dialect: Dialect = PLAIN) -> bytes:
    """Return the complete ``methodResponse`` with ``value`` as its result.

    The types are None, bool, int, float, str, bytes, bytearray, datetime, list, tuple and dict, and their subclasses.
    An int of more than 32 bits is written as i8, a double without an exponent, and an aware datetime in UTC.

    Raises ``TypeError`` for a value of any other type or a dict key that is not a string. Raises ``ValueError`` for
    nan, infinities, an int of more than 64 bits, and more than ``MAX_DEPTH`` nested arrays and structs.
    """
    parts = [_RESPONSE_START, dialect.declaration, "><params><param>"]
    _write(value, parts.append, dialect, 0)
    parts.append("</param></params></methodResponse>\n")
    return "".join(parts).encode()


def serialize_fault(code: int, text: str) -> bytes:
    """Return the complete ``methodResponse`` of a fault. A code of more than 32 bits becomes -32603."""
    if not _MIN_INT <= code <= _MAX_INT:
        code = INTERNAL_ERROR
    return (
        f"{_RESPONSE_START}><fault><value><struct>"
        f"<member><name>faultCode</name><value><int>{code:d}</int></value></member>"
        f"<member><name>faultString</name><value><string>{_escape(text)}</string></value></member>"
        "</struct></value></fault></methodResponse>\n"
    ).encode()


def _escape(text: str) -> str:
    if text.isprintable():  # then only markup has to be escaped: the usual case, ten times as fast
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _special_characters.sub(lambda match: _REFERENCES.get(match[0], "\ufffd"), text)


def _write(value: Any, write: _Write, dialect: Dialect, depth: int) -> None:
    writer = _WRITERS.get(type(value)) or _find_inherited(type(value))
    writer(value, write, dialect, depth)


def _find_inherited(value_type: type) -> _Writer:
    for base in value_type.__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    raise TypeError(f"XML-RPC has no type for {value_type.__qualname__}")


def _write_nil(_value: None, write: _Write, dialect: Dialect, _depth: int) -> None:
    write(f"<value><{dialect.prefix}nil/></value>")


def _write_bool(value: bool, write: _Write, _dialect: Dialect, _depth: int) -> None:  # noqa: FBT001 - the value, not a flag
    write(f"<value><boolean>{value:d}</boolean></value>")


def _write_int(value: int, write: _Write, dialect: Dialect, _depth: int) -> None:
    if _MIN_INT <= value <= _MAX_INT:
        write(f"<value><int>{value:d}</int></value>")
    elif -(1 << 63) <= value < 1 << 63:
        write(f"<value><{dialect.prefix}i8>{value:d}</{dialect.prefix}i8></value>")
    else:
        raise ValueError("an int of more than 64 bits")


def _write_float(value: float, write: _Write, _dialect: Dialect, _depth: int) -> None:
    if not math.isfinite(value):
        raise ValueError(f"XML-RPC has no {value!r}")
    digits = float.__repr__(value)
    if "e" in digits:  # the specification allows no exponent and requires a decimal point
        digits = f"{Decimal(digits):f}"
        digits = digits if "." in digits else f"{digits}.0"
    write(f"<value><double>{digits}</double></value>")


def _write_str(value: str, write: _Write, _dialect: Dialect, _depth: int) -> None:
    write(f"<value><string>{_escape(value)}</string></value>")


def _write_bytes(value: bytes, write: _Write, _dialect: Dialect, _depth: int) -> None:
    write(f"<value><base64>{binascii.b2a_base64(value, newline=False).decode()}</base64></value>")


def _write_datetime(value: datetime, write: _Write, _dialect: Dialect, _depth: int) -> None:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    text = value.isoformat(timespec="seconds").replace("-", "")
    write(f"<value><dateTime.iso8601>{text}</dateTime.iso8601></value>")


def _write_array(value: list[Any] | tuple[Any, ...], write: _Write, dialect: Dialect, depth: int) -> None:
    write("<value><array><data>")
    depth = _next_depth(depth)
    for item in value:
        _write(item, write, dialect, depth)
    write("</data></array></value>")


def _write_struct(value: dict[Any, Any], write: _Write, dialect: Dialect, depth: int) -> None:
    write("<value><struct>")
    depth = _next_depth(depth)
    for name, item in value.items():
        if not isinstance(name, str):
            raise TypeError(f"the member names of a struct must be strings, not {type(name).__qualname__}")
        write(f"<member><name>{_escape(name)}</name>")
        _write(item, write, dialect, depth)
        write("</member>")
    write("</struct></value>")


def _next_depth(depth: int) -> int:
    if depth == MAX_DEPTH:  # also ends the recursion of a list that contains itself
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return depth + 1


_WRITERS: Final[dict[type, _Writer]] = {
    type(None): _write_nil,
    bool: _write_bool,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    datetime: _write_datetime,
    list: _write_array,
    tuple: _write_array,
    dict: _write_struct,
}
