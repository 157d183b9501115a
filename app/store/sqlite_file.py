"""The file of the SQLite store. This module opens the file, migrates its schema, and sets aside a corrupt file.

All methods run in the store's thread (see ``app.store.sqlite``). Many processes may have the same file open.
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

#: Seconds that SQLite waits for a lock of another process before it fails with SQLITE_BUSY.
_BUSY_TIMEOUT = 0.1

#: Each migration leads from one version of the schema to the next. ``user_version`` is the version of a file's schema.
#: The statements of a migration are separated by semicolons. ``:now`` is the time in microseconds since the epoch.
#:
#: REPLACE gives a row of covers a new rowid. Rows that were written later thus have higher rowids, even if the clock
#: jumps. The random mark of a file distinguishes its cursors from the cursors of an earlier file at the same path.
#:
#: In version 2 the purge numbers of a file start at ``:now``, so they are higher than the purge numbers of an earlier
#: file at the same path. The file has all purges with a number above ``first_number``.
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
    """
    ALTER TABLE covers RENAME COLUMN is_precious TO is_positive;
    ALTER TABLE covers ADD COLUMN due REAL NOT NULL DEFAULT 0;
    ALTER TABLE file ADD COLUMN first_number INTEGER NOT NULL DEFAULT 0;
    UPDATE file SET first_number = :now;
    INSERT INTO purges (number, key, at) VALUES (:now, '', 0);
    DELETE FROM purges WHERE number = :now;
    CREATE INDEX purges_by_key ON purges (key, number)
    """,
)


class StoreFile:
    """A connection to the file, which is reopened as needed until ``close``.

    The store's thread must not log, because the locks of log handlers are gevent locks of the hub's thread. Instead, it
    adds messages to ``log_messages``, and the hub's thread logs them as errors.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.log_messages: list[str] = []
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._is_closed = False

    def run(self, query: Callable[[sqlite3.Connection], T]) -> T | StoreError:
        """Call ``query`` with a connection and return the result.

        If the file is unusable, it is set aside, and ``query`` is called again with a connection to a new file. Errors
        are returned and not raised, because gevent's thread pool prints exceptions that are raised in it.
        """
        try:
            try:
                return query(self._connect())
            except sqlite3.DatabaseError as error:
                if not self._is_unusable(error):
                    raise
                self._set_aside(error)
                return query(self._connect())
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a file with unexpected contents may raise anything
            # The new error has no cause, because the traceback of a cause would refer to this frame.
            return StoreError(f"{self._path}: {error}")

    def close(self) -> None:
        """Close the connection. Later calls fail."""
        self._is_closed = True
        with suppress(OSError), self._exclusive_lock():
            self._disconnect()
        self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        """Return the connection. Reconnect if the file at the path has been replaced or removed."""
        if self._is_closed:
            raise StoreError(f"{self._path} was closed during the call")
        if self._connection is not None and self._inode == self._inode_at_path():
            return self._connection
        with self._exclusive_lock():
            self._disconnect()
            try:
                connection = self._connection = sqlite3.connect(
                    self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
                )
            finally:
                # The inode is needed even if the file cannot be opened, because _set_aside compares it.
                self._inode = self._inode_at_path()
            try:
                self._migrate(connection)
            except BaseException:
                self._disconnect()
                raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Set up write-ahead logging and bring the schema to the current version."""
        version = _schema_version(connection)
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self._path} has version {version}, made by a newer release; expected {len(MIGRATIONS)} or lower"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < len(MIGRATIONS):
            parameters = {"now": int(self._clock() * 1e6)}
            with write_transaction(connection):
                # Read the version again in the transaction, because another process may have migrated the file.
                for number in range(_schema_version(connection), len(MIGRATIONS)):
                    for statement in MIGRATIONS[number].split(";"):
                        connection.execute(statement, parameters)
                    connection.execute(f"PRAGMA user_version = {number + 1}")

    def _is_unusable(self, error: sqlite3.DatabaseError) -> bool:
        """Return whether the file is corrupt or not accessible. A lock or a full disk does not make it unusable."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
            return self._path.is_file() and not os.access(self._path, os.R_OK | os.W_OK)
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename the file and the -wal and -shm files, so that the next connection creates a new file."""
        with self._exclusive_lock():
            # A different inode means that another process has set the corrupt file aside already.
            if self._inode == self._inode_at_path():
                new_path = self._unused_path()
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        Path(f"{self._path}{suffix}").rename(f"{new_path}{suffix}")
                self.log_messages.append(f"{self._path}: {error}; it is set aside as {new_path}, and a new one created")
            # Disconnect only now: when SQLite closes a file that has not been moved, it deletes the -wal file by name.
            self._disconnect()

    def _unused_path(self) -> str:
        name = f"{self._path}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self._clock()))}"
        while Path(name).exists():
            name += "+"
        return name

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Hold the lock under which processes open, close and rename the file."""
        # Only this user may enter the folder, because a user who can read the files could hold their locks for ever.
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with Path(f"{self._path}.lock").open("ab") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            yield

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _inode_at_path(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def _schema_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def write_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction that takes the write lock at its start.

    If a transaction took the lock only after a read, it would fail at once, without the busy timeout, if another
    process has written since the read (SQLITE_BUSY_SNAPSHOT).
    """
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield
