"""Places that the processes of a machine share: locks on single bytes of a file to which nothing is ever written.

The kernel keeps them, so a process that is killed gives its places back in the same moment, and nothing is left of them
when the last process has gone. A lock belongs to a process (POSIX, fcntl), so which of them its own greenlets hold is
kept here.
"""

import fcntl
import functools
import logging
import os
import tempfile
from hashlib import blake2b
from pathlib import Path

_log = logging.getLogger(__name__)

#: More than any ``concurrency``: so far apart are the places of two keys.
_STRIDE = 1024


def default_lock_path() -> Path:
    """Return the file that all of this user's processes on this machine share."""
    folder = Path("/dev/shm")  # noqa: S108 - who may use the file is checked when it is opened
    if not folder.is_dir():
        folder = Path(tempfile.gettempdir())
    return folder / f"covers-{os.geteuid()}.places"


class ProcessSemaphore:
    """Places by key, shared through the file at ``path``; where that cannot be used, by this process alone.

    Made once in each process, after any fork.
    """

    def __init__(self, path: Path) -> None:
        self._held: set[int] = set()
        self._latest = 0
        self._file: int | None = None
        try:
            self._file = _open(path)
        except OSError as error:
            _log.warning("%s cannot be used (%s): concurrency and delay hold for each worker alone", path, error)

    def acquire(self, key: str, count: int) -> int | None:
        """Return one of the ``count`` places of ``key``, at most 1,024, or None where all are taken."""
        first = _first_place(key)
        # Around from the one behind the latest: what was taken longest ago is most likely free.
        self._latest += 1
        for number in range(self._latest, self._latest + count):
            place = first + number % count
            if place not in self._held and self._lock(place):
                self._held.add(place)
                return place
        return None

    def release(self, place: int) -> None:
        """Give back a place that was taken."""
        self._held.discard(place)
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Give everything back."""
        self._held.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, place: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:  # somebody else's; or, for now, the kernel has no more of them
            return False
        return True


@functools.lru_cache(1024)
def _first_place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest()) * _STRIDE


def _open(path: Path) -> int:
    """Open the file, for this user alone: in a folder of everybody's, others could hold its locks for ever."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to somebody else")
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0)  # there are file systems that have no locks
    except OSError:
        os.close(file)
        raise
    return file
