"""The listening side: who is let in when places or file descriptors have run out."""

import errno
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from app.server.connection_timeouts import ConnectionTimeouts

#: Who waits for a place is looked for again after so many seconds.
_RETRY_SECONDS = 0.05

#: Rounds of the watch between two lines about missing file descriptors.
_QUIET_ROUNDS = 40


class Listener(StreamServer):
    """gevent's server for a listener; ``places`` for connections and the watch over them are those of the worker.

    When all places are taken, or no file descriptor is left, the connection that has waited longest for its peer has to
    go: a request that is there within milliseconds is not concerned. When none waits, for all are answered, no more are
    accepted until a place is free, or there is one that waits.
    """

    def __init__(
        self,
        listener: Any,
        handle: Callable[..., None],
        *,
        pool: Pool,
        watch: ConnectionTimeouts,
        warn: Callable[[str], None],
    ) -> None:
        self._watch = watch
        self._warn = warn
        self._warned = -_QUIET_ROUNDS
        self._places = pool
        super().__init__(listener, handle=handle, spawn=pool)
        self.__dict__["full"] = self._is_full  # where gevent has put the pool's

    def _is_full(self) -> bool:
        if not self._places.full():
            return False
        self._watch.evict_longest_waiting()
        # gevent looks again when a place is free, which may not be for as long as those who have them ask on and on.
        gevent.spawn_later(_RETRY_SECONDS, self._look_again)
        return True

    def _look_again(self) -> None:
        if self.started:
            self.start_accepting()

    def do_read(self) -> Any:
        """Accept a connection, if one waits."""
        try:
            accepted: Any = super().do_read()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            if self._watch.tick - self._warned >= _QUIET_ROUNDS:
                self._warned = self._watch.tick
                self._warn("No file descriptors are left: the connections that have waited longest are dropped.")
            if not self._watch.evict_longest_waiting():
                raise
            return None
        if accepted is not None and self.family in {socket.AF_INET, socket.AF_INET6}:
            # gunicorn sets it for a listener, for one that is handed to it (fd://) after peers may have connected.
            accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted
