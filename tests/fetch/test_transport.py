"""The transport adapter, mounted in a requests.Session or called directly."""

import gzip
import os
import ssl
import time
from collections.abc import Iterator

import gevent
import pytest
import requests
from requests.exceptions import InvalidHeader, InvalidURL

from app.fetch.connection_pool import ConnectionPool
from app.fetch.transport import TransportAdapter
from app.fetch.transport_errors import InvalidResponse
from tests.support.scripted_origin import Barrier, Origin, chunked, page, raw, redirect


@pytest.fixture
def session(pool: ConnectionPool) -> Iterator[requests.Session]:
    new_session = requests.Session()
    for scheme in ("http://", "https://"):
        new_session.mount(scheme, TransportAdapter(pool=pool, max_bytes=100_000, private_network=True))
    with new_session:
        yield new_session


def test_a_session_follows_redirects_and_parses_json(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = redirect("/other?a=b")
    site.pages["/other?a=b"] = page('{"there": true}', headers={"Content-Type": "application/json; charset=utf-8"})
    response = session.get(f"{site.url}/page", timeout=5)
    assert response.ok
    assert response.json() == {"there": True}
    assert (response.url, response.encoding) == (f"{site.url}/other?a=b", "utf-8")
    assert [earlier.status_code for earlier in response.history] == [302]
    assert site.connections == 1


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_session_iterates_over_a_decompressed_body(site: Origin, session: requests.Session, size: int) -> None:
    body = os.urandom(10) * 9_000
    site.pages["/page"] = page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    with session.get(f"{site.url}/page", stream=True) as response:
        pieces = list(response.iter_content(size))
    assert b"".join(pieces) == body
    assert {len(piece) for piece in pieces[:-1]} <= {size}


def test_a_body_is_read_on_demand(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    with session.get(f"{site.url}/page", stream=True) as response:
        assert response.status_code == 200
        with pytest.raises(requests.ConnectionError, match="closed in the middle"):
            next(response.iter_content(9))


def test_repeated_header_fields_are_joined(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = raw(b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\nContent-Length: 0\r\n\r\n")
    assert session.get(f"{site.url}/page").headers["Vary"] == "a, b"


def test_the_read_timeout_limits_each_wait(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = Barrier(page("late"))
    with pytest.raises(requests.ReadTimeout):
        session.get(f"{site.url}/page", timeout=(5, 0.05))


def test_proxies_of_the_environment_are_ignored(
    site: Origin, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection to this proxy would be refused."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.pages["/page"] = page("there")
    assert session.get(f"{site.url}/page").text == "there"


def test_certificates_are_verified_even_with_verify_false(server_context: ssl.SSLContext) -> None:
    with Origin().serving(server_context) as origin, requests.Session() as session:
        session.mount("https://", TransportAdapter(pool=ConnectionPool(), max_bytes=9, private_network=True))
        with pytest.raises(requests.exceptions.SSLError, match="not trusted"):
            session.get(origin.url, verify=False)


def test_cookies_are_not_stored(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = page("there", headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        session.get(f"{site.url}/page")
    assert not any("cookie" in request.headers for request in site.requests)


def test_a_chunked_body_is_read(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = chunked(b"the", b"re", trailer=b"X-Sum: 1\r\n")
    for _ in range(2):
        response = session.get(f"{site.url}/page")
        assert response.content == b"there"
        assert "X-Sum" not in response.headers
    assert site.connections == 1


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_methods_other_than_get_are_rejected(site: Origin, session: requests.Session, method: str) -> None:
    with pytest.raises(ValueError, match="only a GET"):
        session.request(method, site.url)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://127.0.0.1/", "http://", "http:///a", "http://a:b@127.0.0.1/", "http://127.0.0.1:0/"),
        *("http://127.0.0.1:70000/", "http://127.0.0.1:x/", "http://127.0.0.1\\@evil/", "http://a b/", "http://[::1"),
        *(
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
            "http://127.0.0.1/é",
            "http://é/",
            "http://[fe80::1%1]/",
        ),
    ],
)
def test_an_invalid_or_ambiguous_url_is_rejected(pool: ConnectionPool, url: str) -> None:
    request = requests.PreparedRequest()
    request.prepare_method("GET")
    request.prepare_headers({})
    request.url = url
    with pytest.raises(InvalidURL):
        TransportAdapter(pool=pool, max_bytes=9, private_network=True).send(request)


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X Y", "a"), ("X:", "a"), ("X", "\0")])
def test_an_invalid_header_field_is_rejected(site: Origin, pool: ConnectionPool, name: str, value: str) -> None:
    request = requests.PreparedRequest()
    request.prepare(method="GET", url=site.url)
    request.headers[name] = value
    with pytest.raises(InvalidHeader):
        TransportAdapter(pool=pool, max_bytes=9, private_network=True).send(request)


@pytest.mark.parametrize("cause", [gevent.Timeout, gevent.GreenletExit])
@pytest.mark.parametrize("behaviour", ["silence", "half a header", "half a body"])
def test_an_interrupted_read_closes_its_connection(
    site: Origin, pool: ConnectionPool, cause: type[BaseException], behaviour: str
) -> None:
    sent = {
        "silence": b"",
        "half a header": b"HTTP/1.1 200",
        "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    }
    closed: list[bytes] = []

    def send_start(connection: ssl.SSLSocket, _request: object) -> None:
        connection.sendall(sent[behaviour])
        closed.append(connection.recv(1))

    site.pages["/"] = send_start  # type: ignore[assignment]  # over HTTP it is a plain socket
    request = requests.PreparedRequest()
    request.prepare(method="GET", url=site.url)
    transport = TransportAdapter(pool=pool, max_bytes=100, private_network=True)

    def read() -> bytes:
        body: bytes = transport.send(request, stream=True).raw.read()
        return body

    reading = gevent.spawn(read)
    while not site.requests:
        gevent.sleep(0.001)
    gevent.sleep(0.02)
    reading.kill(cause())
    deadline = time.monotonic() + 5
    while not closed and time.monotonic() < deadline:
        gevent.sleep(0.001)
    assert closed == [b""]


def test_a_body_may_have_exactly_max_bytes(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = page(bytes(100_000))
    site.pages["/more"] = page(bytes(100_001))
    assert len(session.get(f"{site.url}/page").content) == 100_000
    with pytest.raises(InvalidResponse, match="more than 100000 bytes"):
        session.get(f"{site.url}/more")
