"""The store in a SQLite file: the contract, and what becomes of ruined files, held locks, forks and kills."""

import fcntl
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
import pytest

from app.store import sqlite, sqlite_file
from app.store.base import StoreError
from app.store.sqlite import SqliteStore
from tests.store.contract import LONG, Opener, StoreContract
from tests.support.clock import ManualClock
from tests.support.service import ROOT

#: Seconds for another process to do its part.
PATIENCE = 20.0

#: What another process runs: it opens the store, says so, and then does as it is told, a line at a time.
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

#: A process that holds the write lock until its input ends.
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
sys.stdin.read()
connection.close()
"""

#: A process that puts values of one letter each, and tells how far it is.
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
    """A Python program of one argument, ready."""

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
        assert self.hear() == "ready"

    def hear(self) -> str:
        """Return the next line that it says."""
        assert self.popen.stdout is not None
        with gevent.Timeout(PATIENCE):
            return self.popen.stdout.readline().rstrip("\n")

    def tell(self, line: str) -> None:
        """Have it evaluate an expression; it says what that comes to."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def ask(self, line: str) -> str:
        """Return what an expression comes to there."""
        self.tell(line)
        return self.hear()

    def end(self) -> int:
        """End its input, and it thereby; return the status."""
        with self.popen as popen:
            assert popen.stdin is not None
            popen.stdin.close()
            return popen.wait(PATIENCE)


@contextmanager
def process(program: str, path: Path, errors: Path | None = None) -> Iterator[Process]:
    """Run a program until the block ends."""
    running = Process(program, path, errors)
    try:
        yield running
    finally:
        running.end()


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Look into a file from outside."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def broken_ones(path: Path) -> list[Path]:
    """Return the files that were set aside, without what belongs to them."""
    return [aside for aside in path.parent.glob("*.broken-*") if not aside.name.endswith(("-wal", "-shm"))]


def threads() -> int:
    """Return how many threads this process has, by the kernel's count."""
    return len(list(Path("/proc/self/task").iterdir()))


def scramble(path: Path, start: int, length: int) -> None:
    """Overwrite a part of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be: in a folder that is not there yet."""
    return tmp_path / "var" / "cache" / "covers.db"


@pytest.fixture
def clock() -> ManualClock:
    """The time of day."""
    return ManualClock(1_700_000_000.0)


@pytest.fixture
def monotonic() -> ManualClock:
    """The machine's monotonic clock."""
    return ManualClock(5_000.0)


#: Opens a store of at most so many rows.
SizedOpener = Callable[[int], SqliteStore]


@pytest.fixture
def open_sized(path: Path, clock: ManualClock, monotonic: ManualClock) -> Iterator[SizedOpener]:
    """Open stores of a size on one file, by clocks that the test moves."""
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
    store: SqliteStore, key: str, value: bytes = b"value", *, lifetime: float = LONG, precious: bool = True
) -> None:
    store.put(key, value, lifetime=lifetime, is_positive=precious)


class TestContract(StoreContract):
    """What every store does, by real clocks."""

    @pytest.fixture
    def open_store(self, path: Path) -> Iterator[Opener]:
        """Open stores on one file."""
        opened: list[SqliteStore] = []

        def open_one() -> SqliteStore:
            opened.append(SqliteStore(path, max_rows=1000, clock=time.time, timeout=0.5))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()


class TestFile:
    """The file, its folder and its versions."""

    def test_nothing_is_opened_before_the_first_call(self, path: Path, store: SqliteStore) -> None:
        assert not path.parent.exists()
        assert store.get("ozon:1") is None
        assert path.is_file()

    def test_the_folder_that_is_made_for_it_is_closed_to_others(self, path: Path, store: SqliteStore) -> None:
        """They could hold the locks of files that they may read."""
        put(store, "ozon:1")
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_what_was_put_survives_reopening(self, open_sized: SizedOpener) -> None:
        before = open_sized(1000)
        put(before, "ozon:1")
        before.close()
        assert open_sized(1000).get("ozon:1") == b"value"

    def test_it_is_in_write_ahead_mode_and_tells_its_version(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        assert sql(path, "PRAGMA journal_mode") == [("wal",)]
        assert sql(path, "PRAGMA user_version") == [(len(sqlite_file.MIGRATIONS),)]

    def test_an_older_version_is_migrated_with_its_rows_by_whoever_comes_first(
        self, path: Path, open_sized: SizedOpener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = open_sized(1000)
        put(old, "ozon:1")
        old.close()
        more = "ALTER TABLE covers ADD COLUMN note TEXT; CREATE TABLE notes (note TEXT)"
        monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, more))
        workers = [open_sized(1000) for _ in range(8)]
        found = [gevent.spawn(worker.get, "ozon:1") for worker in workers]
        assert [greenlet.get() for greenlet in found] == [b"value"] * 8
        assert sql(path, "PRAGMA user_version") == [(2,)]
        assert sql(path, "SELECT key, note FROM covers") == [("ozon:1", None)]

    def test_a_migration_that_fails_leaves_nothing_behind(
        self, path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "MIGRATIONS", ("CREATE TABLE one (x); CREATE TABLE one (x)",))
        with pytest.raises(StoreError, match="already exists"):
            store.get("ozon:1")
        assert sql(path, "SELECT name FROM sqlite_schema") == []
        assert sql(path, "PRAGMA user_version") == [(0,)]

    def test_a_newer_version_is_not_touched(self, path: Path, store: SqliteStore) -> None:
        path.parent.mkdir(parents=True)
        sql(path, "CREATE TABLE theirs (x)")
        sql(path, "PRAGMA user_version = 99")
        before = path.read_bytes()
        for _ in range(2):
            with pytest.raises(StoreError, match="version 99, made by a newer release"):
                put(store, "ozon:1")
        store.close()
        assert path.read_bytes() == before
        assert broken_ones(path) == []

    def test_a_file_that_is_removed_is_begun_anew(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        path.unlink()
        assert store.get("ozon:1") is None
        put(store, "ozon:1")
        assert path.is_file()

    def test_a_key_that_is_no_utf_8_is_the_stores_error(self, store: SqliteStore) -> None:
        with pytest.raises(StoreError, match="surrogates"):
            store.get("\ud800")


def garbage(path: Path) -> None:
    """No database at all."""
    path.write_bytes(b"\xa5" * 50_000)


def truncated(path: Path) -> None:
    """Cut short, as by a full disk or a copy that was stopped."""
    os.truncate(path, path.stat().st_size // 2)


def malformed(path: Path) -> None:
    """Scrambled in all pages but the first."""
    scramble(path, 4096, path.stat().st_size - 4096)


RUINS = pytest.mark.parametrize("ruin", [garbage, truncated, malformed])


class TestBrokenFile:
    """A file that is of no use is set aside."""

    @RUINS
    def test_it_is_set_aside_once_and_a_new_one_begun(
        self,
        path: Path,
        open_sized: SizedOpener,
        caplog: pytest.LogCaptureFixture,
        ruin: Callable[[Path], None],
    ) -> None:
        before = open_sized(1000)
        for number in range(500):
            put(before, f"ozon:{number}", b"x" * 500)
        before.close()
        ruin(path)
        ruined = path.read_bytes()
        store = open_sized(1000)
        assert store.get("ozon:1") is None
        put(store, "ozon:1")
        assert store.get("ozon:1") == b"value"
        (aside,) = broken_ones(path)
        assert aside.name == "covers.db.broken-20231114T221320Z"
        assert aside.read_bytes() == ruined
        (logged,) = caplog.records
        assert logged.levelno == logging.ERROR
        assert aside.name in logged.message

    def test_a_page_that_is_found_malformed_later_counts_too(self, path: Path, store: SqliteStore) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        (root,) = sql(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'covers'")[0]
        assert isinstance(root, int)
        assert store.get("nobody:1") is None
        scramble(path, (root - 1) * 4096, 4096)
        assert store.get("ozon:250") is None
        put(store, "ozon:250")
        assert store.get("ozon:250") == b"value"
        assert len(broken_ones(path)) == 1

    def test_two_in_one_second_get_two_names(self, path: Path, open_sized: SizedOpener) -> None:
        path.parent.mkdir(parents=True)
        for _ in range(3):
            garbage(path)
            store = open_sized(1000)
            put(store, "ozon:1")
            store.close()
        assert len(broken_ones(path)) == 3

    def test_a_point_of_the_old_file_is_the_beginning_of_the_new_one(self, path: Path, open_sized: SizedOpener) -> None:
        """Numbers start anew there, and whoever asks by an old one must miss nothing."""
        one, two = open_sized(1000), open_sized(1000)
        for number in range(5):
            one.forget(f"ozon:{number}")
        point, _ = two.invalidations("")
        path.unlink()
        one.forget("ozon:7")
        assert two.invalidations(point)[1] == ["ozon:7"]

    def test_a_folder_in_its_place_is_an_error_and_stays(self, path: Path, store: SqliteStore) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StoreError, match="unable to open"):
            store.get("ozon:1")
        assert path.is_dir()

    def test_a_file_in_place_of_the_folder_is_an_error(self, path: Path, store: SqliteStore) -> None:
        path.parent.parent.mkdir()
        path.parent.write_text("no folder")
        with pytest.raises(StoreError):
            store.get("ozon:1")
        store.close()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    @pytest.mark.parametrize("mode", [0o000, 0o444])
    def test_one_that_may_not_be_read_or_written_is_set_aside(
        self, path: Path, store: SqliteStore, open_sized: SizedOpener, mode: int
    ) -> None:
        put(store, "ozon:1")
        store.close()
        path.chmod(mode)
        other = open_sized(1000)
        put(other, "ozon:2")
        assert other.get("ozon:2") == b"value"
        assert len(broken_ones(path)) == 1

    def test_who_meets_it_second_does_not_set_the_new_one_aside(self, path: Path, store: SqliteStore) -> None:
        """The other worker is quicker while this one is in the middle of its call."""
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        slow = sqlite_file.StoreFile(path, time.time)
        slow.run(lambda _connection: None)
        malformed(path)

        def work(connection: sqlite3.Connection) -> list[tuple[str]]:
            if not broken_ones(path):
                put(store, "new:1")
            return connection.execute("SELECT key FROM covers").fetchall()

        assert slow.run(work) == [("new:1",)]
        assert len(broken_ones(path)) == 1
        assert slow.log_messages == []
        slow.close()

    @RUINS
    def test_four_processes_that_meet_it_at_once_set_it_aside_once(
        self, path: Path, store: SqliteStore, tmp_path: Path, ruin: Callable[[Path], None]
    ) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        ruin(path)
        errors = tmp_path / "errors"
        workers = [Process(WORKER, path, errors) for _ in range(4)]
        for number, worker in enumerate(workers):
            worker.tell(f"store.put('new:{number}', b'{number}', lifetime=600, is_positive=True)")
        assert [worker.hear() for worker in workers] == ["None"] * 4
        for worker in workers:
            assert [worker.ask(f"store.get('new:{number}')") for number in range(4)] == [f"b'{n}'" for n in range(4)]
        assert [worker.end() for worker in workers] == [0] * 4
        assert len(broken_ones(path)) == 1
        assert errors.read_text().count("set aside") == 1
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]

    def test_who_has_it_open_follows_to_the_new_one(self, path: Path, store: SqliteStore) -> None:
        for number in range(500):
            put(store, f"ozon:{number}", b"x" * 500)
        store.close()
        with process(WORKER, path) as one, process(WORKER, path) as two:
            assert one.ask("store.get('nobody:1')") == two.ask("store.get('nobody:1')") == "None"
            malformed(path)
            one.tell("store.put('new:1', b'1', lifetime=600, is_positive=True)")
            two.tell("store.put('new:2', b'2', lifetime=600, is_positive=True)")
            assert (one.hear(), two.hear()) == ("None", "None")
            assert one.ask("store.put('new:3', b'3', lifetime=600, is_positive=True)") == "None"
            assert two.ask("store.get('new:3')") == "b'3'"
        assert len(broken_ones(path)) == 1
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]


class TestLocks:
    """A lock of another process costs an error, and the hub nothing."""

    def test_a_held_lock_is_an_error_soon_while_reads_go_on(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            while True:
                gevent.sleep(0.005)
                ticks += 1

        with process(LOCKER, path):
            ticking = gevent.spawn(tick)
            started = time.monotonic()
            with pytest.raises(StoreError, match="database is locked"):
                put(store, "ozon:1", b"new")
            assert time.monotonic() - started < 1
            ticking.kill()
            assert store.get("ozon:1") == b"value"
        assert ticks >= 3
        put(store, "ozon:1", b"new")
        assert store.get("ozon:1") == b"new"
        assert broken_ones(path) == []

    def test_a_store_can_be_opened_while_a_lock_is_held(self, path: Path, open_sized: SizedOpener) -> None:
        put(open_sized(1000), "ozon:1")
        with process(LOCKER, path):
            assert open_sized(1000).get("ozon:1") == b"value"

    def test_many_writers_behind_a_lock_all_end_in_time(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        with process(LOCKER, path):
            writing = [gevent.spawn(put, store, f"ozon:{number}") for number in range(50)]
            with gevent.Timeout(5):
                gevent.joinall(writing)
        assert {type(greenlet.exception) for greenlet in writing} == {StoreError}

    def test_a_thread_that_hangs_is_not_waited_for_twice(self, path: Path, store: SqliteStore) -> None:
        """The side file's lock, held here, keeps the thread from opening the file."""
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as side:
            fcntl.flock(side, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match="does not answer"):
                store.get("ozon:1")
            started = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreError, match="still busy"):
                    store.get("ozon:1")
            assert time.monotonic() - started < 0.4
        assert eventually(lambda: store.get("ozon:1") is None)

    def test_a_callers_own_timeout_is_the_callers(self, path: Path, store: SqliteStore) -> None:
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as side:
            fcntl.flock(side, fcntl.LOCK_EX)
            with pytest.raises(gevent.Timeout) as raised, gevent.Timeout(0.01) as timeout:
                store.get("ozon:1")
            assert raised.value is timeout

    def test_a_full_disk_is_an_error_and_the_file_is_kept(self, path: Path, store: SqliteStore) -> None:
        """The file may not grow, which SQLite tells in the same words."""
        put(store, "ozon:1")
        opened = store._opened
        assert opened is not None
        opened[1].spawn(opened[2].run, lambda sql: sql.execute("PRAGMA max_page_count = 1").fetchall()).get()
        with pytest.raises(StoreError, match="database or disk is full"):
            put(store, "ozon:2", b"x" * 100_000)
        assert store.get("ozon:1") == b"value"
        assert broken_ones(path) == []


def eventually(is_true: Callable[[], bool]) -> bool:
    """Ask again and again, a StoreError being no; return whether it came true within the time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if is_true():
                return True
        except StoreError:
            pass
        gevent.sleep(0.01)
    return False


class TestBounds:
    """What goes, and in which order."""

    def test_it_holds_about_as_many_as_it_may(self, path: Path, open_sized: SizedOpener) -> None:
        store = open_sized(200)
        for number in range(1_000):
            put(store, f"ozon:{number}", precious=False)
        ((rows,),) = sql(path, "SELECT count(*) FROM covers")
        assert rows in range(200, 203)
        assert store.get("ozon:999") == b"value"

    def test_the_ended_go_first_then_the_not_precious_then_the_precious_oldest_first(
        self, open_sized: SizedOpener, clock: ManualClock
    ) -> None:
        store = open_sized(4)
        put(store, "precious:old")
        put(store, "plain:old", precious=False)
        put(store, "precious:ended", lifetime=10)
        put(store, "plain:new", precious=False)
        clock.now += 20
        everything = ["precious:ended", "plain:old", "plain:new", "precious:old"]
        for gone, _ in enumerate(everything, 1):
            put(store, f"more:{gone}")
            assert [store.get(key) for key in everything] == [None] * gone + [b"value"] * (4 - gone)

    def test_what_is_put_again_is_young_again(self, open_sized: SizedOpener) -> None:
        store = open_sized(2)
        for key in ("one", "two", "one", "three"):
            put(store, key)
        assert [store.get(key) for key in ("one", "two", "three")] == [b"value", None, b"value"]

    def test_a_clock_that_steps_ahead_empties_nothing(self, open_sized: SizedOpener, clock: ManualClock) -> None:
        store = open_sized(100)
        for number in range(50):
            put(store, f"ozon:{number}")
        clock.now += 1e9
        for number in range(50):
            put(store, f"caa:{number}")
        assert all(store.get(f"ozon:{number}") for number in range(50))

    def test_a_store_made_smaller_shrinks_by_and_by(self, path: Path, open_sized: SizedOpener) -> None:
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

    def test_news_is_dropped_after_an_hour_or_beyond_its_number(
        self, path: Path, open_sized: SizedOpener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "_NEWS", 20)
        store = open_sized(100)
        for number in range(100):
            store.forget(f"ozon:{number}")
        ((rows,),) = sql(path, "SELECT count(*) FROM purges")
        assert rows == 20
        point, _ = store.invalidations("")
        clock.now += 3601
        store.forget("ozon:1")
        assert store.invalidations(point)[1] == ["ozon:1"]
        assert sql(path, "SELECT count(*) FROM purges") == [(1,)]

    def test_leases_that_ended_go(self, path: Path, open_sized: SizedOpener, monotonic: ManualClock) -> None:
        store = open_sized(100)
        for number in range(10):
            store.lease(f"ozon:{number}", "one", 5)
        store.lease("ozon:live", "one", 100)
        monotonic.now += 6
        put(store, "ozon:1")
        assert sql(path, "SELECT key FROM leases") == [("ozon:live",)]


class TestLeases:
    """Leases by the monotonic clock."""

    def test_it_ends_by_the_monotonic_clock(
        self, store: SqliteStore, clock: ManualClock, monotonic: ManualClock
    ) -> None:
        assert store.lease("ozon:1", "one", 5)
        clock.now += 1e6
        assert not store.lease("ozon:1", "two", 5)
        monotonic.now += 5
        assert store.lease("ozon:1", "two", 5)

    def test_one_from_before_the_machine_started_anew_has_ended(
        self, store: SqliteStore, monotonic: ManualClock
    ) -> None:
        assert store.lease("ozon:1", "one", 5)
        monotonic.now = 10
        assert store.lease("ozon:1", "two", 5)
        assert not store.lease("ozon:1", "three", 5)

    def test_who_read_the_clock_before_the_holder_did_does_not_take_it(
        self, store: SqliteStore, monotonic: ManualClock
    ) -> None:
        assert store.lease("ozon:1", "one", 5)
        monotonic.now -= 0.3
        assert not store.lease("ozon:1", "two", 5)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted by /proc")
class TestThread:
    """The thread ends with the store, and holds nobody up."""

    def test_no_thread_and_no_file_is_left_after_close(self, path: Path, store: SqliteStore) -> None:
        before = threads()
        put(store, "ozon:1")
        assert threads() == before + 1
        store.close()
        assert eventually(lambda: threads() == before)
        assert not [name for name in path.parent.iterdir() if name.name.endswith(("-wal", "-shm"))]

    def test_a_thread_that_hangs_at_close_ends_when_it_can(self, path: Path, store: SqliteStore) -> None:
        before = threads()
        path.parent.mkdir(parents=True)
        with path.with_name("covers.db.lock").open("ab") as side:
            fcntl.flock(side, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match="does not answer"):
                store.get("ozon:1")
            started = time.monotonic()
            store.close()
            assert time.monotonic() - started < 2
            assert threads() == before + 1
        assert eventually(lambda: threads() == before)

    def test_who_is_in_the_middle_of_a_call_at_close_gets_an_answer_or_an_error(self, store: SqliteStore) -> None:
        before = threads()
        calling = [gevent.spawn(store.get, "ozon:1") for _ in range(20)]
        gevent.sleep(0)
        store.close()
        gevent.joinall(calling, timeout=5)
        assert all(greenlet.successful() or isinstance(greenlet.exception, StoreError) for greenlet in calling)
        store.close()
        assert eventually(lambda: threads() == before)

    def test_a_process_that_does_not_close_exits_all_the_same(self, path: Path, tmp_path: Path) -> None:
        errors = tmp_path / "errors"
        worker = Process(WORKER, path, errors)
        worker.ask("store.put('ozon:1', b'1', lifetime=600, is_positive=True)")
        assert worker.end() == 0
        assert errors.read_text() == ""


class TestProcesses:
    """Forks and kills."""

    def test_a_child_has_a_connection_of_its_own(self, path: Path, store: SqliteStore) -> None:
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
        with gevent.Timeout(PATIENCE):
            os.waitpid(child, 0)
        assert os.read(reading, 100) == b"parent"
        os.close(reading)
        assert store.get("ozon:2") == b"child"
        put(store, "ozon:3")
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]

    def test_a_child_that_only_closes_leaves_the_parents_alone(self, path: Path, store: SqliteStore) -> None:
        put(store, "ozon:1")
        child = os.fork()
        if child == 0:
            store.close()
            os._exit(0)
        with gevent.Timeout(PATIENCE):
            assert os.waitpid(child, 0)[1] == 0
        put(store, "ozon:2")
        assert {name.name for name in path.parent.glob("covers.db-*")} == {"covers.db-wal", "covers.db-shm"}
        assert sql(path, "SELECT key FROM covers ORDER BY key") == [("ozon:1",), ("ozon:2",)]

    def test_a_kill_in_the_middle_of_puts_leaves_whole_values(self, path: Path, store: SqliteStore) -> None:
        for number in (40, 90, 170, 333):
            writer = Process(WRITER, path)
            while int(writer.hear()) < number:
                pass
            writer.popen.send_signal(signal.SIGKILL)
            assert writer.end() == -signal.SIGKILL
            assert sql(path, "PRAGMA integrity_check") == [("ok",)]
            values = [store.get(f"ozon:{key}") for key in range(150)]
            kept = [value for value in values if value is not None]
            assert len(kept) >= 40
            assert all(len(value) == 20_000 and len(set(value)) == 1 for value in kept)
            assert broken_ones(path) == []
