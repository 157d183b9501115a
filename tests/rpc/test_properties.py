"""Property tests: generated values and request bodies."""

import xmlrpc.client
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.rpc.dialect import APACHE, PLAIN
from app.rpc.dispatcher import Dispatcher
from app.rpc.serializer import serialize_value
from tests.rpc.messages import EX, client_request, is_valid_response, request, result_of

quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

# Characters that an XML 1.0 parser returns unchanged. It turns a carriage return into a line feed.
texts = st.text(
    st.one_of(
        st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
        st.sampled_from("\t\n&<>]\"'"),
    )
)
scalars = st.one_of(
    texts,
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.binary(),
    st.datetimes(datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),  # noqa: DTZ001
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)
# Values that XML-RPC can represent, and others that it cannot.
any_values = st.recursive(
    st.one_of(scalars, st.text(), st.integers(), st.floats(), st.datetimes(), st.complex_numbers()),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.one_of(st.text(), st.integers()), inner),
    max_leaves=10,
)


def echo(*params: Any) -> Any:
    """Return the parameters."""
    return list(params)


DISPATCHER = Dispatcher(map_error=lambda _: None)
DISPATCHER.publish(echo)

REQUESTS: list[bytes] = [
    client_request("echo", 1, "two", [3.0, {"four": None}], b"five", datetime(2006, 6, 6)),  # noqa: DTZ001
    client_request("system.multicall", [{"methodName": "echo", "params": [1]}, {"methodName": "system.listMethods"}]),
    request("<value><ex:i8>1</ex:i8></value>", "<value>u</value>", root=f'methodCall xmlns:ex="{EX}"'),
    request("<value><![CDATA[é]]></value>", head='<?xml version="1.0" encoding="utf-8"?><!-- c -->'),
    request("<value>é</value>").decode().encode("utf-16"),
]
PIECES = [
    *(b"<value>", b"</value>", b"<int>", b"</int>", b"<struct>", b"<member>", b"<name>", b"<nil/>", b"<array><data>"),
    *(b"<!DOCTYPE x [", b"]>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?xml", b"&#0;", b"&x;", b"\x00", b"\xff\xfe"),
    *(b"encoding='utf-16'", b"xmlns='u'", b"xmlns:ex='u'", b"<fault>", b"9" * 5000, b"nan", b"\xed\xa0\x80", b"<"),
]


@quick
@given(st.lists(values, max_size=3))
def test_every_value_is_echoed_unchanged(params: list[Any]) -> None:
    assert result_of(DISPATCHER.dispatch(client_request("echo", *params))) == params


@quick
@given(values)
def test_every_value_is_parsed_back_by_xmlrpc_client(value: Any) -> None:
    for dialect in (PLAIN, APACHE):
        (parsed,), _ = xmlrpc.client.loads(serialize_value(value, dialect=dialect), use_builtin_types=True)
        assert parsed == value


@quick
@given(any_values)
def test_any_return_value_gives_a_valid_response(value: Any) -> None:
    dispatcher = Dispatcher(map_error=lambda _: None)
    dispatcher.publish(lambda: value, "get_value")
    assert is_valid_response(dispatcher.dispatch(client_request("get_value")))


@quick
@given(st.binary(), st.sampled_from([None, "utf-8", "iso-8859-1", "utf-16", "us-ascii", "nonsense"]))
def test_any_bytes_get_a_valid_response(body: bytes, charset: str | None) -> None:
    assert is_valid_response(DISPATCHER.dispatch(body, charset=charset))


@quick
@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_pieces_of_markup_get_a_valid_response(body: bytes) -> None:
    assert is_valid_response(DISPATCHER.dispatch(body))
    assert is_valid_response(DISPATCHER.dispatch(request("<value>@</value>").replace(b"@", body)))


@settings(quick, max_examples=400)
@given(st.data())
def test_mutated_requests_get_a_valid_response(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(REQUESTS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 20)))
        piece = data.draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(body[end : end + 40])))
        body = body[:start] + piece + body[end:]
    assert is_valid_response(DISPATCHER.dispatch(body))
