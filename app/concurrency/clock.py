"""A clock of seconds since the epoch that never jumps.

The clock reads the wall clock once, when it is created, and then adds the elapsed monotonic time. If the system's time
is changed, the cached records of a process therefore do not expire early or late. Times written by other processes may
be in the future. ``app.lookup.freshness.clamp_to_clock`` limits such times when they are read.
"""

import time
from collections.abc import Callable

#: Returns a time in seconds.
Clock = Callable[[], float]


def steady_clock(*, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that starts at the time of ``wall`` and advances with ``monotonic``."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
