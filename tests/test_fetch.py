"""A page within its limits, or a domain error: against a real origin that misbehaves."""

import gzip
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from app.errors import Blocked, LookupFailed, NoSuchItem, OriginFailed, Throttled, TooSlow
from app.origin.fetch import Fetcher
from app.origin.gate import Gate
from app.origin.page import Page, Validators
from app.source import HostPattern, PageUrl, Pattern, Rule, Source, Timeout
from tests.origin import Hold, Origin, Request, cover, page, raw, redirect

#: Wed, 21 Oct 2015 07:28:00 GMT
WALL = 1_445_412_480.0


def source(origin: Origin, **keys: Any) -> Source:
    keys = {"timeout": Timeout(5), "retries": 0} | keys
    return Source(page_url=PageUrl(f"{origin.url}/{{id}}"), extract=[Rule(regex=Pattern("x"))], **keys)


def new_fetcher() -> Fetcher:
    return Fetcher(gate=Gate(9, clock=time.monotonic), user_agent="covers/1.0", pool_size=9, wall=lambda: WALL)


def fetch(origin: Origin, path: str = "/page", **keys: Any) -> Page:
    fetcher = new_fetcher()
    found = fetcher.fetch("shop", source(origin, **keys), origin.url + path, 9)
    assert found is not None
    return found


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode("latin-1")


def test_a_page_comes_with_its_final_url_and_charset(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/other")
    origin.pages["/other"] = page(
        "обложка".encode("cp1251"), headers={"Content-Type": "text/html; charset=Windows-1251"}
    )
    found = fetch(origin)
    assert (found.url, found.charset, found.body) == (f"{origin.url}/other", "Windows-1251", "обложка".encode("cp1251"))


def test_the_request_says_who_asks_and_nothing_of_the_environment(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", __file__)
    origin.pages["/page"] = cover()
    fetch(origin, headers={"X-Shop": "yes"})
    assert origin.requests[0].headers == {
        "host": f"127.0.0.1:{origin.port}",
        "user-agent": "covers/1.0",
        "accept": "*/*",
        "accept-encoding": "gzip",
        "x-shop": "yes",
    }


def test_cookies_are_neither_kept_nor_sent(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/other")
    origin.pages["/other"] = page("x", headers={"Set-Cookie": "a=b"})
    fetcher = new_fetcher()
    for _ in range(2):
        fetcher.fetch("shop", source(origin), f"{origin.url}/page", 9)
    assert not any("cookie" in request.headers for request in origin.requests)


def test_connections_are_kept(origin: Origin) -> None:
    origin.pages["/page"] = cover()
    fetcher = new_fetcher()
    for _ in range(5):
        fetcher.fetch("shop", source(origin), f"{origin.url}/page", 9)
    assert origin.connections == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", NoSuchItem),
        ("410 Gone", NoSuchItem),
        ("401 Unauthorized", Blocked),
        ("403 Forbidden", Blocked),
        ("451 Unavailable For Legal Reasons", Blocked),
        ("429 Too Many Requests", Throttled),
        ("400 Bad Request", OriginFailed),
        ("204 No Content", OriginFailed),
        ("304 Not Modified", OriginFailed),
        ("300 Multiple Choices", OriginFailed),
        ("500 Internal Server Error", OriginFailed),
        ("503 Service Unavailable", OriginFailed),
    ],
)
def test_a_status_is_a_reason(origin: Origin, status: str, error: type[LookupFailed]) -> None:
    origin.pages["/page"] = page("", status=status)
    with pytest.raises(error, match=f"answered {status}") as caught:
        fetch(origin)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [
        ("429 Slow Down", "4", 4),
        ("503 Busy", "120", 120),
        ("429 Slow Down", "Wed, 21 Oct 2015 07:29:30 GMT", 90),
        ("429 Slow Down", "Wed, 21 Oct 2015 07:00:00 GMT", 0),
        ("429 Slow Down", "99999999", 86_400),
        ("429 Slow Down", "soon", 0),
        ("429 Slow Down", "-4", 0),
        ("429 Slow Down", "", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(origin: Origin, status: str, retry_after: str, seconds: float) -> None:
    origin.pages["/page"] = page("", status=status, headers={"Retry-After": retry_after})
    with pytest.raises(Throttled) as caught:
        fetch(origin)
    assert caught.value.retry_after == seconds


def test_connection_failures_and_5xx_are_tried_again(origin: Origin) -> None:
    answers = iter([raw(), page("", status="500 Oops"), page("there")])

    def one_after_the_other(connection: socket.socket, request: Request) -> None:
        next(answers)(connection, request)

    origin.pages["/page"] = one_after_the_other
    assert fetch(origin, retries=2).body == b"there"


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "429 Too Many Requests", "400 Bad Request"])
def test_nothing_else_is_tried_again(origin: Origin, status: str) -> None:
    origin.pages["/page"] = page("", status=status)
    with pytest.raises(LookupFailed):
        fetch(origin, retries=3)
    assert len(origin.requests) == 1


def test_retries_end(origin: Origin) -> None:
    origin.pages["/page"] = page("", status="500 Oops")
    with pytest.raises(OriginFailed, match="500 Oops"):
        fetch(origin, retries=2)
    assert len(origin.requests) == 3


def test_gzip_is_read(origin: Origin) -> None:
    origin.pages["/page"] = page(gzip.compress(b"there"), headers={"Content-Encoding": "gzip"})
    assert fetch(origin).body == b"there"


def test_chunked_is_read(origin: Origin) -> None:
    origin.pages["/page"] = raw(head("Transfer-Encoding: chunked"), b"3\r\nthe\r\n2\r\nre\r\n0\r\n\r\n")
    assert fetch(origin).body == b"there"


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_page_may_have_max_page_bytes_after_decompression(origin: Origin, size: int, encoding: str) -> None:
    body = b"x" * size
    headers = {"Content-Encoding": encoding} if encoding else {}
    origin.pages["/page"] = page(gzip.compress(body) if encoding else body, headers=headers)
    if size <= 1000:
        assert fetch(origin, max_page=1000).body == body
    else:
        with pytest.raises(OriginFailed, match="a page of more than 1000 bytes"):
            fetch(origin, max_page=1000)


def endless(connection: socket.socket, _request: Request) -> None:
    connection.sendall(head("Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


BOMB = gzip.compress(bytes(200_000_000), compresslevel=9)

BROKEN: dict[str, tuple[Callable[[socket.socket, Request], None], str]] = {
    "closed before an answer": (raw(), "closed"),
    "garbage": (raw(b"\x16\x03\x01garbage\r\n\r\n"), "not HTTP"),
    "a reason that is no text": (page("", status="500 \x1b[31mred\x07"), "answered 500 ?[31mred?"),
    "a body cut short": (raw(head("Content-Length: 100"), b"half"), "breaks off in the middle"),
    "a chunk cut short": (raw(head("Transfer-Encoding: chunked"), b"64\r\nhalf"), ""),
    "no last chunk": (raw(head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n"), "breaks off in the middle"),
    "a broken chunk": (raw(head("Transfer-Encoding: chunked"), b"zz\r\nhalf\r\n"), "broken chunks"),
    "two codings": (raw(head("Transfer-Encoding: gzip, chunked"), b"0\r\n\r\n"), "not asked for: 'gzip, chunked'"),
    "a redirect with a user": (redirect("http://a:b@127.0.0.1/"), "not allowed"),
    "no length": (page("whole?", length=False), "without a length"),
    "a length that is none": (raw(head("Content-Length: many"), b"body"), "without a length"),
    "500 headers": (raw(head(*(f"X-{number}: 1" for number in range(500)))), "headers"),
    "a header without end": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), "header"),
    "an endless body": (endless, "more than 100000 bytes"),
    "a bomb": (page(BOMB, headers={"Content-Encoding": "gzip"}), "more than 100000 bytes"),
    "no gzip": (page("plain", headers={"Content-Encoding": "gzip"}), "not the gzip it claims"),
    "half a gzip": (page(gzip.compress(b"there")[:-4], headers={"Content-Encoding": "gzip"}), "middle of its gzip"),
    "gzip twice": (page("", headers={"Content-Encoding": "gzip, gzip"}), "not asked for: 'gzip, gzip'"),
    "deflate": (page(zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}), "not asked for: 'deflate'"),
    "redirects without end": (redirect("/page"), "redirects more than 5 times"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "redirects to 'file:///etc/passwd', which is not allowed"),
    "a redirect to another host": (redirect("http://other.example/"), "not allowed"),
    "a redirect to another port": (redirect("http://127.0.0.1:1/"), "not allowed"),
    "a redirect to nowhere": (redirect("http://[::1"), "not allowed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_page_is_the_origins_failure(origin: Origin, name: str) -> None:
    """With one clear line that names the host."""
    origin.pages["/page"], text = BROKEN[name]
    with pytest.raises(OriginFailed) as caught:
        fetch(origin, max_page=100_000)
    assert str(caught.value).startswith(f"127.0.0.1:{origin.port}")
    assert text in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_redirects_body_is_not_read(origin: Origin) -> None:
    """An endless one holds nothing up."""

    def lead_on(connection: socket.socket, request: Request) -> None:
        connection.sendall(head("Location: /other", "Transfer-Encoding: chunked", status="302 Found"))
        endless(connection, request)

    origin.pages["/page"] = lead_on
    origin.pages["/other"] = page("there")
    assert fetch(origin).body == b"there"


def test_a_redirect_may_lead_to_an_allowed_host(origin: Origin) -> None:
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    assert fetch(origin, allowed_hosts=[HostPattern("localhost")]).body == b"there"


def test_nobody_listening_is_said(origin: Origin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    origin.port = port
    with pytest.raises(OriginFailed, match=f"127.0.0.1:{port}: .*Connection refused"):
        fetch(origin)


def test_a_name_that_does_not_resolve_is_said(origin: Origin) -> None:
    fetcher = new_fetcher()
    with pytest.raises(OriginFailed, match=r"^nosuch\.invalid: "):
        fetcher.fetch("shop", source(origin), "http://nosuch.invalid/", 9)


def drip(connection: socket.socket, _request: Request) -> None:
    connection.sendall(head("Content-Length: 100000"))
    while True:
        connection.sendall(b"x")
        gevent.sleep(0.01)


@pytest.mark.parametrize("behaviour", [Hold(page("late")), drip], ids=["silence", "drips"])
def test_a_page_has_a_total_time(origin: Origin, behaviour: Callable[[socket.socket, Request], None]) -> None:
    origin.pages["/page"] = behaviour
    with pytest.raises(TooSlow, match=r"took longer than 0\.2 seconds"):
        fetch(origin, timeout=Timeout(0.2), retries=3)
    assert len(origin.requests) == 1


def test_a_timer_of_the_callers_own_is_not_mistaken_for_the_pages(origin: Origin) -> None:
    origin.pages["/page"] = Hold(page("late"))
    mine = gevent.Timeout(0.1)
    with pytest.raises(gevent.Timeout) as caught, mine:
        fetch(origin)
    assert caught.value is mine


def test_others_run_while_a_fast_page_is_read(origin: Origin) -> None:
    """A peer that never makes the socket wait must not keep the hub."""
    origin.pages["/page"] = page(b"x" * 20_000_000)
    fetching = gevent.spawn(fetch, origin, max_page=30_000_000)
    turns = 0
    while not fetching.ready():
        gevent.sleep(0)
        turns += 1
    assert len(fetching.get().body) == 20_000_000
    assert turns > 100


VALIDATORS = Validators(etag='W/"a"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")


def ask_again(origin: Origin, validators: Validators | None) -> Page | None:
    fetcher = new_fetcher()
    return fetcher.fetch("shop", source(origin), f"{origin.url}/page", 9, validators)


def test_a_page_comes_with_its_validators(origin: Origin) -> None:
    origin.pages["/page"] = page("x", headers={"ETag": VALIDATORS.etag, "Last-Modified": VALIDATORS.last_modified})
    assert fetch(origin).validators == VALIDATORS


def test_a_validator_that_cannot_be_sent_back_is_none(origin: Origin) -> None:
    origin.pages["/page"] = page("x", headers={"ETag": '"\xe9"', "Last-Modified": "x" * 300})
    assert fetch(origin).validators == Validators()


def test_a_page_is_asked_for_on_the_condition_that_it_changed(origin: Origin) -> None:
    origin.pages["/page"] = page("", status="304 Not Modified")
    assert ask_again(origin, VALIDATORS) is None
    headers = origin.requests[0].headers
    assert headers["if-none-match"] == VALIDATORS.etag
    assert headers["if-modified-since"] == VALIDATORS.last_modified


def test_a_page_that_changed_comes_whole(origin: Origin) -> None:
    origin.pages["/page"] = page("new")
    found = ask_again(origin, VALIDATORS)
    assert found is not None
    assert found.body == b"new"


@pytest.mark.parametrize("validators", [None, Validators()])
def test_a_304_that_was_not_asked_for_is_a_failure(origin: Origin, validators: Validators | None) -> None:
    origin.pages["/page"] = page("", status="304 Not Modified")
    with pytest.raises(OriginFailed):
        ask_again(origin, validators)


def test_a_source_s_headers_do_not_go_to_another_host(origin: Origin) -> None:
    """They may be its keys."""
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    fetch(origin, allowed_hosts=[HostPattern("localhost")], headers={"Authorization": "Bearer secret"})
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


def test_a_chunked_page_gives_its_connection_back(origin: Origin) -> None:
    answer = head("Transfer-Encoding: chunked") + b"3\r\nthe\r\n2\r\nre\r\n0\r\n\r\n"
    origin.pages["/page"] = lambda connection, _request: connection.sendall(answer)
    fetcher = new_fetcher()
    for _ in range(3):
        assert fetcher.fetch("shop", source(origin), f"{origin.url}/page", 9) is not None
    assert origin.connections == 1


def test_an_id_names_no_other_host_than_is_allowed(origin: Origin) -> None:
    """Whom we call is the operator's to say, not the caller's."""
    origin.pages["/"] = page("there")
    any_page = Source(
        page_url=PageUrl("http://{id}/"), extract=[Rule(regex=Pattern("x"))], allowed_hosts=[HostPattern("localhost")]
    )
    fetcher = new_fetcher()
    assert fetcher.fetch("page", any_page, f"http://localhost:{origin.port}/", 9) is not None
    with pytest.raises(OriginFailed, match="none of the hosts that page may name"):
        fetcher.fetch("page", any_page, f"{origin.url}/", 9)
    assert len(origin.requests) == 1


def test_a_304_gives_its_connection_back(origin: Origin) -> None:
    answer = head('ETag: "a"', status="304 Not Modified")
    origin.pages["/page"] = lambda connection, _request: connection.sendall(answer)
    fetcher = new_fetcher()
    for _ in range(3):
        assert fetcher.fetch("shop", source(origin), f"{origin.url}/page", 9, VALIDATORS) is None
    assert origin.connections == 1
