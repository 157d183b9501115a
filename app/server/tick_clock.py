"""A clock that counts ticks of a fixed length, for the timeouts of connections."""

import math
import sys
from typing import Final

#: A tick that the clock never reaches. A timeout that is not set expires at this tick.
NEVER: Final = sys.maxsize


class TickClock:
    """A clock that is advanced by one tick about every ``interval`` seconds; see ``ConnectionTimeouts.run``.

    To set a timeout in ticks takes only an addition. A timer of the event loop would take up to a tenth of the time of
    a request. The clock stops while the hub is busy, so no client times out because the worker is slow.
    """

    __slots__ = ("interval", "now")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.now = 0

    def ticks(self, seconds: float) -> int:
        """Return a number of ticks that take at least ``seconds``, and less than two intervals more."""
        return math.ceil(seconds / self.interval) + 1
