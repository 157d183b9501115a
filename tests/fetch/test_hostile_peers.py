"""Hostile and broken servers, over HTTP and HTTPS: each request ends, with one clear error."""

import contextlib
import os
import socket

import gevent
import pytest

from app.domain.errors import LookupFailed, NoSuchItem, OriginDown, OriginFailed, Throttled, TooSlow
from app.fetch.page_fetcher import PageFetcher
from app.fetch.request_timer import RequestTimer
from tests.fetch.sources import source_at
from tests.support.scripted_origin import Behaviour, Origin, Request, cover, page, raw, redirect, reset

OK = b"HTTP/1.1 200 OK\r\n"


def silent(connection: socket.socket, _request: Request) -> None:
    connection.recv(1)


def dripping(start: bytes, drop: bytes) -> Behaviour:
    def drip(connection: socket.socket, _request: Request) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            gevent.sleep(0.005)

    return drip


def fetch(fetcher: PageFetcher, site: Origin, behaviour: Behaviour, *, timeout: float = 5) -> bytes:
    site.pages["/page"] = behaviour
    fetched = fetcher.fetch(source_at(site.url, max_page=100_000), f"{site.url}/page", timer=RequestTimer(timeout))
    assert fetched is not None
    return fetched.body


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        dripping(b"", b"\r\n"),
        dripping(OK + b"X: ", b"x"),
        dripping(OK, b"X: 1\r\n"),
        dripping(b"HTTP/1.1 100 Continue\r\n", b"X: 1\r\n"),
        dripping(OK + b"Content-Length: 9000\r\n\r\n", b"x"),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x"),
        dripping(OK + b"Content-Encoding: gzip\r\nContent-Length: 9000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"x"),
    ],
    ids=["silence", "blank", "field", "fields", "interim", "body", "chunks", "extension", "trailer", "gzip"],
)
def test_a_timeout_ends_a_slow_response(fetcher: PageFetcher, site: Origin, behaviour: Behaviour) -> None:
    with pytest.raises(TooSlow, match=r"^127\.0\.0\.1:\d+ took longer than 0\.1 seconds$"):
        fetch(fetcher, site, behaviour, timeout=0.1)


def test_a_redirect_loop_ends_after_five_redirects(fetcher: PageFetcher, site: Origin) -> None:
    with pytest.raises(OriginFailed, match="redirects more than 5 times") as caught:
        fetch(fetcher, site, redirect("/page"))
    assert caught.value.status == 302
    assert len(site.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        *(
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "data:text/html,x",
            "javascript:x",
            "//other.example/",
            "gopher://x",
        ),
        *(
            "http://169.254.169.254/latest/meta-data",
            "http://2130706433/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1]/",
        ),
        *("http://localhost/", "http://127.0.0.1.other.example/", "http://user@127.0.0.1/", "https://127.0.0.1:1/"),
        *(
            "http://127.0.0.1:99999/",
            "http:///x",
            "http://[",
            "\\\\other.example\\x",
            "http:\\\\other.example",
        ),
    ],
)
def test_a_redirect_to_another_host_or_scheme_is_not_followed(
    fetcher: PageFetcher, site: Origin, location: str
) -> None:
    with pytest.raises((OriginFailed, NoSuchItem)) as caught:
        fetch(fetcher, site, redirect(location))
    # urljoin treats backslashes as part of a path on the same host.
    assert "not allowed" in str(caught.value) or len(site.requests) == 2


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"Content-Length: 100\r\n\r\nshort", OriginDown),
        (b"Content-Length: 3\r\n\r\nlonger", OriginFailed),
        (b"Content-Length: 3\r\n\r\nexaHTTP/1.1 200 OK\r\n", OriginFailed),
        (b"\r\nmissing", OriginFailed),
        (b"Content-Length: -1\r\n\r\nx", OriginFailed),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", OriginFailed),
        (b"Content-Length: 1, 1\r\n\r\nx", OriginFailed),
        (b"Content-Length: " + b"1" * 5000 + b"\r\n\r\nx", OriginFailed),
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", OriginFailed),
        (b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n", OriginFailed),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nx", OriginDown),
    ],
)
def test_a_wrong_length_is_an_error(
    fetcher: PageFetcher, site: Origin, response: bytes, error: type[LookupFailed]
) -> None:
    with pytest.raises(error) as caught:
        fetch(fetcher, site, raw(OK + response))
    assert type(caught.value) is error


@pytest.mark.parametrize(("retry_after", "seconds"), [("99999", 86_400), ("soon", 0), ("4", 4)])
def test_retry_after_is_reported_and_not_slept(
    fetcher: PageFetcher, site: Origin, retry_after: str, seconds: float
) -> None:
    with pytest.raises(Throttled) as caught:
        fetch(fetcher, site, page("", status="429 Slow Down", headers={"Retry-After": retry_after}), timeout=1)
    assert caught.value.retry_after == seconds
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (raw(b"garbage\r\n\r\n"), OriginFailed),
        (raw(b"\x15\x03\x01\x00\x02\x02\x46"), OriginFailed),
        (raw(), OriginDown),
        (reset, OriginDown),
        (raw(OK + b"".join(b"X-%d: 1\r\n" % number for number in range(500)) + b"\r\n"), OriginFailed),
    ],
    ids=["garbage", "an alert", "closed", "reset", "500 headers"],
)
def test_an_invalid_response_is_an_error_of_one_line(
    fetcher: PageFetcher, site: Origin, behaviour: Behaviour, error: type[LookupFailed]
) -> None:
    with pytest.raises(error) as caught:
        fetch(fetcher, site, behaviour)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"127.0.0.1:{site.port}: ")
    assert str(caught.value).isprintable()


def test_a_server_that_is_silent_in_the_tls_handshake_is_too_slow(fetcher: PageFetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TooSlow):
            fetcher.fetch(source_at(url), f"{url}/page", timer=RequestTimer(0.05))


def test_netrc_and_proxy_variables_are_ignored(
    fetcher: PageFetcher, site: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(fetcher, site, page("there")) == b"there"
    assert "authorization" not in site.requests[0].headers


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number is needed


def test_no_connection_stays_open_after_many_failures(fetcher: PageFetcher, site: Origin) -> None:
    """The responses are valid, invalid and slow, and greenlets are killed at arbitrary moments."""
    behaviours: list[Behaviour] = [
        cover(),
        raw(),
        reset,
        raw(b"garbage"),
        page("", status="404 Not Found"),
        redirect("/page"),
        dripping(OK, b"X: 1\r\n"),
        dripping(OK + b"Content-Length: 9000\r\n\r\n", b"x"),
        raw(OK + b"Content-Length: 100\r\n\r\nshort"),
        raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"),
    ]
    for number, behaviour in enumerate(behaviours):
        site.pages[f"/{number}"] = behaviour
    source = source_at(site.url)

    def fetch_page(number: int) -> None:
        with contextlib.suppress(LookupFailed):
            fetcher.fetch(source, f"{site.url}/{number % len(behaviours)}", timer=RequestTimer(0.05))

    def fetch_many() -> int:
        greenlets = [gevent.spawn(fetch_page, number) for number in range(60)]
        for number, greenlet in enumerate(greenlets):
            if number % 3 == 0:
                gevent.spawn_later(number / 2000, greenlet.kill)
        gevent.joinall(greenlets, raise_error=True)
        fetcher._pool.close()
        while site.in_progress:
            gevent.sleep(0.01)
        gevent.sleep(0.01)
        return open_files()

    before = fetch_many()
    assert max(fetch_many() for _ in range(3)) <= before
