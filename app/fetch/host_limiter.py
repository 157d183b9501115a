"""The host limiter: how many pages of a host are fetched at once, and the delay between the starts of two fetches.

Both limits apply to all workers of a machine together. Callers that have to wait form a queue per host and worker, in
order of arrival. The length of a queue and the time in it are limited.
"""

from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from app.domain.errors import Overloaded
from app.fetch.process_semaphore import ProcessSemaphore

#: How often a caller polls for a slot that another process holds, in seconds; the interval grows up to the maximum.
_MIN_POLL_INTERVAL, _MAX_POLL_INTERVAL = 0.005, 0.01

#: A worker whose queue is not empty skips one poll interval after so many slots, to leave a slot to other workers.
_FAIRNESS_INTERVAL = 8

#: Empty queues are dropped when there are more than this. Making one costs as much as waiting in it.
_MAX_QUEUES = 1024


class _Queue:
    """The callers that wait for a slot of one host.

    The holder of ``turn`` is the first in the queue. ``slot_released`` is set when this worker releases a slot.
    """

    def __init__(self) -> None:
        self.turn = BoundedSemaphore(1)
        self.slot_released = Event()
        self.waiting = 0
        self.slot_requests = 0


class HostLimiter:
    """Limits concurrent fetches to ``total`` in this worker, and per host to the concurrency and delay of the source.

    At most ``max_waiting`` callers may wait for one host. ``clock`` must be monotonic.
    """

    def __init__(
        self, total: int, *, semaphore: ProcessSemaphore, max_waiting: int, clock: Callable[[], float]
    ) -> None:
        self._total = BoundedSemaphore(total)
        self._semaphore = semaphore
        self._max_waiting = max_waiting
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    def acquire(
        self, host: str, *, concurrency: int, delay: float, deadline: float, check: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Acquire one of the ``concurrency`` slots of ``host``, ``delay`` seconds after the latest fetch started there.

        The call blocks until ``deadline``, a time of the clock. ``check`` is called when the caller is the first in the
        queue, before it acquires anything, and may raise. Returns a function that releases the slot.

        Raises:
            Overloaded: no slot became free before the deadline, or the queue is full.

        """
        queue = self._queues.get(host)
        if queue is None:
            queue = self._queues[host] = _Queue()
        if queue.waiting >= self._max_waiting:
            raise Overloaded(f"{queue.waiting} requests are already waiting for {host}")
        queue.waiting += 1
        try:
            self._acquire_semaphore(queue.turn, deadline, host)
            try:
                check()
                return self._acquire_slots(queue, host, concurrency, delay, deadline)
            finally:
                queue.turn.release()
        finally:
            queue.waiting -= 1
            self._drop_empty_queues()

    def _acquire_slots(
        self, queue: _Queue, host: str, concurrency: int, delay: float, deadline: float
    ) -> Callable[[], None]:
        """Acquire a slot of the host, one of this worker, and the slot that enforces the delay."""
        slot = self._acquire_slot(queue, host, host, concurrency, deadline)
        try:
            self._acquire_semaphore(self._total, deadline, "all hosts together")
            try:
                if delay > 0:
                    # The last one, since the fetch has to start as soon as the delay slot is acquired.
                    delay_slot = self._acquire_slot(queue, f"{host} begins", host, 1, deadline)
                    gevent.spawn_later(delay, self._release_slot, queue, delay_slot)
            except BaseException:
                self._total.release()
                raise
        except BaseException:
            self._release_slot(queue, slot)
            raise

        def release() -> None:
            self._total.release()
            self._release_slot(queue, slot)

        return release

    def _acquire_slot(self, queue: _Queue, key: str, host: str, count: int, deadline: float) -> int:
        """Poll for one of the ``count`` slots of ``key`` until the deadline."""
        queue.slot_requests += 1
        if queue.waiting > 1 and queue.slot_requests % _FAIRNESS_INTERVAL == 0:
            # Other processes only poll, while this one is notified of its own releases and would always be first.
            gevent.sleep(_MAX_POLL_INTERVAL)
        interval = _MIN_POLL_INTERVAL
        while (slot := self._semaphore.acquire(key, count)) is None:
            remaining = deadline - self._clock()
            if remaining <= 0:
                raise _no_slot(host)
            queue.slot_released.clear()
            queue.slot_released.wait(min(remaining, interval))
            interval = min(interval * 1.5, _MAX_POLL_INTERVAL)
        return slot

    def _release_slot(self, queue: _Queue, slot: int) -> None:
        self._semaphore.release(slot)
        queue.slot_released.set()

    def _drop_empty_queues(self) -> None:
        """Drop empty queues if there are many: where ids select the host, the number of hosts has no limit."""
        if len(self._queues) > _MAX_QUEUES:
            self._queues = {host: queue for host, queue in self._queues.items() if queue.waiting}

    def _acquire_semaphore(self, semaphore: BoundedSemaphore, deadline: float, host: str) -> None:
        if not semaphore.acquire(blocking=False) and not semaphore.acquire(timeout=max(deadline - self._clock(), 0)):
            raise _no_slot(host)


def _no_slot(host: str) -> Overloaded:
    return Overloaded(f"too many requests are waiting for {host}")
