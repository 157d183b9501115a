"""The serialiser writes valid XML for every value, and refuses what XML-RPC cannot represent."""

from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest

from app.rpc.dialect import APACHE, MAX_DEPTH, PLAIN, Dialect
from app.rpc.faults import INTERNAL_ERROR
from app.rpc.serializer import serialize_fault, serialize_value
from tests.rpc.messages import EX, fault_of, is_valid_response, result_of, tags_in_namespace


class Colour(StrEnum):
    """A subclass of str."""

    RED = "red"


class Level(IntEnum):
    """A subclass of int."""

    HIGH = 3


class Point(NamedTuple):
    """A subclass of tuple."""

    x: int
    y: int


@pytest.mark.parametrize("dialect", [PLAIN, APACHE])
@pytest.mark.parametrize(
    "value",
    [
        0,
        -(2**31),
        2**31 - 1,
        2**31,
        -(2**63),
        2**63 - 1,
        True,
        False,
        None,
        "",
        "a\tb\nc\rd",
        "<&>]]>\"'",
        "é\u2028\U0001f600\x7f\x85",
        b"",
        bytes(range(256)),
        datetime(33, 1, 2, 3, 4, 5),  # noqa: DTZ001 - naive, as in XML-RPC
        [],
        [1, ["two", [3.5, None]]],
        {},
        {"": {"a b": [{}], "<&>\r": 2**40}},
    ],
    ids=ascii,
)
def test_a_value_is_parsed_back_unchanged(value: object, dialect: Dialect) -> None:
    assert result_of(serialize_value(value, dialect=dialect)) == value


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -12.214, 1e16, 1e300, 5e-324, 1.7976931348623157e308, 0.1])
def test_a_double_is_parsed_back_unchanged_and_has_no_exponent(value: float) -> None:
    response = serialize_value(value, dialect=PLAIN)
    assert repr(result_of(response)) == repr(value)
    assert b"e" not in response.partition(b"<double>")[2].partition(b"</double>")[0]


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ((1, 2), [1, 2]),
        (bytearray(b"ab"), b"ab"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
    ],
)
def test_subclasses_and_similar_types_are_serialised(value: object, parsed: object) -> None:
    assert result_of(serialize_value(value, dialect=PLAIN)) == parsed


def test_an_aware_datetime_is_converted_to_utc() -> None:
    moment = datetime(2024, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert b">20231231T22:30:00<" in serialize_value(moment, dialect=PLAIN)


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\x1f", "\udfff", "\ufffe", "\uffff"], ids=ascii)
def test_a_character_that_xml_does_not_allow_is_replaced(character: str) -> None:
    assert result_of(serialize_value({f"a{character}": f"{character}b<"}, dialect=PLAIN)) == {"a\ufffd": "\ufffdb<"}
    assert fault_of(serialize_fault(404, f"no {character}")) == (404, "no \ufffd")


def test_apaches_extensions_are_in_its_namespace() -> None:
    assert tags_in_namespace(serialize_value([None, 2**31], dialect=APACHE), EX) == ["nil", "i8"]


def test_the_plain_dialect_declares_no_namespace() -> None:
    assert b"xmlns" not in serialize_value([None, 2**31], dialect=PLAIN)


def test_a_fault_has_code_and_text() -> None:
    assert fault_of(serialize_fault(-32601, "there is no <method>")) == (-32601, "there is no <method>")


@pytest.mark.parametrize("code", [2**31, -(2**31) - 1, 10**30])
def test_a_fault_code_of_more_than_32_bits_becomes_an_internal_error(code: int) -> None:
    assert fault_of(serialize_fault(code, "much")) == (INTERNAL_ERROR, "much")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("nan"), float("inf"), -float("inf")])
def test_a_value_out_of_range_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        serialize_value([value], dialect=PLAIN)


@pytest.mark.parametrize("value", [object(), {1}, 1j, {1: 2}, {None: 1}, {b"a": 1}, lambda: None])
def test_an_unsupported_type_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        serialize_value([value], dialect=PLAIN)


def test_a_list_that_contains_itself_is_a_value_error() -> None:
    recursive: list[Any] = []
    recursive.extend([recursive] * 10)
    with pytest.raises(ValueError, match="nested"):
        serialize_value(recursive, dialect=PLAIN)


def test_responses_may_nest_as_deep_as_requests() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert result_of(serialize_value(value, dialect=PLAIN)) == value
    with pytest.raises(ValueError, match="nested"):
        serialize_value([value], dialect=PLAIN)


@pytest.mark.parametrize(
    "response",
    [
        "<methodResponse><params/></methodResponse>",
        "<methodResponse><params><param><value><i9>1</i9></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><int>1.0</int></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><double>1e5</double></value></param></params></methodResponse>",
        "<methodResponse><fault><value><struct/></value></fault></methodResponse>",
    ],
)
def test_the_schema_rejects_invalid_responses(response: str) -> None:
    assert not is_valid_response(response)
