"""Tests of the Redis store against a real redis-server: the contract, and the failures of a server."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.event import Event
from gevent.server import StreamServer

from app.store import redis as redis_store
from app.store.base import StoreError
from app.store.redis import CALL_TIMEOUT, MAX_CONNECTIONS, STREAM_START, RedisStore
from tests.store.contract import LONG, NOW, Opener, StoreContract, entry, look, read, save
from tests.store.redis_server import RedisServer, reserve_port, serving_redis
from tests.store.test_circuit_breaker import with_breaker
from tests.support.recording_observer import RecordingObserver
from tests.support.service import ROOT

#: Seconds added to a time limit, for a machine that is busy with other processes.
SLACK = 0.3

#: A call of each method of the store.
CALLS: dict[str, Callable[[RedisStore], object]] = {
    "get": lambda store: store.get("ozon:1"),
    "put": lambda store: store.put("ozon:1", b"value", lifetime=LONG, is_positive=True),
    "forget": lambda store: store.forget("ozon:1"),
    "forgotten": lambda store: store.invalidations("1-1"),
    "look": lambda store: look(store, "one"),
    "renew": lambda store: store.renew_lease("ozon:1", "one", LONG),
    "settle": lambda store: store.settle("ozon:1", "two", entry(), 0),
    "release": lambda store: store.settle("ozon:1", "one", None, 0),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def server(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of the module."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def own_server(require: Callable[[str], str], tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may damage it."""
    with serving_redis(require("redis-server"), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def password_server(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis"), password="open/sesame") as running:
        yield running


@pytest.fixture(scope="module")
def tls_endpoint(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A port for a TLS server, and a self-signed certificate for 127.0.0.1. Its key is in the same folder."""
    folder = tmp_path_factory.mktemp("tls")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=covers -keyout key -out cert"
    subprocess.run(
        [require("openssl"), *command.split(), "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with reserve_port() as reservation:
        yield reservation.getsockname()[1], folder / "cert"


@pytest.fixture(scope="module")
def tls_server(require: Callable[[str], str], tls_endpoint: tuple[int, Path]) -> Iterator[RedisServer]:
    """A TLS server on that port."""
    port, certificate = tls_endpoint
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key")))
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", *files)
    with serving_redis(require("redis-server"), certificate.parent, *options) as running:
        yield running


@pytest.fixture
def open_url() -> Iterator[Callable[[str], RedisStore]]:
    """A function that opens a store by its URL. The stores are closed after the test."""
    stores: list[RedisStore] = []

    def open_one(url: str) -> RedisStore:
        stores.append(RedisStore(url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def open_store(server: RedisServer, open_url: Callable[[str], RedisStore]) -> Opener:
    """A function that opens a store on the module's server, which is emptied first."""
    server.execute("FLUSHALL")
    return lambda: open_url(server.url)


@pytest.fixture
def store(open_store: Callable[[], RedisStore]) -> RedisStore:
    """One store on the module's server."""
    return open_store()


def seconds_to_fail(call: Callable[[RedisStore], object], store: RedisStore) -> float:
    """Return the number of seconds after which the call raised StoreError."""
    started_at = time.monotonic()
    with pytest.raises(StoreError):
        call(store)
    return time.monotonic() - started_at


@contextmanager
def serving(handle: Callable[[socket.socket, object], None]) -> Iterator[str]:
    """Run a server with the given connection handler; yield its URL."""
    listener = StreamServer(("127.0.0.1", 0), handle)
    listener.start()
    try:
        yield f"redis://127.0.0.1:{listener.server_port}"
    finally:
        listener.stop(timeout=0)


@contextmanager
def hub_lag() -> Iterator[list[float]]:
    """Measure, in seconds, the longest time between two ticks of a greenlet; yield it as the only item of a list."""
    longest = [0.0]

    def tick() -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(0.005)
            longest[0] = max(longest[0], time.monotonic() - before)

    ticking = gevent.spawn(tick)
    try:
        yield longest
    finally:
        ticking.kill()


class TestContract(StoreContract):
    """The contract of all stores."""

    @pytest.fixture
    def evict(self, server: RedisServer) -> Callable[[str], None]:
        """Remove one record, as the server does when it is full."""
        return lambda key: server.execute("DEL", f"covers:{{{key}}}:record") and None

    @pytest.fixture
    def lose_data(self, server: RedisServer) -> Callable[[], None]:
        """Remove all data."""
        return lambda: server.execute("FLUSHALL") and None


class TestData:
    """The data in the server."""

    def test_all_keys_have_one_prefix_and_those_of_an_item_one_hash_tag(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        store.put("@host:1", b"value", lifetime=LONG, is_positive=True)
        store.forget("ozon:1")
        save(store)
        assert look(store, "one", "ozon:2").has_lease
        assert sorted(server.execute("KEYS", "*")) == [
            b"covers:forgotten",
            b"covers:purges",
            b"covers:value:@host:1",
            b"covers:{ozon:1}:purge",
            b"covers:{ozon:1}:record",
            b"covers:{ozon:2}:lease",
        ]

    def test_keys_of_items_and_values_do_not_collide(self, store: RedisStore) -> None:
        keys = ("forgotten", "purges", "lease:ozon:1", "value:ozon:1", "ozon:1", "ozon:1}:lease", "{ozon:1}:purge", "")
        for key in keys:
            store.put(key, key.encode(), lifetime=LONG, is_positive=True)
            save(store, key, entry(f"record {key}".encode()))
        assert store.forget("forgotten")
        assert [store.get(key) for key in keys] == [key.encode() for key in keys]
        assert [read(store, key) for key in keys[1:]] == [f"record {key}".encode() for key in keys[1:]]

    @pytest.mark.parametrize(
        ("lifetime", "least", "most"),
        [(600.0, 590_000, 600_000), (float("inf"), 10**12, 10**13), (1e300, 10**12, 10**13)],
    )
    def test_a_lifetime_is_the_expiry_of_the_key(
        self, server: RedisServer, store: RedisStore, lifetime: float, least: int, most: int
    ) -> None:
        store.put("ozon:1", b"value", lifetime=lifetime, is_positive=True)
        look(store, "one", seconds=lifetime)
        store.settle("ozon:1", "two", entry(lifetime=lifetime), 0)
        for name in ("covers:value:ozon:1", "covers:{ozon:1}:lease", "covers:{ozon:1}:record"):
            assert least < server.execute("PTTL", name) <= most

    def test_a_purge_is_kept_for_longer_than_a_fetch_may_last(self, server: RedisServer, store: RedisStore) -> None:
        store.forget("ozon:1")
        assert server.execute("PTTL", "covers:{ozon:1}:purge") > 3_500_000

    @pytest.mark.parametrize("due", [float("inf"), NOW + 1e-6, 1e300])
    def test_the_due_time_is_compared_exactly(self, store: RedisStore, due: float) -> None:
        save(store, saved=entry(due=due))
        assert not look(store, "one").has_lease
        assert store.look("ozon:1", "one", LONG, due).has_lease

    def test_a_record_that_is_too_short_is_due(self, server: RedisServer, store: RedisStore) -> None:
        server.execute("SET", "covers:{ozon:1}:record", "x")
        assert look(store, "one")[:2] == (b"", True)

    def test_purge_numbers_do_not_decrease_with_the_clock_of_the_server(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        """The clock was set back, or a replica whose clock is behind has become the primary.

        It fails if each number is the time at which it is made.
        """
        first, latest = 9_000_000_000_000_000, 9_000_000_000_000_005
        server.execute("SET", "covers:purges", f"{first}:{latest}")
        before = look(store, "one").purge_number
        assert before == latest
        store.forget("ozon:1")
        assert not store.settle("ozon:1", "one", entry(), before)
        assert store.settle("ozon:1", "one", entry(), look(store, "one").purge_number)

    @pytest.mark.parametrize("lifetime", [0.0, -1.0, 1e-9])
    def test_a_value_without_a_lifetime_expires_soon(self, store: RedisStore, lifetime: float) -> None:
        store.put("ozon:1", b"value", lifetime=lifetime, is_positive=True)
        with gevent.Timeout(5):
            while store.get("ozon:1") is not None:
                gevent.sleep(0.001)

    def test_only_the_holder_can_renew_a_lease(self, server: RedisServer, open_store: Callable[[], RedisStore]) -> None:
        one, two = open_store(), open_store()
        look(one, "one", seconds=10)
        assert one.renew_lease("ozon:1", "one", 100)
        assert not two.renew_lease("ozon:1", "two", 1000)
        assert 90_000 < server.execute("PTTL", "covers:{ozon:1}:lease") <= 100_000

    def test_invalidations_return_keys_with_surrogates_unchanged(self, store: RedisStore) -> None:
        cursor, _ = store.invalidations("")
        save(store, "ozon:\ud800")
        assert store.forget("ozon:\ud800")
        assert store.invalidations(cursor)[1] == ["ozon:\ud800"]

    def test_invalidations_are_read_in_batches_and_trimmed(self, server: RedisServer, store: RedisStore) -> None:
        cursor, _ = store.invalidations("")
        append = "for number = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'key', 'ozon:' .. number) end"
        server.execute("EVAL", append, 1, "covers:forgotten", 2500)
        read: list[str] = []
        while (batch := store.invalidations(cursor))[1]:
            cursor = batch[0]
            read += batch[1]
        assert read == [f"ozon:{number}" for number in range(1, 2501)]
        server.execute("EVAL", append, 1, "covers:forgotten", 12_500)
        store.forget("ozon:1")
        assert 10_000 <= server.execute("XLEN", "covers:forgotten") < 10_300

    def test_many_greenlets_share_a_few_connections(self, server: RedisServer, store: RedisStore) -> None:
        def put_and_get(number: int) -> bytes | None:
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
            return store.get(f"ozon:{number}")

        greenlets = [gevent.spawn(put_and_get, number) for number in range(200)]
        assert [greenlet.get() for greenlet in greenlets] == [b"%d" % number for number in range(200)]
        assert 1 <= len(server.connections()) <= MAX_CONNECTIONS

    def test_busy_greenlets_do_not_starve_others_of_connections(self, store: RedisStore) -> None:
        """Four greenlets for each connection call the store all the time.

        It fails if a connection is given to a newcomer while others wait, as gevent's semaphore does.
        """
        calls = [0] * 4 * MAX_CONNECTIONS

        def call_until_all_have_called(number: int) -> None:
            while sum(calls) < 40 * len(calls):
                store.get("ozon:1")
                calls[number] += 1

        gevent.joinall([gevent.spawn(call_until_all_have_called, n) for n in range(len(calls))], raise_error=True)
        assert min(calls) > 20


class TestOverload:
    """More calls than connections: the load of this worker is no failure of the server."""

    def test_waiting_for_a_connection_is_no_failure(
        self, server: RedisServer, open_url: Callable[[str], RedisStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """256 lookups at once, and a server whose responses take a twentieth of the timeout.

        It fails if the timeout of a command includes the wait for a connection: the last one waits for 1.6 seconds.
        """
        monkeypatch.setattr(redis_store, "QUEUE_TIMEOUT", 30.0)
        for name in ("CALL_TIMEOUT", "SOCKET_TIMEOUT"):
            monkeypatch.setattr(redis_store, name, 1.0)

        def forward(client: socket.socket, _address: object) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                while data := client.recv(65536):
                    upstream.sendall(data)
                    response = upstream.recv(65536)
                    gevent.sleep(0.05)
                    client.sendall(response)

        server.execute("FLUSHALL")
        with serving(forward) as url:
            observer = RecordingObserver()
            store = with_breaker(open_url(url), observer=observer)

            def find(number: int) -> bool:
                _, has_lease, purge_number = store.look(f"ozon:{number}", "one", LONG, NOW)
                return has_lease and store.settle(
                    f"ozon:{number}", "one", "value", purge_number, due=NOW, lifetime=LONG, is_positive=True
                )

            callers = [gevent.spawn(find, number) for number in range(256)]
            assert all(caller.get() for caller in callers)
        assert observer.events == []
        assert len(server.execute("KEYS", "covers:{*}:record")) == 256

    def test_a_call_that_gets_no_connection_in_time_is_an_overload(
        self, open_url: Callable[[str], RedisStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is counted, the circuit stays closed, and those before it get their responses."""
        for name, seconds in {"QUEUE_TIMEOUT": 0.01, "CALL_TIMEOUT": 30.0, "SOCKET_TIMEOUT": 30.0}.items():
            monkeypatch.setattr(redis_store, name, seconds)
        commands, go = [], Event()

        def respond(client: socket.socket, _address: object) -> None:
            while data := client.recv(65536):
                commands.append(data)
                go.wait()
                client.sendall(b"$5\r\nvalue\r\n")

        with serving(respond) as url:
            observer = RecordingObserver()
            store = with_breaker(open_url(url), observer=observer)
            first = [gevent.spawn(store.read, "ozon:1", bytes.decode) for _ in range(MAX_CONNECTIONS)]
            while len(commands) < MAX_CONNECTIONS:
                gevent.sleep(0)
            assert store.read("ozon:1", bytes.decode) is None
            assert observer.events == [("store_overloaded",)]
            go.set()
            assert [greenlet.get() for greenlet in first] == ["value"] * MAX_CONNECTIONS
            assert store.read("ozon:1", bytes.decode) == "value"
        assert not store.is_bypassed

    @pytest.mark.parametrize("response", [b"", b"x"], ids=["nothing", "a response that trickles in"])
    def test_calls_that_wait_when_the_server_fails_do_not_try_it(
        self, open_url: Callable[[str], RedisStore], response: bytes
    ) -> None:
        """It fails if they time out one after the other."""
        commands = []

        def swallow(client: socket.socket, _address: object) -> None:
            while data := client.recv(65536):
                commands.append(data)
                while response:
                    client.sendall(response)
                    gevent.sleep(0.05)

        with serving(swallow) as url:
            store = open_url(url)
            calls = [gevent.spawn(seconds_to_fail, CALLS["get"], store) for _ in range(256)]
            gevent.joinall(calls, raise_error=True)
            assert len(commands) == MAX_CONNECTIONS
            with pytest.raises(StoreError):
                store.get("ozon:1")
            assert len(commands) == MAX_CONNECTIONS + 1, "later calls try it"


class TestConnections:
    """Opening and closing of connections."""

    def test_the_constructor_opens_none_and_close_closes_all(self, server: RedisServer, store: RedisStore) -> None:
        assert server.connections() == []
        gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        assert server.connections()
        store.close()
        with gevent.Timeout(5):
            while server.connections():
                gevent.sleep(0.001)
        assert store.get("ozon:1") is None

    def test_connections_send_no_further_commands(self, server: RedisServer, store: RedisStore) -> None:
        """No HELLO, no CLIENT SETINFO, no PING, according to the statistics of the server."""
        server.execute("CONFIG", "RESETSTAT")
        for call in CALLS.values():
            call(store)
        calls_by_command = {
            name.removeprefix("cmdstat_"): statistics["calls"]
            for name, statistics in server.execute("INFO", "commandstats").items()
        }
        assert set(calls_by_command) <= {
            "get",
            "set",
            "del",
            "xadd",
            "eval",
            "time",
            "xrevrange",
            "xread",
            "config|resetstat",
            "info",
        }
        assert calls_by_command["eval"] == 5
        assert server.execute("INFO", "stats")["total_error_replies"] == 0  # a server before 7.2 does not know SETINFO

    def test_a_forked_process_opens_its_own_connections(self, server: RedisServer, store: RedisStore) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        before = server.connections()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if store.get("ozon:1") == b"value" else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.get("ozon:1") == b"value"
        assert server.connections() == before

    def test_close_during_a_call_makes_that_call_fail(self, own_server: RedisServer) -> None:
        store = RedisStore(own_server.url)
        store.get("ozon:1")
        own_server.freeze()
        call = gevent.spawn(store.get, "ozon:1")
        gevent.sleep(0.02)
        store.close()
        with pytest.raises(StoreError):
            call.get()
        own_server.thaw()
        assert store.get("ozon:1") is None
        store.close()


class TestFailures:
    """Failures of a server: each call raises StoreError in time, and the next call works again."""

    @each_call
    def test_a_call_of_a_frozen_server_times_out(
        self, server: RedisServer, store: RedisStore, call: Callable[[RedisStore], object]
    ) -> None:
        """First on an open connection, then on a new one, which the system accepts for the server."""
        store.get("ozon:1")
        server.freeze()
        try:
            with hub_lag() as longest:
                assert seconds_to_fail(call, store) < CALL_TIMEOUT + SLACK
                assert seconds_to_fail(call, store) < CALL_TIMEOUT + SLACK
        finally:
            server.thaw()
        assert longest[0] < SLACK
        call(store)

    def test_many_calls_of_a_frozen_server_time_out_together(self, server: RedisServer, store: RedisStore) -> None:
        """There are more calls than connections."""
        server.freeze()
        try:
            started_at = time.monotonic()
            calls = [gevent.spawn(seconds_to_fail, CALLS["get"], store) for _ in range(4 * MAX_CONNECTIONS)]
            assert max(greenlet.get() for greenlet in calls) < CALL_TIMEOUT + SLACK
            assert time.monotonic() - started_at < CALL_TIMEOUT + SLACK
        finally:
            server.thaw()
        assert store.get("ozon:1") is None

    def test_a_late_response_is_not_given_to_a_later_call(self, server: RedisServer, store: RedisStore) -> None:
        """The server responds to the commands sent while it was frozen as soon as it continues."""
        for number in range(20):
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
        for number in range(3):
            server.freeze()
            with pytest.raises(StoreError):
                store.get(f"ozon:{number}")
            server.thaw()
            for other in range(3, 20):
                assert store.get(f"ozon:{other}") == b"%d" % other

    @pytest.mark.parametrize("interruption", ["killed", "timeout"])
    def test_the_response_to_an_interrupted_call_is_not_given_to_a_later_call(
        self, server: RedisServer, store: RedisStore, interruption: str
    ) -> None:
        """A timeout of the caller is raised as it is, not as a StoreError."""

        class Deadline(gevent.Timeout):
            """A timeout of the caller."""

        def call_with_deadline() -> str:
            try:
                with Deadline(30 if interruption == "killed" else 0.05):
                    store.get("ozon:1")
            except Deadline:
                return "timeout"
            return "response"

        for number in (1, 2):
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
        server.freeze()
        call = gevent.spawn(call_with_deadline)
        gevent.sleep(0.02)
        if interruption == "killed":
            call.kill()
        else:
            assert call.get() == "timeout"
        server.thaw()
        assert store.get("ozon:2") == b"2"

    @each_call
    def test_a_restarted_server_is_used_again(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore], call: Callable[[RedisStore], object]
    ) -> None:
        store = open_url(own_server.url)
        call(store)
        own_server.kill()
        with pytest.raises(StoreError, match=r"^redis at 127\.0\.0\.1:\d+: .*Connection refused\.?$"):
            call(store)
        own_server.start()
        call(store)

    def test_a_restart_between_two_calls_makes_no_call_fail(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore]
    ) -> None:
        store = open_url(own_server.url)
        gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        own_server.kill()
        own_server.start()
        assert [store.get("ozon:1") for _ in range(20)] == [None] * 20

    @pytest.mark.parametrize("response", [b"", b"$5\r\nva", b"$100\r\n"], ids=["nothing", "a piece", "a length"])
    @each_call
    def test_a_call_without_a_complete_response_times_out(
        self, open_url: Callable[[str], RedisStore], response: bytes, call: Callable[[RedisStore], object]
    ) -> None:
        def respond(client: socket.socket, _address: object) -> None:
            client.sendall(response)
            gevent.sleep(30)

        with serving(respond) as url:
            assert seconds_to_fail(call, open_url(url)) < CALL_TIMEOUT + SLACK

    @each_call
    def test_a_call_with_a_response_that_trickles_in_times_out(
        self, open_url: Callable[[str], RedisStore], call: Callable[[RedisStore], object]
    ) -> None:
        """Each byte arrives within the timeout of a socket."""

        def trickle(client: socket.socket, _address: object) -> None:
            client.sendall(b"$100\r\n")
            while True:
                gevent.sleep(0.05)
                client.sendall(b"x")

        with serving(trickle) as url:
            assert seconds_to_fail(call, open_url(url)) < CALL_TIMEOUT + SLACK

    def test_the_timeout_includes_the_commands_that_open_a_connection(
        self, open_url: Callable[[str], RedisStore]
    ) -> None:
        """A password and a database need a command each when a connection is opened."""

        def trickle(client: socket.socket, _address: object) -> None:
            while True:
                for byte in b"+OK\r\n":
                    gevent.sleep(0.05)
                    client.sendall(bytes([byte]))

        with serving(trickle) as url:
            store = open_url(url.replace("//", "//:secret@") + "/1")
            assert seconds_to_fail(CALLS["forgotten"], store) < CALL_TIMEOUT + SLACK

    @pytest.mark.parametrize(
        "response",
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$x\r\n", b"*-7\r\n", b"*1\r\n:x\r\n", b"\xff\x00\r\n", b":7\r\n"],
    )
    @each_call
    def test_a_response_that_is_not_redis_is_a_failure(
        self, open_url: Callable[[str], RedisStore], response: bytes, call: Callable[[RedisStore], object]
    ) -> None:
        def respond(client: socket.socket, _address: object) -> None:
            while client.recv(65536):
                client.sendall(response)

        with serving(respond) as url:
            try:
                call(open_url(url))
            except StoreError as error:
                assert "\n" not in str(error)  # noqa: PT017 - the call may succeed: b":7" is valid for some

    def test_a_call_times_out_while_the_host_name_is_resolved(
        self, open_url: Callable[[str], RedisStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: gevent.sleep(30))
        store = open_url("redis://redis.example")
        assert seconds_to_fail(CALLS["get"], store) < CALL_TIMEOUT + SLACK

    def test_a_call_times_out_while_the_connection_is_opened(self, open_url: Callable[[str], RedisStore]) -> None:
        """The backlog is full, so the system drops the packets."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                assert seconds_to_fail(CALLS["get"], open_url(f"redis://127.0.0.1:{port}")) < CALL_TIMEOUT + SLACK


#: Commands after which a server refuses writes.
WRITE_REFUSALS = pytest.mark.parametrize(
    "command", [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "maxmemory", "1")], ids=["replica", "full"]
)


class TestErrors:
    """Error responses of a server, and lost data."""

    def test_a_key_of_another_type_is_a_failure_and_put_replaces_it(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        names = "covers:value:ozon:1", "covers:{ozon:1}:record", "covers:{ozon:1}:lease", "covers:forgotten"
        for name in names:
            server.execute("RPUSH", name, "x")
        for name in [*(CALLS.keys() - {"put", "forget"}), "forget"]:
            with pytest.raises(StoreError, match="WRONGTYPE"):
                CALLS[name](store)
        CALLS["put"](store)
        assert store.get("ozon:1") == b"value"

    def test_calls_work_after_a_script_flush(self, server: RedisServer, store: RedisStore) -> None:
        for call in CALLS.values():
            call(store)
        server.execute("SCRIPT", "FLUSH")
        for call in CALLS.values():
            call(store)

    def test_after_a_flush_all_values_are_misses_and_invalidations_start_anew(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        CALLS["put"](store)
        save(store)
        look(store, "one", "ozon:2")
        store.forget("ozon:2")
        cursor, _ = store.invalidations("")
        server.execute("FLUSHALL")
        assert store.get("ozon:1") is None
        assert read(store) is None
        assert look(store, "two", "ozon:2").has_lease
        cursor, keys = store.invalidations(cursor)
        assert (cursor, keys) == (STREAM_START, [])
        store.forget("ozon:3")
        assert store.invalidations(cursor)[1] == ["ozon:3"]

    def test_invalidations_written_right_after_a_flush_are_not_lost(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        """Even if the server's clock was set back, so that new entries have lower ids than the old ones."""
        server.execute("XADD", "covers:forgotten", "9999999999999-0", "key", "ozon:1")
        cursor, _ = store.invalidations("")
        server.execute("FLUSHALL")
        store.forget("ozon:2")
        cursor, first = store.invalidations(cursor)
        _, second = store.invalidations(cursor)
        assert first + second == ["ozon:2"]

    def test_a_replica_can_be_read_but_not_written(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore]
    ) -> None:
        """The connections are closed after that, since the host name may lead to another server by now."""
        store = open_url(own_server.url)
        CALLS["put"](store)
        save(store)
        save(store, "ozon:2", entry(due=NOW))
        look(store, "one", "ozon:3")
        own_server.execute("REPLICAOF", "127.0.0.1", "1")
        gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        assert store.get("ozon:1") == b"value"
        assert look(store, "one")[:2] == (b"value", False)
        assert look(store, "one", "ozon:2")[:2] == (b"value", True)
        before = own_server.connections()
        assert len(before) > 1
        for name in ("put", "forget", "settle"):
            with pytest.raises(StoreError, match="READONLY"):
                CALLS[name](store)
        with pytest.raises(StoreError, match="READONLY"):
            store.renew_lease("ozon:3", "one", LONG)
        store.get("ozon:1")
        assert not set(own_server.connections()) & set(before)
        own_server.execute("REPLICAOF", "NO", "ONE")
        for call in CALLS.values():
            call(store)

    def test_a_full_server_can_be_read_and_can_forget(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore]
    ) -> None:
        store = open_url(own_server.url)
        CALLS["put"](store)
        save(store)
        save(store, "ozon:2", entry(due=NOW))
        cursor, _ = store.invalidations("")
        before = look(store, "one").purge_number
        own_server.execute("CONFIG", "SET", "maxmemory", "1")
        assert store.get("ozon:1") == b"value"
        assert look(store, "one")[:2] == (b"value", False)
        assert look(store, "one", "ozon:2")[:2] == (b"value", True)
        for name in ("put", "settle"):
            with pytest.raises(StoreError, match="OOM"):
                CALLS[name](store)
        assert store.forget("ozon:1")
        assert not store.forget("ozon:3")
        assert store.invalidations(cursor)[1] == ["ozon:1", "ozon:3"]
        assert not store.settle("ozon:1", "one", entry(), before)
        own_server.execute("CONFIG", "SET", "maxmemory", "0")
        for call in CALLS.values():
            call(store)

    @WRITE_REFUSALS
    def test_an_empty_server_that_cannot_be_written_grants_leases(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore], command: tuple[str, ...]
    ) -> None:
        own_server.execute(*command)
        assert look(open_url(own_server.url), "one")[:2] == (None, True)

    @WRITE_REFUSALS
    def test_records_are_returned_while_the_circuit_of_the_writes_is_open(
        self, own_server: RedisServer, open_url: Callable[[str], RedisStore], command: tuple[str, ...]
    ) -> None:
        """It fails if a refused lease fails the look, or if a refused write opens the circuit of the reads."""
        store = open_url(own_server.url)
        save(store, "ozon:1")
        save(store, "ozon:2", entry(due=NOW))
        own_server.execute(*command)
        breaker = with_breaker(store)
        for _ in range(3):
            assert breaker.look("ozon:1", "one", LONG, NOW)[:2] == ("value", False)
            assert breaker.look("ozon:2", "one", LONG, NOW)[:2] == ("value", True)
            breaker.settle("ozon:3", "one", "value", 0, due=NOW, lifetime=LONG, is_positive=True)
            assert breaker.is_bypassed

    @pytest.mark.parametrize(
        "error",
        [
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN Hash slot not served",
            "MOVED 3999 127.0.0.1:6381",
            "ERR max number of clients reached",
            "ERR something of a later version",
        ],
    )
    def test_an_error_response_is_raised_as_one_line(self, open_url: Callable[[str], RedisStore], error: str) -> None:
        def respond(client: socket.socket, _address: object) -> None:
            while client.recv(65536):
                client.sendall(f"-{error}\r\n".encode())

        with serving(respond) as url:
            store = open_url(url)
            for call in CALLS.values():
                with pytest.raises(StoreError, match=r"^redis at 127\.0\.0\.1:\d+: \S.*\S$") as raised:
                    call(store)
                assert error.split(maxsplit=1)[1] in str(raised.value) or error.startswith("MOVED")


class TestPasswords:
    """Authentication."""

    def test_the_documented_permissions_suffice(
        self, server: RedisServer, store: RedisStore, open_url: Callable[[str], RedisStore]
    ) -> None:
        (rules,) = re.findall("ACL user with `([^`]+)` and `([^`]+)`", (ROOT / "docs" / "scaling.md").read_text())
        server.execute("ACL", "SETUSER", "covers", "reset", "on", ">secret", *" ".join(rules).split())
        restricted = open_url(f"redis://covers:secret@127.0.0.1:{server.port}/1")
        for call in CALLS.values():
            call(restricted)

    def test_all_calls_work_with_the_password(
        self, password_server: RedisServer, open_url: Callable[[str], RedisStore]
    ) -> None:
        for user in ("", "default"):
            store = open_url(f"redis://{user}:open%2Fsesame@127.0.0.1:{password_server.port}/3")
            for call in CALLS.values():
                call(store)
            assert store.get("ozon:9") is None

    @pytest.mark.parametrize(
        ("credentials", "error"), [("", "NOAUTH"), (":wrong-secret@", "WRONGPASS"), ("me:wrong-secret@", "WRONGPASS")]
    )
    def test_without_it_each_call_fails_and_the_error_hides_the_password(
        self, password_server: RedisServer, open_url: Callable[[str], RedisStore], credentials: str, error: str
    ) -> None:
        store = open_url(f"redis://{credentials}127.0.0.1:{password_server.port}")
        for call in CALLS.values():
            with pytest.raises(StoreError, match=error) as raised:
                call(store)
            assert "secret" not in str(raised.value)

    def test_a_password_quoted_by_the_server_is_hidden(self, open_url: Callable[[str], RedisStore]) -> None:
        def quote(client: socket.socket, _address: object) -> None:
            client.recv(65536)
            client.sendall(b"-ERR unknown command 'AUTH', with args beginning with: 'open/sesame'\r\n")

        with serving(quote) as url:
            store = open_url(url.replace("//", "//:open%2Fsesame@"))
            with pytest.raises(StoreError, match=r"unknown command 'AUTH', .* '\*\*\*'$"):
                store.get("ozon:1")


class TestURLs:
    """Validation of URLs by the constructor."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("redis://127.0.0.1:6379/notanumber", "database"),
            ("redis://127.0.0.1:6379/1/2", "database"),
            ("redis://127.0.0.1:6379/-1", "database"),
            ("redis://127.0.0.1:6379/0#secret", "database"),
            ("redis://127.0.0.1:secret", "PORT"),
            ("redis://127.0.0.1:0", "PORT"),
            ("redis://127.0.0.1:65536", "PORT"),
            ("redis://:sec/ret@127.0.0.1:6379", "PORT"),
            ("redis://one:1,two:2/0", "PORT"),
            ("redis://127.0.0.1?socket_timeout=60", "option"),
            ("redis://127.0.0.1?secret", "option"),
            ("rediss://127.0.0.1?socket_timeout=60", "socket_timeout"),
            ("rediss://127.0.0.1?ssl_cert_reqs=secret", "ssl_cert_reqs"),
            ("rediss://127.0.0.1?ssl_ca_certs=/nonexistent", "certificates"),
            ("unix:///run/redis.sock", "rediss?://"),
            ("redis://[::1", "HOST"),
            ("redis://:sec℀ret@localhost", "HOST"),
        ],
    )
    def test_an_invalid_url_raises_one_line(self, url: str, expected: str) -> None:
        with pytest.raises(ValueError, match=expected) as raised:
            RedisStore(url)
        assert "\n" not in str(raised.value)
        assert "sec" not in str(raised.value).replace("ssl_cert_reqs", "")

    @pytest.mark.parametrize(
        "url", ["redis://localhost", "redis://localhost/", "redis://[::1]:6379/15", "rediss://user:p%23@h.example:1/0"]
    )
    def test_a_valid_url_is_accepted(self, url: str) -> None:
        RedisStore(url).close()


@pytest.mark.usefixtures("tls_server")
class TestTLS:
    """Connections over TLS."""

    def test_a_trusted_certificate_is_accepted(
        self, tls_endpoint: tuple[int, Path], open_url: Callable[[str], RedisStore]
    ) -> None:
        port, certificate = tls_endpoint
        store = open_url(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")
        for call in CALLS.values():
            call(store)
        with hub_lag() as longest:
            gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        assert longest[0] < SLACK

    def test_an_untrusted_certificate_is_refused(
        self, tls_endpoint: tuple[int, Path], open_url: Callable[[str], RedisStore]
    ) -> None:
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            open_url(f"rediss://127.0.0.1:{tls_endpoint[0]}").get("ozon:1")
        assert open_url(f"rediss://127.0.0.1:{tls_endpoint[0]}?ssl_cert_reqs=none").get("ozon:9") is None

    def test_a_certificate_of_another_name_is_refused(
        self, tls_endpoint: tuple[int, Path], open_url: Callable[[str], RedisStore]
    ) -> None:
        port, certificate = tls_endpoint
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            open_url(f"rediss://localhost:{port}?ssl_ca_certs={certificate}").get("ozon:1")

    def test_a_call_of_a_frozen_server_times_out(
        self, tls_server: RedisServer, tls_endpoint: tuple[int, Path], open_url: Callable[[str], RedisStore]
    ) -> None:
        store = open_url(f"rediss://127.0.0.1:{tls_endpoint[0]}?ssl_cert_reqs=none")
        other = open_url(f"rediss://127.0.0.1:{tls_endpoint[0]}?ssl_cert_reqs=none")
        store.get("ozon:1")
        tls_server.freeze()
        try:
            for frozen in (store, other):
                assert seconds_to_fail(CALLS["get"], frozen) < CALL_TIMEOUT + SLACK
        finally:
            tls_server.thaw()
        assert store.get("ozon:9") is None
        assert other.get("ozon:9") is None

    def test_a_call_with_a_handshake_that_trickles_in_times_out(self, open_url: Callable[[str], RedisStore]) -> None:
        def trickle(client: socket.socket, _address: object) -> None:
            client.sendall(b"\x16\x03\x03\x40\x00")
            while True:
                gevent.sleep(0.05)
                client.sendall(b"x")

        with serving(trickle) as url:
            store = open_url(url.replace("redis:", "rediss:"))
            assert seconds_to_fail(CALLS["get"], store) < CALL_TIMEOUT + SLACK
