"""The same bytes to gunicorn's gevent worker and to ours: the same answers in the same order, and the same end.

Ours may only be stricter; where it is, ``STRICTER`` says how and why. Each case ends with a plain request that shows
whether the connection goes on, and is said to ours twice: what it knows by then must not change its answer.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.gunicorn_server import OURS, STOCK, Answer, GunicornServer, codes, opened, request

BODY = b"<methodCall/>"
PLAIN = request("/echo?a=%20b&c", BODY, "Content-Type: text/xml", "X-Twice: 1", "X-Twice: 2")
LAST = request("/echo", b"the last")

LOG = "%(h)s %(l)s %(u)s %(r)s %(s)s %(m)s %(U)s %(q)s %(H)s %(b)s %(B)s %(f)s %(a)s %({x-a}i)s %({content-type}o)s"


class Pair(NamedTuple):
    """Two doors, one by each worker."""

    stock: GunicornServer
    ours: GunicornServer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both doors, with an access log."""
    folder = tmp_path_factory.mktemp("doors")
    options = ("--access-logfile", "-", "--access-logformat", f"log {LOG}")
    with opened(folder, STOCK, *options) as stock, opened(folder, OURS, *options) as ours:
        yield Pair(stock, ours)


def same(pair: Pair, *packets: bytes) -> list[Answer]:
    """Say it to both and compare; return the answers."""
    expected = pair.stock.say(*packets)
    for _ in range(2):
        assert pair.ours.say(*packets) == expected
    return expected


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def post(*lines: str) -> bytes:
    """A POST with these header lines, and a body of five bytes."""
    return head("POST /echo HTTP/1.1", "Host: door", *lines) + b"12345"


def chunked(body: bytes, *lines: str) -> bytes:
    return head("POST /echo HTTP/1.1", "Host: door", "Transfer-Encoding: chunked", *lines) + body


CASES = {
    # Plain ones, and what ends a connection.
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
    "folded first": head("POST /echo HTTP/1.1", " Host: door"),
    "bare LF": b"POST /echo HTTP/1.1\nHost: door\nContent-Length: 5\n\n12345",
    "one bare LF": b"POST /echo HTTP/1.1\r\nHost: door\nContent-Length: 5\r\n\r\n12345",
    "bare CR": b"POST /echo HTTP/1.1\r\nHost: door\r\nX-A: b\rc\r\nContent-Length: 5\r\n\r\n12345",
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
    "two hosts": post("Content-Length: 5", "Host: door"),
    "two types": post("Content-Length: 5", "Content-Type: a/b", "Content-Type: a/b"),
    "environ by header": post("Content-Length: 5", "SCRIPT_NAME: /echo", "PATH_INFO: /x", "X_A: b"),
    "scheme": post("Content-Length: 5", "X-Forwarded-Proto: https"),
    "two schemes": post("Content-Length: 5", "X-Forwarded-Proto: https", "X-Forwarded-SSL: off"),
    "proxy": post("Content-Length: 5", "Proxy: http://x", "X-Forwarded-For: 1.2.3.4"),
    "expect odd": post("Content-Length: 5", "Expect: 200-maybe"),
    # Request lines.
    "0.9": b"GET /echo\r\n",
    "no version": head("GET /echo "),
    "2.0": head("GET /echo HTTP/2.0", "Host: door"),
    "1.2": head("GET /echo HTTP/1.2", "Host: door"),
    "version case": head("GET /echo http/1.1", "Host: door"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(11, 256)),
    "garbage": b"\xff\xfe\r\n\r\n",
    "method case": head("Post /echo HTTP/1.1", "Host: door"),
    "method short": head("XY /echo HTTP/1.1", "Host: door"),
    "method odd": head("P@ST /echo HTTP/1.1", "Host: door"),
    "method long": head(f"{'X' * 30} /echo HTTP/1.1", "Host: door"),
    "method unknown": head("BREW /echo HTTP/1.1", "Host: door"),
    "head": request("/echo", method="HEAD"),
    "connect": request("door:80", method="CONNECT"),
    "options": request("*", method="OPTIONS"),
    "asterisk": request("*"),
    "absolute": request("http://other:81/echo;x?y#z", BODY),
    "authority": request("door:80", BODY),
    "two slashes": request("//echo", BODY),
    "escapes": request("/%65cho%2f%e9%", BODY),
    "latin-1 path": head("GET /\xe9 HTTP/1.1", "Host: door"),
    "two spaces": head("GET  /echo HTTP/1.1", "Host: door"),
    "tab": head("GET\t/echo HTTP/1.1", "Host: door"),
    "long line": request("/" + "x" * 5000),
    "endless line": b"GET /" + b"x" * 700_000,
    # Answers.
    "streamed": request("/lines", b"a\nb\nc"),
    "streamed 1.0": request("/lines", b"a\nb\nc", version="1.0"),
    "streamed head": request("/lines", b"a\nb\nc", method="HEAD"),
    "written": request("/written", BODY) * 2,
    "file": request("/file", BODY) * 2,
    "no content": request("/no-content", BODY) * 2,
    "unread": request("/unread", BODY) * 2,
    "changed mind": request("/twice", BODY) * 2,
    "bigger than a send": request("/big?300000", BODY) * 2,
    "environ changed": request("/set?a=1", BODY) * 2,
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_the_same_bytes_have_the_same_answers(pair: Pair, data: bytes) -> None:
    same(pair, data + LAST)


@pytest.mark.parametrize("end", range(1, len(PLAIN), 7))
def test_what_ends_too_early_has_no_answer_or_the_same(pair: Pair, end: int) -> None:
    """A head that is not whole is not answered; of bodies that are not whole see the stricter cases."""
    if end < PLAIN.index(b"\r\n\r\n") + 4:
        assert same(pair, PLAIN[:end]) == []


def test_it_does_not_matter_where_a_request_is_split(pair: Pair) -> None:
    whole = same(pair, PLAIN + LAST)
    assert codes(whole) == [200, 200]
    for end in range(1, len(PLAIN) + 1):
        assert pair.ours.say(PLAIN[:end], PLAIN[end:] + LAST) == whole


def test_nor_where_a_pipeline_is_split(pair: Pair) -> None:
    pipeline = PLAIN + chunked(b"2\r\nab\r\n0\r\n\r\n") + PLAIN
    whole = same(pair, pipeline)
    assert codes(whole) == [200, 200, 200]
    for end in range(len(PLAIN) - 20, len(pipeline), 5):
        assert pair.ours.say(pipeline[:end], pipeline[end:]) == whole


def test_a_known_head_does_not_tell_of_another_peer(pair: Pair) -> None:
    """127.0.0.1 is trusted to name the scheme, 127.0.0.2 is not: neither gets what was made of it for the other."""
    scheme = request("/echo", BODY, "X-Forwarded-Proto: https")
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"]:
        expected = pair.stock.say(scheme, source=source)
        assert f"REMOTE_ADDR: {source}".encode() in expected[0].body
        assert (b"wsgi.url_scheme: https" in expected[0].body) == (source == "127.0.0.1")
        assert pair.ours.say(scheme, source=source) == expected


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
    st.lists(LINES, max_size=4).map(lambda lines: [("Host", ": ", "door"), ("Content-Length", ": ", "5"), *lines]),
    st.sampled_from(["\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\n\n", "\r\n"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HEADS, min_size=1, max_size=2))
def test_heads_that_nobody_has_thought_of(pair: Pair, heads: list[bytes]) -> None:
    same(pair, b"".join(head + b"12345" for head in heads) + LAST)


class Stricter(NamedTuple):
    """What ours treats otherwise: the statuses by each, and the reason."""

    data: bytes
    stock: list[int]
    ours: list[int]
    reason: str


STRICTER = {
    "no host": Stricter(head("POST /echo HTTP/1.1", "Content-Length: 0") + LAST, [200, 200], [400], "RFC 9112, 3.2"),
    "body cut short": Stricter(
        request("/echo", BODY)[:-1], [200], [400], "RFC 9112, 8: the message is incomplete, and must not be acted upon"
    ),
    "chunks cut short": Stricter(chunked(b"5\r\nhel"), [], [400], "the same, said rather than left unanswered"),
    "body left on the way": Stricter(
        request("/unread", bytes(50_000)) + LAST, [404, 200], [404], "nothing is read for nobody: it might not end"
    ),
    "chunks left": Stricter(
        chunked(b"2\r\nab\r\n0\r\n\r\n").replace(b"/echo", b"/unread") + LAST, [404, 200], [404], "the same"
    ),
    "100 for nobody": Stricter(
        request("/unread", BODY, "Expect: 100-continue") + LAST,
        [100, 404, 200],
        [404, 200],
        "RFC 9110, 10.1.1: it asks for the body, so it is said when the body is first waited for",
    ),
    "100 for what is there": Stricter(
        request("/echo", BODY, "Expect: 100-continue") + LAST, [100, 200, 200], [200, 200], "the same"
    ),
    "OSError": Stricter(request("/fail?OSError") + LAST, [], [500], "an application's error is not the connection's"),
    "SystemExit": Stricter(
        request("/fail?SystemExit") + LAST, [200], [500], "without an answer, the next one's would be taken for it"
    ),
    "GreenletExit": Stricter(request("/fail?GreenletExit") + LAST, [200], [500], "the same"),
    "StopIteration": Stricter(request("/fail?StopIteration") + LAST, [], [500], "the same"),
}


@pytest.mark.parametrize("case", STRICTER.values(), ids=STRICTER.keys())
def test_stricter_is_only_what_is_listed(pair: Pair, case: Stricter) -> None:
    assert codes(pair.stock.say(case.data)) == case.stock, case.reason
    for _ in range(2):
        assert codes(pair.ours.say(case.data)) == case.ours, case.reason


@pytest.mark.parametrize("path", ["/fail?Timeout", "/fail?KeyError", "/bad-header"])
def test_an_error_is_500_in_one_line_where_gunicorn_says_it_in_html(pair: Pair, path: str) -> None:
    data = request(path, BODY) + LAST
    assert codes(pair.stock.say(data)) == [500]
    for _ in range(2):
        (answer,) = pair.ours.say(data)
        assert (answer.code, answer.body) == (500, b"Internal Server Error\n")
    assert pair.ours.tells(f"Error handling request POST {path}")


def test_an_answer_that_fails_half_way_has_no_end(pair: Pair) -> None:
    data = request("/fail-late", BODY) + LAST
    assert [answer.body for answer in same(pair, data)] == [b"some(no end)"]


def test_the_access_log_has_the_same_lines(pair: Pair) -> None:
    """Whichever way a request goes, and as often as it is made."""
    data = PLAIN + request("/unread", BODY, "User-Agent: me", "X-A: a") + request("/lines", b"a\nb") + b"bad\r\n\r\n"
    sizes = [len(door.log.read_bytes()) for door in pair]
    for door in [*pair, *pair]:
        assert codes(door.say(data)) == [200, 404, 200, 400]
    stock, ours = (
        [line for line in door.log.read_bytes()[size:].split(b"\n") if line.startswith(b"log ")]
        for door, size in zip(pair, sizes, strict=True)
    )
    assert ours == stock
    assert len(ours) == 2 * 3  # a head that cannot be read is in the error log
