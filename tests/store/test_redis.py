"""The Redis store, against a real redis-server: the contract, then what a server can do to its clients."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.server import StreamServer

from app.store.base import StoreError
from app.store.redis import CALL_SECONDS, MAX_CONNECTIONS, SOCKET_SECONDS, STREAM_START, RedisStore
from tests.store.contract import LONG, Opener, StoreContract
from tests.store.redis_server import RedisServer, hold_a_port, serving_redis

#: Beyond the promised time, for a machine that is busy with other things.
SLACK = 0.3

#: Each method of the port, called once; those that only read are two.
CALLS: dict[str, Callable[[RedisStore], object]] = {
    "get": lambda store: store.get("ozon:1"),
    "put": lambda store: store.put("ozon:1", b"value", lifetime=LONG, is_positive=True),
    "forget": lambda store: store.forget("ozon:1"),
    "forgotten": lambda store: store.invalidations("1-1"),
    "lease": lambda store: store.lease("ozon:1", "one", LONG),
    "release": lambda store: store.release("ozon:1", "one"),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def server(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the module."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def own_server(require: Callable[[str], str], tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may ruin."""
    with serving_redis(require("redis-server"), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password."""
    with serving_redis(require("redis-server"), tmp_path_factory.mktemp("redis"), password="open/sesame") as running:
        yield running


@pytest.fixture(scope="module")
def secure(require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A port for a server that speaks TLS, and a certificate for 127.0.0.1 that signs itself; its key is beside it."""
    folder = tmp_path_factory.mktemp("tls")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=covers -keyout key -out cert"
    subprocess.run(
        [require("openssl"), *command.split(), "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with hold_a_port() as place:
        yield place.getsockname()[1], folder / "cert"


@pytest.fixture(scope="module")
def secure_server(require: Callable[[str], str], secure: tuple[int, Path]) -> Iterator[RedisServer]:
    """A server that speaks TLS at that port."""
    port, certificate = secure
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key")))
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", *files)
    with serving_redis(require("redis-server"), certificate.parent, *options) as running:
        yield running


@pytest.fixture
def opening() -> Iterator[Callable[[str], RedisStore]]:
    """Open stores by their URLs; they are closed at the end."""
    stores: list[RedisStore] = []

    def open_at(url: str) -> RedisStore:
        stores.append(RedisStore(url))
        return stores[-1]

    yield open_at
    for store in stores:
        store.close()


@pytest.fixture
def open_store(server: RedisServer, opening: Callable[[str], RedisStore]) -> Opener:
    """Open stores on the module's server, which is empty before."""
    server.ask("FLUSHALL")
    return lambda: opening(server.url)


@pytest.fixture
def store(open_store: Callable[[], RedisStore]) -> RedisStore:
    """One store on the module's server."""
    return open_store()


def seconds_to_fail(call: Callable[[RedisStore], object], store: RedisStore) -> float:
    """Return how long the call took to raise StoreError."""
    begun = time.monotonic()
    with pytest.raises(StoreError):
        call(store)
    return time.monotonic() - begun


@contextmanager
def answering(handle: Callable[[socket.socket, object], None]) -> Iterator[str]:
    """Serve a protocol of the test's own; give its URL."""
    listener = StreamServer(("127.0.0.1", 0), handle)
    listener.start()
    try:
        yield f"redis://127.0.0.1:{listener.server_port}"
    finally:
        listener.stop(timeout=0)


@contextmanager
def heartbeat() -> Iterator[list[float]]:
    """Collect the longest time, in seconds, that the hub let others wait."""
    longest = [0.0]

    def beat() -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(0.005)
            longest[0] = max(longest[0], time.monotonic() - before)

    beating = gevent.spawn(beat)
    try:
        yield longest
    finally:
        beating.kill()


class TestContract(StoreContract):
    """What any store does."""


class TestData:
    """What lies in the server."""

    def test_everything_lies_under_one_prefix(self, server: RedisServer, store: RedisStore) -> None:
        for call in CALLS.values():
            call(store)
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        store.lease("ozon:1", "one", LONG)
        assert sorted(server.ask("KEYS", "*")) == [b"covers:forgotten", b"covers:lease:ozon:1", b"covers:value:ozon:1"]

    def test_values_and_leases_of_any_names_do_not_meet(self, store: RedisStore) -> None:
        for key in ("forgotten", "lease:ozon:1", "value:ozon:1", "ozon:1", ""):
            store.put(key, key.encode(), lifetime=LONG, is_positive=True)
        assert store.lease("ozon:1", "one", LONG)
        assert store.forget("forgotten")
        assert store.get("lease:ozon:1") == b"lease:ozon:1"
        assert store.get("") == b""

    @pytest.mark.parametrize(
        ("lifetime", "least", "most"),
        [(600.0, 590_000, 600_000), (float("inf"), 10**12, 10**13), (1e300, 10**12, 10**13)],
    )
    def test_the_server_keeps_the_lifetime(
        self, server: RedisServer, store: RedisStore, lifetime: float, least: int, most: int
    ) -> None:
        store.put("ozon:1", b"value", lifetime=lifetime, is_positive=True)
        store.lease("ozon:1", "one", lifetime)
        for name in ("covers:value:ozon:1", "covers:lease:ozon:1"):
            assert least < server.ask("PTTL", name) <= most

    @pytest.mark.parametrize("lifetime", [0.0, -1.0, 1e-9])
    def test_what_lives_no_time_is_soon_gone(self, store: RedisStore, lifetime: float) -> None:
        store.put("ozon:1", b"value", lifetime=lifetime, is_positive=True)
        with gevent.Timeout(5):
            while store.get("ozon:1") is not None:
                gevent.sleep(0.001)

    def test_a_holder_prolongs_its_lease_and_nobody_elses(
        self, server: RedisServer, open_store: Callable[[], RedisStore]
    ) -> None:
        one, two = open_store(), open_store()
        one.lease("ozon:1", "one", 10)
        assert one.lease("ozon:1", "one", 100)
        assert not two.lease("ozon:1", "two", 1000)
        assert 90_000 < server.ask("PTTL", "covers:lease:ozon:1") <= 100_000

    def test_keys_that_utf_8_cannot_write_are_told_unchanged(self, store: RedisStore) -> None:
        point, _ = store.invalidations("")
        store.put("ozon:\ud800", b"value", lifetime=LONG, is_positive=True)
        assert store.forget("ozon:\ud800")
        assert store.invalidations(point)[1] == ["ozon:\ud800"]

    def test_thousands_of_news_are_told_in_parts_and_kept_within_bounds(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        point, _ = store.invalidations("")
        append = "for number = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'key', 'ozon:' .. number) end"
        server.ask("EVAL", append, 1, "covers:forgotten", 2500)
        told: list[str] = []
        while (news := store.invalidations(point))[1]:
            point = news[0]
            told += news[1]
        assert told == [f"ozon:{number}" for number in range(1, 2501)]
        server.ask("EVAL", append, 1, "covers:forgotten", 12_500)
        store.forget("ozon:1")
        assert 10_000 <= server.ask("XLEN", "covers:forgotten") < 10_300

    def test_many_greenlets_share_a_few_connections(self, server: RedisServer, store: RedisStore) -> None:
        def use(number: int) -> bytes | None:
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
            return store.get(f"ozon:{number}")

        using = [gevent.spawn(use, number) for number in range(200)]
        assert [greenlet.get() for greenlet in using] == [b"%d" % number for number in range(200)]
        assert 1 <= len(server.connections()) <= MAX_CONNECTIONS

    def test_greenlets_that_ask_and_ask_let_others_have_a_connection(self, store: RedisStore) -> None:
        """There are four for each connection, none of which does anything else, for longer than one may wait."""

        def use() -> int:
            asked = 0
            while time.monotonic() < end:
                store.get("ozon:1")
                asked += 1
            return asked

        end = time.monotonic() + 4 * SOCKET_SECONDS
        using = [gevent.spawn(use) for _ in range(4 * MAX_CONNECTIONS)]
        assert min(greenlet.get() for greenlet in using) > 0


class TestConnections:
    """When they are opened and closed."""

    def test_none_is_opened_by_the_constructor_and_none_is_left_after_close(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        assert server.connections() == []
        gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        assert server.connections()
        store.close()
        with gevent.Timeout(5):
            while server.connections():
                gevent.sleep(0.001)
        assert store.get("ozon:1") is None

    def test_nothing_is_sent_but_what_was_asked(self, server: RedisServer, store: RedisStore) -> None:
        """No HELLO, no CLIENT SETINFO, no PING, by the server's own count."""
        server.ask("CONFIG", "RESETSTAT")
        for call in CALLS.values():
            call(store)
        counted = {
            name.removeprefix("cmdstat_"): it["calls"] for name, it in server.ask("INFO", "commandstats").items()
        }
        assert set(counted) <= {"get", "set", "del", "xadd", "eval", "xrevrange", "xread", "config|resetstat", "info"}
        assert counted["eval"] == 3
        assert server.ask("INFO", "stats")["total_error_replies"] == 0  # a server before 7.2 does not know SETINFO

    def test_a_forked_process_gets_connections_of_its_own(self, server: RedisServer, store: RedisStore) -> None:
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

    def test_a_close_under_a_call_is_a_failure_of_that_call(self, own_server: RedisServer) -> None:
        store = RedisStore(own_server.url)
        store.get("ozon:1")
        own_server.freeze()
        asking = gevent.spawn(store.get, "ozon:1")
        gevent.sleep(0.02)
        store.close()
        with pytest.raises(StoreError):
            asking.get()
        own_server.thaw()
        assert store.get("ozon:1") is None
        store.close()


class TestTrouble:
    """What a server can do: never more than StoreError, in time, and the next call is right again."""

    @each_call
    def test_a_frozen_server_costs_half_a_second_at_most(
        self, server: RedisServer, store: RedisStore, call: Callable[[RedisStore], object]
    ) -> None:
        """With a connection that is open already, and then with one that the system accepts for the server."""
        store.get("ozon:1")
        server.freeze()
        try:
            with heartbeat() as longest:
                assert seconds_to_fail(call, store) < CALL_SECONDS + SLACK
                assert seconds_to_fail(call, store) < CALL_SECONDS + SLACK
        finally:
            server.thaw()
        assert longest[0] < SLACK
        call(store)

    def test_many_callers_of_a_frozen_server_wait_no_longer(self, server: RedisServer, store: RedisStore) -> None:
        """More of them than there are connections."""
        server.freeze()
        try:
            begun = time.monotonic()
            asking = [gevent.spawn(seconds_to_fail, CALLS["get"], store) for _ in range(4 * MAX_CONNECTIONS)]
            assert max(greenlet.get() for greenlet in asking) < CALL_SECONDS + SLACK
            assert time.monotonic() - begun < CALL_SECONDS + SLACK
        finally:
            server.thaw()
        assert store.get("ozon:1") is None

    def test_an_answer_that_comes_too_late_is_nobodys(self, server: RedisServer, store: RedisStore) -> None:
        """The server answers everything that was asked while it was frozen, when it goes on."""
        for number in range(20):
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
        for number in range(3):
            server.freeze()
            with pytest.raises(StoreError):
                store.get(f"ozon:{number}")
            server.thaw()
            for other in range(3, 20):
                assert store.get(f"ozon:{other}") == b"%d" % other

    @pytest.mark.parametrize("ends", ["killed", "timeout"])
    def test_a_caller_that_goes_away_leaves_no_answer_behind(
        self, server: RedisServer, store: RedisStore, ends: str
    ) -> None:
        """A deadline of the caller's own passes through as what it is."""

        class Deadline(gevent.Timeout):
            """The caller's."""

        def ask() -> str:
            try:
                with Deadline(30 if ends == "killed" else 0.05):
                    store.get("ozon:1")
            except Deadline:
                return "timeout"
            return "answered"

        for number in (1, 2):
            store.put(f"ozon:{number}", b"%d" % number, lifetime=LONG, is_positive=True)
        server.freeze()
        asking = gevent.spawn(ask)
        gevent.sleep(0.02)
        if ends == "killed":
            asking.kill()
        else:
            assert asking.get() == "timeout"
        server.thaw()
        assert store.get("ozon:2") == b"2"

    @each_call
    def test_a_server_that_was_killed_is_used_again_when_it_is_back(
        self, own_server: RedisServer, opening: Callable[[str], RedisStore], call: Callable[[RedisStore], object]
    ) -> None:
        store = opening(own_server.url)
        call(store)
        own_server.kill()
        with pytest.raises(StoreError, match=r"^redis at 127\.0\.0\.1:\d+: .*Connection refused\.?$"):
            call(store)
        own_server.start()
        call(store)

    def test_a_restart_between_two_calls_is_not_noticed(
        self, own_server: RedisServer, opening: Callable[[str], RedisStore]
    ) -> None:
        store = opening(own_server.url)
        gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        own_server.kill()
        own_server.start()
        assert [store.get("ozon:1") for _ in range(20)] == [None] * 20

    @pytest.mark.parametrize("said", [b"", b"$5\r\nva", b"$100\r\n"], ids=["nothing", "a piece", "a length"])
    @each_call
    def test_a_server_that_says_nothing_or_little_is_given_up(
        self, opening: Callable[[str], RedisStore], said: bytes, call: Callable[[RedisStore], object]
    ) -> None:
        def say(client: socket.socket, _address: object) -> None:
            client.sendall(said)
            gevent.sleep(30)

        with answering(say) as url:
            assert seconds_to_fail(call, opening(url)) < CALL_SECONDS + SLACK

    @each_call
    def test_an_answer_in_drips_is_given_up(
        self, opening: Callable[[str], RedisStore], call: Callable[[RedisStore], object]
    ) -> None:
        """Each drip comes within the time-out of a socket."""

        def drip(client: socket.socket, _address: object) -> None:
            client.sendall(b"$100\r\n")
            while True:
                gevent.sleep(0.05)
                client.sendall(b"x")

        with answering(drip) as url:
            assert seconds_to_fail(call, opening(url)) < CALL_SECONDS + SLACK

    def test_a_handshake_and_an_answer_both_in_drips_are_one_call(self, opening: Callable[[str], RedisStore]) -> None:
        """A password and a database are two answers more when a connection is opened."""

        def drip(client: socket.socket, _address: object) -> None:
            while True:
                for byte in b"+OK\r\n":
                    gevent.sleep(0.05)
                    client.sendall(bytes([byte]))

        with answering(drip) as url:
            store = opening(url.replace("//", "//:secret@") + "/1")
            assert seconds_to_fail(CALLS["forgotten"], store) < CALL_SECONDS + SLACK

    @pytest.mark.parametrize(
        "said",
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$x\r\n", b"*-7\r\n", b"*1\r\n:x\r\n", b"\xff\x00\r\n", b":7\r\n"],
    )
    @each_call
    def test_what_is_no_redis_is_a_failure(
        self, opening: Callable[[str], RedisStore], said: bytes, call: Callable[[RedisStore], object]
    ) -> None:
        def say(client: socket.socket, _address: object) -> None:
            while client.recv(65536):
                client.sendall(said)

        with answering(say) as url:
            try:
                call(opening(url))
            except StoreError as error:
                assert "\n" not in str(error)  # noqa: PT017 - that it is raised at all is not the point: a 7 may be right

    def test_a_name_that_is_not_resolved_in_time_is_given_up(
        self, opening: Callable[[str], RedisStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: gevent.sleep(30))
        store = opening("redis://redis.example")
        assert seconds_to_fail(CALLS["get"], store) < CALL_SECONDS + SLACK

    def test_a_server_that_takes_no_connection_is_given_up(self, opening: Callable[[str], RedisStore]) -> None:
        """A full backlog: the system drops what comes, as a black hole does."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                assert seconds_to_fail(CALLS["get"], opening(f"redis://127.0.0.1:{port}")) < CALL_SECONDS + SLACK


class TestRefusals:
    """What a server answers instead."""

    def test_values_of_another_type_are_a_failure_and_can_be_replaced(
        self, server: RedisServer, store: RedisStore
    ) -> None:
        for name in ("covers:value:ozon:1", "covers:lease:ozon:1", "covers:forgotten"):
            server.ask("RPUSH", name, "x")
        for name in ("get", "forget", "forgotten", "lease", "release"):
            with pytest.raises(StoreError, match="WRONGTYPE"):
                CALLS[name](store)
        CALLS["put"](store)
        assert store.get("ozon:1") == b"value"

    def test_scripts_that_the_server_lost_are_not_missed(self, server: RedisServer, store: RedisStore) -> None:
        for call in CALLS.values():
            call(store)
        server.ask("SCRIPT", "FLUSH")
        for call in CALLS.values():
            call(store)

    def test_after_a_flush_all_is_a_miss_and_news_are_told_again(self, server: RedisServer, store: RedisStore) -> None:
        store.put("ozon:1", b"value", lifetime=LONG, is_positive=True)
        store.lease("ozon:1", "one", LONG)
        store.forget("ozon:2")
        point, _ = store.invalidations("")
        server.ask("FLUSHALL")
        assert store.get("ozon:1") is None
        assert store.lease("ozon:1", "two", LONG)
        point, keys = store.invalidations(point)
        assert (point, keys) == (STREAM_START, [])
        store.forget("ozon:3")
        assert store.invalidations(point)[1] == ["ozon:3"]

    def test_news_told_before_the_flush_is_noticed_are_not_lost(self, server: RedisServer, store: RedisStore) -> None:
        """Even where the server's clock was set back meanwhile, and its new points are lower than the old ones."""
        server.ask("XADD", "covers:forgotten", "9999999999999-0", "key", "ozon:1")
        point, _ = store.invalidations("")
        server.ask("FLUSHALL")
        store.forget("ozon:2")
        point, before = store.invalidations(point)
        _, after = store.invalidations(point)
        assert before + after == ["ozon:2"]

    def test_a_replica_is_read_and_refuses_to_be_written(
        self, own_server: RedisServer, opening: Callable[[str], RedisStore]
    ) -> None:
        """It is connected to anew after that: the name may lead to another server since."""
        store = opening(own_server.url)
        CALLS["put"](store)
        own_server.ask("REPLICAOF", "127.0.0.1", "1")
        assert store.get("ozon:1") == b"value"
        before = own_server.connections()
        for name in ("put", "forget", "lease"):
            with pytest.raises(StoreError, match="READONLY"):
                CALLS[name](store)
        store.get("ozon:1")
        assert own_server.connections() != before
        own_server.ask("REPLICAOF", "NO", "ONE")
        for call in CALLS.values():
            call(store)

    def test_a_full_server_is_read_and_forgets(
        self, own_server: RedisServer, opening: Callable[[str], RedisStore]
    ) -> None:
        store = opening(own_server.url)
        CALLS["put"](store)
        point, _ = store.invalidations("")
        own_server.ask("CONFIG", "SET", "maxmemory", "1")
        assert store.get("ozon:1") == b"value"
        for name in ("put", "lease"):
            with pytest.raises(StoreError, match="OOM"):
                CALLS[name](store)
        assert store.forget("ozon:1")
        assert not store.forget("ozon:2")
        assert store.invalidations(point)[1] == ["ozon:1", "ozon:2"]
        own_server.ask("CONFIG", "SET", "maxmemory", "0")
        for call in CALLS.values():
            call(store)

    @pytest.mark.parametrize(
        "said",
        [
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN Hash slot not served",
            "MOVED 3999 127.0.0.1:6381",
            "ERR max number of clients reached",
            "ERR something of a later version",
        ],
    )
    def test_what_it_says_is_told_in_one_line(self, opening: Callable[[str], RedisStore], said: str) -> None:
        def say(client: socket.socket, _address: object) -> None:
            while client.recv(65536):
                client.sendall(f"-{said}\r\n".encode())

        with answering(say) as url:
            store = opening(url)
            for call in CALLS.values():
                with pytest.raises(StoreError, match=r"^redis at 127\.0\.0\.1:\d+: \S.*\S$") as told:
                    call(store)
                assert said.split(maxsplit=1)[1] in str(told.value) or said.startswith("MOVED")


class TestPasswords:
    """Who may ask."""

    def test_with_the_password_all_is_well(self, guarded: RedisServer, opening: Callable[[str], RedisStore]) -> None:
        for user in ("", "default"):
            store = opening(f"redis://{user}:open%2Fsesame@127.0.0.1:{guarded.port}/3")
            for call in CALLS.values():
                call(store)
            assert store.get("ozon:1") is None

    @pytest.mark.parametrize(
        ("credentials", "said"), [("", "NOAUTH"), (":wrong-secret@", "WRONGPASS"), ("me:wrong-secret@", "WRONGPASS")]
    )
    def test_without_it_each_call_fails_and_the_password_is_not_told(
        self, guarded: RedisServer, opening: Callable[[str], RedisStore], credentials: str, said: str
    ) -> None:
        store = opening(f"redis://{credentials}127.0.0.1:{guarded.port}")
        for call in CALLS.values():
            with pytest.raises(StoreError, match=said) as told:
                call(store)
            assert "secret" not in str(told.value)

    def test_a_server_that_quotes_the_password_is_not_quoted(self, opening: Callable[[str], RedisStore]) -> None:
        def quote(client: socket.socket, _address: object) -> None:
            client.recv(65536)
            client.sendall(b"-ERR unknown command 'AUTH', with args beginning with: 'open/sesame'\r\n")

        with answering(quote) as url:
            store = opening(url.replace("//", "//:open%2Fsesame@"))
            with pytest.raises(StoreError, match=r"unknown command 'AUTH', .* '\*\*\*'$"):
                store.get("ozon:1")


class TestURLs:
    """What is wrong with a URL is told before anything is asked."""

    @pytest.mark.parametrize(
        ("url", "said"),
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
    def test_a_wrong_one_is_refused_in_one_line(self, url: str, said: str) -> None:
        with pytest.raises(ValueError, match=said) as told:
            RedisStore(url)
        assert "\n" not in str(told.value)
        assert "sec" not in str(told.value).replace("ssl_cert_reqs", "")

    @pytest.mark.parametrize(
        "url", ["redis://localhost", "redis://localhost/", "redis://[::1]:6379/15", "rediss://user:p%23@h.example:1/0"]
    )
    def test_a_right_one_is_taken(self, url: str) -> None:
        RedisStore(url).close()


@pytest.mark.usefixtures("secure_server")
class TestTLS:
    """What speaks TLS."""

    def test_a_server_is_used_whose_certificate_is_known(
        self, secure: tuple[int, Path], opening: Callable[[str], RedisStore]
    ) -> None:
        port, certificate = secure
        store = opening(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")
        for call in CALLS.values():
            call(store)
        with heartbeat() as longest:
            gevent.joinall([gevent.spawn(store.get, "ozon:1") for _ in range(10)], raise_error=True)
        assert longest[0] < SLACK

    def test_one_whose_certificate_is_not_known_is_refused(
        self, secure: tuple[int, Path], opening: Callable[[str], RedisStore]
    ) -> None:
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            opening(f"rediss://127.0.0.1:{secure[0]}").get("ozon:1")
        assert opening(f"rediss://127.0.0.1:{secure[0]}?ssl_cert_reqs=none").get("ozon:1") is None

    def test_one_whose_certificate_has_another_name_is_refused(
        self, secure: tuple[int, Path], opening: Callable[[str], RedisStore]
    ) -> None:
        port, certificate = secure
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            opening(f"rediss://localhost:{port}?ssl_ca_certs={certificate}").get("ozon:1")

    def test_a_frozen_one_is_given_up(
        self, secure_server: RedisServer, secure: tuple[int, Path], opening: Callable[[str], RedisStore]
    ) -> None:
        store = opening(f"rediss://127.0.0.1:{secure[0]}?ssl_cert_reqs=none")
        other = opening(f"rediss://127.0.0.1:{secure[0]}?ssl_cert_reqs=none")
        store.get("ozon:1")
        secure_server.freeze()
        try:
            for frozen in (store, other):
                assert seconds_to_fail(CALLS["get"], frozen) < CALL_SECONDS + SLACK
        finally:
            secure_server.thaw()
        assert store.get("ozon:1") is None
        assert other.get("ozon:1") is None

    def test_a_handshake_in_drips_is_given_up(self, opening: Callable[[str], RedisStore]) -> None:
        def drip(client: socket.socket, _address: object) -> None:
            client.sendall(b"\x16\x03\x03\x40\x00")
            while True:
                gevent.sleep(0.05)
                client.sendall(b"x")

        with answering(drip) as url:
            store = opening(url.replace("redis:", "rediss:"))
            assert seconds_to_fail(CALLS["get"], store) < CALL_SECONDS + SLACK
