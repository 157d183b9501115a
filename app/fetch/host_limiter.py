"""The limiter of one host: how many of its pages are fetched at once, and the delay between the starts of two fetches.

Both limits apply to all workers of a machine together. Callers that have to wait form one queue per host and worker.
The queue is first in, first out: a caller that arrives at the moment of a release does not overtake the queue. The
length of a queue and the time in a queue are limited. A waiting caller holds nothing, because it acquires three things
together or not at all: a slot of the host, the turn of the host and a slot of this worker. The turn exists only if
there is a delay: it is the right to start a fetch, and is released when the delay is over.

Workers have no common queue. The first caller in the queue of each worker polls for what other workers hold. A worker
pauses after every few slots if another worker waits for the host, so that no worker starves.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import gevent
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.domain.errors import Overloaded, QueueTimeout
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.worker_limiter import WorkerLimiter

#: How often the first caller in a queue polls for a slot that another process holds, in seconds. The interval grows up
#: to the maximum.
_MIN_POLL_INTERVAL, _MAX_POLL_INTERVAL = 0.005, 0.01

#: How many slots of a host a worker acquires before it pauses, if another worker waits for the host.
_SLOTS_BETWEEN_PAUSES = 8

#: The length of this pause, in seconds. Every other worker that waits polls within this time.
_PAUSE = 2 * _MAX_POLL_INTERVAL


class HostLimiter:
    """Limits concurrent fetches from ``host``. ``worker_limiter`` limits the fetches of this worker from all hosts.

    At most ``max_waiting`` callers may wait. ``clock`` must be monotonic. Deadlines are times of this clock.
    """

    def __init__(
        self,
        host: str,
        *,
        worker_limiter: WorkerLimiter,
        semaphore: ProcessSemaphore,
        max_waiting: int,
        clock: Callable[[], float],
    ) -> None:
        self._host = host
        self._turn_key = f"{host} begins"
        self._worker_limiter = worker_limiter
        self._semaphore = semaphore
        self._max_waiting = max_waiting
        self._clock = clock
        #: The events of the waiting callers, in order of arrival. Setting an event wakes its caller up to try again.
        self._callers: deque[Event] = deque()
        #: How many slots this worker has acquired since it last checked for waiting workers, and how many it holds.
        self._acquired = self._in_use = 0
        self._is_waiting_announced = False

    @property
    def is_idle(self) -> bool:
        """Whether no caller waits for a slot, and none holds one."""
        return not self._callers and not self._in_use

    def acquire(
        self, *, concurrency: int, delay: float, deadline: Deadline, check: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Acquire one of the ``concurrency`` slots of the host, and return a function that releases the slot.

        At least ``delay`` seconds pass between the previous fetch and this one. ``check`` is called before each try to
        acquire a slot, and may raise.

        Raises:
            Overloaded: the queue is full.
            QueueTimeout: no slot became free before the deadline.

        """
        if len(self._callers) >= self._max_waiting:
            raise Overloaded(f"{len(self._callers)} requests are already waiting for {self._host}")
        caller = Event()
        self._callers.append(caller)
        try:
            while self._callers[0] is not caller:
                self._sleep(caller, deadline)
            check()
            interval = _MIN_POLL_INTERVAL
            while (slot := self._try_acquire(caller, concurrency, delay)) is None:
                self._sleep(caller, deadline, interval)
                interval = min(interval * 1.5, _MAX_POLL_INTERVAL)
                check()
        finally:
            self._callers.remove(caller)
            self._worker_limiter.stop_waiting(caller)
            if not self._callers:
                self._announce_waiting(is_waiting=False)
            self._wake_first()
        return partial(self._release, slot)

    def _try_acquire(self, caller: Event, concurrency: int, delay: float) -> int | None:
        """Acquire a slot of the host, its turn if there is a delay, and a slot of this worker, or nothing."""
        shared = self._try_acquire_shared(concurrency, delay)
        if not shared:
            self._announce_waiting(is_waiting=True)
            self._worker_limiter.stop_waiting(caller)
            return None
        if self._must_pause_for_other_workers():
            self._release_shared(shared)
            self._announce_waiting(is_waiting=True)
            gevent.sleep(_PAUSE)
            return self._try_acquire(caller, concurrency, delay)
        if not self._worker_limiter.try_acquire(caller):
            self._release_shared(shared)
            self._announce_waiting(is_waiting=False)
            return None
        slot, *turn = shared
        if turn:
            gevent.spawn_later(delay, self._end_delay, *turn)
        self._acquired += 1
        self._in_use += 1
        return slot

    def _try_acquire_shared(self, concurrency: int, delay: float) -> list[int]:
        """Acquire what the processes share: a slot and, if there is a delay, the turn; or nothing."""
        slot = self._semaphore.acquire(self._host, concurrency)
        if slot is None:
            return []
        if delay <= 0:
            return [slot]
        turn = self._semaphore.acquire(self._turn_key, 1)
        if turn is None:
            self._semaphore.release(slot)
            return []
        return [slot, turn]

    def _release_shared(self, slots: list[int]) -> None:
        for slot in slots:
            self._semaphore.release(slot)

    def _must_pause_for_other_workers(self) -> bool:
        """Return whether this worker has acquired enough slots in a row and another worker waits.

        Without pauses, this worker would always be first: it is notified of its own releases, while others have to
        poll.
        """
        if self._acquired < _SLOTS_BETWEEN_PAUSES:
            return False
        self._acquired = 0
        return self._semaphore.is_awaited_elsewhere(self._host)

    def _announce_waiting(self, *, is_waiting: bool) -> None:
        """Tell other workers whether this worker waits for something that they may hold."""
        if is_waiting:
            self._semaphore.start_waiting(self._host)
        elif self._is_waiting_announced:
            self._semaphore.stop_waiting(self._host)
        self._is_waiting_announced = is_waiting

    def _release(self, slot: int) -> None:
        self._semaphore.release(slot)
        self._in_use -= 1
        self._worker_limiter.release()
        self._wake_first()

    def _end_delay(self, turn: int) -> None:
        self._semaphore.release(turn)
        self._wake_first()

    def _wake_first(self) -> None:
        """Wake up the first caller in the queue, to try again."""
        if self._callers:
            self._callers[0].set()

    def _sleep(self, caller: Event, deadline: Deadline, interval: float | None = None) -> None:
        """Sleep until the caller is woken up, or for ``interval`` seconds. Raises QueueTimeout after the deadline."""
        remaining = deadline.at - self._clock()
        waits_for_worker = self._worker_limiter.is_waiting(caller)
        if remaining <= 0:
            reason = "all slots of this worker are taken" if waits_for_worker else "no slot became free in time"
            raise QueueTimeout(f"too many requests are waiting for {self._host}: {reason}")
        caller.clear()
        caller.wait(remaining if interval is None or waits_for_worker else min(remaining, interval))
