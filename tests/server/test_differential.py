"""Differential tests: gunicorn's gevent worker and our worker respond to the same bytes with the same responses.

Our worker may only be stricter. ``STRICTER`` lists all differences with their reasons. Each case ends with a plain
request, which shows whether the connection stays open. Our worker receives each case twice, because its caches must not
change the response.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.gunicorn_server import (
    OUR_WORKER,
    STOCK_WORKER,
    GunicornServer,
    Response,
    request,
    run_gunicorn,
    status_codes,
)

BODY = b"<methodCall/>"
PLAIN = request("/echo?a=%20b&c", BODY, "Content-Type: text/xml", "X-Twice: 1", "X-Twice: 2")
LAST_REQUEST = request("/echo", b"the last")

LOG = "%(h)s %(l)s %(u)s %(r)s %(s)s %(m)s %(U)s %(q)s %(H)s %(b)s %(B)s %(f)s %(a)s %({x-a}i)s %({content-type}o)s"


class Servers(NamedTuple):
    """Two servers, one with each worker."""

    stock: GunicornServer
    ours: GunicornServer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, with access logs."""
    folder = tmp_path_factory.mktemp("servers")
    options = ("--access-logfile", "-", "--access-logformat", f"log {LOG}")
    with run_gunicorn(folder, STOCK_WORKER, *options) as stock, run_gunicorn(folder, OUR_WORKER, *options) as ours:
        yield Servers(stock, ours)


def compare_responses(servers: Servers, *packets: bytes) -> list[Response]:
    """Send ``packets`` to both servers, assert that the responses are equal, and return them."""
    expected = servers.stock.exchange(*packets)
    for _ in range(2):
        assert servers.ours.exchange(*packets) == expected
    return expected


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def post(*lines: str) -> bytes:
    """Return a POST with these field lines and a body of five bytes."""
    return head("POST /echo HTTP/1.1", "Host: server", *lines) + b"12345"


def chunked(body: bytes, *lines: str) -> bytes:
    return head("POST /echo HTTP/1.1", "Host: server", "Transfer-Encoding: chunked", *lines) + body


CASES = {
    # Plain requests, and the persistence of connections.
    "post": PLAIN,
    "pipelined": PLAIN * 3,
    "empty body": request("/echo", b""),
    "body of zeros": request("/echo", bytes(9000)),
    "connection close": request("/echo", BODY, "Connection: close"),
    "connection keep-alive": request("/echo", BODY, "Connection: Keep-Alive"),
    "connection list": request("/echo", BODY, "Connection: keep-alive, close"),
    "connection twice": request("/echo", BODY, "Connection: x", "Connection: close"),
    "1.0": request("/echo", BODY, version="1.0"),
    "1.0 keep-alive": request("/echo", BODY, "Connection: keep-alive", version="1.0"),
    "get": request("/echo"),
    "plain, odd, plain": PLAIN + request("/echo") + PLAIN,
    "plain, bad": PLAIN + b"bad\r\n\r\n",
    "chunked between": PLAIN + chunked(b"2\r\nab\r\n0\r\n\r\n") + PLAIN,
    "empty line before": b"\r\n" + PLAIN,
    "two empty lines before": b"\r\n\r\n" + PLAIN,
    "upgrade": request("/echo", BODY, "Upgrade: h2c", "Connection: upgrade"),
    # Lengths.
    "both lengths": post("Content-Length: 5", "Transfer-Encoding: chunked"),
    "two lengths": post("Content-Length: 5", "Content-Length: 5"),
    "two other lengths": post("Content-Length: 5", "Content-Length: 6"),
    "length list": post("Content-Length: 5, 5"),
    "length plus": post("Content-Length: +5"),
    "length minus": post("Content-Length: -5"),
    "length hex": post("Content-Length: 0x5"),
    "length zeros": post("Content-Length: 0005"),
    "length spaces": post("Content-Length:  \t5 "),
    "length inner space": post("Content-Length: 5 5"),
    "length underscore": post("Content-Length: 0_5"),
    "length superscript": post("Content-Length: \xb2"),
    "length empty": post("Content-Length:"),
    "length 5,000 digits": post("Content-Length: " + "1" * 5000),
    "length by underscore": post("Content_Length: 5"),
    "length before colon": post("Content-Length : 5"),
    "no length": post(),
    # Chunks.
    "chunks": chunked(b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"),
    "chunk trailers": chunked(b"5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n"),
    "chunk trailer length": chunked(b"5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n"),
    "chunk hex": chunked(b"00a\r\n0123456789\r\n0\r\n\r\n"),
    "chunk 0x": chunked(b"0xa\r\n0123456789\r\n0\r\n\r\n"),
    "chunk plus": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk minus": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk bare LF": chunked(b"5\nhello\n0\n\n"),
    "chunk too long": chunked(b"3\r\nhello\r\n0\r\n\r\n"),
    "chunk no number": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk bad extension": chunked(b"5;\rx\r\nhello\r\n0\r\n\r\n"),
    "chunked twice": chunked(b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunked list": post("Transfer-Encoding: gzip, chunked"),
    "chunked first": post("Transfer-Encoding: chunked, gzip"),
    "chunked, chunked": post("Transfer-Encoding: chunked, chunked"),
    "coding identity": post("Transfer-Encoding: identity"),
    "coding unknown": post("Transfer-Encoding: xchunked"),
    "coding tab": post("Transfer-Encoding:\tchunked"),
    "coding vertical tab": post("Transfer-Encoding: \x0bchunked"),
    "chunked 1.0": head("POST /echo HTTP/1.0", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    # Lines.
    "obsolete folding": post("Content-Length: 5", "X-A: b", " c"),
    "folded first": head("POST /echo HTTP/1.1", " Host: server"),
    "bare LF": b"POST /echo HTTP/1.1\nHost: server\nContent-Length: 5\n\n12345",
    "one bare LF": b"POST /echo HTTP/1.1\r\nHost: server\nContent-Length: 5\r\n\r\n12345",
    "bare CR": b"POST /echo HTTP/1.1\r\nHost: server\r\nX-A: b\rc\r\nContent-Length: 5\r\n\r\n12345",
    "NUL": post("Content-Length: 5", "X-A: b\0c"),
    "NUL in name": post("Content-Length: 5", "X\0A: b"),
    "DEL": post("Content-Length: 5", "X-A: \x7f"),
    "latin-1": post("Content-Length: 5", "X-A: \xe9\xff"),
    "latin-1 name": post("Content-Length: 5", "X-\xdf: b"),
    "space in name": post("Content-Length: 5", "X A: b"),
    "space before colon": post("Content-Length: 5", "X-A : b"),
    "no colon": post("Content-Length: 5", "X-A"),
    "no name": post("Content-Length: 5", ": b"),
    "long field": post("Content-Length: 5", "X-A: " + "b" * 8300),
    "many fields": post("Content-Length: 5", *["X-A: b"] * 70),
    "endless field": b"POST /echo HTTP/1.1\r\nX-A: " + b"b" * 700_000,
    "two hosts": post("Content-Length: 5", "Host: server"),
    "two types": post("Content-Length: 5", "Content-Type: a/b", "Content-Type: a/b"),
    "environ by header": post("Content-Length: 5", "SCRIPT_NAME: /echo", "PATH_INFO: /x", "X_A: b"),
    "scheme": post("Content-Length: 5", "X-Forwarded-Proto: https"),
    "two schemes": post("Content-Length: 5", "X-Forwarded-Proto: https", "X-Forwarded-SSL: off"),
    "proxy": post("Content-Length: 5", "Proxy: http://x", "X-Forwarded-For: 1.2.3.4"),
    "expect odd": post("Content-Length: 5", "Expect: 200-maybe"),
    # Request lines.
    "0.9": b"GET /echo\r\n",
    "no version": head("GET /echo "),
    "2.0": head("GET /echo HTTP/2.0", "Host: server"),
    "1.2": head("GET /echo HTTP/1.2", "Host: server"),
    "version case": head("GET /echo http/1.1", "Host: server"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(11, 256)),
    "garbage": b"\xff\xfe\r\n\r\n",
    "method case": head("Post /echo HTTP/1.1", "Host: server"),
    "method short": head("XY /echo HTTP/1.1", "Host: server"),
    "method odd": head("P@ST /echo HTTP/1.1", "Host: server"),
    "method long": head(f"{'X' * 30} /echo HTTP/1.1", "Host: server"),
    "method unknown": head("BREW /echo HTTP/1.1", "Host: server"),
    "head": request("/echo", method="HEAD"),
    "connect": request("server:80", method="CONNECT"),
    "options": request("*", method="OPTIONS"),
    "asterisk": request("*"),
    "absolute": request("http://other:81/echo;x?y#z", BODY),
    "authority": request("server:80", BODY),
    "two slashes": request("//echo", BODY),
    "escapes": request("/%65cho%2f%e9%", BODY),
    "latin-1 path": head("GET /\xe9 HTTP/1.1", "Host: server"),
    "two spaces": head("GET  /echo HTTP/1.1", "Host: server"),
    "tab": head("GET\t/echo HTTP/1.1", "Host: server"),
    "long line": request("/" + "x" * 5000),
    "endless line": b"GET /" + b"x" * 700_000,
    # Responses.
    "streamed": request("/lines", b"a\nb\nc"),
    "streamed 1.0": request("/lines", b"a\nb\nc", version="1.0"),
    "streamed head": request("/lines", b"a\nb\nc", method="HEAD"),
    "written": request("/written", BODY) * 2,
    "file": request("/file", BODY) * 2,
    "no content": request("/no-content", BODY) * 2,
    "unread": request("/unread", BODY) * 2,
    "second start_response": request("/twice", BODY) * 2,
    "bigger than a send": request("/big?300000", BODY) * 2,
    "environ changed": request("/change-environ?a=1", BODY) * 2,
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_the_same_bytes_get_the_same_responses(servers: Servers, data: bytes) -> None:
    compare_responses(servers, data + LAST_REQUEST)


@pytest.mark.parametrize("end", range(1, len(PLAIN), 7))
def test_an_incomplete_head_gets_no_response(servers: Servers, end: int) -> None:
    """For incomplete bodies see ``STRICTER``."""
    if end < PLAIN.index(b"\r\n\r\n") + 4:
        assert compare_responses(servers, PLAIN[:end]) == []


def test_a_request_may_be_split_anywhere(servers: Servers) -> None:
    whole = compare_responses(servers, PLAIN + LAST_REQUEST)
    assert status_codes(whole) == [200, 200]
    for end in range(1, len(PLAIN) + 1):
        assert servers.ours.exchange(PLAIN[:end], PLAIN[end:] + LAST_REQUEST) == whole


def test_a_pipeline_may_be_split_anywhere(servers: Servers) -> None:
    pipeline = PLAIN + chunked(b"2\r\nab\r\n0\r\n\r\n") + PLAIN
    whole = compare_responses(servers, pipeline)
    assert status_codes(whole) == [200, 200, 200]
    for end in range(len(PLAIN) - 20, len(pipeline), 5):
        assert servers.ours.exchange(pipeline[:end], pipeline[end:]) == whole


def test_cached_heads_are_separate_for_trusted_clients(servers: Servers) -> None:
    """127.0.0.1 is trusted to set the scheme, 127.0.0.2 is not. Neither gets the environ of the other."""
    scheme = request("/echo", BODY, "X-Forwarded-Proto: https")
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"]:
        expected = servers.stock.exchange(scheme, source=source)
        assert f"REMOTE_ADDR: {source}".encode() in expected[0].body
        assert (b"wsgi.url_scheme: https" in expected[0].body) == (source == "127.0.0.1")
        assert servers.ours.exchange(scheme, source=source) == expected


NAMES = [
    "X-A",
    "x-a",
    "Content-Type",
    "Content-Length",
    "Connection",
    "Transfer-Encoding",
    "Host",
    "X_A",
    "Cookie",
    "X A",
]
VALUES = ["", "5", "05", "chunked", "close", "keep-alive", "a, b", "text/xml", " \t", "\xe9", "\0", "a\rb"]
LINES = st.tuples(st.sampled_from(NAMES), st.sampled_from([":", ": ", " :", ":\t", ""]), st.sampled_from(VALUES))
HEADS = st.builds(
    lambda first, lines, ends: (first + "".join(f"\r\n{''.join(line)}" for line in lines) + ends).encode("latin-1"),
    st.builds(
        " ".join,
        st.tuples(
            st.sampled_from(["POST", "GET", "HEAD", "post", ""]),
            st.sampled_from(["/echo", "/unread", "/lines", "*", "/echo?%", "http://a/echo", ""]),
            st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/3", ""]),
        ),
    ),
    st.lists(LINES, max_size=4).map(lambda lines: [("Host", ": ", "server"), ("Content-Length", ": ", "5"), *lines]),
    st.sampled_from(["\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\n\n", "\r\n"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HEADS, min_size=1, max_size=2))
def test_generated_heads_get_the_same_responses(servers: Servers, heads: list[bytes]) -> None:
    compare_responses(servers, b"".join(head + b"12345" for head in heads) + LAST_REQUEST)


class Stricter(NamedTuple):
    """A case that our worker treats differently: the status codes of both workers, and the reason."""

    data: bytes
    stock: list[int]
    ours: list[int]
    reason: str


INCOMPLETE = "RFC 9112, 8: an incomplete message must not be processed"
UNREAD = "the rest of a body that the application does not read might be endless"
CONTINUE = "RFC 9110, 10.1.1: 100 requests the body, so it is sent when the body is read and has not arrived"
NO_RESPONSE = "without a response, the client would take the next response for that of this request"

STRICTER = {
    "no host": Stricter(
        head("POST /echo HTTP/1.1", "Content-Length: 0") + LAST_REQUEST, [200, 200], [400], "RFC 9112, 3.2"
    ),
    "body cut short": Stricter(request("/echo", BODY)[:-1], [200], [400], INCOMPLETE),
    "chunks cut short": Stricter(chunked(b"5\r\nhel"), [], [400], "the client gets a response, not only a close"),
    "unread body": Stricter(
        request("/unread", bytes(50_000)) + LAST_REQUEST,
        [404, 200],
        [404],
        UNREAD,
    ),
    "unread chunks": Stricter(
        chunked(b"2\r\nab\r\n0\r\n\r\n").replace(b"/echo", b"/unread") + LAST_REQUEST, [404, 200], [404], UNREAD
    ),
    "100 for an unread body": Stricter(
        request("/unread", BODY, "Expect: 100-continue") + LAST_REQUEST,
        [100, 404, 200],
        [404, 200],
        CONTINUE,
    ),
    "100 for a body that has arrived": Stricter(
        request("/echo", BODY, "Expect: 100-continue") + LAST_REQUEST, [100, 200, 200], [200, 200], CONTINUE
    ),
    "OSError": Stricter(
        request("/fail?OSError") + LAST_REQUEST, [], [500], "an application's OSError is not an error of the connection"
    ),
    "SystemExit": Stricter(
        request("/fail?SystemExit") + LAST_REQUEST,
        [200],
        [500],
        NO_RESPONSE,
    ),
    "GreenletExit": Stricter(request("/fail?GreenletExit") + LAST_REQUEST, [200], [500], NO_RESPONSE),
    "StopIteration": Stricter(
        request("/fail?StopIteration") + LAST_REQUEST, [], [500], "the client gets a response, not only a close"
    ),
}


@pytest.mark.parametrize("case", STRICTER.values(), ids=STRICTER.keys())
def test_listed_cases_are_stricter(servers: Servers, case: Stricter) -> None:
    assert status_codes(servers.stock.exchange(case.data)) == case.stock, case.reason
    for _ in range(2):
        assert status_codes(servers.ours.exchange(case.data)) == case.ours, case.reason


@pytest.mark.parametrize("path", ["/fail?Timeout", "/fail?KeyError", "/bad-header"])
def test_an_error_gets_500_in_plain_text_instead_of_html(servers: Servers, path: str) -> None:
    data = request(path, BODY) + LAST_REQUEST
    assert status_codes(servers.stock.exchange(data)) == [500]
    for _ in range(2):
        (response,) = servers.ours.exchange(data)
        assert (response.code, response.body) == (500, b"Internal Server Error\n")
    assert servers.ours.has_logged(f"Error handling request POST {path}")


def test_a_response_that_fails_half_way_has_no_last_chunk(servers: Servers) -> None:
    data = request("/fail-late", BODY) + LAST_REQUEST
    assert [response.body for response in compare_responses(servers, data)] == [b"some(no end)"]


def test_the_access_logs_are_equal(servers: Servers) -> None:
    """Each server receives the requests twice, so that our worker serves them with and without cached heads."""
    data = PLAIN + request("/unread", BODY, "User-Agent: me", "X-A: a") + request("/lines", b"a\nb") + b"bad\r\n\r\n"
    sizes = [len(server.log.read_bytes()) for server in servers]
    for server in [*servers, *servers]:
        assert status_codes(server.exchange(data)) == [200, 404, 200, 400]
    stock, ours = (
        [line for line in server.log.read_bytes()[size:].split(b"\n") if line.startswith(b"log ")]
        for server, size in zip(servers, sizes, strict=True)
    )
    assert ours == stock
    assert len(ours) == 2 * 3  # a head that cannot be parsed is logged in the error log
