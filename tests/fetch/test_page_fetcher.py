"""The page fetcher against a real origin server that misbehaves: a page within its limits, or a domain error."""

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
from app.fetch.request_timer import RequestTimer
from tests.support.clock import ManualClock
from tests.support.scripted_origin import Barrier, Origin, Request, chunked, cover, page, raw, redirect, reset

#: Wed, 21 Oct 2015 07:28:00 GMT
NOW = 1_445_412_480.0


def source(origin: Origin, **keys: Any) -> Source:
    keys = {"private_network": True} | keys
    return Source(page_url=PageUrlTemplate(f"{origin.url}/{{id}}"), extract=[Rule(regex=Regex("x"))], **keys)


def new_fetcher() -> PageFetcher:
    return PageFetcher(user_agent="covers/1.0", wall_clock=lambda: NOW)


def fetch(origin: Origin, path: str = "/page", *, timeout: float = 5, **keys: Any) -> Page:
    fetched = new_fetcher().fetch(source(origin, **keys), origin.url + path, timer=RequestTimer(timeout))
    assert fetched is not None
    return fetched


def fetch_prefix(origin: Origin, path: str = "/page", *, size: int = 100, **keys: Any) -> Page:
    return new_fetcher().fetch_prefix(source(origin, **keys), origin.url + path, timer=RequestTimer(5), size=size)


def header(*lines: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode("latin-1")


def test_a_page_has_its_final_url_and_charset(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/other")
    origin.pages["/other"] = page(
        "обложка".encode("cp1251"), headers={"Content-Type": "text/html; charset=Windows-1251"}
    )
    fetched = fetch(origin)
    assert (fetched.url, fetched.charset, fetched.body) == (
        f"{origin.url}/other",
        "Windows-1251",
        "обложка".encode("cp1251"),
    )


def test_the_request_has_the_configured_headers_and_ignores_the_environment(
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


def test_cookies_are_neither_stored_nor_sent(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/other")
    origin.pages["/other"] = page("x", headers={"Set-Cookie": "a=b"})
    fetcher = new_fetcher()
    for _ in range(2):
        fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5))
    assert not any("cookie" in request.headers for request in origin.requests)


def test_connections_are_reused(origin: Origin) -> None:
    origin.pages["/page"] = cover()
    fetcher = new_fetcher()
    for _ in range(5):
        fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5))
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
def test_a_status_is_mapped_to_an_error(origin: Origin, status: str, error: type[LookupFailed]) -> None:
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


def test_an_error_is_not_retried(origin: Origin) -> None:
    """Retries are up to the caller."""
    origin.pages["/page"] = page("", status="500 Oops")
    with pytest.raises(OriginDown):
        fetch(origin)
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("key", "error"),
    [("throttled", Throttled), ("blocked", Blocked), ("not_found", NoSuchItem), ("failed", OriginFailed)],
)
@pytest.mark.parametrize("status", [204, 302, 304, 401, 404, 429, 500])
def test_a_response_pattern_of_the_source_overrides_the_status(
    origin: Origin, status: int, key: str, error: type[LookupFailed]
) -> None:
    origin.pages["/page"] = page("", status=f"{status} Reason", headers={"Retry-After": "4", "Location": "/"})
    patterned = source(origin, **{key: ResponsePatterns([ResponsePattern(status=status)])})
    with pytest.raises(error, match=f"answered {status} Reason") as caught:
        new_fetcher().fetch(patterned, f"{origin.url}/page", timer=RequestTimer(5))
    assert caught.value.status == status
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == 4


def test_gzip_is_decompressed(origin: Origin) -> None:
    origin.pages["/page"] = page(gzip.compress(b"there"), headers={"Content-Encoding": "gzip"})
    assert fetch(origin).body == b"there"


def test_a_chunked_body_is_read(origin: Origin) -> None:
    origin.pages["/page"] = raw(header("Transfer-Encoding: chunked"), b"3\r\nthe\r\n2\r\nre\r\n0\r\n\r\n")
    assert fetch(origin).body == b"there"


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_page_may_have_exactly_max_page_bytes_after_decompression(origin: Origin, size: int, encoding: str) -> None:
    body = b"x" * size
    headers = {"Content-Encoding": encoding} if encoding else {}
    origin.pages["/page"] = page(gzip.compress(body) if encoding else body, headers=headers)
    if size <= 1000:
        assert fetch(origin, max_page=1000).body == body
    else:
        with pytest.raises(OriginFailed, match="the page has more than 1000 bytes"):
            fetch(origin, max_page=1000)


def endless(connection: socket.socket, _request: Request) -> None:
    connection.sendall(header("Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


INVALID: dict[str, tuple[Callable[[socket.socket, Request], None], str]] = {
    "garbage": (raw(b"\x16\x03\x01garbage\r\n\r\n"), "not HTTP"),
    "an invalid chunk": (raw(header("Transfer-Encoding: chunked"), b"zz\r\nhalf\r\n"), "invalid chunks"),
    "a negative chunk size": (raw(header("Transfer-Encoding: chunked"), b"-1\r\nhalf\r\n"), "invalid chunks"),
    "two codings": (
        raw(header("Transfer-Encoding: gzip, chunked"), b"0\r\n\r\n"),
        "unsupported transfer coding: 'gzip, chunked'",
    ),
    "a redirect with a user name": (redirect("http://a:b@127.0.0.1/"), "not allowed"),
    "no length": (page("whole?", length=False), "has no length"),
    "a length that is not a number": (raw(header("Content-Length: many"), b"body"), "Content-Length"),
    "a negative length": (raw(header("Content-Length: -1"), b"body"), "Content-Length"),
    "a length of 5,000 digits": (raw(header(f"Content-Length: {'9' * 5000}"), b"body"), "Content-Length"),
    "two lengths": (raw(header("Content-Length: 4", "Content-Length: 4"), b"body"), "Content-Length"),
    "a list of lengths": (raw(header("Content-Length: 4, 4"), b"body"), "Content-Length"),
    "both lengths": (raw(header("Content-Length: 4", "Transfer-Encoding: chunked"), b"body"), "Transfer-Encoding"),
    "another protocol": (raw(header(status="101 Switching Protocols")), "status 101"),
    "500 headers": (raw(header(*(f"X-{number}: 1" for number in range(500)))), "header fields"),
    "an endless header": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), "header"),
    "an endless body": (endless, "more than 100000 bytes"),
    "not gzip": (page("plain", headers={"Content-Encoding": "gzip"}), "gzip data of the page is invalid"),
    "truncated gzip": (
        page(gzip.compress(b"there")[:-4], headers={"Content-Encoding": "gzip"}),
        "gzip data of the page is truncated",
    ),
    "gzip twice": (page("", headers={"Content-Encoding": "gzip, gzip"}), "unsupported content encoding: 'gzip, gzip'"),
    "deflate": (
        page(zlib.compress(b"x"), headers={"Content-Encoding": "deflate"}),
        "unsupported content encoding: 'deflate'",
    ),
    "a redirect loop": (redirect("/page"), "redirects more than 5 times"),
    "a redirect that is too long": (redirect("/" + "x" * 9000), "not allowed"),
    "a redirect that is too long after encoding": (redirect("/" + "\xff" * 2000), "not allowed"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "redirects to 'file:///etc/passwd', which is not allowed"),
    "a redirect to another host": (redirect("http://other.example/"), "not allowed"),
    "a redirect to another port": (redirect("http://127.0.0.1:1/"), "not allowed"),
    "a redirect to an invalid host": (redirect("http://[::1"), "not allowed"),
    "a redirect to an invalid port": (redirect("http://127.0.0.1:x/"), "not allowed"),
    "a redirect to a percent-encoded host": (redirect("http://loc%61lhost/"), "not allowed"),
    "a redirect with an ambiguous host": (redirect("http://127.0.0.1\\@other.example/"), "not allowed"),
}

INTERRUPTED: dict[str, tuple[Callable[[socket.socket, Request], None], str]] = {
    "closed before the response": (raw(), "closed without a response"),
    "reset before the response": (reset, "reset by peer"),
    "closed within the header": (raw(b"HTTP/1.1 200 OK\r\n"), "closed in the middle"),
    "an unprintable reason": (page("", status="500 \x1b[31mred\x07"), "answered 500 ?[31mred?"),
    "a truncated body": (raw(header("Content-Length: 100"), b"half"), "closed in the middle"),
    "a truncated chunk": (raw(header("Transfer-Encoding: chunked"), b"64\r\nhalf"), "closed in the middle"),
    "no last chunk": (raw(header("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n"), "closed in the middle"),
    "a truncated trailer": (raw(header("Transfer-Encoding: chunked"), b"0\r\nX: 1\r\n"), "closed in the middle"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_response_is_origin_failed(origin: Origin, name: str) -> None:
    """The error is one line that names the host, and is not retried."""
    origin.pages["/page"], text = INVALID[name]
    with pytest.raises(OriginFailed) as caught:
        fetch(origin, max_page=100_000)
    assert type(caught.value) is OriginFailed
    assert_message(origin, caught.value, text)


@pytest.mark.parametrize("name", INTERRUPTED)
def test_an_interrupted_response_is_origin_down(origin: Origin, name: str) -> None:
    origin.pages["/page"], text = INTERRUPTED[name]
    with pytest.raises(OriginDown) as caught:
        fetch(origin)
    assert_message(origin, caught.value, text)


def assert_message(origin: Origin, error: LookupFailed, text: str) -> None:
    assert str(error).startswith(f"127.0.0.1:{origin.port}")
    assert text in str(error)
    assert str(error).isprintable()


def test_the_body_of_a_redirect_is_not_read(origin: Origin) -> None:
    """Not even an endless one."""

    def redirect_with_endless_body(connection: socket.socket, request: Request) -> None:
        connection.sendall(header("Location: /other", "Transfer-Encoding: chunked", status="302 Found"))
        endless(connection, request)

    origin.pages["/page"] = redirect_with_endless_body
    origin.pages["/other"] = page("there")
    assert fetch(origin).body == b"there"


def test_a_redirect_may_lead_to_an_allowed_host(origin: Origin) -> None:
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    assert fetch(origin, allowed_hosts=[HostPattern("localhost")]).body == b"there"


def test_a_refused_connection_is_origin_down(origin: Origin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    origin.port = port
    with pytest.raises(OriginDown, match=f"127.0.0.1:{port}: Connection refused"):
        fetch(origin)


def test_a_name_that_does_not_resolve_is_origin_down(origin: Origin) -> None:
    fetcher = new_fetcher()
    with pytest.raises(OriginDown, match=r"^nosuch\.invalid: [^\n]+$"):
        fetcher.fetch(source(origin), "http://nosuch.invalid/", timer=RequestTimer(5))


def drip(connection: socket.socket, _request: Request) -> None:
    connection.sendall(header("Content-Length: 100000"))
    while True:
        connection.sendall(b"x")
        gevent.sleep(0.01)


@pytest.mark.parametrize("behaviour", [Barrier(page("late")), drip], ids=["silence", "drips"])
def test_the_timeout_limits_the_total_time(origin: Origin, behaviour: Callable[[socket.socket, Request], None]) -> None:
    origin.pages["/page"] = behaviour
    with pytest.raises(TooSlow, match=r"took longer than 0\.2 seconds"):
        fetch(origin, timeout=0.2)
    assert len(origin.requests) == 1


def test_a_timeout_of_the_caller_is_not_too_slow(origin: Origin) -> None:
    origin.pages["/page"] = Barrier(page("late"))
    callers_timeout = gevent.Timeout(0.1)
    with pytest.raises(gevent.Timeout) as caught, callers_timeout:
        fetch(origin)
    assert caught.value is callers_timeout


def test_other_greenlets_run_while_a_large_page_is_read(origin: Origin) -> None:
    """A server that sends so fast that the socket never blocks must not block the hub."""
    origin.pages["/page"] = page(b"x" * 4_000_000)
    fetching = gevent.spawn(fetch, origin, max_page=5_000_000)
    turns = 0
    while not fetching.ready():
        gevent.sleep(0)
        turns += 1
    assert len(fetching.get().body) == 4_000_000
    assert turns > 20


VALIDATORS = Validators(etag='W/"a"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")


def revalidate(origin: Origin, validators: Validators | None) -> Page | None:
    fetcher = new_fetcher()
    return fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5), validators=validators)


def test_a_page_has_its_validators(origin: Origin) -> None:
    origin.pages["/page"] = page("x", headers={"ETag": VALIDATORS.etag, "Last-Modified": VALIDATORS.last_modified})
    assert fetch(origin).validators == VALIDATORS


def test_a_validator_that_cannot_be_sent_back_is_dropped(origin: Origin) -> None:
    origin.pages["/page"] = page("x", headers={"ETag": '"\xe9"', "Last-Modified": "x" * 300})
    assert fetch(origin).validators == Validators()


def test_validators_make_the_request_conditional(origin: Origin) -> None:
    origin.pages["/page"] = page("", status="304 Not Modified")
    assert revalidate(origin, VALIDATORS) is None
    headers = origin.requests[0].headers
    assert headers["if-none-match"] == VALIDATORS.etag
    assert headers["if-modified-since"] == VALIDATORS.last_modified


def test_a_modified_page_is_returned(origin: Origin) -> None:
    origin.pages["/page"] = page("new")
    fetched = revalidate(origin, VALIDATORS)
    assert fetched is not None
    assert fetched.body == b"new"


@pytest.mark.parametrize("validators", [None, Validators()])
def test_a_304_without_a_condition_is_an_error(origin: Origin, validators: Validators | None) -> None:
    origin.pages["/page"] = page("", status="304 Not Modified")
    with pytest.raises(OriginFailed):
        revalidate(origin, validators)


def test_the_headers_of_a_source_are_not_sent_to_another_host(origin: Origin) -> None:
    """They may contain credentials."""
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    fetch(origin, allowed_hosts=[HostPattern("localhost")], headers={"Authorization": "Bearer secret"})
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


def test_the_connection_of_a_chunked_page_is_reused(origin: Origin) -> None:
    response = header("Transfer-Encoding: chunked") + b"3\r\nthe\r\n2\r\nre\r\n0\r\n\r\n"
    origin.pages["/page"] = lambda connection, _request: connection.sendall(response)
    fetcher = new_fetcher()
    for _ in range(3):
        assert fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5)) is not None
    assert origin.connections == 1


def source_with_host_ids(**keys: Any) -> Source:
    return Source(
        page_url=PageUrlTemplate("http://{id}/"),
        extract=[Rule(regex=Regex("x"))],
        allowed_hosts=[HostPattern("localhost")],
        private_network=True,
        **keys,
    )


def test_an_id_can_select_allowed_hosts_only(origin: Origin) -> None:
    """The operator decides which hosts are called, not the client."""
    origin.pages["/"] = page("there")
    fetcher = new_fetcher()
    assert fetcher.fetch(source_with_host_ids(), f"http://localhost:{origin.port}/", timer=RequestTimer(5)) is not None
    for host in ("127.0.0.1", "localhost.evil.example", "localhost@127.0.0.1", "[::1]", "loc%61lhost"):
        with pytest.raises(OriginFailed):
            fetcher.fetch(source_with_host_ids(), f"http://{host}:{origin.port}/", timer=RequestTimer(5))
    assert len(origin.requests) == 1


def test_the_headers_of_a_source_are_sent_to_the_host_that_the_id_selects_only(origin: Origin) -> None:
    headers = Headers(Authorization="Bearer secret")
    origin.pages["/"] = redirect(f"http://127.0.0.1:{origin.port}/other")
    origin.pages["/other"] = page("there")
    two_hosts = source_with_host_ids(headers=headers)
    two_hosts = msgspec.structs.replace(two_hosts, allowed_hosts=[HostPattern("localhost"), HostPattern("127.0.0.1")])
    new_fetcher().fetch(two_hosts, f"http://localhost:{origin.port}/", timer=RequestTimer(5))
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


def test_the_connection_of_a_304_is_reused(origin: Origin) -> None:
    response = header('ETag: "a"', status="304 Not Modified")
    origin.pages["/page"] = lambda connection, _request: connection.sendall(response)
    fetcher = new_fetcher()
    for _ in range(3):
        assert fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5), validators=VALIDATORS) is None
    assert origin.connections == 1


@pytest.mark.parametrize("behaviour", [page("gone", status="404 Not Found"), redirect("/there", body=b"moved")])
def test_the_connection_of_a_complete_response_is_reused(
    origin: Origin, behaviour: Callable[[socket.socket, Request], None]
) -> None:
    origin.pages["/page"] = behaviour
    origin.pages["/there"] = page("", status="404 Not Found")
    fetcher = new_fetcher()
    for _ in range(3):
        with pytest.raises(NoSuchItem):
            fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5))
    assert origin.connections == 1


def test_the_target_of_a_redirect_may_contain_utf_8(origin: Origin) -> None:
    origin.pages["/page"] = redirect("/обложка d?ю=1#x".encode().decode("latin-1"))
    origin.pages["/%D0%BE%D0%B1%D0%BB%D0%BE%D0%B6%D0%BA%D0%B0%20d?%D1%8E=1"] = page("there")
    assert fetch(origin).body == b"there"


def test_the_host_of_a_redirect_is_normalised_before_it_is_checked(origin: Origin) -> None:
    """Full-width letters, for example, become ASCII letters."""
    origin.pages["/page"] = redirect(f"http://\uff4cocalhost:{origin.port}/other".encode().decode("latin-1"))
    origin.pages["/other"] = page("there")
    with pytest.raises(OriginFailed, match="not allowed"):
        fetch(origin)
    assert fetch(origin, allowed_hosts=[HostPattern("localhost")]).url == f"http://localhost:{origin.port}/other"


def test_a_redirect_may_lead_to_an_internationalised_host(origin: Origin) -> None:
    """It is requested by its A-label (RFC 5891)."""
    origin.pages["/page"] = redirect("http://bücher.invalid/".encode().decode("latin-1"))
    with pytest.raises(OriginDown, match=r"^xn--bcher-kva\.invalid: "):
        fetch(origin, allowed_hosts=[HostPattern("xn--bcher-kva.invalid")])


def test_a_private_address_is_rejected_without_private_network(origin: Origin) -> None:
    with pytest.raises(
        OriginFailed, match="only addresses that are not public, and private_network is not set"
    ) as caught:
        fetch(origin, private_network=False)
    assert type(caught.value) is OriginFailed
    assert not origin.requests


def test_no_more_than_the_prefix_is_read(origin: Origin) -> None:
    origin.pages["/page"] = endless
    fetched = fetch_prefix(origin, size=70_000)
    assert fetched.body == b"x" * 70_000


@pytest.mark.parametrize("size", [1, 4, 5, 6, 1_000_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_prefix_may_be_longer_than_the_body(origin: Origin, size: int, encoding: str) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    origin.pages["/page"] = page(gzip.compress(b"there") if encoding else b"there", headers=headers)
    assert fetch_prefix(origin, size=size).body == b"there"[:size]


def test_a_prefix_may_be_incompressible(origin: Origin) -> None:
    body = os.urandom(100_000)
    origin.pages["/page"] = page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert fetch_prefix(origin, size=100_000).body == body


def test_the_prefix_of_a_missing_page_is_no_such_item(origin: Origin) -> None:
    with pytest.raises(NoSuchItem):
        fetch_prefix(origin)


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", "nonsense", "http://a:b@127.0.0.1/x", "http://é..é/", ""])
def test_the_prefix_of_an_invalid_url_is_an_error(origin: Origin, url: str) -> None:
    with pytest.raises(OriginFailed):
        new_fetcher().fetch_prefix(source(origin), url, timer=RequestTimer(5), size=9)


@pytest.mark.parametrize(
    ("allowed", "is_reached"), [([], False), (["localhost"], True)], ids=["another host", "an allowed host"]
)
def test_a_prefix_is_not_fetched_from_a_private_address_of_another_host(
    origin: Origin,
    allowed: list[str],
    is_reached: bool,  # noqa: FBT001 - a test parameter
) -> None:
    origin.pages["/page"] = redirect(f"http://localhost:{origin.port}/other")
    origin.pages["/other"] = page("there")
    hosts = [HostPattern(host) for host in allowed]
    if is_reached:
        assert fetch_prefix(origin, allowed_hosts=hosts).body == b"there"
    else:
        with pytest.raises(OriginFailed, match=f"localhost:{origin.port}: it has only addresses that are not public"):
            fetch_prefix(origin, allowed_hosts=hosts)


def test_a_prefix_is_fetched_without_the_headers_of_the_source_from_another_host(origin: Origin) -> None:
    origin.pages["/page"] = page("there")
    with_credentials = source(
        origin, headers=Headers(Authorization="Bearer secret"), allowed_hosts=[HostPattern("localhost")]
    )
    for host in ("127.0.0.1", "localhost"):
        new_fetcher().fetch_prefix(with_credentials, f"http://{host}:{origin.port}/page", timer=RequestTimer(5), size=9)
    assert ["authorization" in request.headers for request in origin.requests] == [True, False]


@pytest.mark.parametrize("key", ["throttled", "blocked", "not_found", "failed"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("403 Forbidden", Blocked),
        ("404 Not Found", NoSuchItem),
        ("429 Slow Down", Throttled),
        ("500 No", OriginDown),
        ("503 Busy", Throttled),
        ("418 I'm a teapot", OriginFailed),
    ],
)
def test_response_patterns_of_the_source_do_not_apply_to_a_prefix(
    origin: Origin, key: str, status: str, error: type[LookupFailed]
) -> None:
    """They describe product pages; the status of a robots.txt has its meaning in RFC 9110.

    Fails if a source whose pages say 403 for "slow down" takes a robots.txt that is forbidden for throttling.
    """
    origin.pages["/page"] = page("", status=status, headers={"Retry-After": "4"})
    patterns: dict[str, Any] = {key: ResponsePatterns([ResponsePattern(status=int(status[:3]))])}
    with pytest.raises(error) as caught:
        fetch_prefix(origin, **patterns)
    assert type(caught.value) is error
    assert caught.value.status == int(status[:3])


def redirect_loop(origin: Origin) -> tuple[list[str], Callable[[str], None]]:
    """Make pages that redirect from one to the next; return the targets that ``follow`` is called with."""
    for number in range(9):
        origin.pages[f"/{number}"] = redirect(f"/{number + 1}")
    targets = list[str]()
    return targets, targets.append


def test_each_redirect_is_announced_before_its_request(origin: Origin) -> None:
    """A redirect that is one too many is not. Fails if a slot of a host is waited for that gets no request."""
    targets, follow = redirect_loop(origin)
    with pytest.raises(OriginFailed, match="redirects more than 5 times"):
        new_fetcher().fetch(source(origin), f"{origin.url}/0", timer=RequestTimer(5), follow=follow)
    assert targets == [f"{origin.url}/{number}" for number in range(1, 6)]
    assert [request.target for request in origin.requests] == [f"/{number}" for number in range(6)]


def test_a_redirect_that_is_refused_is_not_requested(origin: Origin) -> None:
    """The connection of the response that redirected is in the pool by then. Fails if it is kept meanwhile."""
    origin.pages["/page"] = redirect("/other", body=b"moved")
    origin.pages["/other"] = page("there")
    fetcher = new_fetcher()

    def follow(target: str) -> None:
        fetched = fetcher.fetch(source(origin), target, timer=RequestTimer(5))
        assert fetched is not None
        raise Blocked(fetched.body.decode())

    with pytest.raises(Blocked, match="there"):
        fetcher.fetch(source(origin), f"{origin.url}/page", timer=RequestTimer(5), follow=follow)
    assert [request.target for request in origin.requests] == ["/page", "/other"]
    assert origin.connections == 1


def test_the_wait_before_a_redirect_is_followed_is_not_limited(origin: Origin) -> None:
    """Neither does it count as time of the page. Fails if the timeout of the first request goes on meanwhile."""
    clock = ManualClock()
    timer = RequestTimer(1, clock)
    origin.pages["/page"] = redirect("/other")
    origin.pages["/other"] = page("there")

    def follow(_target: str) -> None:
        clock.now += 60
        gevent.sleep(1.1)

    fetched = new_fetcher().fetch(source(origin), f"{origin.url}/page", timer=timer, follow=follow)
    assert fetched is not None
    assert fetched.body == b"there"
    assert timer.seconds_left == 1


def test_the_timeout_applies_to_all_requests_together(origin: Origin) -> None:
    """The second request may take what the first one has left."""
    clock = ManualClock()
    timer = RequestTimer(1, clock)
    origin.pages["/other"] = Barrier(page("late"))

    def respond_late(connection: socket.socket, request: Request) -> None:
        clock.now += 0.9
        redirect(f"http://localhost:{origin.port}/other")(connection, request)

    origin.pages["/page"] = respond_late
    two_hosts = source(origin, allowed_hosts=[HostPattern("localhost")])
    with pytest.raises(TooSlow, match=rf"^127\.0\.0\.1:{origin.port} took 0\.9 of the 1 seconds"):
        new_fetcher().fetch(two_hosts, f"{origin.url}/page", timer=timer)
    assert [request.target for request in origin.requests] == ["/page", "/other"]


def test_a_chunked_page_may_have_a_trailer(origin: Origin) -> None:
    origin.pages["/page"] = chunked(b"the", b"re", trailer=b"X-Sum: 1\r\n")
    assert fetch(origin).body == b"there"
