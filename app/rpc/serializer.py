"""The writer: a value or a fault becomes the bytes of an answer.

What a reader may rely on: the bytes are well-formed XML 1.0 in UTF-8, whatever is in the strings. A character that XML
cannot hold becomes U+FFFD, and a carriage return a character reference, since it would arrive as a line feed otherwise.
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
_HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>\n<methodResponse'
# What XML 1.0 has no character for (section 2.2), and what has to be written as a reference.
_awkward: Final = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def serialize_value(value: Any, *, dialect: Dialect = PLAIN) -> bytes:
    """Return the whole ``methodResponse`` that answers with ``value``.

    None, bool, int, float, str, bytes, datetime, list, tuple and dict have a word, and so have their subclasses. An int
    beyond 32 bit is an i8, a double has no exponent, a datetime with a zone is given in UTC. Raises ``TypeError`` for
    another type, a key that is no string included, and ``ValueError`` for what no word can hold: nan, an infinity, an
    int beyond 64 bit, more than ``MAX_DEPTH`` arrays and structs in each other.
    """
    parts = [_HEAD, dialect.declaration, "><params><param>"]
    _write(value, parts.append, dialect, 0)
    parts.append("</param></params></methodResponse>\n")
    return "".join(parts).encode()


def serialize_fault(code: int, text: str) -> bytes:
    """Return the whole ``methodResponse`` of a fault. A code beyond the 32 bit that it has becomes -32603."""
    if not _MIN_INT <= code <= _MAX_INT:
        code = INTERNAL_ERROR
    return (
        f"{_HEAD}><fault><value><struct>"
        f"<member><name>faultCode</name><value><int>{code:d}</int></value></member>"
        f"<member><name>faultString</name><value><string>{_escaped(text)}</string></value></member>"
        "</struct></value></fault></methodResponse>\n"
    ).encode()


def _escaped(text: str) -> str:
    if text.isprintable():  # then only markup can be awkward; the usual case, at a tenth of the price
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _awkward.sub(lambda match: _REFERENCES.get(match[0], "\ufffd"), text)


def _write(value: Any, write: _Write, dialect: Dialect, depth: int) -> None:
    writer = _WRITERS.get(type(value)) or _inherited(type(value))
    writer(value, write, dialect, depth)


def _inherited(kind: type) -> _Writer:
    for base in kind.__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    raise TypeError(f"XML-RPC has no word for {kind.__qualname__}")


def _write_nil(_value: None, write: _Write, dialect: Dialect, _depth: int) -> None:
    write(f"<value><{dialect.prefix}nil/></value>")


def _write_bool(value: bool, write: _Write, _dialect: Dialect, _depth: int) -> None:  # noqa: FBT001 - it is the value
    write(f"<value><boolean>{value:d}</boolean></value>")


def _write_int(value: int, write: _Write, dialect: Dialect, _depth: int) -> None:
    if _MIN_INT <= value <= _MAX_INT:
        write(f"<value><int>{value:d}</int></value>")
    elif -(1 << 63) <= value < 1 << 63:
        write(f"<value><{dialect.prefix}i8>{value:d}</{dialect.prefix}i8></value>")
    else:
        raise ValueError("an int beyond 64 bit")


def _write_float(value: float, write: _Write, _dialect: Dialect, _depth: int) -> None:
    if not math.isfinite(value):
        raise ValueError(f"XML-RPC has no word for {value!r}")
    digits = float.__repr__(value)
    if "e" in digits:  # the specification has no exponents, and a point in every double
        digits = f"{Decimal(digits):f}"
        digits = digits if "." in digits else f"{digits}.0"
    write(f"<value><double>{digits}</double></value>")


def _write_str(value: str, write: _Write, _dialect: Dialect, _depth: int) -> None:
    write(f"<value><string>{_escaped(value)}</string></value>")


def _write_bytes(value: bytes, write: _Write, _dialect: Dialect, _depth: int) -> None:
    write(f"<value><base64>{binascii.b2a_base64(value, newline=False).decode()}</base64></value>")


def _write_datetime(value: datetime, write: _Write, _dialect: Dialect, _depth: int) -> None:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    moment = value.isoformat(timespec="seconds").replace("-", "")
    write(f"<value><dateTime.iso8601>{moment}</dateTime.iso8601></value>")


def _write_array(value: list[Any] | tuple[Any, ...], write: _Write, dialect: Dialect, depth: int) -> None:
    write("<value><array><data>")
    depth = _deeper(depth)
    for item in value:
        _write(item, write, dialect, depth)
    write("</data></array></value>")


def _write_struct(value: dict[Any, Any], write: _Write, dialect: Dialect, depth: int) -> None:
    write("<value><struct>")
    depth = _deeper(depth)
    for name, item in value.items():
        if not isinstance(name, str):
            raise TypeError(f"a struct's names are strings, not {type(name).__qualname__}")
        write(f"<member><name>{_escaped(name)}</name>")
        _write(item, write, dialect, depth)
        write("</member>")
    write("</struct></value>")


def _deeper(depth: int) -> int:
    if depth == MAX_DEPTH:  # a list that holds itself ends here too
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
