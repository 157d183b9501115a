"""The store of one machine: a SQLite file that the workers share.

A call of SQLite blocks its thread, for example while it waits for a lock, and no other greenlet of the thread can run
meanwhile. So the store makes all calls of SQLite in a thread of its own, one at a time. The calling greenlet waits for
that thread with a timeout. The first call opens the file. It is made in a worker, because SQLite connections must not
be used after a fork.
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

#: Seconds that a call may take. The timeout is long enough for the slow calls that occur now and then on a busy disk or
#: machine. If such a call opened the circuit breaker, that would cost more than the wait.
TIMEOUT = 2.0
#: Seconds that a call waits for earlier calls to end. The cause of a longer wait is the load of this worker, so the
#: timeout does not count as a failure of the store.
QUEUE_TIMEOUT = 3.0

#: Seconds for which ``look`` does not try to write after a write of ``look`` has failed. Without this pause, while
#: another process holds the write lock, each look would wait until the busy timeout of SQLite, and all calls in the
#: queue of the thread would wait too.
_LEASE_PAUSE = 1.0

#: Seconds that ``close`` waits for the thread. A thread that hangs is ended later, in the background.
_CLOSE_TIMEOUT = 0.5

#: The maximum number of rows that one statement evicts. In a file of a million rows, deleting 100 rows holds the write
#: lock for 3 ms. Deleting 1,000 rows holds it for longer than the busy timeout of other processes.
_EVICTION_BATCH = 100

#: The number of writes between two counts of the rows. Counting a million rows takes about 25 ms.
_WRITES_BETWEEN_COUNTS = 1_000

#: Selects the record of a key, the time at which the record is due for a refresh, and the number of the latest purge.
_LOOK = (
    "SELECT covers.value, covers.due, sqlite_sequence.seq FROM sqlite_sequence LEFT JOIN covers ON covers.key = ?"
    " WHERE sqlite_sequence.name = 'purges'"
)
#: Selects a row if the key was forgotten after a purge number, or if the file does not have all purges after that
#: number.
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

#: Seconds for which an invalidation is kept.
_INVALIDATION_LIFETIME = 3600.0
#: About how many invalidations are kept. If there are more, the oldest are deleted.
_MAX_INVALIDATIONS = 10_000

#: The column ``taken`` of a valid lease may be ahead of the monotonic clock by this many seconds, because one process
#: may read the clock before another process and write after it. A lease that is further ahead was acquired before the
#: machine was restarted. The restart has reset the clock, so the lease is not valid.
_MAX_CLOCK_SKEW = 1.0


class _Handle(NamedTuple):
    """The file, the pool of one thread in which the file is used, and the process that created both."""

    pid: int
    thread_pool: ThreadPool
    file: StoreFile


#: Handles that this process inherited from its parent by fork. SQLite forbids a child process to use a connection of
#: its parent, or even to close it. This list keeps a reference to each handle, so the garbage collector does not close
#: the connection.
_inherited_handles: list[_Handle] = []


class SqliteStore:
    """A store in the file at ``path``. ``app.store.base.Store`` describes the methods.

    The first call creates the file and its folder if they do not exist. If the file is corrupt or not accessible, a
    call renames the file and creates a new one.

    The store keeps about ``max_rows`` rows. Each row is a record or another value. If there are more rows, the store
    evicts rows that have expired first, then negative rows, and then positive rows. Among negative rows and among
    positive rows, it evicts the rows that were written least recently.

    ``clock`` returns seconds since the epoch. ``monotonic`` is the machine's monotonic clock, which is the same for all
    processes. A call waits at most ``QUEUE_TIMEOUT`` seconds for earlier calls, and then takes at most ``timeout``
    seconds.

    Only one thread may use a store. Any number of greenlets of the thread may share the store.
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
        self._semaphore = FairSemaphore(1)
        self._no_leases_until = -math.inf

    def get(self, key: str) -> bytes | None:
        """Return the value, or None if there is none. A value that has expired is returned until it is evicted."""
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
        """Return the record. If there is none, or it is due at ``now``, acquire the lease for ``token``.

        The record is read before the write transaction. So the record is returned even if another process holds the
        write lock for a long time, or if the disk is full. In these cases the lease counts as acquired.
        """

        def read_and_lease(connection: sqlite3.Connection) -> Look:
            value, due, purge_number = connection.execute(_LOOK, (key,)).fetchone()
            if value is not None and due > now:
                return Look(value, has_lease=False, purge_number=purge_number)
            if self._monotonic() < self._no_leases_until:
                return Look(value, has_lease=True, purge_number=purge_number)
            try:
                with write_transaction(connection):
                    # Read the record again, because the previous holder of the lease may have stored it meanwhile.
                    value, due, purge_number = connection.execute(_LOOK, (key,)).fetchone()
                    is_due = value is None or due <= now
                    has_lease = is_due and self._acquire_lease(connection, key, token, seconds)
            except sqlite3.OperationalError:  # SQLITE_BUSY, SQLITE_FULL, SQLITE_READONLY
                self._no_leases_until = self._monotonic() + _LEASE_PAUSE
                has_lease = True
            return Look(value, has_lease, purge_number)

        return self._run(read_and_lease)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Release the lease of ``token``, and store ``entry`` unless the key was forgotten after ``purge_number``."""
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
        """If ``token`` still holds the lease, let it expire ``seconds`` from now. Return whether ``token`` holds it."""
        now = self._monotonic()
        parameters = now, now + seconds, key, token
        return self._run(
            lambda connection: (
                connection.execute(
                    "UPDATE leases SET taken = ?, ends = ? WHERE key = ? AND token = ?", parameters
                ).rowcount
                > 0
            )
        )

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations. Return whether there was a record."""
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

        A cursor consists of the mark of the file, a colon, and the purge number of a key. If ``since`` is the cursor of
        an earlier file at the same path, all keys in the present file are returned. The file keeps the keys for an
        hour.
        """

        def read_purges(connection: sqlite3.Connection) -> tuple[str, list[str]]:
            mark, newest = connection.execute(
                "SELECT mark, (SELECT seq FROM sqlite_sequence WHERE name = 'purges') FROM file"
            ).fetchone()
            if not since:
                return f"{mark}:{newest}", []
            since_mark, _, number = since.partition(":")
            start = int(number) if since_mark == mark else 0
            purges = connection.execute(
                "SELECT number, key FROM purges WHERE number > ? ORDER BY number", (start,)
            ).fetchall()
            return f"{mark}:{purges[-1][0] if purges else start}", [key for _, key in purges]

        return self._run(read_purges)

    def _acquire_lease(self, connection: sqlite3.Connection, key: str, token: str, seconds: float) -> bool:
        """Acquire the lease unless another token holds a valid lease. Return whether the lease was acquired."""
        now = self._monotonic()
        upsert = connection.execute(
            "INSERT INTO leases (key, token, taken, ends) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET token = excluded.token, taken = excluded.taken, ends = excluded.ends"
            " WHERE ends <= excluded.taken OR taken > excluded.taken + ?",
            (key, token, now, now + seconds, _MAX_CLOCK_SKEW),
        )
        return upsert.rowcount > 0

    def close(self) -> None:
        """Close the file and end the thread. If the thread hangs, it does both later, in the background.

        A handle that the process inherited by fork is neither closed nor used any more.
        """
        handle, self._handle, self._timed_out_call = self._handle, None, None
        if handle is None:
            return
        if handle.pid != os.getpid():
            _inherited_handles.append(handle)
            return
        gevent.spawn(_close, handle).join(_CLOSE_TIMEOUT)

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``query`` with a connection in the store's thread, and return its result. Raises StoreError."""
        if not self._semaphore.acquire(QUEUE_TIMEOUT):
            raise StoreOverloaded(f"{self._path}: earlier calls took more than {QUEUE_TIMEOUT} seconds")
        try:
            return self._run_now(query)
        finally:
            self._semaphore.release()

    def _run_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        handle = self._open()
        if self._timed_out_call is not None and not self._timed_out_call.ready():
            raise StoreError(f"{self._path} is still busy with an earlier call")
        timeout = gevent.Timeout.start_new(self._timeout)
        call: AsyncResult[Any] | None = None
        try:
            try:
                # ``spawn`` waits if the thread is still busy with an earlier call whose greenlet was killed.
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
            # The traceback of an expired timeout refers to this frame. Without ``del`` this would be a reference cycle.
            del timeout
        while handle.file.log_messages:
            _log.error(handle.file.log_messages.pop())
        if isinstance(result, StoreError):
            try:
                raise result
            finally:
                del call, result  # the traceback of the error refers to this frame too
        return result  # type: ignore[no-any-return]  # gevent's stubs add None to the result of a call

    def _open(self) -> _Handle:
        """Return the handle of this process. The first call in a process creates the handle."""
        if self._handle is not None and self._handle.pid != os.getpid():
            self.close()
        if self._handle is None:
            self._handle = _Handle(os.getpid(), ThreadPool(1), StoreFile(self._path, self._clock))
        return self._handle

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Delete a batch of surplus rows. Every ``_writes_between_counts`` calls, count the surplus rows first."""
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
        # Rows that have expired are deleted only if there is a surplus. Otherwise a clock that jumps ahead would empty
        # the store. The number of rows to evict after one count is limited. Otherwise the workers, which all count the
        # same surplus, would together evict too many rows.
        self._surplus_rows = min(rows - self._max_rows, 10 * self._writes_between_counts)


def _close(handle: _Handle) -> None:
    handle.thread_pool.spawn(handle.file.close).get()
    handle.thread_pool.maxsize = 0  # otherwise a greenlet that still waits in ``spawn`` would start a new thread
    handle.thread_pool.kill()
