"""The store of one machine: a SQLite file that the workers share.

SQLite knows no greenlets, and it blocks while it waits for a lock. So all calls of SQLite run in a thread of the store,
one at a time, and the calling greenlet waits for the thread with a timeout. The first call opens the file: in the
worker, after the fork.
"""

import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from app.concurrency.fair_semaphore import FairSemaphore
from app.store.base import Entry, Look, StoreError, StoreOverloaded
from app.store.sqlite_file import StoreFile, write_transaction

if TYPE_CHECKING:
    from gevent.event import AsyncResult

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds that a call may take. On a busy disk or machine a call is slow at times; if the circuit breaker opened for
#: that, it would cost more than the wait.
TIMEOUT = 2.0
#: Seconds that a call waits for those before it. That wait is caused by the load of this worker, so it does not count
#: as a failure of the store.
QUEUE_TIMEOUT = 3.0

#: Seconds for which ``look`` acquires no lease after it was not able to write. If another process holds the write lock,
#: each look would wait for it until SQLite gives up, and the calls behind it too.
_LEASE_PAUSE = 1.0

#: Seconds that ``close`` waits for the thread. A thread that hangs is ended later, in the background.
_CLOSE_TIMEOUT = 0.5

#: Rows that one statement evicts at most. In a full file of a million rows, deleting 100 holds the write lock for 3 ms,
#: and deleting 1,000 for longer than other processes wait for the lock.
_EVICTION_BATCH = 100

#: Writes between two counts of the rows. Counting a million rows takes some 25 ms.
_WRITES_BETWEEN_COUNTS = 1_000

#: The record of a key, when it is due for a refresh, and the number of the latest purge.
_LOOK = (
    "SELECT covers.value, covers.due, sqlite_sequence.seq FROM sqlite_sequence LEFT JOIN covers ON covers.key = ?"
    " WHERE sqlite_sequence.name = 'purges'"
)
#: A row if the key was forgotten after a purge number, or if the file does not have all purges after that number.
_IS_PURGED = (
    "SELECT 1 FROM purges WHERE key = ?1 AND number > ?2"
    " UNION ALL SELECT 1 FROM file WHERE ?2 > 0 AND first_number > ?2"
)
_DELETE_EXPIRED = (
    "DELETE FROM covers WHERE rowid IN (SELECT rowid FROM covers WHERE expires <= ? ORDER BY expires LIMIT ?)"
)
_DELETE_NEGATIVE_THEN_OLDEST = (
    "DELETE FROM covers WHERE rowid IN (SELECT rowid FROM covers ORDER BY is_positive, rowid LIMIT ?)"
)

#: Invalidations are kept for so many seconds, and at most about so many of them.
_INVALIDATION_LIFETIME = 3600.0
_MAX_INVALIDATIONS = 10_000

#: Seconds that the acquisition of a valid lease may lie in the future: two processes may read the clock in one order
#: and write in the other. A lease from further ahead was acquired before the machine was restarted.
_MAX_CLOCK_SKEW = 1.0


class _Handle(NamedTuple):
    """An open file, the pool of one thread that runs its calls, and the process that opened it."""

    pid: int
    thread_pool: ThreadPool
    file: StoreFile


#: Handles that this process inherited from its parent by fork. SQLite forbids a child to use, and even to close, a
#: connection of its parent. The reference here keeps the garbage collector from closing it.
_inherited_handles: list[_Handle] = []


class SqliteStore:
    """A store in the file at ``path``, which is created if missing, with its folder; see ``app.store.base.Store``.

    The store keeps about ``max_rows`` values. Beyond that it evicts expired values first, then negative ones, then
    positive ones, and of each kind the oldest first. A file that is corrupt or not readable is renamed, and a new one
    created.

    ``clock`` returns seconds since the epoch. ``monotonic`` is the machine's monotonic clock, the same for all of its
    processes. A call takes at most ``timeout`` seconds.

    A store is for one thread; any number of its greenlets may share it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_rows: int,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT,
    ) -> None:
        self._path = Path(path)
        self._max_rows = max_rows
        self._clock = clock
        self._monotonic = monotonic
        self._timeout = timeout
        self._writes_between_counts = max(1, min(_WRITES_BETWEEN_COUNTS, max_rows // 100))
        self._writes_until_count = 0
        self._surplus_rows = 0
        self._handle: _Handle | None = None
        self._timed_out_call: AsyncResult[Any] | None = None
        self._turn = FairSemaphore(1)
        self._no_leases_until = -math.inf

    def get(self, key: str) -> bytes | None:
        """Return the value, or None. A value that has expired is returned until it is evicted."""
        rows: list[tuple[bytes]] = self._run(
            lambda connection: connection.execute("SELECT value FROM covers WHERE key = ?", (key,)).fetchall()
        )
        return rows[0][0] if rows else None

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Store the value for about ``lifetime`` seconds."""
        row = key, value, self._clock() + lifetime, is_positive

        def replace_row(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO covers (key, value, expires, is_positive) VALUES (?, ?, ?, ?)", row)
            self._evict(connection)

        self._run(replace_row)

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return the record, and acquire the lease for ``token`` unless the record is not due at ``now``.

        The record is read outside of the write transaction. So it is returned even if another process holds the write
        lock for long, or if the disk is full.
        """

        def read_and_lease(connection: sqlite3.Connection) -> Look:
            value, due, purge_number = connection.execute(_LOOK, (key,)).fetchone()
            if value is not None and due > now:
                return Look(value, has_lease=False, purge_number=purge_number)
            if self._monotonic() < self._no_leases_until:
                return Look(value, has_lease=True, purge_number=purge_number)
            try:
                with write_transaction(connection):
                    # Read again: the previous holder of the lease may have stored its record meanwhile.
                    value, due, purge_number = connection.execute(_LOOK, (key,)).fetchone()
                    is_due = value is None or due <= now
                    has_lease = is_due and self._acquire_lease(connection, key, token, seconds)
            except sqlite3.OperationalError:  # SQLITE_BUSY, SQLITE_FULL, SQLITE_READONLY
                self._no_leases_until = self._monotonic() + _LEASE_PAUSE
                has_lease = True
            return Look(value, has_lease, purge_number)

        return self._run(read_and_lease)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Store ``entry`` unless the key was forgotten after ``purge_number``; release the lease of ``token``."""
        expires = self._clock() + entry.lifetime if entry is not None else 0.0

        def store_and_release(connection: sqlite3.Connection) -> bool:
            with write_transaction(connection):
                connection.execute("DELETE FROM leases WHERE key = ? AND token = ?", (key, token))
                is_purged = connection.execute(_IS_PURGED, (key, purge_number)).fetchone() is not None
                if entry is None or is_purged:
                    return not is_purged
                if entry.lifetime > 0:
                    row = key, entry.value, expires, entry.is_positive, entry.due
                    connection.execute(
                        "REPLACE INTO covers (key, value, expires, is_positive, due) VALUES (?, ?, ?, ?, ?)", row
                    )
                else:
                    connection.execute("DELETE FROM covers WHERE key = ?", (key,))
            self._evict(connection)
            return True

        return self._run(store_and_release)

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """Let the lease expire after ``seconds`` from now, if ``token`` still holds it; return whether it does."""
        now = self._monotonic()
        row = now, now + seconds, key, token
        return self._run(
            lambda connection: (
                connection.execute("UPDATE leases SET taken = ?, ends = ? WHERE key = ? AND token = ?", row).rowcount
                > 0
            )
        )

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations; return whether there was a record."""
        now = self._clock()

        def delete_and_log(connection: sqlite3.Connection) -> bool:
            with write_transaction(connection):
                deleted = connection.execute("DELETE FROM covers WHERE key = ?", (key,)).rowcount
                connection.execute("DELETE FROM leases WHERE key = ?", (key,))
                connection.execute("INSERT INTO purges (key, at) VALUES (?, ?)", (key, now))
            self._evict(connection)
            return deleted > 0

        return self._run(delete_and_log)

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after the cursor ``since``, oldest first.

        A cursor is the mark of the file, a colon and the number of an entry. The cursor of an earlier file at the same
        path stands for the start of the present one. Entries are kept for an hour.
        """

        def read_entries(connection: sqlite3.Connection) -> tuple[str, list[str]]:
            mark, newest = connection.execute(
                "SELECT mark, (SELECT seq FROM sqlite_sequence WHERE name = 'purges') FROM file"
            ).fetchone()
            if not since:
                return f"{mark}:{newest}", []
            since_mark, _, number = since.partition(":")
            start = int(number) if since_mark == mark else 0
            entries = connection.execute(
                "SELECT number, key FROM purges WHERE number > ? ORDER BY number", (start,)
            ).fetchall()
            return f"{mark}:{entries[-1][0] if entries else start}", [key for _, key in entries]

        return self._run(read_entries)

    def _acquire_lease(self, connection: sqlite3.Connection, key: str, token: str, seconds: float) -> bool:
        now = self._monotonic()
        upsert = connection.execute(
            "INSERT INTO leases (key, token, taken, ends) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET token = excluded.token, taken = excluded.taken, ends = excluded.ends"
            " WHERE ends <= excluded.taken OR taken > excluded.taken + ?",
            (key, token, now, now + seconds, _MAX_CLOCK_SKEW),
        )
        return upsert.rowcount > 0

    def close(self) -> None:
        """Close the file and end the thread. If the thread hangs, both happen later, in the background."""
        handle, self._handle, self._timed_out_call = self._handle, None, None
        if handle is None:
            return
        if handle.pid != os.getpid():
            _inherited_handles.append(handle)
            return
        gevent.spawn(_close, handle).join(_CLOSE_TIMEOUT)

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``query`` with a connection in the thread, and return its result. Raises StoreError."""
        if not self._turn.acquire(QUEUE_TIMEOUT):
            raise StoreOverloaded(f"{self._path}: earlier calls took more than {QUEUE_TIMEOUT} seconds")
        try:
            return self._run_now(query)
        finally:
            self._turn.release()

    def _run_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        handle = self._open()
        if self._timed_out_call is not None and not self._timed_out_call.ready():
            raise StoreError(f"{self._path} is still busy with an earlier call")
        timeout = gevent.Timeout.start_new(self._timeout)
        call: AsyncResult[Any] | None = None
        try:
            try:
                # This waits if the greenlet of an earlier call was killed, and the thread is still busy with it.
                call = handle.thread_pool.spawn(handle.file.run, query)
            except RuntimeError as error:
                raise StoreError(f"{self._path}: {error}") from error
            result: Any = call.get()
        except gevent.Timeout as expired:
            if expired is not timeout:
                raise
            if call is not None:
                self._timed_out_call = call
            raise StoreError(f"{self._path} does not answer") from None
        finally:
            timeout.close()
            del timeout  # it refers to this frame when it has expired: see app.store.redis
        while handle.file.log_messages:
            _log.error(handle.file.log_messages.pop())
        if isinstance(result, StoreError):
            try:
                raise result
            finally:
                del call, result  # the traceback refers to this frame, as that of the timeout does
        return result  # type: ignore[no-any-return]  # gevent's stubs add None to the result of a call

    def _open(self) -> _Handle:
        """Return the handle of this process; the first call in a process makes it."""
        if self._handle is not None and self._handle.pid != os.getpid():
            self.close()
        if self._handle is None:
            self._handle = _Handle(os.getpid(), ThreadPool(1), StoreFile(self._path, self._clock))
        return self._handle

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Delete a batch of the surplus rows that the last count has found."""
        if self._writes_until_count == 0:
            self._clean_up_and_count(connection)
            self._writes_until_count = self._writes_between_counts
        self._writes_until_count -= 1
        batch = min(self._surplus_rows, _EVICTION_BATCH)
        if batch > 0:
            expired = connection.execute(_DELETE_EXPIRED, (self._clock(), batch)).rowcount
            connection.execute(_DELETE_NEGATIVE_THEN_OLDEST, (batch - expired,))
            self._surplus_rows -= batch

    def _clean_up_and_count(self, connection: sqlite3.Connection) -> None:
        """Delete expired leases and old invalidations, and count the surplus rows."""
        now, monotonic = self._clock(), self._monotonic()
        connection.execute("DELETE FROM leases WHERE ends <= ? OR taken > ?", (monotonic, monotonic + _MAX_CLOCK_SKEW))
        connection.execute(
            "UPDATE file SET first_number = max(first_number, coalesce((SELECT max(number) FROM purges"
            " WHERE at < ? OR number <= (SELECT max(number) FROM purges) - ?), 0))",
            (now - _INVALIDATION_LIFETIME, _MAX_INVALIDATIONS),
        )
        connection.execute("DELETE FROM purges WHERE number <= (SELECT first_number FROM file)")
        (rows,) = connection.execute("SELECT count(*) FROM covers").fetchone()
        # Rows are not deleted for their age alone: a clock that stepped ahead would empty the store. And one count does
        # not lead to the eviction of a large surplus: each worker counts, and together they would evict too much.
        self._surplus_rows = min(rows - self._max_rows, 10 * self._writes_between_counts)


def _close(handle: _Handle) -> None:
    handle.thread_pool.spawn(handle.file.close).get()
    handle.thread_pool.maxsize = 0  # otherwise a greenlet that still waits for the pool would start a new thread
    handle.thread_pool.kill()
