"""The parser accepts the dialects, encodings and spellings that clients use."""

from datetime import datetime
from typing import Any

import pytest

from app.rpc.dialect import APACHE, MAX_DEPTH, PLAIN
from app.rpc.faults import INVALID_CHARACTER, INVALID_REQUEST, PARSE_ERROR, UNSUPPORTED_ENCODING, Fault
from app.rpc.parser import MethodCall, parse_call
from tests.rpc.messages import EX, request, typed_request

ACCENTED = "<methodCall><methodName>echo</methodName><params><param><value>é</value></param></params></methodCall>"


def parse_param(body: bytes, charset: str | None = None) -> Any:
    """Parse a request and return its only parameter."""
    (value,) = parse_call(body, charset=charset).params
    return value


def fault_code(body: bytes, charset: str | None = None) -> int:
    """Parse an invalid request and return the code of the fault."""
    with pytest.raises(Fault) as caught:
        parse_call(body, charset=charset)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "-2147483648", -(2**31)),
        ("i4", "+0042", 42),
        ("i1", "-128", -128),
        ("i2", "32767", 32767),
        ("i8", "9223372036854775807", 2**63 - 1),
        ("double", "-12.214", -12.214),
        ("double", "1e+16", 1e16),
        ("float", ".5", 0.5),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("string", " a &lt; b ", " a < b "),
        ("string", "", ""),
        ("base64", "eW91IGNhbid0\n IHJlYWQgdGhpcyE=", b"you can't read this!"),
        ("base64", "", b""),
        ("dateTime.iso8601", "19980717T14:08:55", datetime(1998, 7, 17, 14, 8, 55)),  # noqa: DTZ001 - naive, as in XML-RPC
        ("nil", "", None),
        ("array", "<data/>", []),
        ("struct", "", {}),
    ],
)
def test_each_type_is_parsed(kind: str, text: str, value: object) -> None:
    parsed = parse_param(typed_request(kind, text))
    assert parsed == value
    assert type(parsed) is type(value)


def test_arrays_and_structs_nest() -> None:
    inner = "<value><array><data> <value>1</value> <value><int>2</int></value> </data></array></value>"
    body = request(f"<value><struct>\n<member>\n<name>a b</name>\n{inner}\n</member>\n</struct></value>")
    assert parse_param(body) == {"a b": ["1", 2]}


@pytest.mark.parametrize("text", ["plain", " kept \n", "", "   "])
def test_white_space_of_an_untyped_value_is_kept(text: str) -> None:
    assert parse_param(request(f"<value>{text}</value>")) == text


def test_text_may_contain_cdata_comments_and_processing_instructions() -> None:
    assert (
        parse_param(request("<value>a<!-- b --><![CDATA[<c>]]><?d e?>f</value>", head="<!-- <!DOCTYPE> -->")) == "a<c>f"
    )


def test_white_space_between_elements_is_ignored() -> None:
    assert parse_param(request("\n <value>\n\t<int>1</int>\r\n</value> ")) == 1


def test_params_may_be_absent() -> None:
    assert parse_call(b"<methodCall><methodName>a</methodName></methodCall>") == MethodCall("a", (), PLAIN)


def test_a_method_name_may_have_every_character_of_the_specification() -> None:
    assert parse_call(request(method="aZ09_.:/")).method == "aZ09_.:/"


def test_attributes_are_ignored() -> None:
    assert parse_param(request('<value kind="x"><int xml:lang="en">1</int></value>')) == 1


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("nil", "", None), ("i1", "1", 1), ("i2", "1", 1), ("i8", "1", 1), ("float", "1.5", 1.5)],
)
def test_apaches_extensions_are_accepted_in_its_namespace(kind: str, text: str, value: object) -> None:
    call = parse_call(request(f"<value><ex:{kind}>{text}</ex:{kind}></value>", root=f'methodCall xmlns:ex="{EX}"'))
    assert call.params == (value,)
    assert call.dialect is APACHE


def test_any_prefix_may_be_used_for_apaches_namespace() -> None:
    assert parse_param(request(f'<value xmlns:apache="{EX}"><apache:nil/></value>')) is None


def test_an_extension_without_namespace_is_in_the_plain_dialect() -> None:
    assert parse_call(typed_request("nil", "")).dialect is PLAIN


def test_an_undeclared_prefix_is_not_well_formed() -> None:
    assert fault_code(request("<value><ex:nil/></value>")) == PARSE_ERROR


def test_apaches_prefix_for_another_namespace_is_refused() -> None:
    assert fault_code(request("<value><ex:nil/></value>", root='methodCall xmlns:ex="urn:other"')) == INVALID_REQUEST


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (ACCENTED.encode(), None),
        (b"\xef\xbb\xbf" + ACCENTED.encode(), None),
        (f'<?xml version="1.0" encoding="UTF-8"?>{ACCENTED}'.encode(), None),
        (f'<?xml version="1.0" encoding="iso-8859-1"?>{ACCENTED}'.encode("latin-1"), None),
        (f'<?xml version="1.0" encoding="utf-16"?>{ACCENTED}'.encode("utf-16"), None),
        (b"\xfe\xff" + ACCENTED.encode("utf-16-be"), None),
        (ACCENTED.encode("latin-1"), "ISO-8859-1"),
        (ACCENTED.encode("utf-16"), "utf-16"),
        (ACCENTED.replace("é", "&#233;").encode("ascii"), "us-ascii"),
    ],
    ids=["default", "bom", "declared", "latin-1", "utf-16", "utf-16-be", "http-latin-1", "http-utf-16", "http-ascii"],
)
def test_each_encoding_is_accepted(body: bytes, charset: str | None) -> None:
    assert parse_param(body, charset) == "é"


def test_the_charset_of_http_overrides_the_xml_declaration() -> None:
    assert parse_param(f'<?xml version="1.0" encoding="iso-8859-1"?>{ACCENTED}'.encode(), "utf-8") == "é"


def test_the_byte_order_mark_overrides_the_xml_declaration() -> None:
    assert parse_param(b'\xef\xbb\xbf<?xml version="1.0" encoding="iso-8859-1"?>' + ACCENTED.encode()) == "é"


@pytest.mark.parametrize(
    ("body", "charset", "code"),
    [
        (ACCENTED.encode("latin-1"), None, PARSE_ERROR),
        (ACCENTED.encode("latin-1"), "utf-8", INVALID_CHARACTER),
        (b"\xef\xbb\xbf" + ACCENTED.encode("latin-1"), None, INVALID_CHARACTER),
        (b'<?xml version="1.0" encoding="utf-8"?>' + ACCENTED.encode("latin-1"), None, INVALID_CHARACTER),
        (b'<?xml version="1.0" encoding="us-ascii"?>' + ACCENTED.encode(), None, INVALID_CHARACTER),
        (b'<?xml version="1.0" encoding="utf-16"?>' + ACCENTED.encode(), None, INVALID_CHARACTER),
        (ACCENTED.encode("utf-16"), "utf-8", INVALID_CHARACTER),
        (b"\xff\xfe<\x00\x00\xd8", None, INVALID_CHARACTER),
        (ACCENTED.encode("utf-16-le"), None, PARSE_ERROR),
        (ACCENTED.encode("utf-16-le"), "utf-16", UNSUPPORTED_ENCODING),
        (ACCENTED.encode(), "utf-16le", UNSUPPORTED_ENCODING),
        (ACCENTED.encode(), "", UNSUPPORTED_ENCODING),
        (b'<?xml version="1.0" encoding="q1"?>' + ACCENTED.encode(), None, UNSUPPORTED_ENCODING),
    ],
)
def test_invalid_bytes_and_unsupported_encodings_have_different_faults(
    body: bytes, charset: str | None, code: int
) -> None:
    assert fault_code(body, charset) == code


def test_sixty_four_nested_arrays_are_accepted_and_one_more_is_not() -> None:
    def nested(depth: int) -> bytes:
        return request("<value><array><data>" * depth + "<value/>" + "</data></array></value>" * depth)

    value = parse_param(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == ""
    assert fault_code(nested(MAX_DEPTH + 1)) == PARSE_ERROR


def test_sixty_four_nested_structs_are_accepted_and_one_more_is_not() -> None:
    def nested(depth: int) -> bytes:
        start, end = "<value><struct><member><name>a</name>", "</member></struct></value>"
        return request(start * depth + "<value/>" + end * depth)

    assert isinstance(parse_param(nested(MAX_DEPTH)), dict)
    assert fault_code(nested(MAX_DEPTH + 1)) == PARSE_ERROR
