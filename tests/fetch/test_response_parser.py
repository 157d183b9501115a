"""The response parser: what it accepts, what it rejects, and its limits."""

import pytest

from app.fetch.response_parser import InvalidResponseError, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def parse(data: bytes) -> ResponseParser:
    response = ResponseParser()
    response.feed(data)
    return response


def body_of(data: bytes) -> bytes:
    response = parse(data)
    body = response.take_body()
    assert response.is_complete
    return body


def field(line: bytes) -> bytes:
    return OK + line + b"\r\nContent-Length: 2\r\n\r\nok"


def test_a_response_may_arrive_byte_by_byte() -> None:
    response = ResponseParser()
    for byte in b"\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"X:\r\nY:  a b \t\r\nContent-Length: 2\r\n\r\nok":
        response.feed(bytes([byte]))
    assert (response.status, response.reason) == (200, b"OK")
    assert response.fields == {"x": "", "y": "a b", "content-length": "2"}
    assert response.take_body() == b"ok"
    assert response.is_reusable


@pytest.mark.parametrize(
    "status_line",
    [
        b"HTTP/0.9 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/3.0 200 OK",
        b"HTTP/11 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b"GET / HTTP/1.1",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 -20 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 000 OK",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 OK\n",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH",
    ],
)
def test_an_invalid_status_line_is_rejected(status_line: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        parse(status_line + b"\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize(
    "line",
    [
        b"A: b\r\n c",
        b"A: b\nc: d",
        b"A: b\rc: d",
        b"A: b\0c",
        b"A: b\x01c",
        b"A : b",
        b"A B: c",
        b" A: b",
        b"A",
        b": b",
        b"\xe9: b",
        b"A: b\n",
    ],
)
def test_an_invalid_field_is_rejected(line: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        parse(field(line))


@pytest.mark.parametrize(
    "length",
    [
        *(b"-2", b"+2", b"", b"2 2", b"2,2", b"2, 2", b"0x2", b"2.0", b"2_0", b"many", b"\xb2", b"\r\n 2"),
        *(b"18446744073709551616", b"9" * 5000),
        *(b"2\r\nContent-Length: 2", b"2\r\nContent-Length: 3"),
        *(b"2\r\nTransfer-Encoding: chunked", b"2\r\nTransfer-Encoding: identity"),
    ],
)
def test_an_invalid_or_ambiguous_length_is_rejected(length: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        parse(OK + b"Content-Length: " + length + b"\r\n\r\nok")


@pytest.mark.parametrize(
    "coding",
    [
        *(b"gzip, chunked", b"chunked, gzip", b"gzip", b"identity", b"chunked, chunked", b"xchunked", b"chunked;q=1"),
        *(b"", b",chunked", b"chunked,", b'"chunked"', b"\x0bchunked", b"\r\n chunked"),
        *(b"chunked\r\nTransfer-Encoding: chunked", b"gzip\r\nTransfer-Encoding: chunked"),
        b"chunked\r\nContent-Length: 2",
    ],
)
def test_a_transfer_coding_other_than_chunked_is_rejected(coding: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        parse(OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")


def test_a_transfer_coding_in_http_1_0_is_rejected() -> None:
    with pytest.raises(InvalidResponseError):
        parse(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "chunks",
    [
        b"2\r\nok\r\n0\r\n\r\n",
        b"1\r\no\r\n01\r\nk\r\n000\r\n\r\n",
        b'2;a=b;c="d;e"\r\nok\r\n0\r\n\r\n',
        b"2\r\nok\r\n0\r\nA: b\r\n\r\n",
    ],
)
def test_chunks_are_parsed(chunks: bytes) -> None:
    assert body_of(CHUNKED + chunks) == b"ok"


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"-2\r\nok\r\n", b"+2\r\nok\r\n", b" 2\r\nok\r\n", b"2 \r\nok\r\n", b"2\t\r\nok\r\n", b"0x2\r\nok\r\n"),
        *(b"2_\r\nok\r\n", b"2g\r\nok\r\n", b"\r\nok\r\n", b"2\nok\r\n", b"2\r\nok\n", b"2\rok\r\n", b"2\r\nokX\r\n"),
        *(b"2;\r\nok\r\n", b"2; a\r\nok\r\n", b"2;a\nb\r\nok\r\n", b"2;a\0\r\nok\r\n", b"2;\xe9\r\nok\r\n"),
        *(
            b"fffffffffffffffff\r\nok\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA: b\r\n c\r\n\r\n",
            b"0\r\nA\r\n\r\n",
        ),
        b"0\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_an_invalid_chunk_is_an_error_when_the_body_is_taken(chunks: bytes) -> None:
    response = parse(CHUNKED + chunks + b"0\r\n\r\n")
    assert response.status == 200
    assert not response.is_complete
    with pytest.raises(InvalidResponseError, match="invalid chunks"):
        response.take_body()


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("line", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_response_without_a_body_is_complete_after_its_header(status: bytes, line: bytes) -> None:
    response = parse(b"HTTP/1.1 " + status + b"\r\n" + line + b"\r\n")
    assert response.is_complete
    assert response.is_reusable


@pytest.mark.parametrize(
    ("header", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_the_response_says_whether_the_connection_is_reusable(header: bytes, is_reusable: bool) -> None:  # noqa: FBT001
    assert parse(header + b"Content-Length: 2\r\n\r\nok").is_reusable is is_reusable


@pytest.mark.parametrize("extra", [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0", b"ok"])
def test_data_after_a_response_is_an_error(extra: bytes) -> None:
    response = parse(OK + b"Content-Length: 2\r\n\r\nok" + extra)
    assert response.is_complete
    assert not response.is_reusable
    with pytest.raises(InvalidResponseError, match=r"longer than its declared length|more than one response"):
        response.take_body()


def test_a_body_without_a_length_is_detected() -> None:
    assert not parse(OK + b"\r\nwhole?").has_length


def test_sixteen_interim_responses_are_skipped_and_no_more() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert body_of(16 * interim + OK + b"Content-Length: 2\r\n\r\nok") == b"ok"
    with pytest.raises(InvalidResponseError, match="more than 16 interim responses"):
        parse(17 * interim)


def test_a_hundred_fields_are_accepted_and_no_more() -> None:
    assert parse(OK + b"A: b\r\n" * 100 + b"\r\n").fields == {"a": ", ".join(["b"] * 100)}
    with pytest.raises(InvalidResponseError, match="more than 100 header fields"):
        parse(OK + b"A: b\r\n" * 101 + b"\r\n")


def test_trailer_fields_count_as_fields() -> None:
    response = parse(CHUNKED + b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n")
    with pytest.raises(InvalidResponseError, match="more than 100 header fields"):
        response.take_body()


@pytest.mark.parametrize(
    "header",
    [
        OK + b"A: " + b"b" * 65_536 + b"\r\n\r\n",
        OK + b"A: " + b"b" * 70_000,
        OK + b"b" * 70_000,
        b"HTTP/1.1 200 " + b"b" * 70_000,
        b"\r\n" * 35_000,
    ],
)
def test_a_header_may_have_64_kib_and_no_more(header: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="longer than 65536 bytes"):
        parse(header)
