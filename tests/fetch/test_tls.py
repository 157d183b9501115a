"""Whom a TLS connection trusts."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme
from gevent.server import StreamServer

from app.domain.errors import OriginFailed, SettingsError
from app.fetch.connection_pool import ConnectionPool
from app.fetch.page_fetcher import PageFetcher
from app.fetch.tls import default_context, new_context
from tests.fetch.sources import source_at
from tests.support.scripted_origin import Origin, page


def fetch_trusting(origin: Origin, context: ssl.SSLContext, host: str = "127.0.0.1") -> bytes:
    origin.pages["/page"] = page("there")
    connections = ConnectionPool(context=context)
    fetcher = PageFetcher(user_agent="covers/1.0", wall_clock=float, pool=connections)
    url = f"https://{host}:{origin.port}"
    try:
        found = fetcher.fetch(source_at(url), f"{url}/page", timeout=5)
    finally:
        connections.close()
    assert found is not None
    return found.body


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_says_whom_to_trust(
    variable: str,
    authority: trustme.CA,
    identified: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both of requests' variables, and OpenSSL's own."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv(variable, str(bundle))
    with Origin().serving(identified) as origin:
        assert fetch_trusting(origin, new_context({variable: str(bundle)})) == b"there"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificates"])
def test_a_store_that_cannot_be_read_stops_the_start(variable: str, content: str | None, tmp_path: Path) -> None:
    bundle = tmp_path / "authority.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(SettingsError, match=f"^{variable}: expected certificates at {bundle}: [^\n]+$"):
        new_context({variable: str(bundle)})


def test_by_default_the_authorities_that_all_trust_are_trusted() -> None:
    assert new_context({}).cert_store_stats()["x509_ca"] > 50
    assert default_context() is default_context()


def test_a_certificate_of_no_known_authority_is_refused(identified: ssl.SSLContext) -> None:
    with (
        Origin().serving(identified) as origin,
        pytest.raises(OriginFailed, match=r"^127.0.0.1:\d+: its certificate is not trusted: [^\n]+$") as caught,
    ):
        fetch_trusting(origin, new_context({}))
    assert type(caught.value) is OriginFailed, "another try would not help"


def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with Origin().serving(context) as origin:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(OriginFailed, match=r"not trusted: (Hostname|IP address) mismatch"):
                fetch_trusting(origin, trusting, host)


def test_the_host_is_named_in_the_handshake(identified: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """So that one address can have many certificates (RFC 6066, 3); and the protocol is (RFC 7301)."""
    named: list[str | None] = []
    identified.sni_callback = lambda _connection, name, _context: named.append(name)
    try:
        with Origin().serving(identified) as origin:
            assert fetch_trusting(origin, trusting, "localhost") == b"there"
    finally:
        identified.sni_callback = None
    assert named == ["localhost"]


def test_a_peer_without_tls_is_said(trusting: ssl.SSLContext) -> None:
    def answer(connection: socket.socket, _address: object) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    try:
        with pytest.raises(OriginFailed, match="TLS failed: wrong version number"):
            fetch_trusting(Origin(port=server.server_port or 0), trusting)
    finally:
        server.stop()
