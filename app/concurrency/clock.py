"""The steady clock: seconds since the epoch that never jump.

It agrees with the wall clock when it is made and goes on by the monotonic one. So within a process nothing expires at
once or lives for ever because somebody set the clock; what other processes wrote by theirs is clamped when it is read
(``app.lookup.freshness.clamped``).
"""

import time
from collections.abc import Callable

#: Tells seconds since the epoch.
Clock = Callable[[], float]


def steady_clock(*, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """Return a clock that starts at ``wall`` and goes on by ``monotonic``."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()
