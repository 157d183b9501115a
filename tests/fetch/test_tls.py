"""TLS: the trust store, and the verification of certificates."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme
from gevent.server import StreamServer

from app.domain.errors import OriginFailed, SettingsError
from app.fetch.connection_pool import ConnectionPool
from app.fetch.page_fetcher import PageFetcher
from app.fetch.request_timer import RequestTimer
from app.fetch.tls import default_context, new_context
from tests.fetch.sources import source_at
from tests.support.scripted_origin import Origin, page


def fetch_page(origin: Origin, context: ssl.SSLContext, host: str = "127.0.0.1") -> bytes:
    origin.pages["/page"] = page("there")
    pool = ConnectionPool(context=context)
    fetcher = PageFetcher(user_agent="covers/1.0", wall_clock=float, pool=pool)
    url = f"https://{host}:{origin.port}"
    try:
        fetched = fetcher.fetch(source_at(url), f"{url}/page", timer=RequestTimer(5))
    finally:
        pool.close()
    assert fetched is not None
    return fetched.body


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_selects_the_trust_store(
    variable: str,
    authority: trustme.CA,
    server_context: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the variables of requests, and by that of OpenSSL."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv(variable, str(bundle))
    with Origin().serving(server_context) as origin:
        assert fetch_page(origin, new_context({variable: str(bundle)})) == b"there"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificates"])
def test_an_unreadable_trust_store_is_a_settings_error(variable: str, content: str | None, tmp_path: Path) -> None:
    bundle = tmp_path / "authority.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(SettingsError, match=f"^{variable}: expected certificates at {bundle}: [^\n]+$"):
        new_context({variable: str(bundle)})


def test_the_default_trust_store_has_the_public_authorities() -> None:
    assert new_context({}).cert_store_stats()["x509_ca"] > 50
    assert default_context() is default_context()


def test_a_certificate_of_an_unknown_authority_is_rejected(server_context: ssl.SSLContext) -> None:
    with (
        Origin().serving(server_context) as origin,
        pytest.raises(OriginFailed, match=r"^127.0.0.1:\d+: its certificate is not trusted: [^\n]+$") as caught,
    ):
        fetch_page(origin, new_context({}))
    assert type(caught.value) is OriginFailed, "a retry would not help"


def test_a_certificate_of_another_host_is_rejected(authority: trustme.CA, client_context: ssl.SSLContext) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with Origin().serving(context) as origin:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(OriginFailed, match=r"not trusted: (Hostname|IP address) mismatch"):
                fetch_page(origin, client_context, host)


def test_the_handshake_has_the_server_name(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """A server may have several certificates for one address (Server Name Indication, RFC 6066, 3)."""
    server_names: list[str | None] = []
    server_context.sni_callback = lambda _connection, name, _context: server_names.append(name)
    try:
        with Origin().serving(server_context) as origin:
            assert fetch_page(origin, client_context, "localhost") == b"there"
    finally:
        server_context.sni_callback = None
    assert server_names == ["localhost"]


def test_a_server_without_tls_is_an_error(client_context: ssl.SSLContext) -> None:
    def respond(connection: socket.socket, _address: object) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    server = StreamServer(("127.0.0.1", 0), respond)
    server.start()
    try:
        with pytest.raises(OriginFailed, match="TLS failed: wrong version number"):
            fetch_page(Origin(port=server.server_port or 0), client_context)
    finally:
        server.stop()
