"""A semaphore that the processes of a machine share: each slot is a lock on one byte of a file.

The file stays empty. The kernel holds the locks (POSIX record locks, fcntl), and releases all locks of a process as
soon as the process ends or is killed. A lock belongs to a whole process. The semaphore therefore keeps a set of the
slots that greenlets of its own process hold.
"""

import fcntl
import functools
import logging
import os
import tempfile
from hashlib import blake2b
from pathlib import Path

_log = logging.getLogger(__name__)

#: The number of bytes that a key has in the file. It is larger than any ``concurrency``.
_SLOTS_PER_KEY = 1024

#: The last byte of a key. Each process that waits for a slot of the key holds a shared lock on this byte.
_WAITING_BYTE = _SLOTS_PER_KEY - 1


def default_lock_path() -> Path:
    """Return the path of the lock file that all processes of this user on this machine share."""
    folder = Path("/dev/shm")  # noqa: S108 - the owner of the file is checked when it is opened
    if not folder.is_dir():
        folder = Path(tempfile.gettempdir())
    return folder / f"covers-{os.geteuid()}.places"


class ProcessSemaphore:
    """Slots by key, shared by all processes that open the file at ``path``.

    If the file cannot be used, a warning is logged and the slots are those of this process alone. Each process must
    make its own instance, after any fork.
    """

    def __init__(self, path: Path) -> None:
        self._held: set[int] = set()
        self._start = 0
        self._file: int | None = None
        try:
            self._file = _open(path)
        except OSError as error:
            message = "%s cannot be used (%s): concurrency and delay apply to each worker separately"
            _log.warning(message, path, error)

    def acquire(self, key: str, count: int) -> int | None:
        """Return one of the ``count`` (at most 1,023) slots of ``key``, or None if all are taken. Does not block."""
        first = _first_slot(key)
        # Each call starts one slot further, because the slot that was acquired longest ago is most likely to be free.
        self._start += 1
        for number in range(self._start, self._start + count):
            slot = first + number % count
            if slot not in self._held and self._lock(slot):
                self._held.add(slot)
                return slot
        return None

    def release(self, slot: int) -> None:
        """Release a slot that ``acquire`` returned."""
        self._held.discard(slot)
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)

    def start_waiting(self, key: str) -> None:
        """Tell other processes that this process waits for a slot of ``key``. May be called repeatedly."""
        self._lock(_first_slot(key) + _WAITING_BYTE, fcntl.LOCK_SH)

    def stop_waiting(self, key: str) -> None:
        """Tell other processes that this process does not wait for a slot of ``key``."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _first_slot(key) + _WAITING_BYTE)

    def is_awaited_elsewhere(self, key: str) -> bool:
        """Return whether another process waits for a slot of ``key``. Afterwards this process counts as not waiting."""
        is_awaited = not self._lock(_first_slot(key) + _WAITING_BYTE)
        self.stop_waiting(key)
        return is_awaited

    def close(self) -> None:
        """Release all slots of this process and close the file."""
        self._held.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, slot: int, kind: int = fcntl.LOCK_EX) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, kind | fcntl.LOCK_NB, 1, slot)
        except OSError:  # another process holds the lock, or the kernel has no free locks at the moment
            return False
        return True


@functools.lru_cache(1024)
def _first_slot(key: str) -> int:
    """Return the byte offset of the first slot of a key."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest()) * _SLOTS_PER_KEY


def _open(path: Path) -> int:
    """Open the file, which must belong to this user, because another user could hold the locks forever."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to another user")
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0)  # fails on file systems without locks
    except OSError:
        os.close(file)
        raise
    return file
