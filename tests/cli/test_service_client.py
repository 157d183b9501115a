"""How a service is asked, and what is told where there is none."""

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
from tests.support.scripted_origin import Behaviour, Origin, Request, one_after_the_other, page, raw, reset


def answer(value: Any) -> Behaviour:
    """Make a behaviour that answers a call with this value, or with this fault."""
    told = value if isinstance(value, xmlrpc.client.Fault) else (value,)
    return page(xmlrpc.client.dumps(told, methodresponse=True), headers={"Content-Type": "text/xml"})


def then_close(behaviour: Behaviour) -> Behaviour:
    """Make a behaviour that answers as if the connection went on, and closes it."""

    def behave(connection: socket.socket, request: Request) -> None:
        behaviour(connection, request)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


COVER = answer("https://shop.example/42.jpg")


@pytest.fixture
def scripted() -> Iterator[Origin]:
    """A service that answers by script."""
    with Origin(default=COVER).serving() as served:
        yield served


def find(scripted: Origin, source: str = "") -> str:
    """Ask once, over a connection of its own."""
    with ServiceClient(f"{scripted.url}/RPC2").connect(source) as connection:
        return connection.find("42")


def explain(scripted: Origin, source: str = "") -> Mapping[str, Any]:
    with ServiceClient(f"{scripted.url}/RPC2").connect(source) as connection:
        return connection.explain("42")


def calls(scripted: Origin) -> list[Any]:
    return [xmlrpc.client.loads(request.body) for request in scripted.requests]


def test_a_cover_is_asked_for_by_its_id_as_a_text(scripted: Origin) -> None:
    """And by its source where one is named."""
    assert find(scripted) == "https://shop.example/42.jpg"
    assert find(scripted, "shop") == "https://shop.example/42.jpg"
    assert calls(scripted) == [(("42",), "get_cover"), (("42", "shop"), "get_cover")]


def test_a_record_is_asked_for_likewise(scripted: Origin) -> None:
    scripted.default = answer({"outcome": "found"})
    assert explain(scripted, "shop") == {"outcome": "found"}
    assert calls(scripted) == [(("42", "shop"), "explain_cover")]


@pytest.mark.parametrize(("content_id", "source"), [("4\x002", ""), ("42\x1b", ""), ("4\uffff2", ""), ("42", "\x07")])
def test_what_xml_has_no_place_for_is_refused(scripted: Origin, content_id: str, source: str) -> None:
    """The service is not asked: to it the whole call would be broken."""
    with ServiceClient(f"{scripted.url}/RPC2").connect(source) as connection, pytest.raises(ServiceFault) as refused:
        connection.find(content_id)
    assert (refused.value.code, refused.value.text) == (-32602, "expected no control characters")
    assert scripted.requests == []


def test_any_other_id_reaches_the_service_as_it_is(scripted: Origin) -> None:
    ids = ["<&>\"'", "a\tb", "ü", "\x7f", "\ufffd", "\U0001f3b5", "]]>"]
    with ServiceClient(f"{scripted.url}/RPC2").connect() as connection:
        for content_id in ids:
            connection.find(content_id)
    assert [params for params, _ in calls(scripted)] == [(content_id,) for content_id in ids]


def test_a_name_and_a_password_go_with_each_call(scripted: Origin) -> None:
    """To whatever stands before the service and asks for them."""
    with ServiceClient(f"http://me:secret@127.0.0.1:{scripted.port}/RPC2").connect() as connection:
        connection.find("42")
    assert scripted.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


def test_a_fault_is_told_as_it_is(scripted: Origin) -> None:
    """One that says that the service is overloaded too: it is not asked again."""
    scripted.default = answer(xmlrpc.client.Fault(503, "too much is waiting"))
    for ask in (find, explain):
        with pytest.raises(ServiceFault) as refused:
            ask(scripted)
        assert (refused.value.code, refused.value.text) == (503, "too much is waiting")
    assert len(scripted.requests) == 2


def test_a_connection_is_kept(scripted: Origin) -> None:
    with ServiceClient(f"{scripted.url}/RPC2").connect() as connection:
        for _ in range(3):
            connection.find("42")
    assert scripted.connections == 1


def test_a_kept_connection_that_was_closed_is_opened_again(scripted: Origin) -> None:
    scripted.default = then_close(COVER)
    with ServiceClient(f"{scripted.url}/RPC2").connect() as connection:
        for _ in range(3):
            assert connection.find("42") == "https://shop.example/42.jpg"
    assert scripted.connections == 3


#: Ways of not answering while a service is started anew.
AWAY = [reset, raw(), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<?xml"), page("", status="502 Bad Gateway")]


@pytest.mark.parametrize("away", AWAY, ids=["reset", "closed", "broken off", "gone behind its proxy"])
def test_a_service_that_is_away_for_a_while_is_waited_for(scripted: Origin, away: Behaviour) -> None:
    """Where it has answered before, to any of its callers."""
    scripted.default = one_after_the_other(COVER, away, away, away, COVER)
    service = ServiceClient(f"{scripted.url}/RPC2")
    for _ in range(2):
        with service.connect() as connection:
            assert connection.find("42") == "https://shop.example/42.jpg"


def test_a_service_that_stays_away_is_given_up(scripted: Origin) -> None:
    scripted.default = one_after_the_other(COVER, raw())
    with ServiceClient(f"{scripted.url}/RPC2", patience=0.3).connect() as connection:
        connection.find("42")
        with pytest.raises(ServiceUnreachable):
            connection.find("42")
    assert len(scripted.requests) > 3


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (page("Nothing is here.", status="404 Not Found"), "HTTP 404 Not Found"),
        (page("", status="301 Moved Permanently", headers={"Location": "/"}), "HTTP 301 Moved Permanently"),
        (page("", status="599 \x1b[2JNo"), "HTTP 599 \ufffd[2JNo"),
        (page("<!DOCTYPE html><p>Hello<br>"), "what answers there is no XML-RPC"),
        (page(""), "what answers there is no XML-RPC"),
        (page("<methodResponse><fault><value>1</value></fault></methodResponse>"), "what answers there is no XML-RPC"),
        (raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "what answers there is no XML-RPC"),
        (answer(42), "its answer is no URL"),
        (raw(), "Remote end closed connection without response"),
        (reset, "Connection reset by peer"),
    ],
)
def test_what_is_no_service_is_told_at_once(scripted: Origin, behaviour: Behaviour, reason: str) -> None:
    scripted.default = behaviour
    with pytest.raises(ServiceUnreachable) as unreachable:
        find(scripted)
    assert str(unreachable.value) == f"no service at {scripted.url}/RPC2: {reason}"


def test_a_record_that_is_none_is_told(scripted: Origin) -> None:
    with pytest.raises(ServiceUnreachable, match=r": its answer is no record$"):
        explain(scripted)


def test_a_port_where_nobody_listens_is_told() -> None:
    """Without the password that its URL may have."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        ServiceUnreachable, match=rf"^no service at http://127\.0\.0\.1:{port}/RPC2: Connection refused$"
    ):
        ServiceClient(f"http://me:secret@127.0.0.1:{port}/RPC2").connect().find("42")


@pytest.mark.parametrize(
    "url",
    [
        "", "42", "localhost:8080", "//localhost/RPC2", "http://", "http:///RPC2", "ftp://localhost/", "http://a:b/",
        "http://a:0/", "http://a:65536/", "http://[::1/", "http://a..b/", "http://a/b c", "http://a/ü", "http://a/\n",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--url: expected a URL such as http://127\.0\.0\.1:8080/RPC2, got '"):
        ServiceClient(url)


def test_a_password_in_a_url_that_is_none_is_not_repeated() -> None:
    with pytest.raises(UsageError) as wrong:
        ServiceClient("http://me:secret@shop:example/")
    assert "secret" not in str(wrong.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def over_tls(authority: trustme.CA) -> Iterator[Origin]:
    """Such a service over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Origin(default=COVER).serving(context) as served:
        yield served


def test_a_service_is_asked_over_tls(
    over_tls: Origin, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert find(over_tls) == "https://shop.example/42.jpg"


def test_a_certificate_that_is_not_trusted_is_told(over_tls: Origin) -> None:
    with pytest.raises(ServiceUnreachable, match="/RPC2: its certificate is not trusted: "):
        find(over_tls)


def test_tls_where_there_is_none_is_told() -> None:
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"))
    server.start()
    try:
        with pytest.raises(ServiceUnreachable, match=r"/RPC2: no TLS: wrong version number$"):
            find(Origin(port=int(server.server_port or 0), scheme="https"))
    finally:
        server.stop(timeout=1)
