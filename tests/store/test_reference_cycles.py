"""Calls that fail leave no reference cycles: their frames are freed at once, without the garbage collector."""

import gc
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent import monkey
from gevent.server import StreamServer

from app.store import redis as redis_store
from app.store.base import StoreError
from app.store.redis import RedisStore
from app.store.sqlite import SqliteStore


@contextmanager
def redis_that_responds(response: bytes) -> Iterator[RedisStore]:
    """Open a store at a server that sends the same response to each command; nothing, if that is empty."""

    def respond(client: socket.socket, _address: object) -> None:
        while client.recv(65536):
            client.sendall(response)

    listener = StreamServer(("127.0.0.1", 0), respond)
    listener.start()
    store = RedisStore(f"redis://127.0.0.1:{listener.server_port}")
    try:
        yield store
    finally:
        store.close()
        listener.stop(timeout=0)


def assert_no_cycles(call: Callable[[], object]) -> None:
    """Call a function that raises StoreError, twice: the first call may open something."""

    def fail() -> None:
        with pytest.raises(StoreError):
            call()

    fail()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        fail()
        gevent.sleep(0.01)
        gc.collect()
        assert [type(found).__name__ for found in gc.garbage] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("response", [b"", b"-ERR no\r\n", b"garbage\r\n", b"-READONLY no\r\n"])
def test_failures_of_redis(response: bytes) -> None:
    with redis_that_responds(response) as store:
        assert_no_cycles(lambda: store.get("ozon:1"))


def test_a_redis_that_refuses_connections() -> None:
    """It fails if the frames of redis-py keep their variables."""
    store = RedisStore("redis://127.0.0.1:1")
    assert_no_cycles(lambda: store.get("ozon:1"))


def test_an_overload_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "QUEUE_TIMEOUT", 0.01)
    monkeypatch.setattr(redis_store, "MAX_CONNECTIONS", 0)
    with redis_that_responds(b"") as store:
        assert_no_cycles(lambda: store.get("ozon:1"))


def test_failures_of_sqlite(tmp_path: Path) -> None:
    """It fails if an error from the thread refers to the frame that raises it again."""
    store = SqliteStore(tmp_path / "covers.db", max_rows=10, clock=time.time)
    assert_no_cycles(lambda: store._run(lambda connection: connection.execute("no SQL").fetchall()))
    store.close()


def test_a_sqlite_thread_that_hangs(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "covers.db", max_rows=10, clock=time.time, timeout=0.001)

    def call_twice() -> None:
        go = False
        with pytest.raises(StoreError, match="does not answer"):
            store._run(lambda _connection: _wait_until(lambda: go))
        try:
            store.get("ozon:1")
        finally:
            go = True
            while store._timed_out_call is not None and not store._timed_out_call.ready():
                gevent.sleep(0.001)

    assert_no_cycles(call_twice)
    store.close()


def _wait_until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        monkey.get_original("time", "sleep")(0.001)
