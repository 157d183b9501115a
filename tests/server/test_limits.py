"""No peer can hold a place for ever, nor keep the worker from the others."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from tests.server.gunicorn_server import (
    QUICK,
    GunicornServer,
    answers_in,
    codes,
    everything,
    one_answer,
    opened,
    request,
    wait_until,
)

#: In seconds, as tests/server/short_timeouts.py and the option below have them.
HEAD = 1.0
BODY = 0.5
#: What a test grants beyond a limit: a look of the watch, and a machine that is busy.
LEEWAY = 3.0
STEP = 16_384

LONG = b"POST /echo HTTP/1.1\r\nHost: door\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"POST /count HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A door with small limits."""
    with opened(tmp_path_factory.mktemp("door"), QUICK, "--keep-alive", "1") as running:
        yield running


def drip(connection: socket.socket, data: bytes, seconds: float = 0.05) -> None:
    """Send byte by byte until the peer has had enough."""
    with suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            gevent.sleep(seconds)


def flood(connection: socket.socket, data: bytes) -> int:
    """Send until the peer has had enough, or for a second; return how many bytes went."""
    sent = 0
    until = time.monotonic() + 1
    with suppress(OSError):
        while time.monotonic() < until:
            sent += connection.send(data)
    return sent


def is_reset(connection: socket.socket) -> bool:
    """Tell whether the peer has reset it, without reading from it."""
    try:
        connection.send(b"x")
    except OSError:
        return True
    return False


@pytest.mark.parametrize("beginning", [b"", b"POST /ec", b"POST /echo HTTP/1.1\r\nX-A: b\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(door: GunicornServer, beginning: bytes) -> None:
    """The connection ends without an answer after ``keepalive`` seconds."""
    with door.connect() as connection:
        began = time.monotonic()
        connection.sendall(beginning)
        assert everything(connection) == b""
        assert HEAD <= time.monotonic() - began < HEAD + LEEWAY


def test_a_head_in_drips_has_no_more_time(door: GunicornServer) -> None:
    with door.connect() as connection:
        began = time.monotonic()
        dripping = gevent.spawn(drip, connection, b"POST /echo HTTP/1.1\r\nX-A: " + b"b" * 1000)
        assert everything(connection) == b""
        assert HEAD <= time.monotonic() - began < HEAD + LEEWAY
        dripping.kill()


def test_a_connection_that_asks_no_more_is_closed(door: GunicornServer) -> None:
    with door.connect() as connection:
        connection.sendall(request("/echo", b""))
        assert one_answer(connection).code == 200
        began = time.monotonic()
        assert everything(connection) == b""
        assert HEAD <= time.monotonic() - began < HEAD + LEEWAY


@pytest.mark.parametrize("beginning", [LONG + b"12345", CHUNKED + b"5\r\nhel", CHUNKED])
def test_a_body_that_stops_is_408(door: GunicornServer, beginning: bytes) -> None:
    with door.connect() as connection:
        began = time.monotonic()
        connection.sendall(beginning)
        assert codes(answers_in(everything(connection))) == [408]
        assert BODY <= time.monotonic() - began < BODY + LEEWAY


@pytest.mark.parametrize("beginning", [LONG, CHUNKED + b"100000\r\n"])
def test_a_body_in_drips_is_408(door: GunicornServer, beginning: bytes) -> None:
    with door.connect() as connection:
        began = time.monotonic()
        connection.sendall(beginning)
        dripping = gevent.spawn(drip, connection, b"b" * 1000)
        assert codes(answers_in(everything(connection))) == [408]
        assert BODY <= time.monotonic() - began < BODY + LEEWAY
        dripping.kill()


@pytest.mark.parametrize("drips", [b"", b"123"])
def test_a_known_body_that_does_not_come_is_408_too(door: GunicornServer, drips: bytes) -> None:
    """It is waited for before the application is asked, which is not left to find out why there is none."""
    whole = request("/guarded", b"12345")
    assert codes(door.say(whole)) == [200]
    with door.connect() as connection:
        began = time.monotonic()
        connection.sendall(whole[:-5])
        drip(connection, drips)
        assert codes(answers_in(everything(connection))) == [408]
        assert BODY <= time.monotonic() - began < BODY + LEEWAY


def test_a_long_body_that_keeps_coming_has_its_time(door: GunicornServer) -> None:
    """A step of it within the limit is enough."""
    steps = 6
    with door.connect() as connection:
        connection.sendall(request("/count", bytes(steps * STEP))[: -steps * STEP])
        for _ in range(steps):
            gevent.sleep(BODY / 3)
            connection.sendall(bytes(STEP))
        assert one_answer(connection).body == str(steps * STEP).encode()


@pytest.mark.parametrize("path", ["/unread", "/first"])
def test_a_body_that_nobody_reads_is_not_received(door: GunicornServer, path: str) -> None:
    """It is answered, and the connection ends."""
    with door.connect() as connection:
        connection.sendall(LONG.replace(b"/echo", path.encode()).replace(b"1000000", b"1" + b"0" * 15))
        flooding = gevent.spawn(flood, connection, bytes(65_536))
        answer = one_answer(connection)
        assert answer.code in {404, 413}
        assert "Connection: close" in answer.headers
        # The buffers of both kernels take some megabytes; in a second a loop takes hundreds.
        assert flooding.get() < 50_000_000


@pytest.mark.parametrize(("path", "code"), [("/unread", 404), ("/first", 413)])
def test_who_sends_all_of_a_large_body_first_hears_the_answer(door: GunicornServer, path: str, code: int) -> None:
    """As most clients do; the buffers of both kernels take less of it."""
    with door.connect() as connection:
        connection.sendall(request(path, bytes(12_000_000)))
        assert one_answer(connection).code == code


@pytest.mark.parametrize(
    "endless",
    [
        LONG.replace(b"/echo", b"/count").replace(b"1000000", b"1" + b"0" * 15),
        CHUNKED + b"f" * 12 + b"\r\n",
        CHUNKED,
        b"",
    ],
    ids=["length", "one chunk", "small chunks", "requests"],
)
def test_a_peer_that_never_stops_leaves_others_their_turn(door: GunicornServer, endless: bytes) -> None:
    """Others are answered while it sends as fast as it can."""
    small = request("/echo", b"") * 50 if not endless else b"1\r\nx\r\n" * 1000
    with door.connect() as connection:
        connection.sendall(endless)
        reading = gevent.spawn(everything, connection)
        flooding = gevent.spawn(flood, connection, bytes(65_536) if endless not in {CHUNKED, b""} else small)
        hits = []
        while not flooding.ready():
            hits.append(door.hit())
            gevent.sleep(0.01)
        flooding.get()
        connection.shutdown(socket.SHUT_RDWR)
        reading.join()
    assert len(hits) > 5
    assert max(hits) < 1


def test_an_answer_that_is_not_taken_is_given_up(door: GunicornServer) -> None:
    """The connection is reset, so that the kernel does not go on instead."""
    with door.connect() as connection:
        connection.sendall(request("/big?50000000"))
        began = time.monotonic()
        wait_until(lambda: is_reset(connection), "the connection is reset")
        assert BODY <= time.monotonic() - began < BODY + LEEWAY


def test_an_answer_that_is_taken_slowly_is_sent_whole(door: GunicornServer) -> None:
    size = 2_000_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STEP)
        connection.connect(("127.0.0.1", door.port))
        connection.sendall(request(f"/big?{size}", None, "Connection: close"))
        heard = bytearray()
        began = time.monotonic()
        while part := connection.recv(STEP):
            heard += part
            gevent.sleep(0.01)
        assert len(answers_in(bytes(heard))[0].body) == size
        assert time.monotonic() - began > BODY


def test_100_is_said_when_the_body_is_waited_for(door: GunicornServer) -> None:
    data = request("/echo", b"12345", "Expect: 100-continue")
    with door.connect() as connection:
        connection.sendall(data[:-5])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(data[-5:])
        assert one_answer(connection).body.endswith(b"b'12345'")


def test_who_waits_for_100_is_refused_without_it(door: GunicornServer) -> None:
    with door.connect() as connection:
        connection.sendall(
            request("/unread", None, "Content-Length: 1000000000", "Expect: 100-continue", method="POST")
        )
        assert codes(answers_in(everything(connection))) == [404]


def test_tls_is_not_listened_to(door: GunicornServer) -> None:
    """It ends without an answer, or with one that refuses it."""
    with door.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"x" * 500)
        assert codes(answers_in(everything(connection))) in ([], [400])


def test_an_answer_leaves_in_one_piece_and_at_once(door: GunicornServer) -> None:
    """Head and body are received at once, and no later piece of an answer waits for an ACK."""
    with door.connect() as connection:
        for _ in range(3):
            connection.sendall(request("/option", b""))
            (answer,) = answers_in(connection.recv(65_536))
            assert answer.body == b"at once"


def test_a_reset_in_the_middle_of_anything_is_nobodys_error(door: GunicornServer) -> None:
    before = door.log.read_text("utf-8").count("Traceback")
    for data in [b"POST", LONG, CHUNKED, request("/big?9000000")]:
        with door.connect() as connection:
            connection.sendall(data)
            gevent.sleep(0.05)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    door.hit()
    assert door.log.read_text("utf-8").count("Traceback") == before
