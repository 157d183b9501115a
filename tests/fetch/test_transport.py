"""The transport, mounted in a requests.Session and asked directly."""

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
def session(connections: ConnectionPool) -> Iterator[requests.Session]:
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, TransportAdapter(pool=connections, max_bytes=100_000, private_network=True))
    with made:
        yield made


def test_a_session_gets_pages_through_it(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = redirect("/other?a=b")
    site.pages["/other?a=b"] = page('{"there": true}', headers={"Content-Type": "application/json; charset=utf-8"})
    answer = session.get(f"{site.url}/page", timeout=5)
    assert answer.ok
    assert answer.json() == {"there": True}
    assert (answer.url, answer.encoding) == (f"{site.url}/other?a=b", "utf-8")
    assert [earlier.status_code for earlier in answer.history] == [302]
    assert site.connections == 1


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_session_iterates_over_what_gzip_held(site: Origin, session: requests.Session, size: int) -> None:
    body = os.urandom(10) * 9_000
    site.pages["/page"] = page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    with session.get(f"{site.url}/page", stream=True) as answer:
        pieces = list(answer.iter_content(size))
    assert b"".join(pieces) == body
    assert {len(piece) for piece in pieces[:-1]} <= {size}


def test_a_body_is_not_read_before_it_is_asked_for(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    with session.get(f"{site.url}/page", stream=True) as answer:
        assert answer.status_code == 200
        with pytest.raises(requests.ConnectionError, match="closed in the middle"):
            next(answer.iter_content(9))


def test_a_header_that_comes_twice_is_a_list(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = raw(b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\nContent-Length: 0\r\n\r\n")
    assert session.get(f"{site.url}/page").headers["Vary"] == "a, b"


def test_a_timeout_is_for_each_wait(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = Barrier(page("late"))
    with pytest.raises(requests.ReadTimeout):
        session.get(f"{site.url}/page", timeout=(5, 0.05))


def test_nothing_of_the_environment_is_used(
    site: Origin, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that nobody runs would be refused; and certificates are checked whatever requests says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.pages["/page"] = page("there")
    assert session.get(f"{site.url}/page").text == "there"


def test_certificates_are_checked_whatever_requests_says(identified: ssl.SSLContext) -> None:
    with Origin().serving(identified) as origin, requests.Session() as session:
        session.mount("https://", TransportAdapter(pool=ConnectionPool(), max_bytes=9, private_network=True))
        with pytest.raises(requests.exceptions.SSLError, match="not trusted"):
            session.get(origin.url, verify=False)


def test_cookies_are_not_kept(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = page("there", headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        session.get(f"{site.url}/page")
    assert not any("cookie" in request.headers for request in site.requests)


def test_chunks_are_read_as_they_come(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = chunked(b"the", b"re", trailer=b"X-Sum: 1\r\n")
    for _ in range(2):
        answer = session.get(f"{site.url}/page")
        assert answer.content == b"there"
        assert "X-Sum" not in answer.headers
    assert site.connections == 1


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_nothing_but_get_is_sent(site: Origin, session: requests.Session, method: str) -> None:
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
def test_a_url_that_could_be_read_in_two_ways_is_refused(connections: ConnectionPool, url: str) -> None:
    request = requests.PreparedRequest()
    request.prepare_method("GET")
    request.prepare_headers({})
    request.url = url
    with pytest.raises(InvalidURL):
        TransportAdapter(pool=connections, max_bytes=9, private_network=True).send(request)


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X Y", "a"), ("X:", "a"), ("X", "\0")])
def test_a_field_that_would_arrive_as_another_is_refused(
    site: Origin, connections: ConnectionPool, name: str, value: str
) -> None:
    request = requests.PreparedRequest()
    request.prepare(method="GET", url=site.url)
    request.headers[name] = value
    with pytest.raises(InvalidHeader):
        TransportAdapter(pool=connections, max_bytes=9, private_network=True).send(request)


@pytest.mark.parametrize("cause", [gevent.Timeout, gevent.GreenletExit])
@pytest.mark.parametrize("behaviour", ["silence", "half a head", "half a body"])
def test_whatever_ends_a_read_its_connection_is_closed(
    site: Origin, connections: ConnectionPool, cause: type[BaseException], behaviour: str
) -> None:
    sent = {
        "silence": b"",
        "half a head": b"HTTP/1.1 200",
        "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    }
    closed: list[bytes] = []

    def begin(connection: ssl.SSLSocket, _request: object) -> None:
        connection.sendall(sent[behaviour])
        closed.append(connection.recv(1))

    site.pages["/"] = begin  # type: ignore[assignment]  # over plain HTTP it is a socket, which receives as well
    request = requests.PreparedRequest()
    request.prepare(method="GET", url=site.url)
    transport = TransportAdapter(pool=connections, max_bytes=100, private_network=True)

    def read() -> bytes:
        body: bytes = transport.send(request, stream=True).raw.read()
        return body

    reading = gevent.spawn(read)
    while not site.requests:
        gevent.sleep(0.001)
    gevent.sleep(0.02)
    reading.kill(cause())
    until = time.monotonic() + 5
    while not closed and time.monotonic() < until:
        gevent.sleep(0.001)
    assert closed == [b""]


def test_a_body_may_have_max_bytes(site: Origin, session: requests.Session) -> None:
    site.pages["/page"] = page(bytes(100_000))
    site.pages["/more"] = page(bytes(100_001))
    assert len(session.get(f"{site.url}/page").content) == 100_000
    with pytest.raises(InvalidResponse, match="more than 100000 bytes"):
        session.get(f"{site.url}/more")
