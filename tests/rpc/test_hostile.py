"""Hostile request bodies: each gets the right fault, and takes no longer than a legitimate body of its size."""

import codecs
import gc
import time
from typing import Any

import pytest

from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import (
    INVALID_CHARACTER,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_ENCODING,
)
from app.rpc.parser import MAX_TEXT
from tests.rpc.messages import EX, client_request, fault_of, request, result_of, typed_request

MEGABYTE = 1_000_000


def echo(value: Any) -> Any:
    """Return the value."""
    return value


@pytest.fixture(scope="module")
def dispatcher() -> Dispatcher:
    """Return a dispatcher that publishes ``echo``."""
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(echo)
    return dispatcher


def chained_entities(number: int) -> bytes:
    """Return a body with a chain of ``number`` entities, on which expat could recurse until the stack overflows."""
    chain = "".join(f'<!ENTITY e{n} "&e{n - 1};">' for n in range(1, number))
    return request(f"<value>&e{number - 1};</value>", head=f'<!DOCTYPE x [<!ENTITY e0 "x">{chain}]>')


def billion_laughs() -> bytes:
    """Return the "billion laughs" attack: a body of a few hundred bytes that expands to 10 ** 9."""
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return request("<value>&e9;</value>", head=f'<!DOCTYPE x [<!ENTITY e0 "ha">{lines}]>')


@pytest.mark.parametrize(
    "body",
    [
        chained_entities(40_000),
        billion_laughs(),
        request("<value>" + "&a;" * 50_000 + "</value>", head=f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'),
        request("<value>&a;</value>", head='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        request("<value>&a;</value>", head='<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x.dtd"> %a;]>'),
        request("<value>x&a;y</value>", head='<!DOCTYPE x SYSTEM "x.dtd">'),
        request("<value>x</value>", head="<!DOCTYPE methodCall>"),
        request("<value>x</value>", head='<?xml version="1.0"?><!-- x --><!DOCTYPE methodCall []>'),
        request("<value>x&a;y</value>"),
    ],
    ids=["chained", "laughs", "quadratic", "external", "parameter", "undeclared", "bare", "empty", "no-doctype"],
)
def test_entities_and_doctypes_are_parse_errors(dispatcher: Dispatcher, body: bytes) -> None:
    assert fault_of(dispatcher.dispatch(body))[0] == PARSE_ERROR


@pytest.mark.parametrize(
    "body",
    [
        request("<value><array><data>" * 100_000 + "</data></array></value>" * 100_000),
        request("<value><struct><member><name/>" * 1000 + "</member></struct></value>" * 1000),
        b"<a>" * 100_000,
        request(*["<value>x</value>"] * 100_000),
        request("<value>" + "<!---->" * 150_000 + "</value>"),
        request("<value " + " ".join(f'a{n}=""' for n in range(100_000)) + "/>"),
        request("<value " + " ".join(f"a{n}=''" for n in range(100_000)) + "/>"),
        request("<value>" + "a" * (MAX_TEXT + 1) + "</value>"),
        request("<value/>" + "\n" * (MAX_TEXT + 1)),
    ],
    ids=["arrays", "structs", "anything", "params", "comments", "attributes", "more-attributes", "string", "newlines"],
)
def test_exceeding_a_limit_is_a_parse_error(dispatcher: Dispatcher, body: bytes) -> None:
    assert fault_of(dispatcher.dispatch(body))[0] == PARSE_ERROR


@pytest.mark.parametrize(
    "encoding",
    [
        "q1",
        "q2",
        "utf-7",
        "shift_jis",
        "idna",
        "zlib",
        "punycode",
        "windows-1251",
        "utf-32",
        "utf-16le",
        "rot13",
        "hex",
    ],
)
def test_other_encodings_are_unsupported(dispatcher: Dispatcher, encoding: str) -> None:
    body = request("<value>x</value>", head=f'<?xml version="1.0" encoding="{encoding}"?>')
    assert fault_of(dispatcher.dispatch(body))[0] == UNSUPPORTED_ENCODING
    assert fault_of(dispatcher.dispatch(request("<value>x</value>"), charset=encoding))[0] == UNSUPPORTED_ENCODING


def test_an_encoding_name_from_a_request_is_not_looked_up(dispatcher: Dispatcher) -> None:
    """Python caches the names of unknown codecs forever, so looking them up would leak memory."""
    lookups: list[str] = []
    codecs.register(lookups.append)  # append returns None: no such codec
    try:
        for number in range(100):
            body = request("<value>x</value>", head=f'<?xml version="1.0" encoding="unknown{number}"?>')
            assert fault_of(dispatcher.dispatch(body))[0] == UNSUPPORTED_ENCODING
            assert fault_of(dispatcher.dispatch(body, charset=f"other{number}"))[0] == UNSUPPORTED_ENCODING
            assert result_of(dispatcher.dispatch(body, charset="utf-8")) == "x"
    finally:
        codecs.unregister(lookups.append)
    assert lookups == []


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x00",
        b"\x01",
        b"&#1;",
        b"&#0;",
        b"&#xD800;",
        b"\xef\xbf\xbf",
    ],
    ids=repr,
)
def test_characters_that_xml_does_not_allow_are_parse_errors(dispatcher: Dispatcher, text: bytes) -> None:
    assert fault_of(dispatcher.dispatch(request("<value>@</value>").replace(b"@", text)))[0] == PARSE_ERROR


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"], ids=repr)
def test_bytes_that_are_invalid_in_the_declared_encoding_are_invalid_characters(
    dispatcher: Dispatcher, text: bytes
) -> None:
    body = request("<value>@</value>").replace(b"@", text)
    assert fault_of(dispatcher.dispatch(body, charset="utf-8"))[0] == INVALID_CHARACTER
    assert fault_of(dispatcher.dispatch(b'<?xml version="1.0" encoding="utf-8"?>' + body))[0] == INVALID_CHARACTER


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "2147483648"),
        ("int", "-2147483649"),
        ("i4", "2147483648"),
        ("i1", "128"),
        ("i2", "-32769"),
        ("i8", "9223372036854775808"),
        ("int", "9" * 5000),
        ("int", "0" * MEGABYTE),
    ],
)
def test_an_integer_out_of_range_is_a_parse_error(dispatcher: Dispatcher, kind: str, text: str) -> None:
    assert fault_of(dispatcher.dispatch(typed_request(kind, text)))[0] == PARSE_ERROR


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            ("int", text)
            for text in ("", " 1", "1\n", "1_000", "\u0661", "\uff11", "1.0", "0x1", "+-1", "--1", "+", "1e3", "- 1")
        ),
        *(("i8", text) for text in ("", "1_000", "\u0661")),
        *(
            ("double", text)
            for text in (
                "",
                "nan",
                "inf",
                "-Infinity",
                "1e999",
                "1_0.0",
                " 1.0",
                "1,5",
                "0x1p3",
                "\u0661.\u0665",
                ".",
                "1e",
            )
        ),
        *(("float", text) for text in ("nan", "1e999")),
        *(("boolean", text) for text in ("", "2", "true", " 1", "01", "\u0661")),
        *(
            ("dateTime.iso8601", text)
            for text in ("", "garbage", "19980717", "1998-07-17T14:08:55", "19981317T14:08:55")
        ),
        *(
            ("dateTime.iso8601", text)
            for text in ("19980717T24:08:55", "19980230T00:00:00", "19980717T14:08:55Z", "00000101T00:00:00")
        ),
        *(("base64", text) for text in ("!!!!", "abcde", "é", "=", "YQ", "YQ===", "YWJj=YWJj")),
        ("nil", "x"),
        *(
            (kind, "1")
            for kind in ("bigdecimal", "biginteger", "bigint", "i16", "dom", "serializable", "Int", "any", "value")
        ),
    ],
)
def test_an_invalid_value_of_a_type_is_an_invalid_request(dispatcher: Dispatcher, kind: str, text: str) -> None:
    assert fault_of(dispatcher.dispatch(typed_request(kind, text)))[0] == INVALID_REQUEST


@pytest.mark.parametrize(
    "kind", ["serializable", "dom", "bigdecimal", "biginteger", "dateTime", "string", "int", "value"]
)
def test_apaches_other_types_are_not_accepted(dispatcher: Dispatcher, kind: str) -> None:
    body = request(f"<value><ex:{kind}>{'1' * MEGABYTE}</ex:{kind}></value>", root=f'methodCall xmlns:ex="{EX}"')
    assert fault_of(dispatcher.dispatch(body))[0] == INVALID_REQUEST


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<value/><value/>",
        "<value><int>1</int><int>2</int></value>",
        "<value><int>1</int><!-- x -->2</value>",
        "<value>a<int>1</int></value>",
        "<value>\u00a0<int>1</int></value>",
        "<value><int>1<b>2</b>3</int></value>",
        "<value><value/></value>",
        "<value><string><b/></string></value>",
        "<value><array/></value>",
        "<value><array><value/></array></value>",
        "<value><array><data/><data/></array></value>",
        "<value><array><data>a</data></array></value>",
        "<value><array><data><int>1</int></data></array></value>",
        "<value><struct><member/></struct></value>",
        "<value><struct><member><name>a</name></member></struct></value>",
        "<value><struct><member><value/></member></struct></value>",
        "<value><struct><member><value/><name>a</name></member></struct></value>",
        "<value><struct><member><name>a</name><name>b</name><value/></member></struct></value>",
        "<value><struct><member><name>a</name><value/><value/></member></struct></value>",
        "<value><struct><member>x<name>a</name><value/></member></struct></value>",
        "<value><struct><name>a</name><value/></struct></value>",
        "<int>1</int>",
        "text",
    ],
)
def test_a_value_of_the_wrong_structure_is_an_invalid_request(dispatcher: Dispatcher, value: str) -> None:
    assert fault_of(dispatcher.dispatch(request(value)))[0] == INVALID_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body/></html>",
        b"<methodResponse><params><param><value>x</value></param></params></methodResponse>",
        b"<methodResponse><fault><value><struct/></value></fault></methodResponse>",
        b"<params><param><value>x</value></param></params>",
        b"<methodCall/>",
        b"<methodCall>echo</methodCall>",
        b"<methodCall><params/></methodCall>",
        b"<methodCall><params/><methodName>echo</methodName></methodCall>",
        b"<methodCall><methodName>echo</methodName><methodName>echo</methodName></methodCall>",
        b"<methodCall><methodName>echo</methodName><params/><params/></methodCall>",
        b"<methodCall><methodName>echo</methodName><param/></methodCall>",
        b"<methodCall><methodName>echo</methodName><params>x</params></methodCall>",
        b"<methodCall><methodName>echo</methodName><fault><value>x</value></fault></methodCall>",
        b"<methodCall><methodName><b>echo</b></methodName></methodCall>",
        b"<methodCall><methodName/></methodCall>",
        b"<methodCall><methodName> echo</methodName></methodCall>",
        "<methodCall><methodName>эхо</methodName></methodCall>".encode(),
        b"<methodCall><methodName>echo()</methodName></methodCall>",
        b'<methodCall xmlns="urn:x"><methodName>echo</methodName></methodCall>',
    ],
)
def test_xml_that_is_not_a_call_is_an_invalid_request(dispatcher: Dispatcher, body: bytes) -> None:
    assert fault_of(dispatcher.dispatch(body))[0] == INVALID_REQUEST


@pytest.mark.parametrize(
    "body", [b"", b" ", b"<", b"{}", b"GET / HTTP/1.1", b"\x00", b"\x1f\x8b\x08", b"<a></b>", b"<a/><b/>"]
)
def test_a_body_that_is_not_xml_is_a_parse_error(dispatcher: Dispatcher, body: bytes) -> None:
    assert fault_of(dispatcher.dispatch(body))[0] == PARSE_ERROR


@pytest.mark.parametrize("name", ["__class__.__init__", "echo.__globals__", "__init__", "x" * MEGABYTE])
def test_only_published_methods_can_be_called(dispatcher: Dispatcher, name: str) -> None:
    assert fault_of(dispatcher.dispatch(request(method=name)))[0] == METHOD_NOT_FOUND


def test_too_many_entries_are_invalid_params_and_not_a_parse_error(dispatcher: Dispatcher) -> None:
    """A request reaches the limits that a client can understand before the limit on tags."""
    calls = [{"methodName": "echo", "params": ["x"]}] * 1001
    assert fault_of(dispatcher.dispatch(client_request("system.multicall", calls)))[0] == INVALID_PARAMS
    assert len(result_of(dispatcher.dispatch(client_request("echo", list(range(20_000)))))) == 20_000


def seconds_for(dispatcher: Dispatcher, body: bytes) -> float:
    """Return the shortest of several times that the dispatcher takes for ``body``."""
    times = []
    for _ in range(3):
        started_at = time.perf_counter()
        dispatcher.dispatch(body)
        times.append(time.perf_counter() - started_at)
    return min(times)


@pytest.fixture(scope="module")
def legitimate_seconds(dispatcher: Dispatcher) -> float:
    """Return the seconds for a legitimate call of a megabyte: an array of 20,000 short strings from xmlrpc.client."""
    body = client_request("echo", ["x" * 16] * 20_000)
    assert len(body) > 0.9 * MEGABYTE
    return seconds_for(dispatcher, body)


@pytest.mark.parametrize(
    "body",
    [
        request(*["<value/>"] * 50_000),
        request("<value/>" * 100_000),
        request("<value " + " ".join(f'a{n}=""' for n in range(49_000)) + "/>"),
        request("<value " + " ".join(f'xmlns:a{n}="u{n}"' for n in range(49_000)) + "/>"),
        request("<value " + " ".join(f"x:a{n}=''" for n in range(49_000)) + ' xmlns:x="u"/>'),
        request("<value " + " ".join(f'a{n}=""' for n in range(100_000)) + "/>"),
        request("<value/>" + "\n" * MEGABYTE),
        request("<value>" + "\n" * MEGABYTE + "</value>"),
        request("<value>" + "&lt;" * 250_000 + "</value>"),
        request("<value>" + "&#x20;]]" * 125_000 + "</value>"),
        request("<value>" + "é" * 500_000 + "</value>"),
        request("<value><array><data>" * 10_000),
        request("<value>" + "<![CDATA[]]>" * 80_000 + "</value>"),
        typed_request("base64", "QUFB" * 250_000),
        typed_request("base64", "QUFB\n" * 200_000),
        typed_request("double", "1" * MEGABYTE),
        typed_request("double", f"0.{'0' * MEGABYTE}1"),
        typed_request("int", "1" * MEGABYTE),
        typed_request("dateTime.iso8601", "1" * MEGABYTE),
        typed_request("x" * MEGABYTE, ""),
        request(method="x" * MEGABYTE),
        request(head=f"<!--{'- ' * 500_000}-->"),
        request(head="<?" + "x" * MEGABYTE + "?>"),
        request(head='<?xml version="1.0"' + " " * MEGABYTE + ' encoding="utf-8"?>'),
        chained_entities(35_000),
        b"<" * MEGABYTE,
        b"\n" * MEGABYTE,
        b"\xff" * MEGABYTE,
    ],
    ids=lambda body: f"{body[:100]!r}",
)
def test_no_body_takes_much_longer_than_a_legitimate_one(
    dispatcher: Dispatcher, legitimate_seconds: float, body: bytes
) -> None:
    assert seconds_for(dispatcher, body) < 5 * legitimate_seconds


def test_a_refused_request_leaves_no_reference_cycles(dispatcher: Dispatcher) -> None:
    """The memory of a refused request is freed at once, without the garbage collector."""
    bodies = [
        request("<value>x</value>", head='<?xml version="1.0" encoding="q1"?>'),
        request("<t/>", method="none"),
        request('<value a=""><int>x</int></value>'),
        request("<value>", head="<!DOCTYPE d []>"),
    ]
    for body in bodies:
        dispatcher.dispatch(body)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for body in bodies * 250:
            dispatcher.dispatch(body)
        assert len(gc.get_objects()) - before < 100
    finally:
        gc.enable()
