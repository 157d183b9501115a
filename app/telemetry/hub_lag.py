"""The pulse of the hub: how late it is with what is due.

A greenlet sleeps for a fixed time, again and again, and looks how late it wakes. So late is everything else that waits
in this process.
"""

import math
from collections.abc import Callable

import gevent

#: Seconds between two beats.
TICK_SECONDS = 0.25

#: The worst is that of the last round and of the one under way, each of so many beats: of the last 15 to 30 seconds.
WINDOW_TICKS = 60


class HubLagMonitor:
    """Beats every ``interval`` seconds. ``clock`` tells seconds and must not jump; the next beat is ``due`` then."""

    def __init__(self, clock: Callable[[], float], interval: float = TICK_SECONDS) -> None:
        self._clock = clock
        self._interval = interval
        self._last = 0.0
        self._rounds = [0.0, 0.0]
        self.next_tick = math.inf

    def current(self) -> float:
        """Return how many seconds late the hub was at the last beat, or is by now."""
        return max(self._last, self._clock() - self.next_tick)

    def maximum(self) -> float:
        """Return how late it was at most of late."""
        return max(self._rounds)

    def run(self, on_tick: Callable[[], None]) -> None:
        """Beat for ever; ``tell`` is called before each beat."""
        self.next_tick = self._clock() + self._interval
        while True:
            for _ in range(WINDOW_TICKS):
                on_tick()
                self._beat()
            self._rounds = [self._rounds[1], 0.0]

    def _beat(self) -> None:
        gevent.sleep(self._interval)
        now = self._clock()
        self._last = max(now - self.next_tick, 0.0)
        self.next_tick = now + self._interval
        self._rounds[1] = max(self._rounds[1], self._last)
