"""The limiter of one worker: it limits how many pages the worker fetches at once from all hosts together."""

from collections import OrderedDict

from gevent.event import Event


class WorkerLimiter:
    """The slots of one worker. Each waiting caller is represented by the event that wakes it up.

    Slots are acquired in order of arrival. Only the first caller in the queue of each host waits here, so the hosts
    take turns.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: OrderedDict[Event, None] = OrderedDict()

    def try_acquire(self, caller: Event) -> bool:
        """Acquire a slot and return true, or add the caller to the queue and return false.

        The event of the first caller in the queue is set when a slot is free. In both cases, the caller must call
        ``stop_waiting`` when it has acquired a slot or gives up.
        """
        if self._free and (not self._waiting or next(iter(self._waiting)) is caller):
            self._free -= 1
            return True
        self._waiting[caller] = None
        return False

    def is_waiting(self, caller: Event) -> bool:
        """Return whether the caller is in the queue."""
        return caller in self._waiting

    def stop_waiting(self, caller: Event) -> None:
        """Remove the caller from the queue, if it is there."""
        if caller in self._waiting:
            del self._waiting[caller]
            self._wake_first()

    def release(self) -> None:
        """Release a slot."""
        self._free += 1
        self._wake_first()

    def _wake_first(self) -> None:
        if self._free and self._waiting:
            next(iter(self._waiting)).set()
