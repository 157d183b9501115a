"""A semaphore that serves greenlets in order of arrival.

gevent's own semaphore gives a slot to whoever asks next, even if others have been waiting for it. A greenlet that
releases a slot and acquires it again without a switch in between never lets the others have it.
"""

from collections import deque

from gevent.event import Event


class FairSemaphore:
    """A semaphore with so many ``slots``, for the greenlets of one thread."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        #: Those that wait, in order of arrival; the event is set when the slot is theirs. Empty if a slot is free.
        self._waiting: deque[Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Acquire a slot; return False if none became free within ``timeout`` seconds."""
        if self._free > 0:
            self._free -= 1
            return True
        granted = Event()
        self._waiting.append(granted)
        try:
            granted.wait(timeout)
        except BaseException:
            # The greenlet was killed, or a timeout of the caller has expired.
            if granted.is_set():
                self.release()
            else:
                self._waiting.remove(granted)
            raise
        if not granted.is_set():
            self._waiting.remove(granted)
        return granted.is_set()

    def release(self) -> None:
        """Release a slot, and pass it to the greenlet that has waited longest."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
