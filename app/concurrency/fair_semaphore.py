"""A semaphore that serves greenlets in order of arrival.

The semaphore of gevent gives a free slot to the greenlet that asks next, even if other greenlets wait for a slot. So a
greenlet that releases a slot, and acquires it again without a switch in between, can keep the other greenlets waiting
for ever.
"""

from collections import deque

from gevent.event import Event


class FairSemaphore:
    """A semaphore that grants up to ``slots`` slots at a time to the greenlets of one thread."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        #: The events of the waiting greenlets, in order of arrival. An event is set when its greenlet gets a slot.
        #: No greenlet waits while a slot is free.
        self._waiting: deque[Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Acquire a slot. Return False if no slot became free within ``timeout`` seconds."""
        if self._free > 0:
            self._free -= 1
            return True
        granted = Event()
        self._waiting.append(granted)
        try:
            granted.wait(timeout)
        except BaseException:
            # The greenlet was killed, or a timeout of the caller has expired. It must not keep a slot.
            if granted.is_set():
                self.release()
            else:
                self._waiting.remove(granted)
            raise
        if not granted.is_set():
            self._waiting.remove(granted)
        return granted.is_set()

    def release(self) -> None:
        """Release a slot. If greenlets wait, the greenlet that has waited longest gets the slot."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
