"""Hub lag: how late gevent's event loop runs what is due.

A greenlet sleeps for a fixed interval again and again, and measures how late it wakes. All other greenlets of the
process wake as late.
"""

import math
from collections.abc import Callable

import gevent

#: Seconds between two ticks.
TICK_SECONDS = 0.25

#: Ticks in a window. ``maximum`` covers the last full window and the current one: the last 15 to 30 seconds.
WINDOW_TICKS = 60


class HubLagMonitor:
    """Measures the lag every ``interval`` seconds. ``clock`` returns monotonic seconds.

    ``next_tick`` is the time at which the next tick is due, infinity before the first.
    """

    def __init__(self, clock: Callable[[], float], interval: float = TICK_SECONDS) -> None:
        self._clock = clock
        self._interval = interval
        self._last_lag = 0.0
        self._previous_window_maximum = 0.0
        self._window_maximum = 0.0
        self.next_tick = math.inf

    def current(self) -> float:
        """Return the lag of the last tick in seconds, or how long the next tick is overdue if that is longer."""
        return max(self._last_lag, self._clock() - self.next_tick)

    def maximum(self) -> float:
        """Return the largest lag of the last 15 to 30 seconds, in seconds."""
        return max(self._previous_window_maximum, self._window_maximum)

    def run(self, on_tick: Callable[[], None]) -> None:
        """Measure until the greenlet is killed. Calls ``on_tick`` at the start of each interval."""
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
