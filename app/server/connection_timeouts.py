"""The watch over connections: who has held one for too long is cut off, and idle ones go when room is needed."""

import math
import sys
from typing import TYPE_CHECKING, Final

import gevent

if TYPE_CHECKING:
    from app.server.connection import Connection

#: The round in which a connection is due that nobody has to hurry at.
NEVER: Final = sys.maxsize


class ConnectionTimeouts:
    """Looks at all connections every ``interval`` seconds and cuts those whose peers have let their time run out.

    Time is counted in rounds, not read from a clock: to set a term costs a connection an addition, where a timer of
    the loop costs as much as a tenth of a request; and no peer is charged for a time in which the hub was busy.
    """

    def __init__(self, interval: float) -> None:
        self.connections: set[Connection] = set()
        self.tick = 0
        self.is_draining = False
        self._interval = interval

    def ticks(self, seconds: float) -> int:
        """Return how many rounds take at least ``seconds``, and at most an interval more."""
        return math.ceil(seconds / self._interval) + 1

    def run(self) -> None:
        """Look at the connections, again and again."""
        while True:
            gevent.sleep(self._interval)
            self.tick += 1
            for connection in tuple(self.connections):
                if connection.expires_at <= self.tick:
                    connection.time_out()

    def is_idle(self) -> bool:
        """Tell whether no request is under way."""
        return all(connection.is_idle() for connection in self.connections)

    def evict_longest_waiting(self) -> bool:
        """Drop the connection that has waited longest for its peer to say something; tell whether there was one."""
        waiting = [connection for connection in self.connections if connection.is_waiting_for_peer()]
        if waiting:
            min(waiting, key=lambda connection: connection.waiting_since()).drop()
        return bool(waiting)

    def drain(self) -> None:
        """Have idle connections end now, and the others after the request that is under way.

        A request that has been received, though nobody has read it yet, is under way.
        """
        self.is_draining = True
        for connection in self.connections:
            if connection.is_idle():
                connection.stop_receiving()
