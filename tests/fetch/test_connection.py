"""A connection whose peer always has data to read: other greenlets run meanwhile.

The system calls never block, so gevent alone would not switch. The peers here have sent all data beforehand.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import gevent.socket
import pytest

from app.fetch.connection import Connection
from app.fetch.connection_pool import ConnectionPool
from app.fetch.decompression import MAX_PIECE
from app.fetch.http_request import Endpoint
from app.fetch.response_body import ResponseBody
from app.fetch.response_parser import ResponseParser
from tests.fetch.flooder import FLOODS

ENDPOINT = Endpoint("http", "127.0.0.1", 80)


class TurnCounter:
    """A greenlet that counts how often it gets to run."""

    def __init__(self) -> None:
        self.turns = 0

    def run(self) -> None:
        """Run for ever."""
        while True:
            self.turns += 1
            gevent.sleep(1e-9)  # until the event loop has polled once


@contextmanager
def counting_turns() -> Iterator[TurnCounter]:
    counter = TurnCounter()
    greenlet = gevent.spawn(counter.run)
    gevent.sleep(0)
    try:
        yield counter
    finally:
        greenlet.kill()


@contextmanager
def connected(kind: socket.SocketKind) -> Iterator[tuple[Connection, socket.socket]]:
    """Return a connection with a large budget, and the socket of its peer."""
    ours, peer = gevent.socket.socketpair(socket.AF_UNIX, kind)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
    with ours, peer:
        connection = Connection(ENDPOINT, "127.0.0.1", ours)
        connection.send(b"x", budget=10**9, timeout=None)
        peer.recv(1)
        yield connection, peer
        connection.close()


def receives_per_turn(connection: Connection, counter: TurnCounter, size: int) -> Iterator[int]:
    """Receive so many bytes; yield how many receives there were between one turn of another greenlet and the next."""
    received = receives = 0
    turns = counter.turns
    while received < size:
        received += len(connection.receive())
        receives += 1
        if counter.turns != turns:
            yield receives
            turns, receives = counter.turns, 0


def test_other_greenlets_run_between_large_receives() -> None:
    """Fails if a receive that does not block does not switch greenlets either."""
    with connected(socket.SOCK_STREAM) as (connection, peer), counting_turns() as counter:
        peer.settimeout(0)
        size = peer.send(bytes(400_000))
        assert size > 2 * 65_536
        assert max(receives_per_turn(connection, counter, size)) <= 2
        assert counter.turns > size // 65_536


def test_other_greenlets_run_between_many_small_receives() -> None:
    """Each is one byte. Fails if only bytes count, not receives."""
    with connected(socket.SOCK_SEQPACKET) as (connection, peer), counting_turns() as counter:
        for _ in range(200):
            peer.send(b"x")
        assert max(receives_per_turn(connection, counter, 200)) == 16


class ReadyConnection(Connection):
    """Has all its data at hand: it never switches greenlets itself."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def receive(self) -> bytes:
        """Return the next 64 KiB."""
        received, self.data = self.data[:65_536], self.data[65_536:]
        return received

    def close(self) -> None:
        """Do nothing."""


def test_other_greenlets_run_between_the_pieces_of_a_decompressed_body() -> None:
    """One receive expands to dozens of pieces. Fails if they are decompressed in one go."""
    start, block = FLOODS["bomb"]
    header = start[: start.index(b"\r\n\r\n") + 4]
    parser = ResponseParser()
    parser.feed(header)
    connection = ReadyConnection(start[len(header) :] + 100 * block)
    size = 30_000_000
    body = ResponseBody(connection, parser, pool=ConnectionPool(), max_bytes=10**9, encoding="gzip")
    with counting_turns() as counter:
        assert body.read(size, decode_content=True) == bytes(size)
        assert counter.turns > size // MAX_PIECE
    body.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_connection_with_unread_data_is_not_usable(kind: socket.SocketKind) -> None:
    """Its next response would begin with that data."""
    with connected(kind) as (connection, peer):
        assert connection.is_usable()
        peer.send(b"x")
        assert not connection.is_usable()
