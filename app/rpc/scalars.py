"""The scalars: the text of a typed value becomes a Python value, or a ``Fault`` says why not.

Each function takes the text between the tags and holds it to the letter of http://xmlrpc.com/spec.md, where Python's
own conversions are hospitable: ``int`` reads ``1_000``, blanks and every script's digits, ``float`` reads ``nan``. One
liberty is taken: a double may have an exponent, because Python's and Java's clients write one.
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
_is_date: Final = re.compile(r"[0-9]{8}T[0-9]{2}:[0-9]{2}:[0-9]{2}").fullmatch
_LONGEST_INT: Final = 20  # a sign and the 19 digits of 2 ** 63


def _no(kind: str, text: str) -> Fault:
    return Fault(INVALID_REQUEST, f"{text[:40]!a} is no {kind}")


def integer(bits: int) -> Callable[[str], int]:
    """Return the reader of signed decimal integers of so many bits."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def read(text: str) -> int:
        if not _is_decimal(text):
            raise _no("integer", text)
        if len(text) > _LONGEST_INT or not low <= (number := int(text)) <= high:
            raise Fault(PARSE_ERROR, f"{text[:_LONGEST_INT]} is past {bits} bit")
        return number

    return read


def double(text: str) -> float:
    """Return the finite number that a decimal fraction says."""
    if not _is_double(text) or not math.isfinite(number := float(text)):
        raise _no("double", text)
    return number


def boolean(text: str) -> bool:
    """Return what 0 or 1 says."""
    if text not in {"0", "1"}:
        raise _no("boolean", text)
    return text == "1"


def date(text: str) -> datetime:
    """Return the moment that ``19980717T14:08:55`` says, without a zone: the specification knows none."""
    if not _is_date(text):
        raise _no("dateTime.iso8601", text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # of the right form, but no day or hour of the calendar
        raise _no("dateTime.iso8601", text) from None


def base64(text: str) -> bytes:
    """Return the bytes that base64 in lines of any length says (RFC 2045, section 6.8, but nothing foreign in it)."""
    try:
        return binascii.a2b_base64(text.encode("ascii").translate(None, b" \t\r\n"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are such
        raise _no("base64", text) from None


def nil(text: str) -> None:
    """Return None: the element is empty."""
    if text:
        raise _no("nil", text)


SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    "string": str,
    "int": integer(32),
    "i4": integer(32),
    "boolean": boolean,
    "double": double,
    "dateTime.iso8601": date,
    "base64": base64,
}

# Read bare and in Apache's namespace. Its dom, serializable, bigdecimal, biginteger and the rest are not: the first two
# carry documents and Java objects, and a number of a million digits takes hours to convert.
EXTENSIONS: Final[dict[str, Callable[[str], Any]]] = {
    "nil": nil,
    "i1": integer(8),
    "i2": integer(16),
    "i8": integer(64),
    "float": double,
}
