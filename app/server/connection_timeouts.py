"""Timeouts of all connections of a worker, and the eviction of idle connections when the worker is full."""

import gevent

from app.server.connection import Connection
from app.server.tick_clock import TickClock


class ConnectionTimeouts:
    """Times out, evicts and drains the open connections of a worker."""

    def __init__(self, clock: TickClock) -> None:
        self._clock = clock
        self._connections: set[Connection] = set()
        self._is_draining = False

    def add(self, connection: Connection) -> None:
        """Track a connection until ``remove`` is called."""
        self._connections.add(connection)
        if self._is_draining:
            connection.drain()

    def remove(self, connection: Connection) -> None:
        """Stop tracking a connection."""
        self._connections.discard(connection)

    def run(self) -> None:
        """Advance the clock and end expired waits, forever."""
        while True:
            gevent.sleep(self._clock.interval)
            self._clock.now += 1
            for connection in tuple(self._connections):
                if connection.expires_at <= self._clock.now:
                    connection.time_out()

    def are_all_idle(self) -> bool:
        """Return whether no request is in progress."""
        return all(connection.is_idle() for connection in self._connections)

    def evict_longest_waiting(self) -> bool:
        """Drop the connection that has waited longest for input. Returns whether any connection was waiting."""
        waiting = [connection for connection in self._connections if connection.is_waiting_for_client()]
        if waiting:
            min(waiting, key=Connection.waiting_since).drop()
        return bool(waiting)

    def drain(self) -> None:
        """Close idle connections now, and the others after their current requests."""
        self._is_draining = True
        for connection in self._connections:
            connection.drain()
