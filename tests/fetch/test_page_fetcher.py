"""A page within its limits, or a domain error: against a real origin that misbehaves."""

import gzip
import os
import socket
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import pytest

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Regex, Rule
from app.config.source import Headers, Source
from app.config.url_templates import HostPattern, PageUrlTemplate
from app.domain.errors import Blocked, LookupFailed, NoSuchItem, OriginDown, OriginFailed, Throttled, TooSlow
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from tests.support.scripted_origin import Barrier, Origin, Request, chunked, cover, page, raw, redirect, reset

#: Wed, 21 Oct 2015 07:28:00 GMT
WALL = 1_445_412_480.0


def source(origin: Origin, **keys: Any) -> Source:
    keys = {"private_network": True} | keys
    return Source(page_url=PageUrlTemplate(f"{origin.url}/{{id}}"), extract=[Rule(regex=Regex("x"))], **keys)


def new_fetcher() -> PageFetcher:
    return PageFetcher(user_agent="covers/1.0", wall_clock=lambda: WALL)


def fetch(origin: Origin, path: str = "/page", *, timeout: float = 5, **keys: Any) -> Page:
    found = new_fetcher().fetch(source(origin, **keys), origin.url + path, timeout=timeout)
    assert found is not None
    return found


def fetch_beginning(origin: Origin, path: str = "/page", *, size: int = 100, **keys: Any) -> Page:
    return new_fetcher().fetch_prefix(source(origin, **keys), origin.url + path, timeout=5, size=size)


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
        fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5)
    assert not any("cookie" in request.headers for request in origin.requests)


def test_connections_are_kept(origin: Origin) -> None:
    origin.pages["/page"] = cover()
    fetcher = new_fetcher()
    for _ in range(5):
        fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5)
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
        ("418 I'm a teapot", OriginFailed),
        ("500 Internal Server Error", OriginDown),
        ("503 Service Unavailable", OriginDown),
        ("599 ", OriginDown),
    ],
)
def test_a_status_is_a_reason(origin: Origin, status: str, error: type[LookupFailed]) -> None:
    origin.pages["/page"] = page("", status=status)
    with pytest.raises(error, match=f"answered {status}".rstrip()) as caught:
        fetch(origin)
    assert type(caught.value) is error
    assert str(caught.value).isprintable()
    assert caught.value.status == int(status[:3])


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
        ("429 Slow Down", "9" * 5000, 86_400),
        ("429 Slow Down", "\xb2", 0),
        ("429 Slow Down", "Wed, 21 Oct 99999 07:29:30 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(origin: Origin, status: str, retry_after: str, seconds: float) -> None:
    origin.pages["/page"] = page("", status=status, headers={"Retry-After": retry_after})
    with pytest.raises(Throttled) as caught:
        fetch(origin)
    assert caught.value.retry_after == seconds


def test_an_answer_is_asked_for_once(origin: Origin) -> None:
    """Further tries are the caller's."""
    origin.pages["/page"] = page("", status="500 Oops")
    with pytest.raises(OriginDown):
        fetch(origin)
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("sign", "error"),
    [("throttled", Throttled), ("blocked", Blocked), ("not_found", NoSuchItem), ("failed", OriginFailed)],
)
@pytest.mark.parametrize("status", [204, 302, 304, 401, 404, 429, 500])
def test_a_source_may_say_what_a_status_stands_for(
    origin: Origin, status: int, sign: str, error: type[LookupFailed]
) -> None:
    origin.pages["/page"] = page("", status=f"{status} Says", headers={"Retry-After": "4", "Location": "/"})
    signed = source(origin, **{sign: ResponsePatterns([ResponsePattern(status=status)])})
    with pytest.raises(error, match=f"answered {status} Says") as caught:
        new_fetcher().fetch(signed, f"{origin.url}/page", timeout=5)
    assert caught.value.status == status
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == 4


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
        with pytest.raises(OriginFailed, match="the page has more than 1000 bytes"):
            fetch(origin, max_page=1000)


def endless(connection: socket.socket, _request: Request) -> None:
    connection.sendall(head("Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


BROKEN: dict[str, tuple[Callable[[socket.socket, Request], None], str]] = {
    "garbage": (raw(b"\x16\x03\x01garbage\r\n\r\n"), "not HTTP"),
    "a broken chunk": (raw(head("Transfer-Encoding: chunked"), b"zz\r\nhalf\r\n"), "invalid chunks"),
    "a chunk of minus one": (raw(head("Transfer-Encoding: chunked"), b"-1\r\nhalf\r\n"), "invalid chunks"),
    "two codings": (
        raw(head("Transfer-Encoding: gzip, chunked"), b"0\r\n\r\n"),
        "unsupported transfer coding: 'gzip, chunked'",
    ),
    "a redirect with a user": (redirect("http://a:b@127.0.0.1/"), "not allowed"),
    "no length": (page("whole?", length=False), "has no length"),
    "a length that is none": (raw(head("Content-Length: many"), b"body"), "Content-Length"),
    "a length below zero": (raw(head("Content-Length: -1"), b"body"), "Content-Length"),
    "a length of 5,000 digits": (raw(head(f"Content-Length: {'9' * 5000}"), b"body"), "Content-Length"),
    "two lengths": (raw(head("Content-Length: 4", "Content-Length: 4"), b"body"), "Content-Length"),
    "a list of lengths": (raw(head("Content-Length: 4, 4"), b"body"), "Content-Length"),
    "both lengths": (raw(head("Content-Length: 4", "Transfer-Encoding: chunked"), b"body"), "Transfer-Encoding"),
    "another protocol": (raw(head(status="101 Switching Protocols")), "status 101"),
    "500 headers": (raw(head(*(f"X-{number}: 1" for number in range(500)))), "header fields"),
    "a header without end": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), "header"),
    "an endless body": (endless, "more than 100000 bytes"),
    "no gzip": (page("plain", headers={"Content-Encoding": "gzip"}), "gzip data of the page is invalid"),
    "half a gzip": (
        page(gzip.compress(b"there")[:-4], headers={"Content-Encoding": "gzip"}),
        "gzip data of the page is truncated",
    ),
    "gzip twice": (page("", headers={"Content-Encoding": "gzip, gzip"}), "unsupported content encoding: 'gzip, gzip'"),
    "deflate": (
        page(zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
        "unsupported content encoding: 'deflate'",
    ),
    "redirects without end": (redirect("/page"), "redirects more than 5 times"),
    "a redirect that is too long": (redirect("/" + "x" * 9000), "not allowed"),
    "a redirect that gets too long": (redirect("/" + "\xff" * 2000), "not allowed"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "redirects to 'file:///etc/passwd', which is not allowed"),
    "a redirect to another host": (redirect("http://other.example/"), "not allowed"),
    "a redirect to another port": (redirect("http://127.0.0.1:1/"), "not allowed"),
    "a redirect to nowhere": (redirect("http://[::1"), "not allowed"),
    "a redirect with a port that is none": (redirect("http://127.0.0.1:x/"), "not allowed"),
    "a redirect to a host in disguise": (redirect("http://loc%61lhost/"), "not allowed"),
    "a redirect into two hosts": (redirect("http://127.0.0.1\\@other.example/"), "not allowed"),
}

DOWN: dict[str, tuple[Callable[[socket.socket, Request], None], str]] = {
    "closed before an answer": (raw(), "closed without a response"),
    "reset before an answer": (reset, "reset by peer"),
    "closed within the head": (raw(b"HTTP/1.1 200 OK\r\n"), "closed in the middle"),
    "a reason that is no text": (page("", status="500 \x1b[31mred\x07"), "answered 500 ?[31mred?"),
    "a body cut short": (raw(head("Content-Length: 100"), b"half"), "closed in the middle"),
    "a chunk cut short": (raw(head("Transfer-Encoding: chunked"), b"64\r\nhalf"), "closed in the middle"),
    "no last chunk": (raw(head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n"), "closed in the middle"),
    "no end of the trailer": (raw(head("Transfer-Encoding: chunked"), b"0\r\nX: 1\r\n"), "closed in the middle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_page_is_the_origins_failure(origin: Origin, name: str) -> None:
    """With one clear line that names the host, and no word of another try."""
    origin.pages["/page"], text = BROKEN[name]
    with pytest.raises(OriginFailed) as caught:
        fetch(origin, max_page=100_000)
    assert type(caught.value) is OriginFailed
    assert_clear(origin, caught.value, text)


@pytest.mark.parametrize("name", DOWN)
def test_what_breaks_off_may_be_over_at_the_next_try(origin: Origin, name: str) -> None:
    origin.pages["/page"], text = DOWN[name]
    with pytest.raises(OriginDown) as caught:
        fetch(origin)
    assert_clear(origin, caught.value, text)


def assert_clear(origin: Origin, error: LookupFailed, text: str) -> None:
    assert str(error).startswith(f"127.0.0.1:{origin.port}")
    assert text in str(error)
    assert str(error).isprintable()


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
    with pytest.raises(OriginDown, match=f"127.0.0.1:{port}: Connection refused"):
        fetch(origin)


def test_a_name_that_does_not_resolve_is_said(origin: Origin) -> None:
    fetcher = new_fetcher()
    with pytest.raises(OriginDown, match=r"^nosuch\.invalid: [^\n]+$"):
        fetcher.fetch(source(origin), "http://nosuch.invalid/", timeout=5)


def drip(connection: socket.socket, _request: Request) -> None:
    connection.sendall(head("Content-Length: 100000"))
    while True:
        connection.sendall(b"x")
        gevent.sleep(0.01)


@pytest.mark.parametrize("behaviour", [Barrier(page("late")), drip], ids=["silence", "drips"])
def test_a_page_has_a_total_time(origin: Origin, behaviour: Callable[[socket.socket, Request], None]) -> None:
    origin.pages["/page"] = behaviour
    with pytest.raises(TooSlow, match=r"took longer than 0\.2 seconds"):
        fetch(origin, timeout=0.2)
    assert len(origin.requests) == 1


def test_a_timer_of_the_callers_own_is_not_mistaken_for_the_pages(origin: Origin) -> None:
    origin.pages["/page"] = Barrier(page("late"))
    mine = gevent.Timeout(0.1)
    with pytest.raises(gevent.Timeout) as caught, mine:
        fetch(origin)
    assert caught.value is mine


def test_others_run_while_a_fast_page_is_read(origin: Origin) -> None:
    """A peer that never makes the socket wait must not keep the hub."""
    origin.pages["/page"] = page(b"x" * 4_000_000)
    fetching = gevent.spawn(fetch, origin, max_page=5_000_000)
    turns = 0
    while not fetching.ready():
        gevent.sleep(0)
        turns += 1
    assert len(fetching.get().body) == 4_000_000
    assert turns > 20


VALIDATORS = Validators(etag='W/"a"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")


def ask_again(origin: Origin, validators: Validators | None) -> Page | None:
    fetcher = new_fetcher()
    return fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5, validators=validators)


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
        assert fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5) is not None
    assert origin.connections == 1


def naming_source(**keys: Any) -> Source:
    return Source(
        page_url=PageUrlTemplate("http://{id}/"),
        extract=[Rule(regex=Regex("x"))],
        allowed_hosts=[HostPattern("localhost")],
        private_network=True,
        **keys,
    )


def test_an_id_names_no_other_host_than_is_allowed(origin: Origin) -> None:
    """Whom we call is the operator's to say, not the caller's."""
    origin.pages["/"] = page("there")
    fetcher = new_fetcher()
    assert fetcher.fetch(naming_source(), f"http://localhost:{origin.port}/", timeout=5) is not None
    for host in ("127.0.0.1", "localhost.evil.example", "localhost@127.0.0.1", "[::1]", "loc%61lhost"):
        with pytest.raises(OriginFailed):
            fetcher.fetch(naming_source(), f"http://{host}:{origin.port}/", timeout=5)
    assert len(origin.requests) == 1


def test_the_headers_of_a_source_go_to_the_host_that_the_id_names_and_to_no_other(origin: Origin) -> None:
    headers = Headers(Authorization="Bearer secret")
    origin.pages["/"] = redirect(f"http://127.0.0.1:{origin.port}/other")
    origin.pages["/other"] = page("there")
    anywhere = naming_source(headers=headers)
    anywhere = msgspec.structs.replace(anywhere, allowed_hosts=[HostPattern("localhost"), HostPattern("127.0.0.1")])
    new_fetcher().fetch(anywhere, f"http://localhost:{origin.port}/", timeout=5)
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


def test_a_304_gives_its_connection_back(origin: Origin) -> None:
    answer = head('ETag: "a"', status="304 Not Modified")
    origin.pages["/page"] = lambda connection, _request: connection.sendall(answer)
    fetcher = new_fetcher()
    for _ in range(3):
        assert fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5, validators=VALIDATORS) is None
    assert origin.connections == 1


@pytest.mark.parametrize("behaviour", [page("gone", status="404 Not Found"), redirect("/there", body=b"moved")])
def test_an_answer_that_has_come_whole_keeps_its_connection(
    origin: Origin, behaviour: Callable[[socket.socket, Request], None]
) -> None:
    origin.pages["/page"] = behaviour
    origin.pages["/there"] = page("", status="404 Not Found")
    fetcher = new_fetcher()
    for _ in range(3):
        with pytest.raises(NoSuchItem):
            fetcher.fetch(source(origin), f"{origin.url}/page", timeout=5)
    assert origin.connections == 1


def test_a_redirect_may_be_in_other_letters_than_ascii(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/обложка d?ю=1#x".encode().decode("latin-1"))
    origin.pages["/%D0%BE%D0%B1%D0%BB%D0%BE%D0%B6%D0%BA%D0%B0%20d?%D1%8E=1"] = page("there")
    assert fetch(origin).body == b"there"


def test_a_redirects_host_is_judged_as_it_will_be_dialled(origin: Origin) -> None:
    """Letters that look like others are those others once they are encoded."""
    origin.pages["/page"] = redirect(f"http://\uff4cocalhost:{origin.port}/other".encode().decode("latin-1"))
    origin.pages["/other"] = page("there")
    with pytest.raises(OriginFailed, match="not allowed"):
        fetch(origin)
    assert fetch(origin, allowed_hosts=[HostPattern("localhost")]).url == f"http://localhost:{origin.port}/other"


def test_a_redirect_may_lead_to_a_host_in_other_letters(origin: Origin) -> None:
    """It is asked for under the name that it has in the DNS (RFC 5891)."""
    origin.pages["/page"] = redirect("http://bücher.invalid/".encode().decode("latin-1"))
    with pytest.raises(OriginDown, match=r"^xn--bcher-kva\.invalid: "):
        fetch(origin, allowed_hosts=[HostPattern("xn--bcher-kva.invalid")])


def test_a_private_address_is_refused_where_the_source_does_not_allow_it(origin: Origin) -> None:
    with pytest.raises(OriginFailed, match="a private address, which private_network does not allow") as caught:
        fetch(origin, private_network=False)
    assert type(caught.value) is OriginFailed
    assert not origin.requests


def test_of_a_beginning_no_more_is_read(origin: Origin) -> None:
    origin.pages["/page"] = endless
    found = fetch_beginning(origin, size=70_000)
    assert found.body == b"x" * 70_000


@pytest.mark.parametrize("size", [1, 4, 5, 6, 1_000_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_beginning_may_be_all_there_is(origin: Origin, size: int, encoding: str) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    origin.pages["/page"] = page(gzip.compress(b"there") if encoding else b"there", headers=headers)
    assert fetch_beginning(origin, size=size).body == b"there"[:size]


def test_a_beginning_comes_out_of_gzip_that_saves_nothing(origin: Origin) -> None:
    body = os.urandom(100_000)
    origin.pages["/page"] = page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert fetch_beginning(origin, size=100_000).body == body


def test_a_beginning_that_is_missing_is_said(origin: Origin) -> None:
    with pytest.raises(NoSuchItem):
        fetch_beginning(origin)


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", "nonsense", "http://a:b@127.0.0.1/x", "http://é..é/", ""])
def test_a_beginning_of_what_cannot_be_asked_for_is_a_failure(origin: Origin, url: str) -> None:
    with pytest.raises(OriginFailed):
        new_fetcher().fetch_prefix(source(origin), url, timeout=5, size=9)


@pytest.mark.parametrize(
    ("allowed", "is_reached"), [([], False), (["localhost"], True)], ids=["a stranger", "an allowed host"]
)
def test_a_beginning_may_be_anywhere_but_at_a_strangers_private_address(
    origin: Origin,
    allowed: list[str],
    is_reached: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    hosts = [HostPattern(host) for host in allowed]
    if is_reached:
        assert fetch_beginning(origin, allowed_hosts=hosts).body == b"there"
    else:
        with pytest.raises(OriginFailed, match=f"localhost:{origin.port}: it has a private address"):
            fetch_beginning(origin, allowed_hosts=hosts)


def test_a_beginning_is_asked_for_without_the_sources_headers_at_another_host(origin: Origin) -> None:
    origin.pages["/page"] = page("there")
    keyed = source(origin, headers=Headers(Authorization="Bearer secret"), allowed_hosts=[HostPattern("localhost")])
    for host in ("127.0.0.1", "localhost"):
        new_fetcher().fetch_prefix(keyed, f"http://{host}:{origin.port}/page", timeout=5, size=9)
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


def test_a_chunked_page_may_end_in_a_trailer(origin: Origin) -> None:
    origin.pages["/page"] = chunked(b"the", b"re", trailer=b"X-Sum: 1\r\n")
    assert fetch(origin).body == b"there"
