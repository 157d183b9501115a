"""What the reader takes: the dialects, encodings and liberties of clients."""

from datetime import datetime
from typing import Any

import pytest

from app.rpc.dialect import APACHE, MAX_DEPTH, PLAIN
from app.rpc.faults import INVALID_CHARACTER, INVALID_REQUEST, PARSE_ERROR, UNSUPPORTED_ENCODING, Fault
from app.rpc.parser import MethodCall, parse_call
from tests.rpc.messages import EX, request, typed

ACCENTED = "<methodCall><methodName>echo</methodName><params><param><value>é</value></param></params></methodCall>"


def read(body: bytes, charset: str | None = None) -> Any:
    """Return the one parameter of a call."""
    (value,) = parse_call(body, charset=charset).params
    return value


def refused(body: bytes, charset: str | None = None) -> int:
    """Return the code of the fault that a body is refused with."""
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
        ("dateTime.iso8601", "19980717T14:08:55", datetime(1998, 7, 17, 14, 8, 55)),  # noqa: DTZ001 - it has no zone
        ("nil", "", None),
        ("array", "<data/>", []),
        ("struct", "", {}),
    ],
)
def test_each_type_has_its_value(kind: str, text: str, value: object) -> None:
    given = read(typed(kind, text))
    assert given == value
    assert type(given) is type(value)


def test_arrays_and_structs_nest() -> None:
    inner = "<value><array><data> <value>1</value> <value><int>2</int></value> </data></array></value>"
    body = request(f"<value><struct>\n<member>\n<name>a b</name>\n{inner}\n</member>\n</struct></value>")
    assert read(body) == {"a b": ["1", 2]}


@pytest.mark.parametrize("text", ["plain", " kept \n", "", "   "])
def test_an_untyped_value_is_a_string_with_its_blanks(text: str) -> None:
    assert read(request(f"<value>{text}</value>")) == text


def test_cdata_comments_and_instructions_do_not_divide_a_text() -> None:
    assert read(request("<value>a<!-- b --><![CDATA[<c>]]><?d e?>f</value>", head="<!-- <!DOCTYPE> -->")) == "a<c>f"


def test_white_space_between_elements_is_nothing() -> None:
    assert read(request("\n <value>\n\t<int>1</int>\r\n</value> ")) == 1


def test_a_call_without_params_has_none() -> None:
    assert parse_call(b"<methodCall><methodName>a</methodName></methodCall>") == MethodCall("a", (), PLAIN)


def test_a_method_may_have_every_letter_of_the_specification() -> None:
    assert parse_call(request(method="aZ09_.:/")).method == "aZ09_.:/"


def test_attributes_are_passed_over() -> None:
    assert read(request('<value kind="x"><int xml:lang="en">1</int></value>')) == 1


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("nil", "", None), ("i1", "1", 1), ("i2", "1", 1), ("i8", "1", 1), ("float", "1.5", 1.5)],
)
def test_apaches_extensions_are_read_in_its_namespace(kind: str, text: str, value: object) -> None:
    call = parse_call(request(f"<value><ex:{kind}>{text}</ex:{kind}></value>", root=f'methodCall xmlns:ex="{EX}"'))
    assert call.params == (value,)
    assert call.dialect is APACHE


def test_the_prefix_of_apaches_namespace_is_the_clients_choice() -> None:
    assert read(request(f'<value xmlns:apache="{EX}"><apache:nil/></value>')) is None


def test_a_bare_extension_leaves_the_dialect_plain() -> None:
    assert parse_call(typed("nil", "")).dialect is PLAIN


def test_a_prefix_without_a_namespace_is_not_well_formed() -> None:
    assert refused(request("<value><ex:nil/></value>")) == PARSE_ERROR


def test_apaches_prefix_in_a_foreign_namespace_is_refused() -> None:
    assert refused(request("<value><ex:nil/></value>", root='methodCall xmlns:ex="urn:other"')) == INVALID_REQUEST


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
    ids=["nothing", "mark", "declared", "latin-1", "utf-16", "utf-16-be", "http-latin-1", "http-utf-16", "http-ascii"],
)
def test_each_encoding_is_read(body: bytes, charset: str | None) -> None:
    assert read(body, charset) == "é"


def test_the_charset_of_http_beats_the_declaration() -> None:
    assert read(f'<?xml version="1.0" encoding="iso-8859-1"?>{ACCENTED}'.encode(), "utf-8") == "é"


def test_the_byte_order_mark_beats_the_declaration() -> None:
    assert read(b'\xef\xbb\xbf<?xml version="1.0" encoding="iso-8859-1"?>' + ACCENTED.encode()) == "é"


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
def test_bytes_that_break_their_promise_are_told_from_promises_that_cannot_be_kept(
    body: bytes, charset: str | None, code: int
) -> None:
    assert refused(body, charset) == code


def test_sixty_four_arrays_nest_and_one_more_does_not() -> None:
    def nested(depth: int) -> bytes:
        return request("<value><array><data>" * depth + "<value/>" + "</data></array></value>" * depth)

    value = read(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == ""
    assert refused(nested(MAX_DEPTH + 1)) == PARSE_ERROR


def test_sixty_four_structs_nest_and_one_more_does_not() -> None:
    def nested(depth: int) -> bytes:
        start, end = "<value><struct><member><name>a</name>", "</member></struct></value>"
        return request(start * depth + "<value/>" + end * depth)

    assert isinstance(read(nested(MAX_DEPTH)), dict)
    assert refused(nested(MAX_DEPTH + 1)) == PARSE_ERROR
