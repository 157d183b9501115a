"""The store of one machine: a SQLite file that the workers share.

SQLite knows no greenlets, and its locks are waited for inside it. So every call of it runs in a thread of the store's
own, and whoever asks waits for that thread a bounded time. The first call opens the file, thus after the fork.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from app.store.base import StoreError
from app.store.sqlite_file import StoreFile, write_transaction

if TYPE_CHECKING:
    from gevent.event import AsyncResult

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds for which an answer is waited for: a busy disk or machine takes its time, and a store that is passed over for
#: that costs more than the wait.
TIMEOUT = 2.0

#: Seconds for which closing waits for the thread; one that hangs is ended behind it.
_CLOSING = 0.5

#: Rows that go in one statement: in a full file of a million, 100 hold the lock for 3 ms, and 1,000 for longer than
#: others wait for it. Rows are counted every so many writes: of a million, that takes some 25 ms.
_BATCH = 100
_WRITES_BETWEEN_COUNTS = 1_000

_DELETE_ENDED = (
    "DELETE FROM covers WHERE rowid IN (SELECT rowid FROM covers WHERE expires <= ? ORDER BY expires LIMIT ?)"
)
_DELETE_WORST = "DELETE FROM covers WHERE rowid IN (SELECT rowid FROM covers ORDER BY is_precious, rowid LIMIT ?)"

#: News of what was forgotten is kept for so many seconds, and at most about so many of them.
_NEWS_LIFETIME = 3600.0
_NEWS = 10_000

#: Seconds by which a lease may seem to have been taken in the future: two processes read the clock in one order and
#: write in the other. One from further ahead was taken before the machine started anew.
_LEASE_SLACK = 1.0

#: What a fork brought along. SQLite forbids a child even to close what its parent opened, so it is never let go of.
_left_to_the_parent: list[object] = []


class SqliteStore:
    """A store in the file at ``path``, which is made, with its folder, when missing; see ``app.store.base.Store``.

    It keeps about ``max_rows`` values. Beyond that, those go first whose lifetime has ended, then those that are not
    precious, oldest first. ``clock`` tells seconds since the epoch; ``monotonic`` is the machine's, the same for all of
    its processes. An answer is waited for ``patience`` seconds. A file that is scrambled or unreadable is set aside
    under another name, and a new one begun.

    For one thread: any number of its greenlets may share it.
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
        self._patience = timeout
        self._writes_between_counts = max(1, min(_WRITES_BETWEEN_COUNTS, max_rows // 100))
        self._writes_until_count = 0
        self._surplus = 0
        self._opened: tuple[int, ThreadPool, StoreFile] | None = None
        self._late: AsyncResult[Any] | None = None

    def get(self, key: str) -> bytes | None:
        """Return the value, or None. One whose lifetime has ended is still returned."""
        rows: list[tuple[bytes]] = self._ask(
            lambda sql: sql.execute("SELECT value FROM covers WHERE key = ?", (key,)).fetchall()
        )
        return rows[0][0] if rows else None

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Keep the value for about ``lifetime`` seconds."""
        row = key, value, self._clock() + lifetime, is_positive

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO covers (key, value, expires, is_precious) VALUES (?, ?, ?, ?)", row)
            self._make_room(connection)

        self._ask(work)

    def forget(self, key: str) -> bool:
        """Drop the value, and let everybody know; return whether there was one."""
        now = self._clock()

        def work(connection: sqlite3.Connection) -> bool:
            with write_transaction(connection):
                gone = connection.execute("DELETE FROM covers WHERE key = ?", (key,)).rowcount
                connection.execute("INSERT INTO purges (key, at) VALUES (?, ?)", (key, now))
            self._make_room(connection)
            return gone > 0

        return self._ask(work)

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return what was forgotten after the point ``since``, oldest first, and the point to ask from next time.

        News is kept for an hour. A point of a file that was here before is the beginning of the one that is here now.
        """

        def work(connection: sqlite3.Connection) -> tuple[str, list[str]]:
            mark, last = connection.execute(
                "SELECT mark, (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'purges') FROM file"
            ).fetchone()
            if not since:
                return f"{mark}:{last}", []
            point_mark, _, number = since.partition(":")
            point = int(number) if point_mark == mark else 0
            news = connection.execute("SELECT number, key FROM purges WHERE number > ? ORDER BY number", (point,))
            rows = news.fetchall()
            return f"{mark}:{rows[-1][0] if rows else point}", [key for _, key in rows]

        return self._ask(work)

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Take the lease of a key, or prolong one that has this token; return whether it is held by the token now."""

        def work(connection: sqlite3.Connection) -> bool:
            now = self._monotonic()
            taking = connection.execute(
                "INSERT INTO leases (key, token, taken, ends) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET token = excluded.token, taken = excluded.taken, ends = excluded.ends"
                " WHERE token = excluded.token OR ends <= excluded.taken OR taken > excluded.taken + ?",
                (key, token, now, now + seconds, _LEASE_SLACK),
            )
            return taking.rowcount > 0

        return self._ask(work)

    def release(self, key: str, token: str) -> None:
        """Give the lease of a key back, if it is this token's."""
        row = key, token
        self._ask(lambda sql: sql.execute("DELETE FROM leases WHERE key = ? AND token = ?", row).rowcount)

    def close(self) -> None:
        """Close the file and end the thread, now or, where it hangs, as soon as it answers again."""
        opened, self._opened, self._late = self._opened, None, None
        if opened is None:
            return
        pid, pool, file = opened
        if pid != os.getpid():
            _left_to_the_parent.append(opened)
            return
        gevent.spawn(_end, pool, file).join(_CLOSING)

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` returns, which is called with a connection in the thread."""
        pool, file = self._open()
        if self._late is not None and not self._late.ready():
            raise StoreError(f"{self._path} is still busy with an earlier call")
        timeout = gevent.Timeout.start_new(self._patience)
        asked: AsyncResult[Any] | None = None
        try:
            try:
                asked = pool.spawn(file.run, work)
            except RuntimeError as error:
                raise StoreError(f"{self._path}: {error}") from error
            answer: Any = asked.get()
        except gevent.Timeout as expired:
            if expired is not timeout:
                raise
            self._late = self._late if asked is None else asked
            raise StoreError(f"{self._path} does not answer") from None
        finally:
            timeout.close()
        while file.log_messages:
            _log.error(file.log_messages.pop())
        if isinstance(answer, StoreError):
            raise answer
        return answer  # type: ignore[no-any-return]  # gevent's stubs add None to what a task returns

    def _open(self) -> "tuple[ThreadPool, StoreFile]":
        if self._opened is not None and self._opened[0] != os.getpid():
            self.close()
        if self._opened is None:
            self._opened = os.getpid(), ThreadPool(1), StoreFile(self._path, self._clock)
        return self._opened[1:]

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Let a batch go of what is too much, by the last count."""
        if self._writes_until_count == 0:
            self._count(connection)
            self._writes_until_count = self._writes_between_counts
        self._writes_until_count -= 1
        room = min(self._surplus, _BATCH)
        if room > 0:
            gone = connection.execute(_DELETE_ENDED, (self._clock(), room)).rowcount
            connection.execute(_DELETE_WORST, (room - gone,))
            self._surplus -= room

    def _count(self, connection: sqlite3.Connection) -> None:
        """Find out how much is too much, and let go of old news and ended leases."""
        now, monotonic = self._clock(), self._monotonic()
        connection.execute("DELETE FROM leases WHERE ends <= ? OR taken > ?", (monotonic, monotonic + _LEASE_SLACK))
        connection.execute(
            "DELETE FROM purges WHERE at < ? OR number <= (SELECT max(number) FROM purges) - ?",
            (now - _NEWS_LIFETIME, _NEWS),
        )
        (rows,) = connection.execute("SELECT count(*) FROM covers").fetchone()
        # No row goes for its age alone: a clock that stepped ahead would empty the store. Nor do all go by one count
        # when there are far too many: each worker counts, and together they would let go of too many.
        self._surplus = min(rows - self._max_rows, 10 * self._writes_between_counts)


def _end(pool: ThreadPool, file: StoreFile) -> None:
    pool.spawn(file.close).get()
    pool.maxsize = 0  # whoever waits for its turn still would start the thread anew
    pool.kill()
