"""The file of the SQLite store: opens it, migrates its schema, and sets it aside if it is corrupt.

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

#: Seconds that SQLite waits for a lock of another process (SQLITE_BUSY).
_BUSY_TIMEOUT = 0.1

#: Each migration leads from one version of the schema to the next; ``user_version`` holds the version of a file. The
#: statements are separated by semicolons, and ``:now`` is the present time in microseconds since the epoch.
#:
#: REPLACE gives a row of covers a new rowid, so the rowids are in the order of age even if the clock jumps. The random
#: mark of a file distinguishes its cursors from those of an earlier file at the same path.
#:
#: Version 2: the numbers of purges start at ``:now``, so those of an earlier file at the same path are lower.
#: ``first_number`` is the lowest one after which the file has all purges.
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
    """A connection to the file, reopened as needed until ``close``.

    The store's thread must not log: the locks of log handlers are gevent's and belong to the hub's thread. So messages
    are added to ``log_messages``, and the hub's thread logs them as errors.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.log_messages: list[str] = []
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._is_closed = False

    def run(self, query: Callable[[sqlite3.Connection], T]) -> T | StoreError:
        """Call ``query`` with a connection and return its result; a second time if the file had to be set aside.

        Errors are returned, not raised: gevent's thread pool prints what is raised in it.
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
            # Without the cause, whose traceback refers to this frame.
            return StoreError(f"{self._path}: {error}")

    def close(self) -> None:
        """Close the connection. Later calls fail."""
        self._is_closed = True
        with suppress(OSError), self._exclusive_lock():
            self._disconnect()
        self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        """Return the connection; reconnect if the file at the path has been replaced or removed."""
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
                # Also if the file cannot be opened: _set_aside compares the inodes.
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
                # Read again inside the transaction: another process may have migrated the file meanwhile.
                for number in range(_schema_version(connection), len(MIGRATIONS)):
                    for statement in MIGRATIONS[number].split(";"):
                        connection.execute(statement, parameters)
                    connection.execute(f"PRAGMA user_version = {number + 1}")

    def _is_unusable(self, error: sqlite3.DatabaseError) -> bool:
        """Return whether the error means a corrupt or unreadable file, and not, say, a lock or a full disk."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
            return self._path.is_file() and not os.access(self._path, os.R_OK | os.W_OK)
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename the file and those that belong to it, so that the next connection creates a new one."""
        with self._exclusive_lock():
            # A different inode means that another process has set the corrupt file aside already.
            if self._inode == self._inode_at_path():
                new_path = self._unused_path()
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        Path(f"{self._path}{suffix}").rename(f"{new_path}{suffix}")
                self.log_messages.append(f"{self._path}: {error}; it is set aside as {new_path}, and a new one created")
            # After the renaming: when SQLite closes a file, it deletes -wal by name, unless the file has been moved.
            self._disconnect()

    def _unused_path(self) -> str:
        name = f"{self._path}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self._clock()))}"
        while Path(name).exists():
            name += "+"
        return name

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Hold the lock under which processes open, close and rename the file."""
        # Only this user may enter the folder: any user that can read the files could also hold their locks for ever.
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

    A transaction that reads before it writes fails at once, without the busy timeout, if another process has written
    meanwhile (SQLITE_BUSY_SNAPSHOT).
    """
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield
