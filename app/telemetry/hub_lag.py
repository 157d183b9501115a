"""Hub lag: how late gevent's event loop wakes greenlets.

A greenlet repeatedly sleeps for a fixed interval, and measures how late it wakes. All other greenlets of the process
wake late by the same time.
"""

import math
from collections.abc import Callable

import gevent

#: Seconds between two measurements (ticks).
TICK_SECONDS = 0.25

#: Ticks in a window of 15 seconds. ``maximum`` covers the current window and the one before.
WINDOW_TICKS = 60


class HubLagMonitor:
    """Measures the lag every ``interval`` seconds. ``clock`` returns monotonic seconds.

    ``next_tick`` is the time at which the next tick is due. It is infinite until ``run`` is called.
    """

    def __init__(self, clock: Callable[[], float], interval: float = TICK_SECONDS) -> None:
        self._clock = clock
        self._interval = interval
        self._last_lag = 0.0
        self._previous_window_maximum = 0.0
        self._window_maximum = 0.0
        self.next_tick = math.inf

    def current(self) -> float:
        """Return, in seconds, the lag of the last tick or the delay of the next tick so far, whichever is larger."""
        return max(self._last_lag, self._clock() - self.next_tick)

    def maximum(self) -> float:
        """Return the largest lag of the last 15 to 30 seconds, in seconds."""
        return max(self._previous_window_maximum, self._window_maximum)

    def run(self, on_tick: Callable[[], None]) -> None:
        """Measure the lag until the greenlet is killed. Calls ``on_tick`` at the start of each interval."""
        self.next_tick = self._clock() + self._interval
        while True:
            for _ in range(WINDOW_TICKS):
                on_tick()
                gevent.sleep(self._interval)
                now = self._clock()
                self._last_lag = max(now - self.next_tick, 0.0)
                self._window_maximum = max(self._window_maximum, self._last_lag)
                self.next_tick = now + self._interval
            self._previous_window_maximum, self._window_maximum = self._window_maximum, 0.0
