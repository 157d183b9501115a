"""Manners: how many pages may be under way at once, of each source and in all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gevent.lock import BoundedSemaphore

from app.errors import Overloaded


class Gate:
    """Lets at most ``total`` through at once, and of each source as many as it says; the others wait."""

    def __init__(self, total: int, *, clock: Callable[[], float]) -> None:
        self._total = BoundedSemaphore(total)
        self._of_source: dict[str, BoundedSemaphore] = {}
        self._clock = clock

    @contextmanager
    def admitted(self, source: str, concurrency: int, patience: float) -> Iterator[None]:
        """Hold a place of ``source``, which has ``concurrency`` of them; wait for it at most ``patience`` seconds.

        Raises:
            Overloaded: no place came free in that time.

        """
        until = self._clock() + patience
        # The source's place first: who waits for a slow source must not hold one of those that all sources share.
        of_source = self._of_source.setdefault(source, BoundedSemaphore(concurrency))
        with self._place(of_source, until, source), self._place(self._total, until, "any source"):
            yield

    @contextmanager
    def _place(self, places: BoundedSemaphore, until: float, of: str) -> Iterator[None]:
        if not places.acquire(timeout=max(until - self._clock(), 0)):
            raise Overloaded(f"too many pages of {of} are waited for")
        try:
            yield
        finally:
            places.release()
