"""The gate of a host: how many pages of it are under way at once, and how long after each other they are begun.

Both hold over all workers of a machine. Who has to wait stands in line, first come first served in each worker; nothing
waits without bounds.
"""

from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from app.domain.errors import Overloaded
from app.fetch.process_semaphore import ProcessSemaphore

#: Who waits for a place that another process has looks for it after this many seconds, then ever less often.
_FIRST_LOOK, _LAST_LOOK = 0.005, 0.01

#: A worker in which several wait takes so many places in a row, then leaves the next one to others for one look.
_FAIR = 8

#: So many lines are kept; making one costs as much as standing in it.
_MOST_LINES = 1024


class _Line:
    """Those who wait for one host: the first of them has its turn; ``freed`` wakes it when a place came back here."""

    def __init__(self) -> None:
        self.turn = BoundedSemaphore(1)
        self.freed = Event()
        self.waiting = 0
        self.takes = 0


class HostLimiter:
    """Lets pages through: ``total`` of this worker at once, and of each host as many, and as often, as is asked for.

    At most ``most_waiting`` stand in line for one host. ``clock`` must not jump.
    """

    def __init__(
        self, total: int, *, semaphore: ProcessSemaphore, max_waiting: int, clock: Callable[[], float]
    ) -> None:
        self._total = BoundedSemaphore(total)
        self._places = semaphore
        self._most_waiting = max_waiting
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    def acquire(
        self, host: str, *, concurrency: int, delay: float, deadline: float, check: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Take one of the ``concurrency`` places at ``host``, ``delay`` seconds after the last page was begun there.

        It is waited for until the clock says ``until``. When one's turn has come, ``may_go`` is called, and may raise.
        What is returned gives the place back.

        Raises:
            Overloaded: no place came free in that time, or too many wait for one already.

        """
        line = self._lines.get(host)
        if line is None:
            line = self._lines[host] = _Line()
        if line.waiting >= self._most_waiting:
            raise Overloaded(f"{line.waiting} pages of {host} are waited for already")
        line.waiting += 1
        try:
            self._acquire(line.turn, host, deadline)
            try:
                check()
                return self._begin(line, host, concurrency, delay, deadline)
            finally:
                line.turn.release()
        finally:
            line.waiting -= 1
            self._trim()

    def _begin(self, line: _Line, host: str, concurrency: int, delay: float, until: float) -> Callable[[], None]:
        place = self._taken(line, host, host, concurrency, until)
        try:
            self._acquire(self._total, "hosts of all kinds", until)
            try:
                if delay > 0:
                    # Last of all: a page is begun as soon as this is had.
                    begin = self._taken(line, f"{host} begins", host, 1, until)
                    gevent.spawn_later(delay, self._leave, line, begin)
            except BaseException:
                self._total.release()
                raise
        except BaseException:
            self._leave(line, place)
            raise

        def leave() -> None:
            self._total.release()
            self._leave(line, place)

        return leave

    def _taken(self, line: _Line, key: str, host: str, count: int, until: float) -> int:
        line.takes += 1
        if line.waiting > 1 and line.takes % _FAIR == 0:
            # Who waits in another process looks only now and then; this one knows at once what came free here.
            gevent.sleep(_LAST_LOOK)
        look = _FIRST_LOOK
        while (place := self._places.acquire(key, count)) is None:
            left = until - self._clock()
            if left <= 0:
                raise _too_many(host)
            line.freed.clear()
            line.freed.wait(min(left, look))
            look = min(look * 1.5, _LAST_LOOK)
        return place

    def _leave(self, line: _Line, place: int) -> None:
        self._places.release(place)
        line.freed.set()

    def _trim(self) -> None:
        """Drop lines in which nobody waits when there are many: ids may name hosts, as many as they like."""
        if len(self._lines) > _MOST_LINES:
            self._lines = {host: line for host, line in self._lines.items() if line.waiting}

    def _acquire(self, semaphore: BoundedSemaphore, of: str, until: float) -> None:
        if not semaphore.acquire(blocking=False) and not semaphore.acquire(timeout=max(until - self._clock(), 0)):
            raise _too_many(of)


def _too_many(host: str) -> Overloaded:
    return Overloaded(f"too many pages of {host} are waited for")
