"""How XML-RPC travels over HTTP: statuses, types, lengths, encodings."""

import gzip
import http.client
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import CONFIG, Server, serving

CALL = xmlrpc.client.dumps((), "list_sources").encode()
XML = {"Content-Type": "text/xml"}

#: A call whose answer is longer than what is worth compressing.
LONG = xmlrpc.client.dumps(([f"no id {number}" for number in range(100)],), "get_covers").encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose origin nobody asks, with room for 10,000 bytes of a body."""
    config = "max_body = 10_000\n" + CONFIG.format(origin="http://127.0.0.1:9")
    with serving(tmp_path_factory.mktemp("http"), config) as running:
        yield running


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
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


@pytest.mark.parametrize("path", ["/", "/rpc2", "/RPC2/", "/RPC2x", "//RPC2", "/%52PC3"])
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
    assert "Content-Encoding" not in ask(connection, CALL, {"Accept-Encoding": "gzip"})[0].headers


@pytest.mark.parametrize("body", [b"", b"no xml", b"<a/>", CALL[:-5], CALL + CALL])
def test_what_is_no_call_is_a_fault_and_not_an_error_of_http(
    connection: http.client.HTTPConnection, body: bytes
) -> None:
    response, answer = ask(connection, body)
    assert response.status == 200
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(answer)
