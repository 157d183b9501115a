"""The conformance suites for XML-RPC servers: the eight methods of validator1, and the interop echo tests."""

import xmlrpc.client
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.rpc.dispatcher import Dispatcher
from tests.rpc.messages import client_request, request, result_of

NOON = datetime(2010, 7, 14, 12, 0, 59)  # noqa: DTZ001 - XML-RPC has no time zones
STOOGES = {"moe": 11, "larry": -4, "curly": 2000}


def array_of_structs(structs: list[dict[str, int]]) -> int:
    """Return the sum of the members named curly."""
    return sum(struct["curly"] for struct in structs)


def count_the_entities(text: str) -> dict[str, int]:
    """Count the five characters that have a predefined entity in XML."""
    counts = Counter(text)
    return {
        "ctLeftAngleBrackets": counts["<"],
        "ctRightAngleBrackets": counts[">"],
        "ctAmpersands": counts["&"],
        "ctApostrophes": counts["'"],
        "ctQuotes": counts['"'],
    }


def easy_struct(struct: dict[str, int]) -> int:
    """Return the sum of the three stooges."""
    return struct["moe"] + struct["larry"] + struct["curly"]


def echo_struct(struct: dict[str, Any]) -> dict[str, Any]:
    """Return the struct."""
    return struct


def many_types(a: int, b: bool, c: str, d: float, e: datetime, f: bytes) -> list[Any]:  # noqa: FBT001 - as the suite has it
    """Return the six parameters as an array."""
    return [a, b, c, d, e, f]


def moderate_size_array(texts: list[str]) -> str:
    """Concatenate the first text and the last."""
    return texts[0] + texts[-1]


def nested_struct(calendar: dict[str, Any]) -> int:
    """Return the sum of the stooges of 1 April 2000."""
    return easy_struct(calendar["2000"]["04"]["01"])


def simple_struct_return(number: int) -> dict[str, int]:
    """Return ten, a hundred and a thousand times the number."""
    return {"times10": number * 10, "times100": number * 100, "times1000": number * 1000}


def echo(value: Any) -> Any:
    """Return the value."""
    return value


VALIDATOR: dict[str, Callable[..., Any]] = {
    "validator1.arrayOfStructsTest": array_of_structs,
    "validator1.countTheEntities": count_the_entities,
    "validator1.easyStructTest": easy_struct,
    "validator1.echoStructTest": echo_struct,
    "validator1.manyTypesTest": many_types,
    "validator1.moderateSizeArrayCheck": moderate_size_array,
    "validator1.nestedStructTest": nested_struct,
    "validator1.simpleStructReturnTest": simple_struct_return,
}
INTEROP: dict[str, list[Any]] = {
    "interopEchoTests.echoString": ["", "plain", "<b>&amp;</b>", "обложка", "\U0001f3b5", " \t\n ", "]]>"],
    "interopEchoTests.echoInteger": [0, 1, -1, 2**31 - 1, -(2**31)],
    "interopEchoTests.echoFloat": [0.0, -0.5, 3.14159, 1e-9, 12345678.9],
    "interopEchoTests.echoBoolean": [True, False],
    "interopEchoTests.echoBase64": [b"", b"\x00\xff", bytes(range(256)) * 3],
    "interopEchoTests.echoDate": [NOON, datetime(1, 1, 1)],  # noqa: DTZ001
    "interopEchoTests.echoStringArray": [[], ["a"], ["a", "", "b c"]],
    "interopEchoTests.echoIntegerArray": [[], [1, -2, 3]],
    "interopEchoTests.echoFloatArray": [[], [1.5, -2.5]],
    "interopEchoTests.echoStruct": [{}, {"varString": "s", "varInt": 5, "varFloat": 0.5}],
    "interopEchoTests.echoStructArray": [[], [{"varInt": 1}, {"varInt": 2}]],
    "interopEchoTests.echoValue": [1, "1", [1, ["2", [3.0]]], {"a": {"b": [None]}}, None],
}


@pytest.fixture
def dispatcher() -> Dispatcher:
    """Return a dispatcher that publishes the methods of both suites."""
    dispatcher = Dispatcher(map_error=lambda _: None)
    for name, function in VALIDATOR.items():
        dispatcher.publish(function, name)
    for name in INTEROP:
        dispatcher.publish(echo, name)
    dispatcher.publish(lambda: None, "interopEchoTests.noInNoOut")
    return dispatcher


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("arrayOfStructsTest", ([STOOGES, STOOGES | {"curly": -5}, STOOGES | {"shemp": 1}],), 3995),
        ("arrayOfStructsTest", ([],), 0),
        (
            "countTheEntities",
            ("""<<a href='x'>"&amp;">""",),
            {
                "ctLeftAngleBrackets": 2,
                "ctRightAngleBrackets": 2,
                "ctAmpersands": 1,
                "ctApostrophes": 2,
                "ctQuotes": 2,
            },
        ),
        ("easyStructTest", (STOOGES,), 2007),
        ("echoStructTest", ({"a": {"b": ["c", {"<&>": 1.5}]}, "": []},), {"a": {"b": ["c", {"<&>": 1.5}]}, "": []}),
        ("manyTypesTest", (7, True, "é<", -0.25, NOON, b"\x00\xfe"), [7, True, "é<", -0.25, NOON, b"\x00\xfe"]),
        ("moderateSizeArrayCheck", ([f"item {n} & more" for n in range(150)],), "item 0 & moreitem 149 & more"),
        (
            "nestedStructTest",
            ({"1999": {}, "2000": {"03": {"31": {}}, "04": {"01": STOOGES, "02": {}}}},),
            2007,
        ),
        ("simpleStructReturnTest", (-7,), {"times10": -70, "times100": -700, "times1000": -7000}),
    ],
)
def test_validator1(dispatcher: Dispatcher, method: str, params: tuple[Any, ...], result: Any) -> None:
    """Each method returns the result that the suite expects."""
    assert result_of(dispatcher.dispatch(client_request(f"validator1.{method}", *params))) == result


@pytest.mark.parametrize(("method", "value"), [(method, value) for method in INTEROP for value in INTEROP[method]])
def test_interop_echo(dispatcher: Dispatcher, method: str, value: Any) -> None:
    """Each value is returned unchanged and with the same type."""
    echoed = result_of(dispatcher.dispatch(client_request(method, value)))
    assert echoed == value
    assert type(echoed) is type(value)


def test_interop_no_in_no_out(dispatcher: Dispatcher) -> None:
    assert result_of(dispatcher.dispatch(client_request("interopEchoTests.noInNoOut"))) is None


def test_the_types_of_the_specification_are_parsed(dispatcher: Dispatcher) -> None:
    """The request is written by hand, not by a library."""
    body = request(
        "<value><i4>41</i4></value>",
        "<value><boolean>0</boolean></value>",
        "<value>untyped</value>",
        "<value><double>-12.53</double></value>",
        "<value><dateTime.iso8601>20100714T12:00:59</dateTime.iso8601></value>",
        "<value><base64>\n  AP4=\n</base64></value>",
        method="validator1.manyTypesTest",
        head='<?xml version="1.0"?>\n',
    )
    assert result_of(dispatcher.dispatch(body)) == [41, False, "untyped", -12.53, NOON, b"\x00\xfe"]


def test_xmlrpc_client_multicall_accepts_the_response(dispatcher: Dispatcher) -> None:
    """Its iterator expects an array of one for a result, and raises a fault for a struct."""

    class Transport(xmlrpc.client.Transport):
        def request(self, _host: Any, _handler: Any, request_body: Any, verbose: bool = False) -> Any:  # noqa: FBT001, FBT002
            return xmlrpc.client.loads(dispatcher.dispatch(request_body))[0]

    calls = xmlrpc.client.MultiCall(xmlrpc.client.ServerProxy("http://nowhere/RPC2", transport=Transport()))
    calls.validator1.simpleStructReturnTest(1)
    calls.validator1.noSuchTest()
    calls.validator1.easyStructTest(STOOGES)
    results: Any = calls()
    assert results[0]["times1000"] == 1000
    with pytest.raises(xmlrpc.client.Fault, match="noSuchTest"):
        results[1]
    assert results[2] == 2007
