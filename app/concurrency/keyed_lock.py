"""A lock for each key."""

from collections.abc import Iterator
from contextlib import contextmanager

from gevent.lock import BoundedSemaphore


class KeyedLock:
    """One at a time for each key; nothing is kept of keys that nobody has or waits for."""

    def __init__(self) -> None:
        self._turns: dict[str, BoundedSemaphore] = {}

    @contextmanager
    def hold(self, key: str, timeout: float | None = None) -> Iterator[None]:
        """Have the key's turn. Raises TimeoutError where it does not come within ``timeout`` seconds; None waits on."""
        turn = self._turns.setdefault(key, BoundedSemaphore(1))
        try:
            if not turn.acquire(timeout=timeout):
                raise TimeoutError(f"the turn of {key} did not come within {timeout} seconds")
            try:
                yield
            finally:
                turn.release()
        finally:
            if not turn.locked() and not turn.linkcount():
                self._turns.pop(key, None)
