"""The listening side of the worker: it accepts connections, and evicts old ones at the connection limit."""

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from app.server.connection_timeouts import ConnectionTimeouts

#: Seconds between two attempts to accept while the pool is full.
_RETRY_SECONDS = 0.05

#: Seconds between two warnings about missing file descriptors.
_WARNING_SECONDS = 10.0


class Listener(StreamServer):
    """gevent's server for one listening socket. All listeners of a worker share its ``pool`` of connections.

    If the pool is full or no file descriptor is left, the connection that has waited longest for input is evicted. A
    client that sends its request within milliseconds is not affected. If all connections have a request in progress, no
    further connection is accepted until one of them closes or becomes idle.
    """

    def __init__(
        self,
        sock: Any,
        handle: Callable[..., None],
        *,
        pool: Pool,
        timeouts: ConnectionTimeouts,
        warn: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._timeouts = timeouts
        self._warn = warn
        self._next_warning_at = 0.0
        super().__init__(sock, handle=handle, spawn=pool)
        self.__dict__["full"] = self._is_full  # gevent has set the attribute to the pool's method

    def _is_full(self) -> bool:
        if not self._pool.full():
            return False
        self._timeouts.evict_longest_waiting()
        # gevent accepts again only when a connection closes. If all clients keep sending requests, none may ever close.
        gevent.spawn_later(_RETRY_SECONDS, self._accept_again)
        return True

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()

    def do_read(self) -> Any:
        """Accept a connection. Returns the socket and the client's address, or None if no connection was accepted."""
        try:
            accepted: Any = super().do_read()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            if (now := time.monotonic()) >= self._next_warning_at:
                self._next_warning_at = now + _WARNING_SECONDS
                self._warn("No file descriptors are left: the connections that have waited longest are dropped.")
            if not self._timeouts.evict_longest_waiting():
                raise
            return None
        if accepted is not None and self.family in {socket.AF_INET, socket.AF_INET6}:
            # gunicorn sets the option on the listening socket. If the socket was inherited (fd://), clients may have
            # connected before.
            accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted
