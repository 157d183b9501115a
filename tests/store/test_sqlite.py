"""Tests of the SQLite store: the contract, then corrupt files, held locks, forks and kills."""

import fcntl
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import gevent
import pytest
from gevent import monkey

from app.store import sqlite, sqlite_file
from app.store.base import StoreError, StoreOverloaded
from app.store.sqlite import SqliteStore
from tests.store.contract import LONG, NOW, Opener, StoreContract, entry, look, read, save
from tests.store.test_circuit_breaker import with_breaker
from tests.support.clock import ManualClock
from tests.support.recording_observer import RecordingObserver
from tests.support.service import ROOT

#: Seconds to wait for another process.
MAX_WAIT = 20.0

#: A process that opens the store, prints "ready", and then evaluates an expression per line of its input.
WORKER = """
from gevent import monkey
monkey.patch_all()
import logging, sys, time
from app.store.sqlite import SqliteStore
from app.store.base import StoreError
logging.basicConfig()
store = SqliteStore(sys.argv[1], max_rows=1000, clock=time.time)
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except StoreError as error:
        print("StoreError:", error, flush=True)
"""

#: A process that holds the write lock until the end of its input.
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
sys.stdin.read()
connection.close()
"""

#: A process that puts values of one repeated byte, and prints the number of each.
WRITER = """
from gevent import monkey
monkey.patch_all()
import itertools, sys, time
from app.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], max_rows=100, clock=time.time)
print("ready", flush=True)
for number in itertools.count():
    store.put(f"ozon:{number % 150}", bytes([number % 256]) * 20_000, lifetime=600, is_positive=number % 3 == 0)
    print(number, flush=True)
"""


class Process:
    """A Python program with one argument, which has printed "ready"."""

    def __init__(self, program: str, path: Path, errors: Path | None = None) -> None:
        with (errors or Path(os.devnull)).open("ab") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", program, str(path)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.read_line() == "ready"

    def read_line(self) -> str:
        """Return the next line of its output."""
        assert self.popen.stdout is not None
        with gevent.Timeout(MAX_WAIT):
            return self.popen.stdout.readline().rstrip("\n")

    def send(self, line: str) -> None:
        """Let it evaluate an expression and print the value."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def evaluate(self, line: str) -> str:
        """Return the printed value of an expression."""
        self.send(line)
        return self.read_line()

    def end(self) -> int:
        """End its input, wait for it to exit, and return its exit status."""
        with self.popen as popen:
            assert popen.stdin is not None
            popen.stdin.close()
            return popen.wait(MAX_WAIT)


@contextmanager
def process(program: str, path: Path, errors: Path | None = None) -> Iterator[Process]:
    """Run a program until the block ends."""
    running = Process(program, path, errors)
    try:
        yield running
    finally:
        running.end()


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection of the test's own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def files_set_aside(path: Path) -> list[Path]:
    """Return the database files that were set aside, without their -wal and -shm files."""
    return [file for file in path.parent.glob("*.broken-*") if not file.name.endswith(("-wal", "-shm"))]


def thread_ids() -> set[str]:
    """Return the ids of the threads of this process, as the kernel lists them."""
    return {path.name for path in Path("/proc/self/task").iterdir()}


def scramble(path: Path, start: int, length: int) -> None:
    """Overwrite a part of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file, in a folder that does not exist yet."""
    return tmp_path / "var" / "cache" / "covers.db"


@pytest.fixture
def clock() -> ManualClock:
    """The wall clock."""
    return ManualClock(1_700_000_000.0)


@pytest.fixture
def monotonic() -> ManualClock:
    """The machine's monotonic clock."""
    return ManualClock(5_000.0)


#: Opens a store with a maximum number of rows.
SizedOpener = Callable[[int], SqliteStore]


@pytest.fixture
def open_sized(path: Path, clock: ManualClock, monotonic: ManualClock) -> Iterator[SizedOpener]:
    """A function that opens stores on one file, with clocks that the test moves."""
    opened: list[SqliteStore] = []

    def open_one(max_rows: int) -> SqliteStore:
        opened.append(SqliteStore(path, max_rows=max_rows, clock=clock, monotonic=monotonic, timeout=0.5))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_sized: SizedOpener) -> SqliteStore:
    """One store of 1,000 rows."""
    return open_sized(1000)


def put(
    store: SqliteStore, key: str, value: bytes = b"value", *, lifetime: float = LONG, positive: bool = True
) -> None:
    store.put(key, value, lifetime=lifetime, is_positive=positive)


class TestContract(StoreContract):
    """The contract of all stores, with real clocks."""

    @pytest.fixture
    def open_store(self, path: Path) -> Iterator[Opener]:
        """A function that opens stores on one file."""
        opened: list[SqliteStore] = []

        def open_one() -> SqliteStore:
            opened.append(SqliteStore(path, max_rows=1000, clock=time.time, timeout=0.5))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()

    @pytest.fixture
    def evict(self, path: Path) -> Callable[[str], None]:
        """Remove one record, as the store does when it is full."""
        return lambda key: sql(path, f"DELETE FROM covers WHERE key = '{key}'").clear()

    @pytest.fixture
    def lose_data(self, path: Path) -> Callable[[], None]:
        """Remove the file, as when it is corrupt; the stores create a new one."""
        return path.unlink


#: The statements of version 1.
VERSION_1 = """
    CREATE TABLE covers (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, expires REAL NOT NULL, is_precious INT);
    CREATE INDEX covers_by_end ON covers (expires);
    CREATE INDEX covers_by_worth ON covers (is_precious);
    CREATE TABLE leases (key TEXT PRIMARY KEY, token TEXT NOT NULL, taken REAL NOT NULL, ends REAL NOT NULL);
    CREATE TABLE purges (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, at REAL NOT NULL);
    CREATE TABLE file (mark TEXT NOT NULL);
    INSERT INTO file VALUES (lower(hex(randomblob(8))));
    PRAGMA user_version = 1;
    PRAGMA journal_mode = WAL
"""


class TestFile:
    """The file, its folder and the versions of its schema."""

    def test_nothing_is_opened_before_the_first_call(self, path: Path, store: SqliteStore) -> None:
        assert not path.parent.exists()
        assert store.get("ozon:1") is None
        assert path.is_file()

    def test_other_users_cannot_enter_the_folder_that_it_creates(self, path: Path, store: SqliteStore) -> None:
        """A user that can read the files could hold their locks."""
        put(store, "ozon:1")
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_values_survive_reopening(self, open_sized: SizedOpener) -> None:
        before = open_sized(1000)
        put(before, "ozon:1")
        before.close()
        assert open_sized(1000).get("ozon:1") == b"value"

    def test_the_file_uses_a_write_ahead_log_and_has_the_current_version(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        assert sql(path, "PRAGMA journal_mode") == [("wal",)]
        assert sql(path, "PRAGMA user_version") == [(len(sqlite_file.MIGRATIONS),)]

    def test_the_first_of_several_workers_migrates_an_older_version(
        self, path: Path, open_sized: SizedOpener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = open_sized(1000)
        put(old, "ozon:1")
        old.close()
        version = len(sqlite_file.MIGRATIONS)
        more = "ALTER TABLE covers ADD COLUMN note TEXT; CREATE TABLE notes (note TEXT)"
        monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, more))
        workers = [open_sized(1000) for _ in range(8)]
        found = [gevent.spawn(worker.get, "ozon:1") for worker in workers]
        assert [greenlet.get() for greenlet in found] == [b"value"] * 8
        assert sql(path, "PRAGMA user_version") == [(version + 1,)]
        assert sql(path, "SELECT key, note FROM covers") == [("ozon:1", None)]

    @pytest.mark.parametrize("purges", [0, 3])
    def test_migration_from_version_1_keeps_everything(
        self, path: Path, open_sized: SizedOpener, clock: ManualClock, purges: int
    ) -> None:
        """The records are due, as far as the store knows. Invalidations and eviction continue where they were."""
        path.parent.mkdir(parents=True)
        for statement in VERSION_1.split(";"):
            sql(path, statement)
        for number in range(100):
            row = f"'ozon:{number}', x'{number:02x}', {clock.now + 600}, {number % 2}"
            sql(path, f"INSERT INTO covers VALUES ({row})")
        for number in range(purges):
            sql(path, f"INSERT INTO purges (key, at) VALUES ('gone:{number}', {clock.now})")
        ((mark,),) = sql(path, "SELECT mark FROM file")
        store = open_sized(100)
        for number in range(100):
            assert look(store, "one", f"ozon:{number}")[:2] == (bytes([number]), True)
            store.settle(f"ozon:{number}", "one", None, 0)
        assert store.invalidations(f"{mark}:0")[1] == [f"gone:{number}" for number in range(purges)]
        before = look(store, "one", "ozon:1").purge_number
        cursor, _ = store.invalidations(f"{mark}:{purges}")
        store.forget("ozon:1")
        assert store.invalidations(cursor)[1] == ["ozon:1"]
        assert not store.settle("ozon:1", "one", entry(), before)
        for number in range(3):
            put(store, f"new:{number}")
        assert [read(store, f"ozon:{number}") for number in (0, 2, 4, 3)] == [None, None, bytes([4]), bytes([3])]
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]

    def test_a_failed_migration_is_rolled_back(
        self, path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "MIGRATIONS", ("CREATE TABLE one (x); CREATE TABLE one (x)",))
        with pytest.raises(StoreError, match="already exists"):
            store.get("ozon:1")
        assert sql(path, "SELECT name FROM sqlite_schema") == []
        assert sql(path, "PRAGMA user_version") == [(0,)]

    def test_a_file_of_a_newer_version_is_not_changed(self, path: Path, store: SqliteStore) -> None:
        path.parent.mkdir(parents=True)
        sql(path, "CREATE TABLE theirs (x)")
        sql(path, "PRAGMA user_version = 99")
        before = path.read_bytes()
        for _ in range(2):
            with pytest.raises(StoreError, match="version 99, made by a newer release"):
                put(store, "ozon:1")
        store.close()
        assert path.read_bytes() == before
        assert files_set_aside(path) == []

    def test_a_removed_file_is_created_again(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        path.unlink()
        assert store.get("ozon:1") is None
        put(store, "ozon:1")
        assert path.is_file()

    def test_a_key_with_surrogates_raises_store_error(self, store: SqliteStore) -> None:
        with pytest.raises(StoreError, match="surrogates"):
            store.get("\ud800")


def not_a_database(path: Path) -> None:
    """Make it a file that is not a database."""
    path.write_bytes(b"\xa5" * 50_000)


def truncate(path: Path) -> None:
    """Cut it short, as a full disk or an interrupted copy would."""
    os.truncate(path, path.stat().st_size // 2)


def scramble_pages(path: Path) -> None:
    """Scramble all pages except the first."""
    scramble(path, 4096, path.stat().st_size - 4096)


CORRUPTIONS = pytest.mark.parametrize("corrupt", [not_a_database, truncate, scramble_pages])


class TestCorruptFile:
    """A corrupt or unreadable file is set aside."""

    @CORRUPTIONS
    def test_it_is_set_aside_and_a_new_file_created(
        self,
        path: Path,
        open_sized: SizedOpener,
        caplog: pytest.LogCaptureFixture,
        corrupt: Callable[[Path], None],
    ) -> None:
        before = open_sized(1000)
        for number in range(500):
            put(before, f"ozon:{number}", b"x" * 500)
        before.close()
        corrupt(path)
        corrupt_bytes = path.read_bytes()
        store = open_sized(1000)
        assert store.get("ozon:1") is None
        put(store, "ozon:1")
        assert store.get("ozon:1") == b"value"
        (aside,) = files_set_aside(path)
        assert aside.name == "covers.db.broken-20231114T221320Z"
        assert aside.read_bytes() == corrupt_bytes
        (logged,) = caplog.records
        assert logged.levelno == logging.ERROR
        assert aside.name in logged.message

    def test_a_corrupt_page_that_is_read_later_is_detected(self, path: Path, store: SqliteStore) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        (root,) = sql(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'covers'")[0]
        assert isinstance(root, int)
        assert store.get("missing:1") is None
        scramble(path, (root - 1) * 4096, 4096)
        assert store.get("ozon:250") is None
        put(store, "ozon:250")
        assert store.get("ozon:250") == b"value"
        assert len(files_set_aside(path)) == 1

    def test_files_set_aside_in_one_second_get_different_names(self, path: Path, open_sized: SizedOpener) -> None:
        path.parent.mkdir(parents=True)
        for _ in range(3):
            not_a_database(path)
            store = open_sized(1000)
            put(store, "ozon:1")
            store.close()
        assert len(files_set_aside(path)) == 3

    def test_a_cursor_of_the_old_file_is_the_start_of_the_new_one(self, path: Path, open_sized: SizedOpener) -> None:
        """The numbers of entries start again in the new file, and a worker must not miss any."""
        one, two = open_sized(1000), open_sized(1000)
        for number in range(5):
            one.forget(f"ozon:{number}")
        cursor, _ = two.invalidations("")
        path.unlink()
        one.forget("ozon:7")
        assert two.invalidations(cursor)[1] == ["ozon:7"]

    def test_a_folder_at_the_path_is_an_error_and_is_kept(self, path: Path, store: SqliteStore) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StoreError, match="unable to open"):
            store.get("ozon:1")
        assert path.is_dir()

    def test_a_file_instead_of_the_folder_is_an_error(self, path: Path, store: SqliteStore) -> None:
        path.parent.parent.mkdir()
        path.parent.write_text("no folder")
        with pytest.raises(StoreError):
            store.get("ozon:1")
        store.close()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
    @pytest.mark.parametrize("mode", [0o000, 0o444])
    def test_a_file_without_read_or_write_permission_is_set_aside(
        self, path: Path, store: SqliteStore, open_sized: SizedOpener, mode: int
    ) -> None:
        put(store, "ozon:1")
        store.close()
        path.chmod(mode)
        other = open_sized(1000)
        put(other, "ozon:2")
        assert other.get("ozon:2") == b"value"
        assert len(files_set_aside(path)) == 1

    def test_the_second_process_to_find_it_corrupt_keeps_the_new_file(self, path: Path, store: SqliteStore) -> None:
        """The other worker sets the file aside during a call of this one."""
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        slow = sqlite_file.StoreFile(path, time.time)
        slow.run(lambda _connection: None)
        scramble_pages(path)

        def query(connection: sqlite3.Connection) -> list[tuple[str]]:
            if not files_set_aside(path):
                put(store, "new:1")
            return connection.execute("SELECT key FROM covers").fetchall()

        assert slow.run(query) == [("new:1",)]
        assert len(files_set_aside(path)) == 1
        assert slow.log_messages == []
        slow.close()

    @CORRUPTIONS
    def test_processes_that_find_it_corrupt_at_once_set_it_aside_once(
        self, path: Path, store: SqliteStore, tmp_path: Path, corrupt: Callable[[Path], None]
    ) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        corrupt(path)
        errors = tmp_path / "errors"
        workers = [Process(WORKER, path, errors) for _ in range(4)]
        for number, worker in enumerate(workers):
            worker.send(f"store.put('new:{number}', b'{number}', lifetime=600, is_positive=True)")
        assert [worker.read_line() for worker in workers] == ["None"] * 4
        for worker in workers:
            assert [worker.evaluate(f"store.get('new:{number}')") for number in range(4)] == [
                f"b'{n}'" for n in range(4)
            ]
        assert [worker.end() for worker in workers] == [0] * 4
        assert len(files_set_aside(path)) == 1
        assert errors.read_text().count("set aside") == 1
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]

    def test_a_process_with_the_old_file_open_switches_to_the_new_one(self, path: Path, store: SqliteStore) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        with process(WORKER, path) as one, process(WORKER, path) as two:
            assert one.evaluate("store.get('missing:1')") == two.evaluate("store.get('missing:1')") == "None"
            scramble_pages(path)
            one.send("store.put('new:1', b'1', lifetime=600, is_positive=True)")
            two.send("store.put('new:2', b'2', lifetime=600, is_positive=True)")
            assert (one.read_line(), two.read_line()) == ("None", "None")
            assert one.evaluate("store.put('new:3', b'3', lifetime=600, is_positive=True)") == "None"
            assert two.evaluate("store.get('new:3')") == "b'3'"
        assert len(files_set_aside(path)) == 1
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]


class TestLocks:
    """A lock held by another process causes an error and does not block the hub."""

    def test_a_held_lock_is_an_error_for_writes_and_reads_continue(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            while True:
                gevent.sleep(0.005)
                ticks += 1

        with process(LOCKER, path):
            ticking = gevent.spawn(tick)
            started_at = time.monotonic()
            with pytest.raises(StoreError, match="database is locked"):
                put(store, "ozon:1", b"new")
            assert time.monotonic() - started_at < 1
            ticking.kill()
            assert store.get("ozon:1") == b"value"
        assert ticks >= 3
        put(store, "ozon:1", b"new")
        assert store.get("ozon:1") == b"new"
        assert files_set_aside(path) == []

    def test_a_store_can_be_opened_while_a_lock_is_held(self, path: Path, open_sized: SizedOpener) -> None:
        put(open_sized(1000), "ozon:1")
        with process(LOCKER, path):
            assert open_sized(1000).get("ozon:1") == b"value"

    def test_many_writers_that_wait_for_a_lock_all_fail_in_time(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        with process(LOCKER, path):
            writing = [gevent.spawn(put, store, f"ozon:{number}") for number in range(50)]
            with gevent.Timeout(5):
                gevent.joinall(writing)
        assert {type(greenlet.exception) for greenlet in writing} <= {StoreError, StoreOverloaded}

    @pytest.mark.parametrize("limit", ["another process holds the lock", "the file cannot be written"])
    def test_records_are_returned_while_nothing_can_be_written(
        self, path: Path, store: SqliteStore, monotonic: ManualClock, limit: str
    ) -> None:
        """It fails if a lease that cannot be acquired fails the look, or if a failed write opens the reads' circuit."""
        save(store, "ozon:1")
        save(store, "ozon:2", entry(due=NOW))
        breaker = with_breaker(store)
        with ExitStack() as stack:
            if limit == "another process holds the lock":
                stack.enter_context(process(LOCKER, path))
            else:
                run_pragma(store, "query_only = ON")
            for _ in range(3):
                assert breaker.look("ozon:1", "one", LONG, NOW)[:2] == ("value", False)
                assert breaker.look("ozon:2", "one", LONG, NOW)[:2] == ("value", True)
                assert breaker.look("ozon:3", "one", LONG, NOW)[:2] == (None, True)
                breaker.settle("ozon:3", "one", "value", 0, due=NOW, lifetime=LONG, is_positive=True)
                assert breaker.is_bypassed
        assert files_set_aside(path) == []
        if limit == "another process holds the lock":
            assert sql(path, "SELECT * FROM leases") == []
            assert look(store, "one", "ozon:2").has_lease, "during the pause"
            assert sql(path, "SELECT * FROM leases") == []
            monotonic.now += 1
            assert look(store, "one", "ozon:2").has_lease
            assert not look(store, "two", "ozon:2").has_lease

    def test_looks_do_not_wait_for_the_lock_one_after_the_other(self, path: Path, store: SqliteStore) -> None:
        """It fails if each look waits until SQLite gives up: 100 would take ten seconds, and the last ones fail."""
        save(store, "ozon:1")
        attempts = []
        with process(LOCKER, path):
            run_trace(store, lambda statement: attempts.append(statement) if "BEGIN" in statement else None)
            looks = [gevent.spawn(look, store, "one", f"new:{number}") for number in range(100)]
            assert all(greenlet.get()[:2] == (None, True) for greenlet in looks)
        assert len(attempts) == 1

    def test_waiting_for_earlier_calls_is_an_overload(
        self, path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It fails if the timeout of a call includes the wait for those before it: the circuit would open."""
        monkeypatch.setattr(sqlite, "QUEUE_TIMEOUT", 0.01)
        observer = RecordingObserver()
        breaker = with_breaker(store, observer=observer)
        put(store, "ozon:1")
        with slow_calls(store) as go:
            first = gevent.spawn(breaker.read, "ozon:1", bytes.decode)
            gevent.sleep(0)
            assert breaker.read("ozon:1", bytes.decode) is None
            go()
            assert first.get() == "value"
        assert observer.events == [("store_overloaded",)]
        assert breaker.read("ozon:1", bytes.decode) == "value"

    def test_calls_come_in_the_order_of_their_arrival(self, store: SqliteStore) -> None:
        """It fails if a greenlet that calls the store again passes those that wait, as with gevent's semaphore."""
        calls = [0] * 8

        def call_until_all_have_called(number: int) -> None:
            while sum(calls) < 40 * len(calls):
                store.get("ozon:1")
                calls[number] += 1

        gevent.joinall([gevent.spawn(call_until_all_have_called, n) for n in range(len(calls))], raise_error=True)
        assert min(calls) > 20

    def test_the_thread_is_not_given_up_for_a_call_whose_greenlet_was_killed(self, store: SqliteStore) -> None:
        """The renewal of a lease is killed when the fetch ends. It fails if the next call is refused meanwhile."""
        put(store, "ozon:1")
        with slow_calls(store) as go:
            killed = gevent.spawn(store.get, "ozon:1")
            gevent.sleep(0)
            killed.kill()
            following = gevent.spawn(store.get, "ozon:1")
            gevent.sleep(0)
            go()
            assert following.get() == b"value"

    def test_calls_fail_at_once_while_the_thread_hangs(self, path: Path, store: SqliteStore) -> None:
        """The lock that the test holds keeps the thread from opening the file."""
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match="does not answer"):
                store.get("ozon:1")
            started_at = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreError, match="still busy"):
                    store.get("ozon:1")
            assert time.monotonic() - started_at < 0.4
        assert eventually(lambda: store.get("ozon:1") is None)

    def test_a_timeout_of_the_caller_is_raised_as_it_is(self, path: Path, store: SqliteStore) -> None:
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            with pytest.raises(gevent.Timeout) as raised, gevent.Timeout(0.01) as timeout:
                store.get("ozon:1")
            assert raised.value is timeout

    def test_a_full_disk_is_an_error_and_the_file_is_kept(self, path: Path, store: SqliteStore) -> None:
        """A limit on the size of the file causes the same error as a full disk."""
        put(store, "ozon:1")
        run_pragma(store, "max_page_count = 1")
        with pytest.raises(StoreError, match="database or disk is full"):
            put(store, "ozon:2", b"x" * 100_000)
        assert store.get("ozon:1") == b"value"
        assert files_set_aside(path) == []


def run_pragma(store: SqliteStore, pragma: str) -> None:
    """Run a pragma on the connection of a store."""
    store._run(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall())


def run_trace(store: SqliteStore, trace: Callable[[str], object]) -> None:
    """Call ``trace`` with each statement of a store."""
    store._run(lambda connection: connection.set_trace_callback(trace))


@contextmanager
def slow_calls(store: SqliteStore) -> Iterator[Callable[[], None]]:
    """Let calls of a store wait in its thread until the function is called that this yields."""
    lock = monkey.get_original("_thread", "allocate_lock")()  # one of threads, not of greenlets
    lock.acquire()

    def wait(_statement: str) -> None:
        with lock:
            pass

    run_trace(store, wait)
    yield lock.release


def eventually(is_true: Callable[[], bool]) -> bool:
    """Poll until ``is_true`` returns true; return whether it did in time. A StoreError counts as false."""
    deadline = time.monotonic() + MAX_WAIT
    while time.monotonic() < deadline:
        try:
            if is_true():
                return True
        except StoreError:
            pass
        gevent.sleep(0.01)
    return False


class TestBounds:
    """Eviction, and the deletion of old invalidations and leases."""

    def test_the_number_of_rows_is_limited(self, path: Path, open_sized: SizedOpener) -> None:
        store = open_sized(200)
        for number in range(1_000):
            put(store, f"ozon:{number}", positive=False)
        ((rows,),) = sql(path, "SELECT count(*) FROM covers")
        assert rows in range(200, 203)
        assert store.get("ozon:999") == b"value"

    def test_expired_then_negative_then_positive_rows_are_evicted_oldest_first(
        self, open_sized: SizedOpener, clock: ManualClock
    ) -> None:
        store = open_sized(4)
        put(store, "positive:old")
        put(store, "negative:old", positive=False)
        put(store, "positive:expired", lifetime=10)
        put(store, "negative:new", positive=False)
        clock.now += 20
        in_order = ["positive:expired", "negative:old", "negative:new", "positive:old"]
        for evicted, _ in enumerate(in_order, 1):
            put(store, f"more:{evicted}")
            assert [store.get(key) for key in in_order] == [None] * evicted + [b"value"] * (4 - evicted)

    def test_a_row_that_is_put_again_is_the_newest(self, open_sized: SizedOpener) -> None:
        store = open_sized(2)
        for key in ("one", "two", "one", "three"):
            put(store, key)
        assert [store.get(key) for key in ("one", "two", "three")] == [b"value", None, b"value"]

    def test_a_clock_that_jumps_ahead_deletes_no_rows(self, open_sized: SizedOpener, clock: ManualClock) -> None:
        store = open_sized(100)
        for number in range(50):
            put(store, f"ozon:{number}")
        clock.now += 1e9
        for number in range(50):
            put(store, f"caa:{number}")
        assert all(store.get(f"ozon:{number}") for number in range(50))

    def test_a_store_with_a_lower_limit_shrinks_gradually(self, path: Path, open_sized: SizedOpener) -> None:
        large = open_sized(100_000)
        for number in range(450):
            put(large, f"ozon:{number}")
        small = open_sized(100)
        sizes = []
        for number in range(50):
            put(small, f"caa:{number}")
            sizes += [rows for (rows,) in sql(path, "SELECT count(*) FROM covers")]
        assert sizes[:3] == [441, 432, 423]
        assert sizes[-3:] == [100, 100, 100]

    def test_invalidations_are_deleted_after_an_hour_or_beyond_their_limit(
        self, path: Path, open_sized: SizedOpener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "_MAX_INVALIDATIONS", 20)
        store = open_sized(100)
        for number in range(100):
            store.forget(f"ozon:{number}")
        ((rows,),) = sql(path, "SELECT count(*) FROM purges")
        assert rows == 20
        cursor, _ = store.invalidations("")
        clock.now += 3601
        store.forget("ozon:1")
        assert store.invalidations(cursor)[1] == ["ozon:1"]
        assert sql(path, "SELECT count(*) FROM purges") == [(1,)]

    def test_purges_are_kept_however_long_the_time_between_them_is(
        self, open_sized: SizedOpener, clock: ManualClock
    ) -> None:
        """It fails if the limit on their number is taken for a difference of times."""
        store = open_sized(100)
        cursor, _ = store.invalidations("")
        numbers = []
        for number in range(10):
            numbers.append(look(store, "one", f"ozon:{number}").purge_number)
            store.forget(f"ozon:{number}")
            clock.now += 60
            put(store, "@host:1")
        assert store.invalidations(cursor)[1] == [f"ozon:{number}" for number in range(10)]
        for number, before in enumerate(numbers):
            assert not store.settle(f"ozon:{number}", "one", entry(), before)

    def test_a_result_is_refused_if_purges_since_have_been_deleted(
        self, open_sized: SizedOpener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The key may have been among them. It fails if a purge that is no longer stored does not count."""
        monkeypatch.setattr(sqlite, "_MAX_INVALIDATIONS", 20)
        store = open_sized(100)
        before = look(store, "one").purge_number
        store.forget("ozon:1")
        for number in range(100):
            store.forget(f"more:{number}")
        assert not store.settle("ozon:1", "one", entry(), before)
        assert store.settle("ozon:1", "one", entry(), look(store, "one").purge_number)

    def test_purge_numbers_do_not_decrease_with_the_clock(self, store: SqliteStore, clock: ManualClock) -> None:
        """It fails if each number is the time at which it is made."""
        before = look(store, "one").purge_number
        clock.now -= 3600
        store.forget("ozon:1")
        assert not store.settle("ozon:1", "one", entry(), before)
        assert store.settle("ozon:1", "one", entry(), look(store, "one").purge_number)

    def test_expired_leases_are_deleted(self, path: Path, open_sized: SizedOpener, monotonic: ManualClock) -> None:
        store = open_sized(100)
        for number in range(10):
            look(store, "one", f"ozon:{number}", seconds=5)
        look(store, "one", "ozon:live", seconds=100)
        monotonic.now += 6
        put(store, "ozon:1")
        assert sql(path, "SELECT key FROM leases") == [("ozon:live",)]


class TestLeases:
    """Leases expire by the monotonic clock."""

    def test_a_lease_expires_by_the_monotonic_clock(
        self, store: SqliteStore, clock: ManualClock, monotonic: ManualClock
    ) -> None:
        assert look(store, "one", seconds=5).has_lease
        clock.now += 1e6
        assert not look(store, "two", seconds=5).has_lease
        monotonic.now += 5
        assert look(store, "two", seconds=5).has_lease

    def test_a_renewal_counts_from_the_time_at_which_it_is_made(
        self, store: SqliteStore, monotonic: ManualClock
    ) -> None:
        look(store, "one", seconds=5)
        monotonic.now += 4
        assert store.renew_lease("ozon:1", "one", 5)
        monotonic.now += 4
        assert not look(store, "two", seconds=5).has_lease

    def test_a_lease_from_before_a_restart_of_the_machine_has_expired(
        self, store: SqliteStore, monotonic: ManualClock
    ) -> None:
        assert look(store, "one", seconds=5).has_lease
        monotonic.now = 10
        assert look(store, "two", seconds=5).has_lease
        assert not look(store, "three", seconds=5).has_lease

    def test_a_process_that_read_the_clock_before_the_holder_does_not_acquire_it(
        self, store: SqliteStore, monotonic: ManualClock
    ) -> None:
        assert look(store, "one", seconds=5).has_lease
        monotonic.now -= 0.3
        assert not look(store, "two", seconds=5).has_lease

    def test_the_record_is_read_again_when_the_lease_is_acquired(
        self, path: Path, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The holder of the lease settles between the two steps of a look.

        It fails if the look returns what it has read first: the page would be fetched a second time.
        """
        number = look(store, "one").purge_number

        @contextmanager
        def settle_first(connection: sqlite3.Connection) -> Iterator[None]:
            sql(path, "DELETE FROM leases")
            sql(path, f"INSERT INTO covers VALUES ('ozon:1', x'01', {clock.now + 600}, 1, {NOW + 60})")
            with sqlite_file.write_transaction(connection):
                yield

        monkeypatch.setattr(sqlite, "write_transaction", settle_first)
        assert look(store, "two") == (b"\x01", False, number)
        assert sql(path, "SELECT * FROM leases") == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
class TestThread:
    """The thread ends when the store is closed, and delays no caller."""

    def test_close_ends_the_thread_and_removes_the_wal_file(self, path: Path, store: SqliteStore) -> None:
        before = thread_ids()
        put(store, "ozon:1")
        (thread_id,) = thread_ids() - before
        store.close()
        assert eventually(lambda: thread_id not in thread_ids())
        assert not [name for name in path.parent.iterdir() if name.name.endswith(("-wal", "-shm"))]

    def test_a_thread_that_hangs_at_close_ends_later(self, path: Path, store: SqliteStore) -> None:
        before = thread_ids()
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match="does not answer"):
                store.get("ozon:1")
            started_at = time.monotonic()
            store.close()
            assert time.monotonic() - started_at < 2
            (thread_id,) = thread_ids() - before
        assert eventually(lambda: thread_id not in thread_ids())

    def test_calls_in_progress_at_close_return_or_raise_store_error(self, store: SqliteStore) -> None:
        before = thread_ids()
        calls = [gevent.spawn(store.get, "ozon:1") for _ in range(20)]
        gevent.sleep(0)
        store.close()
        gevent.joinall(calls, timeout=5)
        assert all(greenlet.successful() or isinstance(greenlet.exception, StoreError) for greenlet in calls)
        store.close()
        assert eventually(lambda: thread_ids() <= before)

    def test_a_process_exits_without_closing_the_store(self, path: Path, tmp_path: Path) -> None:
        errors = tmp_path / "errors"
        worker = Process(WORKER, path, errors)
        worker.evaluate("store.put('ozon:1', b'1', lifetime=600, is_positive=True)")
        assert worker.end() == 0
        assert errors.read_text() == ""


class TestProcesses:
    """Forks and kills."""

    def test_a_forked_child_opens_its_own_connection(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1", b"parent")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                found = store.get("ozon:1")
                put(store, "ozon:2", b"child")
                store.close()
                os.write(writing, found or b"nothing")
            finally:
                os._exit(0)
        os.close(writing)
        with gevent.Timeout(MAX_WAIT):
            os.waitpid(child, 0)
        assert os.read(reading, 100) == b"parent"
        os.close(reading)
        assert store.get("ozon:2") == b"child"
        put(store, "ozon:3")
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]

    def test_close_in_a_forked_child_does_not_affect_the_parent(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        child = os.fork()
        if child == 0:
            store.close()
            os._exit(0)
        with gevent.Timeout(MAX_WAIT):
            assert os.waitpid(child, 0)[1] == 0
        put(store, "ozon:2")
        assert {name.name for name in path.parent.glob("covers.db-*")} == {"covers.db-wal", "covers.db-shm"}
        assert sql(path, "SELECT key FROM covers ORDER BY key") == [("ozon:1",), ("ozon:2",)]

    def test_a_kill_during_writes_leaves_complete_values(self, path: Path, store: SqliteStore) -> None:
        for number in (40, 90, 170, 333):
            writer = Process(WRITER, path)
            while int(writer.read_line()) < number:
                pass
            writer.popen.send_signal(signal.SIGKILL)
            assert writer.end() == -signal.SIGKILL
            assert sql(path, "PRAGMA integrity_check") == [("ok",)]
            values = [store.get(f"ozon:{key}") for key in range(150)]
            kept = [value for value in values if value is not None]
            assert len(kept) >= 40
            assert all(len(value) == 20_000 and len(set(value)) == 1 for value in kept)
            assert files_set_aside(path) == []
