"""The limiter of one host. It limits concurrent fetches, and keeps a delay between the starts of two fetches.

Both limits apply to all workers of a machine together. To start a fetch, a caller needs

- a slot of the host;
- the *delay slot* of the host, if there is a delay. There is only one, and it is released when the delay is over;
- a slot of this worker.

A caller acquires all of these or none, so a waiting caller holds no slot.

The waiting callers of a worker form one queue for each host. The queue is first in, first out. A caller that arrives
when a slot is released does not overtake the queue. The length of a queue and the time in a queue are limited.

Workers have no common queue. The first caller in the queue of each worker polls for slots that other workers hold. If
another worker waits for the host, a worker pauses after every few slots, so that no worker starves.
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

#: The first and the longest interval, in seconds, at which the first caller in a queue polls for a slot that another
#: process holds.
_MIN_POLL_INTERVAL, _MAX_POLL_INTERVAL = 0.005, 0.01

#: The number of slots of a host that a worker acquires before it pauses, if another worker waits for the host.
_SLOTS_BETWEEN_PAUSES = 8

#: The length of the pause, in seconds. All other workers that wait for the host poll at least once during the pause.
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
        self._delay_key = f"{host} begins"
        self._worker_limiter = worker_limiter
        self._semaphore = semaphore
        self._max_waiting = max_waiting
        self._clock = clock
        #: The events of the waiting callers, in order of arrival. If an event is set, its caller wakes up and tries
        #: again.
        self._callers: deque[Event] = deque()
        #: The number of slots that this worker has acquired since it last checked whether another worker waits, and the
        #: number of slots that it holds.
        self._acquired_since_check = self._in_use = 0
        self._is_waiting_announced = False

    @property
    def is_idle(self) -> bool:
        """Whether no caller of this worker waits for a slot or holds a slot."""
        return not self._callers and not self._in_use

    def acquire(
        self, *, concurrency: int, delay: float, deadline: Deadline, check: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Acquire one of the ``concurrency`` slots of the host, and return a function that releases the slot.

        At least ``delay`` seconds pass between the start of the previous fetch and the return of this call. ``check``
        is called before each attempt to acquire a slot. It may raise an exception.

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
        """Return a slot of the host, or None if a slot that the caller needs is taken.

        May pause in favor of other workers.
        """
        shared_slots = self._try_acquire_shared(concurrency, delay)
        if not shared_slots:
            self._announce_waiting(is_waiting=True)
            self._worker_limiter.stop_waiting(caller)
            return None
        if self._must_pause_for_other_workers():
            self._release_shared(shared_slots)
            self._announce_waiting(is_waiting=True)
            gevent.sleep(_PAUSE)
            return self._try_acquire(caller, concurrency, delay)
        if not self._worker_limiter.try_acquire(caller):
            self._release_shared(shared_slots)
            self._announce_waiting(is_waiting=False)
            return None
        slot, *delay_slots = shared_slots
        if delay_slots:
            gevent.spawn_later(delay, self._end_delay, *delay_slots)
        self._acquired_since_check += 1
        self._in_use += 1
        return slot

    def _try_acquire_shared(self, concurrency: int, delay: float) -> list[int]:
        """Return a slot of the host and, if there is a delay, the delay slot. Return an empty list if one is taken."""
        slot = self._semaphore.acquire(self._host, concurrency)
        if slot is None:
            return []
        if delay <= 0:
            return [slot]
        delay_slot = self._semaphore.acquire(self._delay_key, 1)
        if delay_slot is None:
            self._semaphore.release(slot)
            return []
        return [slot, delay_slot]

    def _release_shared(self, slots: list[int]) -> None:
        for slot in slots:
            self._semaphore.release(slot)

    def _must_pause_for_other_workers(self) -> bool:
        """Return whether this worker has acquired many slots since the last check, and another worker waits.

        Without pauses, this worker would always get its own slots again, because its callers are notified of a release,
        while other workers have to poll.
        """
        if self._acquired_since_check < _SLOTS_BETWEEN_PAUSES:
            return False
        self._acquired_since_check = 0
        return self._semaphore.is_awaited_elsewhere(self._host)

    def _announce_waiting(self, *, is_waiting: bool) -> None:
        """Tell other workers whether this worker waits for a slot that they may hold."""
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

    def _end_delay(self, delay_slot: int) -> None:
        self._semaphore.release(delay_slot)
        self._wake_first()

    def _wake_first(self) -> None:
        """Wake up the first caller in the queue, which then tries again."""
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
