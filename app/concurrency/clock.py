"""A clock of seconds since the epoch that never jumps.

It reads the wall clock once, when it is created, and adds the monotonic time elapsed since. So setting the system's
clock neither expires everything in a process nor makes it last forever. Times written by other processes may still be
in the future; ``app.lookup.freshness.clamp_to_clock`` limits them when they are read.
"""

import time
from collections.abc import Callable

#: Returns a time in seconds.
Clock = Callable[[], float]


def steady_clock(*, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that starts at the time of ``wall`` and advances with ``monotonic``."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
