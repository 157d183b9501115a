"""How XML-RPC travels over HTTP: statuses, types, lengths, encodings."""

import gzip
import http.client
import re
import socket
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.service import CONFIG, Service, run_service

CALL = xmlrpc.client.dumps((), "list_sources").encode()
XML = {"Content-Type": "text/xml"}

#: A call whose answer is longer than what is worth compressing.
LONG = xmlrpc.client.dumps(([f"no id {number}" for number in range(100)],), "get_covers").encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose origin nobody asks, with room for 10,000 bytes of a body."""
    config = "max_body = 10_000\n" + CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path_factory.mktemp("http"), config) as running:
        yield running


@pytest.fixture
def connection(server: Service) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield connection
    connection.close()


def answer_in(body: bytes) -> Any:
    (value,), _ = xmlrpc.client.loads(body)
    return value


def ask(
    connection: http.client.HTTPConnection,
    body: bytes | None = CALL,
    headers: dict[str, str] | None = None,
    method: str = "POST",
    path: str = "/RPC2",
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path, body, XML | (headers or {}))
    response = connection.getresponse()
    return response, response.read()


def test_an_answer_says_its_type_unquoted_and_its_length(connection: http.client.HTTPConnection) -> None:
    response, body = ask(connection)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(body))
    assert answer_in(body)[0]["name"] == "ozon"


def test_a_connection_serves_many_calls(connection: http.client.HTTPConnection) -> None:
    for _ in range(5):
        response, _ = ask(connection)
        assert response.headers["Connection"] == "keep-alive"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/xml",
        "TEXT/XML",
        "text/xml;charset=UTF-8",
        'text/xml; charset="utf-8"; x=y',
        "application/xml",
        " text/xml ",
    ],
)
def test_xml_by_any_of_its_types_is_read(connection: http.client.HTTPConnection, content_type: str) -> None:
    assert ask(connection, headers={"Content-Type": content_type})[0].status == 200


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/xmlx", "multipart/form-data", ""])
def test_another_type_is_415(connection: http.client.HTTPConnection, content_type: str) -> None:
    assert ask(connection, headers={"Content-Type": content_type})[0].status == 415


def test_the_charset_of_the_type_is_believed(connection: http.client.HTTPConnection) -> None:
    body = xmlrpc.client.dumps(("é",), "get_cover").encode("latin-1")
    response, answer = ask(connection, body, {"Content-Type": "text/xml; charset=iso-8859-1"})
    assert response.status == 200
    with pytest.raises(xmlrpc.client.Fault, match="'é' is no id"):
        xmlrpc.client.loads(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_405_and_told_which(connection: http.client.HTTPConnection, method: str) -> None:
    response, _ = ask(connection, None, method=method)
    assert response.status == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/rpc", "/rpc2", "/RPC2/", "/RPC2x", "//RPC2", "/%52PC3"])
def test_another_path_is_404(connection: http.client.HTTPConnection, path: str) -> None:
    assert ask(connection, path=path)[0].status == 404


def test_a_query_is_not_part_of_the_path(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, path="/RPC2?from=here")[0].status == 200


def test_a_body_past_the_limit_is_413(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, b"x" * 10_001)[0].status == 413


def test_without_a_length_it_is_411(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/RPC2")
    connection.putheader("Content-Type", "text/xml")
    connection.endheaders()
    assert connection.getresponse().status == 411


def test_a_chunked_body_is_read(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/RPC2", iter([CALL[:20], CALL[20:]]), XML, encode_chunked=True)
    assert connection.getresponse().status == 200


def test_a_chunked_body_past_the_limit_is_413(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/RPC2", iter([b"x" * 6_000] * 2), XML, encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_broken_chunk_is_400(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/RPC2")
    connection.putheader("Content-Type", "text/xml")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(b"zz\r\nnot a chunk\r\n")
    assert connection.getresponse().status == 400


def test_gzip_comes_in(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, gzip.compress(CALL), {"Content-Encoding": "gzip"})[0].status == 200


def test_another_encoding_is_415(connection: http.client.HTTPConnection) -> None:
    response, _ = ask(connection, CALL, {"Content-Encoding": "br"})
    assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip")


@pytest.mark.parametrize("accept", ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "*;q=0, x-gzip"])
def test_a_long_answer_goes_out_as_gzip_to_those_who_take_it(
    connection: http.client.HTTPConnection, accept: str
) -> None:
    response, body = ask(connection, LONG, {"Accept-Encoding": accept})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert len(answer_in(gzip.decompress(body))) == 100


@pytest.mark.parametrize("accept", ["", "br", "gzip;q=0", "gzip; q=0.0, *", "identity"])
def test_the_others_get_it_as_it_is(connection: http.client.HTTPConnection, accept: str) -> None:
    response, body = ask(connection, LONG, {"Accept-Encoding": accept})
    assert "Content-Encoding" not in response.headers
    assert len(body) > 1400
    assert response.headers["Vary"] == "Accept-Encoding"


def test_a_short_answer_is_not_compressed(connection: http.client.HTTPConnection) -> None:
    short = xmlrpc.client.dumps((), "system.listMethods").encode()
    response, body = ask(connection, short, {"Accept-Encoding": "gzip"})
    assert len(body) < 1400
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("body", [b"", b"no xml", b"<a/>", CALL[:-5], CALL + CALL])
def test_what_is_no_call_is_a_fault_and_not_an_error_of_http(
    connection: http.client.HTTPConnection, body: bytes
) -> None:
    response, answer = ask(connection, body)
    assert response.status == 200
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(answer)


def say(server: Service, data: bytes) -> tuple[list[int], bytes]:
    """Say this and then the end; return the statuses of the answers, and all that came."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: connection.recv(65_536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", heard)], heard


def head(*lines: str, length: int | None = len(CALL), target: str = "POST /RPC2") -> bytes:
    lengths = [] if length is None else [f"Content-Length: {length}"]
    fields = [f"{target} HTTP/1.1", "Content-Type: text/xml", *lengths, *lines]
    return "".join(f"{field}\r\n" for field in [*fields, ""]).encode()


HOST = "Host: covers"

ODD_REQUESTS = {
    "no host": (head() + CALL, [400]),
    "fewer bytes than its length": (head(HOST, length=len(CALL) + 1) + CALL, [400]),
    "both lengths": (head(HOST, "Transfer-Encoding: chunked") + CALL, [400]),
    "two lengths": (head(HOST, f"Content-Length: {len(CALL)}") + CALL, [400]),
    "a length of 5,000 digits": (head(HOST, "Content-Length: " + "9" * 5000, length=None), [400]),
    "a folded line": (head(HOST, "X-A: b", " c") + CALL, [400]),
    "bare LF": (head(HOST).replace(b"\r\n", b"\n") + CALL, [400]),
    "a name for the script": (head(HOST, "SCRIPT_NAME: /RPC2") + CALL, [200]),
    "another path by a header": (head(HOST, "PATH_INFO: /other") + CALL, [200]),
    "too much after 100": (head(HOST, "Expect: 100-continue", length=10**9), [413]),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "three at once": ((head(HOST) + CALL) * 3, [200, 200, 200]),
    "plain ones and others": (head(HOST) + CALL + head(HOST, length=None, target="GET /RPC2") + CALL, [200, 405, 400]),
}


@pytest.mark.parametrize(("data", "statuses"), ODD_REQUESTS.values(), ids=ODD_REQUESTS.keys())
def test_odd_requests_have_the_answer_that_they_deserve(server: Service, data: bytes, statuses: list[int]) -> None:
    for _ in range(2):
        assert say(server, data)[0] == statuses


def test_pipelined_calls_are_answered_in_their_order(server: Service) -> None:
    calls = [xmlrpc.client.dumps((f"nobody:{number}",), "get_cover").encode() for number in range(20)]
    statuses, heard = say(server, b"".join(head(HOST, length=len(call)) + call for call in calls))
    assert statuses == [200] * 20
    assert [int(number) for number in re.findall(rb"nobody:(\d+)", heard)] == list(range(20))
