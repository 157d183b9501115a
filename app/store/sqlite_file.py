"""The file of the SQLite store: opened, brought to the present schema, and set aside where it is of no use.

All of it runs in the store's thread (see ``app.store.sqlite``), and many processes may have the same file open.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from app.store.base import StoreError

T = TypeVar("T")

#: Seconds for which SQLite waits for a lock of another process.
_BUSY = 0.1

#: What leads from each version of the schema to the next; a file's version is its ``user_version``. A semicolon ends a
#: statement. A row of covers that is put again gets a new rowid: their order is that of age, whatever the clock does.
#: The mark of a file tells its points from those of one that was at its place before.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE covers (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, expires REAL NOT NULL, is_precious INT);
    CREATE INDEX covers_by_end ON covers (expires);
    CREATE INDEX covers_by_worth ON covers (is_precious);
    CREATE TABLE leases (key TEXT PRIMARY KEY, token TEXT NOT NULL, taken REAL NOT NULL, ends REAL NOT NULL);
    CREATE TABLE purges (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, at REAL NOT NULL);
    CREATE TABLE file (mark TEXT NOT NULL);
    INSERT INTO file VALUES (lower(hex(randomblob(8))))
    """,
)


class StoreFile:
    """One life of the file's connection. All of it runs in the store's thread, which must not log: locks are the hub's.

    ``news`` holds what is to be logged.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.log_messages: list[str] = []
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._is_closed = False

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | StoreError:
        """Return what ``work`` returns, or the error, since a thread pool prints what is raised in it."""
        try:
            try:
                return work(self._connected())
            except sqlite3.DatabaseError as error:
                if not self._is_broken_by(error):
                    raise
                self._set_aside(error)
                return work(self._connected())
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a file that others wrote may lead anywhere
            failure = StoreError(f"{self._path}: {error}")
            failure.__cause__ = error
            return failure

    def close(self) -> None:
        """Close the connection for good."""
        self._is_closed = True
        with suppress(OSError), self._alone():
            self._disconnect()
        self._disconnect()

    def _connected(self) -> sqlite3.Connection:
        """Return a connection to the file that is at the path now, not to one that was there before."""
        if self._is_closed:
            raise StoreError(f"{self._path} was closed meanwhile")
        if self._connection is not None and self._inode == self._inode_now():
            return self._connection
        with self._alone():
            self._disconnect()
            try:
                connection = self._connection = sqlite3.connect(
                    self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
                )
            finally:
                self._inode = self._inode_now()  # of one that cannot be opened too: it may be set aside
            try:
                self._prepare(connection)
            except BaseException:
                self._disconnect()
                raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise StoreError(f"{self._path} has version {version}, made by a newer release; {len(MIGRATIONS)} is known")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < len(MIGRATIONS):
            with write_transaction(connection):
                for number in range(_version(connection), len(MIGRATIONS)):
                    for statement in MIGRATIONS[number].split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number + 1}")

    def _is_broken_by(self, error: sqlite3.DatabaseError) -> bool:
        """Return whether the file is of no use, rather than locked, or the disk full."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
            return self._path.is_file() and not os.access(self._path, os.R_OK | os.W_OK)
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        with self._alone():
            # Another one at the path: a worker that met the broken file too was quicker.
            if self._inode == self._inode_now():
                aside = self._unused_name()
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
                self.log_messages.append(f"{self._path}: {error}; it is set aside as {aside}, and a new one begun")
            # Not before: SQLite, closing, removes -wal by its name, unless it sees that the file was moved.
            self._disconnect()

    def _unused_name(self) -> str:
        name = f"{self._path}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self._clock()))}"
        while Path(name).exists():
            name += "+"
        return name

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only process that opens, closes or renames the file."""
        # Who can read the files can hold their locks too, for ever.
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with Path(f"{self._path}.lock").open("ab") as side:
            fcntl.flock(side, fcntl.LOCK_EX)
            yield

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _inode_now(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def write_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make one transaction that writes from its start: one that read first would find the lock taken at once."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield
