"""A clock that counts ticks of a fixed length, for the timeouts of connections."""

import math
import sys
from typing import Final

#: A tick that the clock never reaches: the expiry of a timeout that is not set.
NEVER: Final = sys.maxsize


class TickClock:
    """A clock that is advanced by one tick about every ``interval`` seconds; see ``ConnectionTimeouts.run``.

    Setting a timeout in ticks costs one addition; a timer of the event loop costs up to a tenth of a request. The clock
    also stops while the hub is busy, so no client times out because the worker was slow.
    """

    __slots__ = ("interval", "now")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.now = 0

    def ticks(self, seconds: float) -> int:
        """Return a number of ticks that lasts at least ``seconds``, and less than two intervals longer."""
        return math.ceil(seconds / self.interval) + 1
