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

    When the pool is full or the process has no file descriptor left, the connection that has waited longest for its
    client is evicted. Requests that arrive within milliseconds are not affected. If no connection waits, since all have
    a request in progress, no more are accepted until one closes or becomes idle.
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
        self.__dict__["full"] = self._is_full  # gevent has set it to the pool's method

    def _is_full(self) -> bool:
        if not self._pool.full():
            return False
        self._timeouts.evict_longest_waiting()
        # gevent accepts again when a connection closes, which may never happen while all clients keep sending requests.
        gevent.spawn_later(_RETRY_SECONDS, self._accept_again)
        return True

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()

    def do_read(self) -> Any:
        """Accept a connection; return it with its client's address, or None if there is none."""
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
            # gunicorn sets it on the listening socket, but on an inherited one (fd://) only after clients may have
            # connected.
            accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted
