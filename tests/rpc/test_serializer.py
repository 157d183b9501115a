"""What the writer answers with: valid XML, whatever is in it."""

from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest

from app.rpc.dialect import APACHE, MAX_DEPTH, PLAIN, Dialect
from app.rpc.faults import INTERNAL_ERROR
from app.rpc.serializer import serialize_fault, serialize_value
from tests.rpc.messages import EX, answered, fault, is_lawful, tags


class Colour(StrEnum):
    """A string that is more than a string."""

    RED = "red"


class Level(IntEnum):
    """An int that is more than an int."""

    HIGH = 3


class Point(NamedTuple):
    """A tuple that is more than a tuple."""

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
        datetime(33, 1, 2, 3, 4, 5),  # noqa: DTZ001 - it has no zone
        [],
        [1, ["two", [3.5, None]]],
        {},
        {"": {"a b": [{}], "<&>\r": 2**40}},
    ],
    ids=ascii,
)
def test_a_value_arrives_as_it_was(value: object, dialect: Dialect) -> None:
    assert answered(serialize_value(value, dialect=dialect)) == value


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -12.214, 1e16, 1e300, 5e-324, 1.7976931348623157e308, 0.1])
def test_a_double_arrives_as_it_was_and_has_no_exponent(value: float) -> None:
    answer = serialize_value(value, dialect=PLAIN)
    assert repr(answered(answer)) == repr(value)
    assert b"e" not in answer.partition(b"<double>")[2].partition(b"</double>")[0]


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ((1, 2), [1, 2]),
        (bytearray(b"ab"), b"ab"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
    ],
)
def test_relatives_of_a_type_are_written_like_it(value: object, arrives: object) -> None:
    assert answered(serialize_value(value, dialect=PLAIN)) == arrives


def test_a_time_with_a_zone_is_given_in_utc() -> None:
    moment = datetime(2024, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert b">20231231T22:30:00<" in serialize_value(moment, dialect=PLAIN)


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\x1f", "\udfff", "\ufffe", "\uffff"], ids=ascii)
def test_a_character_that_xml_has_not_is_replaced(character: str) -> None:
    assert answered(serialize_value({f"a{character}": f"{character}b<"}, dialect=PLAIN)) == {"a\ufffd": "\ufffdb<"}
    assert fault(serialize_fault(404, f"no {character}")) == (404, "no \ufffd")


def test_apaches_words_are_in_apaches_namespace() -> None:
    assert tags(serialize_value([None, 2**31], dialect=APACHE), EX) == ["nil", "i8"]


def test_the_plain_dialect_names_no_namespace() -> None:
    assert b"xmlns" not in serialize_value([None, 2**31], dialect=PLAIN)


def test_a_fault_has_its_code_and_text() -> None:
    assert fault(serialize_fault(-32601, "there is no <method>")) == (-32601, "there is no <method>")


@pytest.mark.parametrize("code", [2**31, -(2**31) - 1, 10**30])
def test_a_fault_code_beyond_32_bit_is_an_internal_error(code: int) -> None:
    assert fault(serialize_fault(code, "much")) == (INTERNAL_ERROR, "much")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, float("nan"), float("inf"), -float("inf")])
def test_a_value_that_no_word_can_hold_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        serialize_value([value], dialect=PLAIN)


@pytest.mark.parametrize("value", [object(), {1}, 1j, {1: 2}, {None: 1}, {b"a": 1}, lambda: None])
def test_a_type_without_a_word_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        serialize_value([value], dialect=PLAIN)


def test_a_list_that_holds_itself_is_a_value_error() -> None:
    endless: list[Any] = []
    endless.extend([endless] * 10)
    with pytest.raises(ValueError, match="nested"):
        serialize_value(endless, dialect=PLAIN)


def test_answers_nest_as_deep_as_calls() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert answered(serialize_value(value, dialect=PLAIN)) == value
    with pytest.raises(ValueError, match="nested"):
        serialize_value([value], dialect=PLAIN)


@pytest.mark.parametrize(
    "answer",
    [
        "<methodResponse><params/></methodResponse>",
        "<methodResponse><params><param><value><i9>1</i9></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><int>1.0</int></value></param></params></methodResponse>",
        "<methodResponse><params><param><value><double>1e5</double></value></param></params></methodResponse>",
        "<methodResponse><fault><value><struct/></value></fault></methodResponse>",
    ],
)
def test_the_schema_of_these_tests_refuses_what_is_wrong(answer: str) -> None:
    assert not is_lawful(answer)
