"""The gate of a host: how many pages of it are under way at once, and how long after each other they are begun.

Both hold over all workers of a machine. Who has to wait stands in line, first come first served in each worker; nothing
waits without bounds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from app.errors import Overloaded

#: Who waits for a place that another process has looks for it after this many seconds, then ever less often.
_FIRST_LOOK, _LAST_LOOK = 0.005, 0.05


class Places(Protocol):
    """Places by key that processes share, as ``app.origin.places.Places`` has them."""

    def take(self, key: str, count: int) -> int | None: ...  # noqa: D102 - see the class
    def give_back(self, place: int) -> None: ...  # noqa: D102 - see the class


class _Line:
    """Those who wait for one host: the first of them has its turn; ``freed`` wakes it when a place came back here."""

    def __init__(self) -> None:
        self.turn = BoundedSemaphore(1)
        self.freed = Event()
        self.waiting = 0
        self.inside = 0


class Gate:
    """Lets pages through: ``total`` of this worker at once, and of each host as many, and as often, as is asked for.

    At most ``most_waiting`` stand in line for one host. ``clock`` must not jump.
    """

    def __init__(self, total: int, *, places: Places, most_waiting: int, clock: Callable[[], float]) -> None:
        self._total = BoundedSemaphore(total)
        self._places = places
        self._most_waiting = most_waiting
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    @contextmanager
    def place(self, host: str, *, concurrency: int, delay: float, until: float) -> Iterator[None]:
        """Hold one of the ``concurrency`` places at ``host``, ``delay`` seconds after the last page was begun there.

        It is waited for until the clock says ``until``.

        Raises:
            Overloaded: no place came free in that time, or too many wait for one already.

        """
        line = self._lines.setdefault(host, _Line())
        if line.waiting >= self._most_waiting:
            raise Overloaded(f"{line.waiting} pages of {host} are waited for already")
        line.waiting += 1
        try:
            with self._held(line.turn, host, until):
                place = self._taken(line, host, host, concurrency, until)
                line.inside += 1
                if delay > 0:
                    self._begin(line, host, delay, until, place)
        finally:
            line.waiting -= 1
            self._forget(host, line)
        try:
            with self._held(self._total, "any host", until):
                yield
        finally:
            self._leave(line, host, place)

    def _begin(self, line: _Line, host: str, delay: float, until: float, place: int) -> None:
        """Wait until a page may be begun, and let none be begun for the next ``delay`` seconds."""
        try:
            begin = self._taken(line, f"{host} begins", host, 1, until)
        except BaseException:
            self._leave(line, host, place)
            raise
        line.inside += 1
        gevent.spawn_later(delay, self._leave, line, host, begin)

    def _taken(self, line: _Line, key: str, host: str, count: int, until: float) -> int:
        look = _FIRST_LOOK
        while (place := self._places.take(key, count)) is None:
            left = until - self._clock()
            if left <= 0:
                raise _too_many(host)
            line.freed.clear()
            line.freed.wait(min(left, look))
            look = min(look * 1.5, _LAST_LOOK)
        return place

    def _leave(self, line: _Line, host: str, place: int) -> None:
        self._places.give_back(place)
        line.inside -= 1
        line.freed.set()
        self._forget(host, line)

    def _forget(self, host: str, line: _Line) -> None:
        """Drop a line in which nobody is: ids may name hosts, as many as they like."""
        if not line.waiting and not line.inside:
            self._lines.pop(host, None)

    @contextmanager
    def _held(self, semaphore: BoundedSemaphore, of: str, until: float) -> Iterator[None]:
        if not semaphore.acquire(timeout=max(until - self._clock(), 0)):
            raise _too_many(of)
        try:
            yield
        finally:
            semaphore.release()


def _too_many(host: str) -> Overloaded:
    return Overloaded(f"too many pages of {host} are waited for")
