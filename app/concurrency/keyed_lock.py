"""A lock for each key."""

from collections.abc import Iterator
from contextlib import contextmanager

from gevent.lock import BoundedSemaphore


class KeyedLock:
    """Locks for greenlets, one for each key. A lock exists only while a greenlet holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, BoundedSemaphore] = {}

    @contextmanager
    def hold(self, key: str, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock of ``key`` in a ``with`` block.

        Raises TimeoutError if the lock is not acquired within ``timeout`` seconds. If ``timeout`` is None, there is no
        limit.
        """
        lock = self._locks.setdefault(key, BoundedSemaphore(1))
        try:
            if not lock.acquire(timeout=timeout):
                raise TimeoutError(f"the lock of {key} was not acquired within {timeout} seconds")
            try:
                yield
            finally:
                lock.release()
        finally:
            if not lock.locked() and not lock.linkcount():
                self._locks.pop(key, None)
