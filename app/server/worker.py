"""The gunicorn worker: its settings, its start and its graceful shutdown."""

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
from app.server.http_session import HttpSession
from app.server.listener import Listener
from app.server.request_head_cache import HeadCache
from app.server.tick_clock import TickClock

#: Seconds between the end of accepting and the close of idle connections. Clients do not know of the shutdown yet, so
#: requests that arrive in this time are served.
_IDLE_GRACE_SECONDS = 0.2


class Worker(GeventWorker):
    """gunicorn's gevent worker with timeouts for clients and a connection limit over all listeners.

    TLS, HTTP/2 and uwsgi, if configured, are served by gunicorn's own code without these limits.
    """

    #: Seconds from the start of the wait for a request to the end of its head. ``keepalive`` replaces it if not 0.
    head_timeout = 5.0

    #: Seconds for each 16 KiB of a request body, see ``Connection``.
    body_timeout = 10.0

    #: Seconds for each 16 KiB of a response.
    response_timeout = 10.0

    #: Seconds between two checks of all connections. Timeouts may be late by about this time.
    tick_interval = 0.25

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cfg = self.cfg
        self._clock = TickClock(self.tick_interval)
        self._timeouts = ConnectionTimeouts(self._clock)
        self._uses_stock_code = cfg.is_ssl or cfg.protocol != "http" or "h2" in cfg.http_protocols
        #: Whether the worker shuts down because of a signal, not because of ``max_requests``.
        self.was_told_to_stop = False
        # Settings are read once: they do not change while a worker runs, and each access takes a microsecond.
        self._keepalive = cfg.keepalive
        has_pre_request, has_post_request = _has_hook(cfg, "pre_request"), _has_hook(cfg, "post_request")
        is_debug = self.log.error_log.isEnabledFor(logging.DEBUG)  # gunicorn's default pre_request logs each request
        self.pre_request = cfg.pre_request if has_pre_request or is_debug else _do_nothing
        self.post_request = cfg.post_request if has_post_request else _do_nothing
        #: Whether the logger's access() has an effect; gunicorn's statsd logger overrides it to count requests.
        self.is_access_logged = self.log.access_log_enabled or type(self.log).access is not Logger.access
        #: Whether requests may be served without being reported to the log and to hooks.
        self.can_reuse_responses = not (self.is_access_logged or has_post_request or is_debug)
        # A hook may change a request before its environ is made, and the PROXY protocol changes the client's address.
        self._caches_heads = cfg.proxy_protocol == "off" and not has_pre_request
        self._head_caches: dict[tuple[Any, bool], HeadCache] = defaultdict(lambda: HeadCache(cfg))

    def accepts_requests(self) -> bool:
        """Return whether a connection may stay open for another request."""
        return self.alive and self._keepalive > 0

    def count_request(self) -> None:
        """Count a request, and start the shutdown at ``max_requests``."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection until it ends."""
        if self._uses_stock_code:
            super().handle(listener, client, addr)
            return
        connection = Connection(
            client,
            self._clock,
            head_timeout=self._keepalive or self.head_timeout,
            body_timeout=self.body_timeout,
            response_timeout=self.response_timeout,
        )
        self._timeouts.add(connection)
        try:
            server_address = listener.getsockname()
            head_cache = self._head_cache_for(server_address, addr)
            HttpSession(
                self, connection, server_address=server_address, client_address=addr, head_cache=head_cache
            ).run()
        finally:
            try:
                connection.close()
            finally:
                self._timeouts.remove(connection)

    def _head_cache_for(self, server_address: Any, client_address: Any) -> HeadCache | None:
        """Return the head cache for this listener and for clients with this trust, or None if heads are not cached."""
        if not (self._caches_heads and isinstance(client_address, tuple)):
            return None
        policy = HeaderPolicy()
        policy.cfg, policy.peer_addr = self.cfg, client_address
        is_trusted = policy._peer_is_trusted_proxy()  # noqa: SLF001 - gunicorn has no public function for it
        return self._head_caches[server_address, is_trusted]

    def run(self) -> None:
        """Serve until a signal or ``max_requests`` ends the worker, then shut down gracefully."""
        if self._uses_stock_code:
            super().run()
            return
        pool = Pool(self.worker_connections)
        listeners = [self._start_listener(sock, pool) for sock in self.sockets]
        gevent.spawn(self._timeouts.run)
        while self.alive:
            self.notify()
            gevent.sleep(self.tick_interval)
        if self.cfg.workers == 1:
            # The master starts another worker only after this worker has exited. Until then no other worker accepts.
            self._wait_while(lambda: not (self.was_told_to_stop or self._timeouts.are_all_idle()))
        for listener in listeners:
            listener.close()
        gevent.sleep(_IDLE_GRACE_SECONDS)
        self._timeouts.drain()
        if not self._wait_while(lambda: bool(pool)):
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
            pool.kill(timeout=1)

    def _start_listener(self, sock: Any, pool: Pool) -> Listener:
        sock.setblocking(1)
        listener = Listener(sock, partial(self.handle, sock), pool=pool, timeouts=self._timeouts, warn=self.log.warning)
        if self.cfg.workers > 1:
            listener.max_accept = 1  # spreads connections over the workers, as in gunicorn's gevent worker
        listener.start()
        return listener

    def _wait_while(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition is false. Returns False if it is still true after ``graceful_timeout``."""
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while condition():
            if time.monotonic() > deadline:
                return False
            self.notify()
            gevent.sleep(0.02)
        return True

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Handle SIGTERM: shut down after the requests in progress."""
        self.was_told_to_stop = True
        super().handle_exit(sig, frame)


def _has_hook(cfg: Any, name: str) -> bool:
    return getattr(cfg, name) is not cfg.settings[name].default


def _do_nothing(*_: object) -> None:
    """Take the place of a hook that would have no effect."""
