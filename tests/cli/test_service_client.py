"""The XML-RPC client: calls, retries, and errors for servers that are not the service."""

import socket
import ssl
import xmlrpc.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from gevent.server import StreamServer

from app.cli.exit_status import ServiceUnreachable, UsageError
from app.cli.service_client import ServiceClient, ServiceFault
from tests.support.scripted_origin import Behaviour, Origin, Request, in_sequence, page, raw, reset


def rpc_response(value: Any) -> Behaviour:
    """Return a behaviour that responds to a call with this result or fault."""
    result = value if isinstance(value, xmlrpc.client.Fault) else (value,)
    return page(xmlrpc.client.dumps(result, methodresponse=True), headers={"Content-Type": "text/xml"})


def then_close(behaviour: Behaviour) -> Behaviour:
    """Return a behaviour that closes the connection after a response that kept the connection alive."""

    def behave(connection: socket.socket, request: Request) -> None:
        behaviour(connection, request)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


COVER = rpc_response("https://shop.example/42.jpg")


@pytest.fixture
def server() -> Iterator[Origin]:
    """A scripted server in place of the service."""
    with Origin(default=COVER).serving() as server:
        yield server


def get_cover(server: Origin, source: str = "") -> str:
    """Call once over a new connection."""
    with ServiceClient(f"{server.url}/RPC2").connect(source) as connection:
        return connection.get_cover("42")


def explain_cover(server: Origin, source: str = "") -> Mapping[str, Any]:
    with ServiceClient(f"{server.url}/RPC2").connect(source) as connection:
        return connection.explain_cover("42")


def calls(server: Origin) -> list[Any]:
    return [xmlrpc.client.loads(request.body) for request in server.requests]


def test_get_cover_is_called_with_the_id_as_a_string(server: Origin) -> None:
    """The source is the second parameter, if one is given."""
    assert get_cover(server) == "https://shop.example/42.jpg"
    assert get_cover(server, "shop") == "https://shop.example/42.jpg"
    assert calls(server) == [(("42",), "get_cover"), (("42", "shop"), "get_cover")]


def test_explain_cover_is_called_with_the_same_parameters(server: Origin) -> None:
    server.default = rpc_response({"outcome": "found"})
    assert explain_cover(server, "shop") == {"outcome": "found"}
    assert calls(server) == [(("42", "shop"), "explain_cover")]


@pytest.mark.parametrize(("content_id", "source"), [("4\x002", ""), ("42\x1b", ""), ("4\uffff2", ""), ("42", "\x07")])
def test_characters_that_xml_forbids_are_rejected(server: Origin, content_id: str, source: str) -> None:
    """No request is sent, because the service could not parse the call."""
    with ServiceClient(f"{server.url}/RPC2").connect(source) as connection, pytest.raises(ServiceFault) as raised:
        connection.get_cover(content_id)
    assert (raised.value.code, raised.value.text) == (-32602, "expected no control characters")
    assert server.requests == []


def test_any_other_id_is_sent_unchanged(server: Origin) -> None:
    ids = ["<&>\"'", "a\tb", "ü", "\x7f", "\ufffd", "\U0001f3b5", "]]>"]
    with ServiceClient(f"{server.url}/RPC2").connect() as connection:
        for content_id in ids:
            connection.get_cover(content_id)
    assert [params for params, _ in calls(server)] == [(content_id,) for content_id in ids]


def test_credentials_in_the_url_are_sent_as_basic_authentication(server: Origin) -> None:
    with ServiceClient(f"http://me:secret@127.0.0.1:{server.port}/RPC2").connect() as connection:
        connection.get_cover("42")
    assert server.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


def test_a_fault_is_raised_without_a_retry(server: Origin) -> None:
    """This includes the fault of an overloaded service."""
    server.default = rpc_response(xmlrpc.client.Fault(503, "too much is waiting"))
    for call in (get_cover, explain_cover):
        with pytest.raises(ServiceFault) as raised:
            call(server)
        assert (raised.value.code, raised.value.text) == (503, "too much is waiting")
    assert len(server.requests) == 2


def test_a_connection_is_reused(server: Origin) -> None:
    with ServiceClient(f"{server.url}/RPC2").connect() as connection:
        for _ in range(3):
            connection.get_cover("42")
    assert server.connections == 1


def test_a_connection_that_the_server_closed_is_reopened(server: Origin) -> None:
    server.default = then_close(COVER)
    with ServiceClient(f"{server.url}/RPC2").connect() as connection:
        for _ in range(3):
            assert connection.get_cover("42") == "https://shop.example/42.jpg"
    assert server.connections == 3


#: Failures of a call while the service restarts.
FAILURES = [
    reset,
    raw(),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<?xml"),
    page("", status="502 Bad Gateway"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=["reset", "closed", "incomplete response", "bad gateway"])
def test_a_call_is_retried_while_the_service_restarts(server: Origin, failure: Behaviour) -> None:
    """Calls are retried after the service has responded once, on any connection."""
    server.default = in_sequence(COVER, failure, failure, failure, COVER)
    service = ServiceClient(f"{server.url}/RPC2")
    for _ in range(2):
        with service.connect() as connection:
            assert connection.get_cover("42") == "https://shop.example/42.jpg"


def test_retries_stop_after_the_time_limit(server: Origin) -> None:
    server.default = in_sequence(COVER, raw())
    with ServiceClient(f"{server.url}/RPC2", retry_seconds=0.3).connect() as connection:
        connection.get_cover("42")
        with pytest.raises(ServiceUnreachable):
            connection.get_cover("42")
    assert len(server.requests) > 3


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (page("Nothing is here.", status="404 Not Found"), "HTTP 404 Not Found"),
        (page("", status="301 Moved Permanently", headers={"Location": "/"}), "HTTP 301 Moved Permanently"),
        (page("", status="599 \x1b[2JNo"), "HTTP 599 \ufffd[2JNo"),
        (page("<!DOCTYPE html><p>Hello<br>"), "the response is not XML-RPC"),
        (page(""), "the response is not XML-RPC"),
        (page("<methodResponse><fault><value>1</value></fault></methodResponse>"), "the response is not XML-RPC"),
        (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "the response is not XML-RPC"),
        (rpc_response(42), "the result is not a URL"),
        (raw(), "Remote end closed connection without response"),
        (reset, "Connection reset by peer"),
    ],
)
def test_another_server_is_reported_without_a_retry(server: Origin, behaviour: Behaviour, reason: str) -> None:
    server.default = behaviour
    with pytest.raises(ServiceUnreachable) as unreachable:
        get_cover(server)
    assert str(unreachable.value) == f"no service at {server.url}/RPC2: {reason}"


def test_a_result_that_is_not_a_record_is_reported(server: Origin) -> None:
    with pytest.raises(ServiceUnreachable, match=r": the result is not a record$"):
        explain_cover(server)


def test_a_refused_connection_is_reported() -> None:
    """The message does not contain the password of the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        ServiceUnreachable, match=rf"^no service at http://127\.0\.0\.1:{port}/RPC2: Connection refused$"
    ):
        ServiceClient(f"http://me:secret@127.0.0.1:{port}/RPC2").connect().get_cover("42")


@pytest.mark.parametrize(
    "url",
    [
        "", "42", "localhost:8080", "//localhost/RPC2", "http://", "http:///RPC2", "ftp://localhost/", "http://a:b/",
        "http://a:0/", "http://a:65536/", "http://[::1/", "http://a..b/", "http://a/b c", "http://a/ü", "http://a/\n",
    ],
)  # fmt: skip
def test_an_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--url: expected a URL such as http://127\.0\.0\.1:8080/RPC2, got '"):
        ServiceClient(url)


def test_the_message_for_an_invalid_url_hides_the_password() -> None:
    with pytest.raises(UsageError) as raised:
        ServiceClient("http://me:secret@shop:example/")
    assert "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_server(authority: trustme.CA) -> Iterator[Origin]:
    """The scripted server over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Origin(default=COVER).serving(context) as server:
        yield server


def test_a_service_is_called_over_tls(
    tls_server: Origin, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert get_cover(tls_server) == "https://shop.example/42.jpg"


def test_an_untrusted_certificate_is_reported(tls_server: Origin) -> None:
    with pytest.raises(ServiceUnreachable, match="/RPC2: its certificate is not trusted: "):
        get_cover(tls_server)


def test_a_server_without_tls_is_reported() -> None:
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"))
    server.start()
    try:
        with pytest.raises(ServiceUnreachable, match=r"/RPC2: TLS failed: wrong version number$"):
            get_cover(Origin(port=int(server.server_port or 0), scheme="https"))
    finally:
        server.stop(timeout=1)
