"""The scalar types: each function parses the text of a typed value, or raises ``Fault``.

The text has to be what http://xmlrpc.com/spec.md allows. Python's own conversions accept more: ``int`` accepts
``1_000``, spaces and the digits of every script, ``float`` accepts ``nan``. There is one exception: a double may have
an exponent, because Python's and Java's clients write one.
"""

import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from app.rpc.faults import INVALID_REQUEST, PARSE_ERROR, Fault

_is_decimal: Final = re.compile(r"[+-]?[0-9]+").fullmatch
_is_double: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_is_date_time: Final = re.compile(r"[0-9]{8}T[0-9]{2}:[0-9]{2}:[0-9]{2}").fullmatch
_MAX_INT_LENGTH: Final = 20  # a sign and the 19 digits of 2 ** 63


def _invalid(type_name: str, text: str) -> Fault:
    return Fault(INVALID_REQUEST, f"{text[:40]!a} is not a valid {type_name}")


def integer(bits: int) -> Callable[[str], int]:
    """Return a parser of signed decimal integers of ``bits`` bits."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def parse(text: str) -> int:
        if not _is_decimal(text):
            raise _invalid("integer", text)
        if len(text) > _MAX_INT_LENGTH or not low <= (number := int(text)) <= high:
            raise Fault(PARSE_ERROR, f"{text[:_MAX_INT_LENGTH]} is out of range for {bits} bits")
        return number

    return parse


def double(text: str) -> float:
    """Parse a decimal fraction that is finite as a double."""
    if not _is_double(text) or not math.isfinite(number := float(text)):
        raise _invalid("double", text)
    return number


def boolean(text: str) -> bool:
    """Parse 0 or 1."""
    if text not in {"0", "1"}:
        raise _invalid("boolean", text)
    return text == "1"


def date_time(text: str) -> datetime:
    """Parse a time such as ``19980717T14:08:55``. The result is naive: the specification has no time zones."""
    if not _is_date_time(text):
        raise _invalid("dateTime.iso8601", text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # for example the 30th of February
        raise _invalid("dateTime.iso8601", text) from None


def base64(text: str) -> bytes:
    """Decode base64 with lines of any length (RFC 2045, section 6.8); other characters are an error, not skipped."""
    try:
        return binascii.a2b_base64(text.encode("ascii").translate(None, b" \t\r\n"), strict_mode=True)
    except ValueError:  # the base class of binascii.Error and UnicodeEncodeError
        raise _invalid("base64", text) from None


def nil(text: str) -> None:
    """Return None for an empty element."""
    if text:
        raise _invalid("nil", text)


SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    "string": str,
    "int": integer(32),
    "i4": integer(32),
    "boolean": boolean,
    "double": double,
    "dateTime.iso8601": date_time,
    "base64": base64,
}

# Accepted without a namespace and in Apache's. Apache's other extensions are not accepted: dom and serializable carry
# documents and Java objects, and converting a bigdecimal or biginteger of a million digits takes hours.
EXTENSIONS: Final[dict[str, Callable[[str], Any]]] = {
    "nil": nil,
    "i1": integer(8),
    "i2": integer(16),
    "i8": integer(64),
    "float": double,
}
