"""A clock of seconds since the epoch that never jumps.

The clock reads the wall clock once, when it is created, and then adds the elapsed monotonic time. So the cached records
of a process do not expire early or late if the system's time is changed. Times that other processes have written may be
in the future. ``app.lookup.freshness.clamp_to_clock`` limits these times when a record is read.
"""

import time
from collections.abc import Callable

#: Returns a time in seconds.
Clock = Callable[[], float]


def steady_clock(*, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that starts at the time of ``wall`` and advances with ``monotonic``."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
