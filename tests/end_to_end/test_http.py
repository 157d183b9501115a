"""XML-RPC over HTTP: statuses, content types, lengths, encodings, malformed and pipelined requests."""

import gzip
import http.client
import re
import socket
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.gunicorn_server import receive_response, request
from tests.support.scripted_origin import Origin, cover
from tests.support.service import CONFIG, Service, run_service

CALL = xmlrpc.client.dumps((), "list_sources").encode()
XML = {"Content-Type": "text/xml"}

#: A call whose response is long enough to be compressed.
LONG_CALL = xmlrpc.client.dumps(([f"no id {number}" for number in range(100)],), "get_covers").encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that accepts bodies of up to 10,000 bytes. No test uses its origin."""
    config = "max_body = 10_000\n" + CONFIG.format(origin="http://127.0.0.1:9")
    with run_service(tmp_path_factory.mktemp("http"), config) as running:
        yield running


@pytest.fixture
def connection(server: Service) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield connection
    connection.close()


def result_of(body: bytes) -> Any:
    (value,), _ = xmlrpc.client.loads(body)
    return value


def call(
    connection: http.client.HTTPConnection,
    body: bytes | None = CALL,
    headers: dict[str, str] | None = None,
    method: str = "POST",
    path: str = "/RPC2",
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path, body, XML | (headers or {}))
    response = connection.getresponse()
    return response, response.read()


def test_a_response_has_an_unquoted_charset_and_its_length(connection: http.client.HTTPConnection) -> None:
    response, body = call(connection)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(body))
    assert result_of(body)[0]["name"] == "ozon"


def test_a_connection_serves_many_calls(connection: http.client.HTTPConnection) -> None:
    for _ in range(5):
        response, _ = call(connection)
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
def test_every_xml_type_is_accepted(connection: http.client.HTTPConnection, content_type: str) -> None:
    assert call(connection, headers={"Content-Type": content_type})[0].status == 200


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/xmlx", "multipart/form-data", ";"])
def test_another_type_is_415(connection: http.client.HTTPConnection, content_type: str) -> None:
    assert call(connection, headers={"Content-Type": content_type})[0].status == 415


def test_the_charset_of_the_content_type_is_used(connection: http.client.HTTPConnection) -> None:
    body = xmlrpc.client.dumps(("é",), "get_cover").encode("latin-1")
    response, response_body = call(connection, body, {"Content-Type": "text/xml; charset=iso-8859-1"})
    assert response.status == 200
    with pytest.raises(xmlrpc.client.Fault, match="'é' is no id"):
        xmlrpc.client.loads(response_body)


@pytest.mark.parametrize("lines", [[], ["Content-Type:"], ["Content-Type:  "]])
def test_a_body_without_a_type_is_read_as_xml(server: Service, lines: list[str]) -> None:
    """Its encoding is declared in the XML."""
    body = xmlrpc.client.dumps(("é",), "get_cover", encoding="iso-8859-1").encode("latin-1")
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            connection.sendall(request("/RPC2", body, *lines))
            response = receive_response(connection)
        assert response.code == 200
        with pytest.raises(xmlrpc.client.Fault, match="'é' is no id"):
            xmlrpc.client.loads(response.body)


@pytest.mark.parametrize("path", ["/", "/RPC2", "/RPC2/"])
def test_calls_are_served_at_the_root_and_with_a_trailing_slash(server: Service, path: str) -> None:
    """Clients of the service of 2010 and of SimpleXMLRPCServer call the root."""
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{server.port}{path}") as client:
        assert "ozon" in str(client.list_sources())
        with pytest.raises(xmlrpc.client.Fault, match="unknown source 'nobody'"):
            client.get_cover("42", "nobody")


@pytest.mark.parametrize("path", ["/", "/RPC2/"])
def test_errors_are_those_of_rpc2(connection: http.client.HTTPConnection, path: str) -> None:
    assert call(connection, headers={"Content-Type": "text/plain"}, path=path)[0].status == 415
    assert call(connection, b"x" * 10_001, path=path)[0].status == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/RPC2", "/RPC2/"])
def test_another_method_is_405_with_allow(connection: http.client.HTTPConnection, method: str, path: str) -> None:
    response, _ = call(connection, None, method=method, path=path)
    assert response.status == 405
    assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("path", ["/rpc", "/rpc2", "/RPC2x", "/RPC2//", "/RPC2/x", "//", "//RPC2", "/%52PC3"])
def test_another_path_is_404(connection: http.client.HTTPConnection, path: str) -> None:
    assert call(connection, path=path)[0].status == 404


def test_a_query_is_not_part_of_the_path(connection: http.client.HTTPConnection) -> None:
    assert call(connection, path="/RPC2?from=here")[0].status == 200


def test_a_body_over_the_limit_is_413(connection: http.client.HTTPConnection) -> None:
    assert call(connection, b"x" * 10_001)[0].status == 413


def test_a_body_without_a_length_is_411(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/RPC2")
    connection.putheader("Content-Type", "text/xml")
    connection.endheaders()
    assert connection.getresponse().status == 411


def test_a_chunked_body_is_read(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/RPC2", iter([CALL[:20], CALL[20:]]), XML, encode_chunked=True)
    assert connection.getresponse().status == 200


def test_a_chunked_body_over_the_limit_is_413(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/RPC2", iter([b"x" * 6_000] * 2), XML, encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_broken_chunk_is_400(connection: http.client.HTTPConnection) -> None:
    connection.putrequest("POST", "/RPC2")
    connection.putheader("Content-Type", "text/xml")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(b"zz\r\nnot a chunk\r\n")
    assert connection.getresponse().status == 400


def test_a_gzip_request_is_decompressed(connection: http.client.HTTPConnection) -> None:
    assert call(connection, gzip.compress(CALL), {"Content-Encoding": "gzip"})[0].status == 200


def test_another_encoding_is_415_with_accept_encoding(connection: http.client.HTTPConnection) -> None:
    response, _ = call(connection, CALL, {"Content-Encoding": "br"})
    assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip")


@pytest.mark.parametrize("accept", ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "*;q=0, x-gzip"])
def test_a_long_response_is_compressed_for_clients_that_accept_gzip(
    connection: http.client.HTTPConnection, accept: str
) -> None:
    response, body = call(connection, LONG_CALL, {"Accept-Encoding": accept})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert len(result_of(gzip.decompress(body))) == 100


@pytest.mark.parametrize("accept", ["", "br", "gzip;q=0", "gzip; q=0.0, *", "identity"])
def test_a_long_response_is_not_compressed_for_other_clients(
    connection: http.client.HTTPConnection, accept: str
) -> None:
    response, body = call(connection, LONG_CALL, {"Accept-Encoding": accept})
    assert "Content-Encoding" not in response.headers
    assert len(body) > 1400
    assert response.headers["Vary"] == "Accept-Encoding"


def test_a_short_response_is_not_compressed(connection: http.client.HTTPConnection) -> None:
    short = xmlrpc.client.dumps((), "system.listMethods").encode()
    response, body = call(connection, short, {"Accept-Encoding": "gzip"})
    assert len(body) < 1400
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("path", ["/", "/RPC2", "/RPC2/"])
def test_a_preflight_request_allows_scripts_of_every_site_to_call(
    connection: http.client.HTTPConnection, path: str
) -> None:
    """The response allows POST and two headers, but no credentials."""
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-request-id",
    }
    response, body = call(connection, None, headers, "OPTIONS", path)
    assert (response.status, body) == (204, b"")
    assert response.headers["Content-Length"] is response.headers["Content-Type"] is None
    cross_origin = {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}
    assert cross_origin == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type, X-Request-Id",
        "Access-Control-Max-Age": "86400",
    }
    assert call(connection, path=path)[0].status == 200  # the connection stays open


RESPONSES_TO_SCRIPTS = {
    "call": (200, request("/RPC2", CALL)),
    "fault": (200, request("/RPC2", b"no XML")),
    "long response": (200, request("/RPC2", LONG_CALL)),
    "compressed response": (200, request("/RPC2", LONG_CALL, "Accept-Encoding: gzip")),
    "root": (200, request("/", CALL)),
    "slash": (200, request("/RPC2/", CALL)),
    "broken chunk": (400, request("/RPC2", None, "Transfer-Encoding: chunked", method="POST") + b"zz\r\n"),
    "no gzip": (400, request("/RPC2", CALL, "Content-Encoding: gzip")),
    "no such path": (404, request("/RPC", CALL)),
    "method": (405, request("/RPC2", CALL, method="PUT")),
    "no length": (411, request("/RPC2", method="POST")),
    "too large": (413, request("/RPC2", bytes(10_001))),
    "type": (415, request("/RPC2", CALL, "Content-Type: application/json")),
    "encoding": (415, request("/RPC2", CALL, "Content-Encoding: br")),
    "transfer coding": (501, request("/RPC2", None, "Transfer-Encoding: gzip, chunked", method="POST")),
}


@pytest.mark.parametrize(("status", "data"), RESPONSES_TO_SCRIPTS.values(), ids=RESPONSES_TO_SCRIPTS.keys())
def test_scripts_of_every_site_may_read_the_response(server: Service, status: int, data: bytes) -> None:
    """The field is there once, also if the response is sent for the second time, without a call of the application."""
    for _ in range(3):
        code, fields = send_from_script(server, data)
        assert code == status
        assert [field for field in fields if field.startswith("access-control-")] == ["access-control-allow-origin: *"]


def send_from_script(server: Service, data: bytes) -> tuple[int, list[str]]:
    """Send a request with the Origin of another site; return the status of the response and its fields in lower case.

    The connection stays open on the client's side, as in a browser.
    """
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(data.replace(b"\r\n", b"\r\nOrigin: https://shop.example\r\n", 1))
        response = receive_response(connection)
    return response.code, [field.lower() for field in response.headers]


def test_cached_responses_are_the_same_for_scripts(origin: Origin, tmp_path: Path) -> None:
    """From the third time on, the application is not called. Only the request id differs."""
    origin.item(42, cover())
    data = request("/RPC2", xmlrpc.client.dumps((42,), "get_cover").encode(), "Content-Type: text/xml")
    with run_service(tmp_path, CONFIG.format(origin=origin.url)) as server:
        responses = [send_from_script(server, data) for _ in range(5)]
        cached = server.client().explain_cover(42)["cache"]
    assert cached == "memory"
    assert all("access-control-allow-origin: *" in fields for _, fields in responses)
    assert len({tuple(field for field in fields if "request-id" not in field) for _, fields in responses}) == 1


@pytest.mark.parametrize("repetition", ["a new head", "a head that the worker knows"])
def test_scripts_may_read_the_response_to_a_late_body(tmp_path: Path, repetition: str) -> None:
    options = {"GUNICORN_CMD_ARGS": "--worker-class tests.server.short_timeouts.ShortTimeoutWorker"}
    data = request("/RPC2", CALL)
    with run_service(tmp_path, CONFIG.format(origin="http://127.0.0.1:9"), extra=options) as server:
        if repetition == "a head that the worker knows":
            assert send_from_script(server, data)[0] == 200
        code, fields = send_from_script(server, data[:-1])
    assert code == 408
    assert "access-control-allow-origin: *" in fields
    assert any(field.startswith("x-request-id: ") for field in fields)


@pytest.mark.parametrize("body", [b"", b"no xml", b"<a/>", CALL[:-5], CALL + CALL])
def test_a_body_that_is_not_a_call_is_a_fault_with_status_200(
    connection: http.client.HTTPConnection, body: bytes
) -> None:
    response, response_body = call(connection, body)
    assert response.status == 200
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(response_body)


def send_raw(server: Service, data: bytes) -> tuple[list[int], bytes]:
    """Send data and close the sending side; return the statuses of the responses, and all bytes received."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", received)], received


def request_head(*header_lines: str, length: int | None = len(CALL), target: str = "POST /RPC2") -> bytes:
    length_lines = [] if length is None else [f"Content-Length: {length}"]
    lines = [f"{target} HTTP/1.1", "Content-Type: text/xml", *length_lines, *header_lines]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


HOST = "Host: covers"

UNUSUAL_REQUESTS = {
    "no Host": (request_head() + CALL, [400]),
    "a body shorter than its Content-Length": (request_head(HOST, length=len(CALL) + 1) + CALL, [400]),
    "Content-Length and Transfer-Encoding": (request_head(HOST, "Transfer-Encoding: chunked") + CALL, [400]),
    "two Content-Length fields": (request_head(HOST, f"Content-Length: {len(CALL)}") + CALL, [400]),
    "a Content-Length of 5,000 digits": (request_head(HOST, "Content-Length: " + "9" * 5000, length=None), [400]),
    "a folded header line": (request_head(HOST, "X-A: b", " c") + CALL, [400]),
    "bare LF line ends": (request_head(HOST).replace(b"\r\n", b"\n") + CALL, [400]),
    "a SCRIPT_NAME header": (request_head(HOST, "SCRIPT_NAME: /RPC2") + CALL, [200]),
    "a PATH_INFO header": (request_head(HOST, "PATH_INFO: /other") + CALL, [200]),
    "100-continue with a body that is too large": (request_head(HOST, "Expect: 100-continue", length=10**9), [413]),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "three pipelined requests": ((request_head(HOST) + CALL) * 3, [200, 200, 200]),
    "pipelined requests of which two are errors": (
        request_head(HOST) + CALL + request_head(HOST, length=None, target="GET /RPC2") + CALL,
        [200, 405, 400],
    ),
}


@pytest.mark.parametrize(("data", "statuses"), UNUSUAL_REQUESTS.values(), ids=UNUSUAL_REQUESTS.keys())
def test_unusual_requests_have_the_expected_statuses(server: Service, data: bytes, statuses: list[int]) -> None:
    for _ in range(2):
        assert send_raw(server, data)[0] == statuses


def test_pipelined_calls_are_answered_in_order(server: Service) -> None:
    bodies = [xmlrpc.client.dumps((f"nobody:{number}",), "get_cover").encode() for number in range(20)]
    statuses, received = send_raw(server, b"".join(request_head(HOST, length=len(body)) + body for body in bodies))
    assert statuses == [200] * 20
    assert [int(number) for number in re.findall(rb"nobody:(\d+)", received)] == list(range(20))
