"""gunicorn's gevent worker with bounds: what it serves by, how it begins and how it leaves."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.pool import Pool
from gunicorn.glogging import Logger
from gunicorn.http.message import HeaderPolicy
from gunicorn.workers.ggevent import GeventWorker

from app.server.connection import Connection
from app.server.connection_timeouts import ConnectionTimeouts
from app.server.head_cache import HeadCache
from app.server.http_session import HttpSession
from app.server.listener import Listener

#: An idle connection has so many seconds to ask once more before a worker that leaves closes it: by then, what a client
#: has sent while it could not know has come, and is answered.
_LAST_WORD_SECONDS = 0.2


class Worker(GeventWorker):
    """The worker. TLS, HTTP/2 and uwsgi, where they are configured, are served as gunicorn does it, without bounds."""

    #: Seconds for a request to begin and its head to be there, where ``keepalive``, which is that otherwise, is 0.
    head_seconds = 5.0

    #: Seconds for a step of a body.
    body_seconds = 10.0

    #: Seconds for a step of an answer to be taken.
    response_seconds = 10.0

    #: Seconds between two looks at the connections; the others are kept to within these.
    interval = 0.25

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cfg = self.cfg
        self._watch = ConnectionTimeouts(self.interval)
        self._is_foreign = cfg.is_ssl or cfg.protocol != "http" or "h2" in cfg.http_protocols
        #: Whether a signal has said so; a worker leaves of its own accord too, at ``max_requests``.
        self.was_told_to_stop = False
        # Settings do not change in a worker's life, and to look one up costs a microsecond.
        self._keepalive = cfg.keepalive
        hears_before, hears_after = _has_hook(cfg, "pre_request"), _has_hook(cfg, "post_request")
        is_debugged = self.log.error_log.isEnabledFor(logging.DEBUG)  # then gunicorn's own pre_request tells of each
        self.pre_request = cfg.pre_request if hears_before or is_debugged else _do_nothing
        self.post_request = cfg.post_request if hears_after else _do_nothing
        #: Whether anything comes of the log's access(); gunicorn's statsd logger counts by it.
        self.is_logged = self.log.access_log_enabled or type(self.log).access is not Logger.access
        #: Whether somebody is to hear of each request: then none goes the short way.
        self.is_observed = self.is_logged or hears_after or is_debugged
        # A hook may change a request before its environ is made, and PROXY changes its peer: then nothing is known.
        self._knows_heads = cfg.proxy_protocol == "off" and not hears_before
        self._heads: dict[tuple[Any, bool], HeadCache] = defaultdict(lambda: HeadCache(cfg))

    def accepts_requests(self) -> bool:
        """Tell whether connections may go on with another request."""
        return self.alive and self._keepalive > 0

    def count_request(self) -> None:
        """Count a request, and leave at ``max_requests``."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection."""
        if self._is_foreign:
            super().handle(listener, client, addr)
            return
        head = self._keepalive or self.head_seconds
        connection = Connection(client, self._watch, head=head, body=self.body_seconds, response=self.response_seconds)
        try:
            place = listener.getsockname()
            HttpSession(self, connection, place=place, peer=addr, heads=self._heads_for(place, addr)).run()
        finally:
            connection.close()

    def _heads_for(self, place: Any, peer: Any) -> HeadCache | None:
        """Return the heads that hold for such a peer: what a head may say depends on whether its peer is trusted."""
        if not (self._knows_heads and isinstance(peer, tuple)):
            return None
        policy = HeaderPolicy()
        policy.cfg, policy.peer_addr = self.cfg, peer
        return self._heads[place, policy._peer_is_trusted_proxy()]  # noqa: SLF001 - the one place that knows

    def run(self) -> None:
        """Serve until told to leave, or until ``max_requests`` are answered."""
        if self._is_foreign:
            super().run()
            return
        places = Pool(self.worker_connections)
        servers = [self._listen(listener, places) for listener in self.sockets]
        gevent.spawn(self._watch.run)
        while self.alive:
            self.notify()
            gevent.sleep(self.interval)
        if self.cfg.workers == 1:
            # The master starts another when this one has left: until then there is nobody else to accept.
            self._wait_while(lambda: not (self.was_told_to_stop or self._watch.is_idle()))
        for server in servers:
            server.close()
        gevent.sleep(_LAST_WORD_SECONDS)
        self._watch.drain()
        if not self._wait_while(lambda: bool(places)):
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
            places.kill(timeout=1)

    def _listen(self, listener: Any, places: Pool) -> Listener:
        listener.setblocking(1)
        handle = partial(self.handle, listener)
        server = Listener(listener, handle, pool=places, watch=self._watch, warn=self.log.warning)
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def _wait_while(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition is false, and return True; or return False after ``graceful_timeout``."""
        until = time.monotonic() + self.cfg.graceful_timeout
        while condition():
            if time.monotonic() > until:
                return False
            self.notify()
            gevent.sleep(0.02)
        return True

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Leave after what is under way."""
        self.was_told_to_stop = True
        super().handle_exit(sig, frame)


def _has_hook(cfg: Any, name: str) -> bool:
    return getattr(cfg, name) is not cfg.settings[name].default


def _do_nothing(*_: object) -> None:
    """Stand for a hook of gunicorn's own that comes to nothing."""
