"""The host limiter: how many pages of a host are fetched at once, and the delay between the starts of two fetches.

Both limits apply to all workers of a machine together. Callers that have to wait form a queue per host and worker, in
order of arrival. The length of a queue and the time in it are limited. A waiting caller holds nothing: the slot of the
host, the slot of this worker and the turn of the delay are acquired together or not at all.
"""

from collections import deque
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.domain.errors import Overloaded, QueueTimeout
from app.fetch.process_semaphore import ProcessSemaphore

#: How often the first caller in a queue polls for a slot that another process holds, in seconds; the interval grows up
#: to the maximum.
_MIN_POLL_INTERVAL, _MAX_POLL_INTERVAL = 0.005, 0.01

#: A worker whose queue is not empty skips one poll interval after so many slots, to leave a slot to other workers.
_FAIRNESS_INTERVAL = 8

#: Empty queues are dropped when there are more than this. Making one costs as much as waiting in it.
_MAX_QUEUES = 1024


class _Queue:
    """The callers that wait for a slot of one host, in order of arrival; each has an event that wakes it up."""

    def __init__(self) -> None:
        self.callers: deque[Event] = deque()
        self.acquired = 0

    def wake_first(self) -> None:
        """Wake up the first caller, to try again."""
        if self.callers:
            self.callers[0].set()


class HostLimiter:
    """Limits concurrent fetches to ``total`` in this worker, and per host to the concurrency and delay of the source.

    At most ``max_waiting`` callers may wait for one host. ``clock`` must be monotonic; deadlines are its times.
    """

    def __init__(
        self, total: int, *, semaphore: ProcessSemaphore, max_waiting: int, clock: Callable[[], float]
    ) -> None:
        self._free = total
        self._semaphore = semaphore
        self._max_waiting = max_waiting
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        #: The queues whose first caller waits for one of the ``total`` slots, in order of arrival.
        self._waiting_for_total: list[_Queue] = []

    def acquire(
        self,
        host: str,
        *,
        concurrency: int,
        delay: float,
        deadline: Deadline,
        check: Callable[[], None] = lambda: None,
    ) -> Callable[[], None]:
        """Acquire one of the ``concurrency`` slots of ``host``, ``delay`` seconds after the latest fetch started there.

        ``check`` is called when the caller is the first in the queue, before it acquires anything, and may raise.
        Returns a function that releases the slot.

        Raises:
            Overloaded: the queue is full.
            QueueTimeout: no slot became free before the deadline.

        """
        queue = self._queues.get(host)
        if queue is None:
            queue = self._queues[host] = _Queue()
        if len(queue.callers) >= self._max_waiting:
            raise Overloaded(f"{len(queue.callers)} requests are already waiting for {host}")
        caller = Event()
        queue.callers.append(caller)
        try:
            self._wait_for_turn(queue, caller, host, deadline)
            check()
            self._leave_slot_to_others(queue)
            interval = _MIN_POLL_INTERVAL
            while (slot := self._try_acquire(queue, host, concurrency, delay)) is None:
                self._sleep(caller, host, deadline, interval)
                interval = min(interval * 1.5, _MAX_POLL_INTERVAL)
            queue.acquired += 1
        finally:
            queue.callers.remove(caller)
            if queue in self._waiting_for_total:
                self._waiting_for_total.remove(queue)
            queue.wake_first()
            self._drop_empty_queues()

        def release() -> None:
            self._release(queue, slot)

        return release

    def _wait_for_turn(self, queue: _Queue, caller: Event, host: str, deadline: Deadline) -> None:
        """Wait until the caller is the first in the queue."""
        while queue.callers[0] is not caller:
            self._sleep(caller, host, deadline)

    def _leave_slot_to_others(self, queue: _Queue) -> None:
        """Pause now and then while others wait in this worker's queue.

        Other processes only poll, while this one is notified of its own releases and would always be first.
        """
        if len(queue.callers) > 1 and queue.acquired >= _FAIRNESS_INTERVAL:
            queue.acquired = 0
            gevent.sleep(_MAX_POLL_INTERVAL)

    def _try_acquire(self, queue: _Queue, host: str, concurrency: int, delay: float) -> int | None:
        """Acquire a slot of this worker, one of the host and the turn of the delay, or nothing.

        No other greenlet runs meanwhile, so nothing is held while waiting.
        """
        if not self._has_free_slot_for(queue):
            return None
        if queue in self._waiting_for_total:
            self._waiting_for_total.remove(queue)
        slot = self._semaphore.acquire(host, concurrency)
        if slot is not None and delay > 0:
            turn = self._semaphore.acquire(f"{host} begins", 1)
            if turn is None:
                self._semaphore.release(slot)
                slot = None
            else:
                gevent.spawn_later(delay, self._end_delay, queue, turn)
        if slot is not None:
            self._free -= 1
        return slot

    def _has_free_slot_for(self, queue: _Queue) -> bool:
        """Return whether one of the ``total`` slots is free, and no other queue has waited longer for it."""
        if self._free > len(self._waiting_for_total):
            return True
        if queue not in self._waiting_for_total:
            self._waiting_for_total.append(queue)
        return self._waiting_for_total.index(queue) < self._free

    def _end_delay(self, queue: _Queue, turn: int) -> None:
        self._semaphore.release(turn)
        queue.wake_first()

    def _release(self, queue: _Queue, slot: int) -> None:
        self._semaphore.release(slot)
        self._free += 1
        queue.wake_first()
        if self._waiting_for_total:
            self._waiting_for_total[0].wake_first()

    def _sleep(self, caller: Event, host: str, deadline: Deadline, interval: float | None = None) -> None:
        """Sleep until the caller is woken up, ``interval`` has passed, or the deadline. Raises QueueTimeout."""
        remaining = deadline.at - self._clock()
        if remaining <= 0:
            raise QueueTimeout(f"too many requests are waiting for {host}: no slot became free in time")
        caller.clear()
        caller.wait(remaining if interval is None else min(remaining, interval))

    def _drop_empty_queues(self) -> None:
        """Drop empty queues if there are many: where ids select the host, the number of hosts has no limit."""
        if len(self._queues) > _MAX_QUEUES:
            self._queues = {host: queue for host, queue in self._queues.items() if queue.callers}
