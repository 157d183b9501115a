"""Timeouts: no client can hold a connection forever or keep the worker from other clients."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from tests.server.gunicorn_server import (
    SHORT_TIMEOUT_WORKER,
    GunicornServer,
    parse_responses,
    receive_all,
    receive_response,
    request,
    run_gunicorn,
    status_codes,
    wait_until,
)

#: Seconds; the values are set by tests/server/short_timeouts.py and by --keep-alive below.
HEAD_TIMEOUT = 1.0
BODY_TIMEOUT = 0.5
#: Seconds that a timeout may be late: the tick interval, and delays on a busy machine.
LEEWAY = 3.0
TIMEOUT_RESET_BYTES = 16_384

LONG_BODY_HEAD = b"POST /echo HTTP/1.1\r\nHost: server\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED_HEAD = b"POST /count HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """A server with short timeouts."""
    with run_gunicorn(tmp_path_factory.mktemp("server"), SHORT_TIMEOUT_WORKER, "--keep-alive", "1") as running:
        yield running


def send_slowly(connection: socket.socket, data: bytes, seconds: float = 0.05) -> None:
    """Send byte by byte until all is sent or the connection is closed."""
    with suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            gevent.sleep(seconds)


def flood(connection: socket.socket, data: bytes) -> int:
    """Send ``data`` repeatedly for a second or until the connection is closed; return the number of bytes sent."""
    sent = 0
    deadline = time.monotonic() + 1
    with suppress(OSError):
        while time.monotonic() < deadline:
            sent += connection.send(data)
    return sent


def is_reset(connection: socket.socket) -> bool:
    """Return whether the server has reset the connection, without reading from it."""
    try:
        connection.send(b"x")
    except OSError:
        return True
    return False


@pytest.mark.parametrize("beginning", [b"", b"POST /ec", b"POST /echo HTTP/1.1\r\nX-A: b\r\n"])
def test_an_incomplete_head_times_out(server: GunicornServer, beginning: bytes) -> None:
    """The connection is closed without a response after ``keepalive`` seconds."""
    with server.connect() as connection:
        started_at = time.monotonic()
        connection.sendall(beginning)
        assert receive_all(connection) == b""
        assert HEAD_TIMEOUT <= time.monotonic() - started_at < HEAD_TIMEOUT + LEEWAY


def test_a_slow_head_does_not_extend_the_timeout(server: GunicornServer) -> None:
    with server.connect() as connection:
        started_at = time.monotonic()
        sender = gevent.spawn(send_slowly, connection, b"POST /echo HTTP/1.1\r\nX-A: " + b"b" * 1000)
        assert receive_all(connection) == b""
        assert HEAD_TIMEOUT <= time.monotonic() - started_at < HEAD_TIMEOUT + LEEWAY
        sender.kill()


def test_an_idle_connection_times_out(server: GunicornServer) -> None:
    with server.connect() as connection:
        connection.sendall(request("/echo", b""))
        assert receive_response(connection).code == 200
        started_at = time.monotonic()
        assert receive_all(connection) == b""
        assert HEAD_TIMEOUT <= time.monotonic() - started_at < HEAD_TIMEOUT + LEEWAY


@pytest.mark.parametrize("beginning", [LONG_BODY_HEAD + b"12345", CHUNKED_HEAD + b"5\r\nhel", CHUNKED_HEAD])
def test_a_body_that_stops_gets_408(server: GunicornServer, beginning: bytes) -> None:
    with server.connect() as connection:
        started_at = time.monotonic()
        connection.sendall(beginning)
        assert status_codes(parse_responses(receive_all(connection))) == [408]
        assert BODY_TIMEOUT <= time.monotonic() - started_at < BODY_TIMEOUT + LEEWAY


@pytest.mark.parametrize("beginning", [LONG_BODY_HEAD, CHUNKED_HEAD + b"100000\r\n"])
def test_a_slow_body_gets_408(server: GunicornServer, beginning: bytes) -> None:
    with server.connect() as connection:
        started_at = time.monotonic()
        connection.sendall(beginning)
        sender = gevent.spawn(send_slowly, connection, b"b" * 1000)
        assert status_codes(parse_responses(receive_all(connection))) == [408]
        assert BODY_TIMEOUT <= time.monotonic() - started_at < BODY_TIMEOUT + LEEWAY
        sender.kill()


@pytest.mark.parametrize("part", [b"", b"123"])
@pytest.mark.parametrize(("path", "code"), [("/echo", 408), ("/catch-error", 400), ("/unread", 404)])
def test_an_incomplete_body_after_a_cached_head_times_out(
    server: GunicornServer, path: str, code: int, part: bytes
) -> None:
    """The application reads the part that has arrived, then gets an exception. It may respond itself."""
    whole = request(path, b"12345")
    server.exchange(whole)
    with server.connect() as connection:
        started_at = time.monotonic()
        connection.sendall(whole[:-5])
        send_slowly(connection, part)
        assert status_codes(parse_responses(receive_all(connection))) == [code]
        assert BODY_TIMEOUT <= time.monotonic() - started_at < BODY_TIMEOUT + LEEWAY


def test_progress_restarts_the_body_timeout(server: GunicornServer) -> None:
    """A client that sends TIMEOUT_RESET_BYTES within each timeout does not time out."""
    steps = 6
    with server.connect() as connection:
        connection.sendall(request("/count", bytes(steps * TIMEOUT_RESET_BYTES))[: -steps * TIMEOUT_RESET_BYTES])
        for _ in range(steps):
            gevent.sleep(BODY_TIMEOUT / 3)
            connection.sendall(bytes(TIMEOUT_RESET_BYTES))
        assert receive_response(connection).body == str(steps * TIMEOUT_RESET_BYTES).encode()


@pytest.mark.parametrize("path", ["/unread", "/partly-read"])
def test_an_unread_body_is_not_received(server: GunicornServer, path: str) -> None:
    """The response is sent, and the connection is closed."""
    with server.connect() as connection:
        connection.sendall(LONG_BODY_HEAD.replace(b"/echo", path.encode()).replace(b"1000000", b"1" + b"0" * 15))
        flooding = gevent.spawn(flood, connection, bytes(65_536))
        response = receive_response(connection)
        assert response.code in {404, 413}
        assert "Connection: close" in response.headers
        # The buffers of both kernels hold some megabytes; a loop would receive hundreds in a second.
        assert flooding.get() < 50_000_000


@pytest.mark.parametrize(("path", "code"), [("/unread", 404), ("/partly-read", 413)])
def test_a_client_that_sends_a_whole_unread_body_receives_the_response(
    server: GunicornServer, path: str, code: int
) -> None:
    """Most clients send the whole body first. This body is larger than the buffers of both kernels."""
    with server.connect() as connection:
        connection.sendall(request(path, bytes(12_000_000)))
        assert receive_response(connection).code == code


@pytest.mark.parametrize(
    "endless",
    [
        LONG_BODY_HEAD.replace(b"/echo", b"/count").replace(b"1000000", b"1" + b"0" * 15),
        CHUNKED_HEAD + b"f" * 12 + b"\r\n",
        CHUNKED_HEAD,
        b"",
    ],
    ids=["length", "one chunk", "small chunks", "requests"],
)
def test_a_client_that_sends_without_end_does_not_block_others(server: GunicornServer, endless: bytes) -> None:
    """Other requests are served while the client sends as fast as it can."""
    small = request("/echo", b"") * 50 if not endless else b"1\r\nx\r\n" * 1000
    with server.connect() as connection:
        connection.sendall(endless)
        reading = gevent.spawn(receive_all, connection)
        flooding = gevent.spawn(flood, connection, bytes(65_536) if endless not in {CHUNKED_HEAD, b""} else small)
        durations = []
        while not flooding.ready():
            durations.append(server.time_request())
            gevent.sleep(0.01)
        flooding.get()
        connection.shutdown(socket.SHUT_RDWR)
        reading.join()
    assert len(durations) > 5
    assert max(durations) < 1


def test_a_response_that_is_not_received_times_out(server: GunicornServer) -> None:
    """The connection is reset, so that the kernel discards the rest of the response."""
    with server.connect() as connection:
        connection.sendall(request("/big?50000000"))
        started_at = time.monotonic()
        wait_until(lambda: is_reset(connection), "the connection is reset")
        assert BODY_TIMEOUT <= time.monotonic() - started_at < BODY_TIMEOUT + LEEWAY


def test_progress_restarts_the_response_timeout(server: GunicornServer) -> None:
    size = 2_000_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TIMEOUT_RESET_BYTES)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request(f"/big?{size}", None, "Connection: close"))
        data = bytearray()
        started_at = time.monotonic()
        while part := connection.recv(TIMEOUT_RESET_BYTES):
            data += part
            gevent.sleep(0.01)
        assert len(parse_responses(bytes(data))[0].body) == size
        assert time.monotonic() - started_at > BODY_TIMEOUT


def test_100_continue_is_sent_when_the_application_reads_the_body(server: GunicornServer) -> None:
    data = request("/echo", b"12345", "Expect: 100-continue")
    with server.connect() as connection:
        connection.sendall(data[:-5])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(data[-5:])
        assert receive_response(connection).body.endswith(b"b'12345'")


def test_100_continue_is_not_sent_before_an_error(server: GunicornServer) -> None:
    with server.connect() as connection:
        connection.sendall(
            request("/unread", None, "Content-Length: 1000000000", "Expect: 100-continue", method="POST")
        )
        assert status_codes(parse_responses(receive_all(connection))) == [404]


def test_tls_is_refused(server: GunicornServer) -> None:
    """The connection is closed without a response or after a 400."""
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"x" * 500)
        assert status_codes(parse_responses(receive_all(connection))) in ([], [400])


def test_a_response_is_sent_in_one_piece_and_without_delay(server: GunicornServer) -> None:
    """Head and body arrive in one recv(), and TCP_NODELAY keeps later pieces from waiting for an ACK."""
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request("/tcp-nodelay", b""))
            (response,) = parse_responses(connection.recv(65_536))
            assert response.body == b"on"


def test_a_reset_by_the_client_is_not_logged_as_an_error(server: GunicornServer) -> None:
    before = server.log.read_text("utf-8").count("Traceback")
    for data in [b"POST", LONG_BODY_HEAD, CHUNKED_HEAD, request("/big?9000000")]:
        with server.connect() as connection:
            connection.sendall(data)
            gevent.sleep(0.05)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.time_request()
    assert server.log.read_text("utf-8").count("Traceback") == before
