"""Connections to origins: dialled where that is allowed, and kept for the next request.

What a peer sends is read a bounded piece at a time, against a budget, and others get their turn after some of it:
gevent itself switches only where a socket would block, which a fast peer's never does.
"""

import contextlib
import select
import ssl
import time
import weakref
from collections.abc import Callable

import gevent
from gevent import monkey, socket

from app.concurrency.greenlets import yield_to_hub
from app.fetch import tls
from app.fetch.dns import DnsResolver, SocketAddress
from app.fetch.http_request import Endpoint
from app.fetch.ssrf import is_public_address

_RECEIVE = 65_536
_READ = 1  # what gevent's loop calls it
_Poll = monkey.get_original("select", "poll")  # it is never waited for
_EACH = 4096  # as many bytes as a receive counts for beside those that it brings: what it costs at least
_MAX_IDLE = 256  # as many pages as a worker fetches at once by default
_MAX_IDLE_SECONDS = 30.0
_HANDSHAKE_BUDGET = 262_144  # a chain of certificates is some kilobytes; OpenSSL itself takes 100 kB of it


class AddressNotAllowedError(Exception):
    """A host has no address that may be dialled."""


class ConnectTimeoutError(TimeoutError):
    """No connection came about in time."""


class ByteBudgetExceededError(Exception):
    """A peer sends more than it may."""


class ConnectionClosedError(ConnectionError):
    """A peer has closed the connection where more was to come."""


class _TurnOverError(OSError):
    """An address has had its share of the time."""


class Connection:
    """One connection to an endpoint: bytes out, bytes in, with TLS in between where the endpoint wants it.

    ``has_answered`` says whether anything has come since the latest request.
    """

    __slots__ = (
        "_budget",
        "_poll",
        "_readable",
        "_socket",
        "_timeout",
        "_tls",
        "_unyielding",
        "address",
        "endpoint",
        "has_received",
        "idle_since",
    )

    def __init__(self, endpoint: Endpoint, address: str, connected: socket.socket) -> None:
        self.endpoint = endpoint
        self.address = address
        self.idle_since = 0.0
        self.has_received = False
        self._socket = connected
        self._readable = gevent.get_hub().loop.io(connected.fileno(), _READ)
        self._poll = _Poll()
        self._poll.register(connected.fileno(), select.POLLIN)
        self._timeout: float | None = None
        self._tls: tls.TlsSession | None = None
        self._budget = 0
        self._unyielding = 0

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Make it a TLS connection, with a peer that can show that it is the endpoint's host."""
        self._budget = _HANDSHAKE_BUDGET
        session = tls.TlsSession(context, self.endpoint.host)
        while not session.do_handshake():
            self._socket.sendall(session.take_pending_output())
            sealed = self._pull()
            if not sealed:
                raise ConnectionClosedError("the connection was closed in the TLS handshake")
            session.feed_encrypted(sealed)
        self._socket.sendall(session.take_pending_output())
        self._tls = session

    def send(self, request: bytes, *, budget: int, timeout: float | None) -> None:
        """Send a request; its answer may have ``budget`` bytes in all, and may pause for ``timeout`` seconds."""
        self._budget = budget
        self.has_received = False
        self._timeout = timeout
        self._socket.settimeout(timeout)
        data = request if self._tls is None else self._tls.encrypt(request)
        sent = self._socket.send(data)  # all of it, where nothing else is on its way: sendall() takes twice as long
        if sent < len(data):
            self._socket.sendall(data[sent:])

    def receive(self) -> bytes:
        """Return what comes next, some 64 KiB at the most; nothing when the peer has closed.

        Raises:
            OSError: the connection is broken, or the peer paused for too long.
            TooManyBytesError: the budget is used up.

        """
        plain = self._pull() if self._tls is None else self._pull_plain(self._tls)
        self.has_received = self.has_received or bool(plain)
        return plain

    def is_quiet(self) -> bool:
        """Tell whether it is open and has nothing to be read, as one that waits for a request should."""
        return not self._poll.poll(0)  # a peek would fail where all is well, and take five times as long

    def close(self) -> None:
        """Close it, whatever state it is in."""
        self._readable.close()
        with contextlib.suppress(OSError):
            self._socket.close()

    def _pull_plain(self, session: tls.TlsSession) -> bytes:
        while (plain := session.read_decrypted()) is None:
            if outgoing := session.take_pending_output():
                self._socket.sendall(outgoing)
            sealed = self._pull()
            if not sealed:
                return b""
            session.feed_encrypted(sealed)
        return plain

    def _pull(self) -> bytes:
        if not self.has_received:
            # Nothing can be here yet: to try in vain costs as much as to receive it.
            socket.wait(self._readable, self._timeout)
        received = self._socket.recv(_RECEIVE)
        self._budget -= len(received)
        if self._budget < 0:
            raise ByteBudgetExceededError
        self._unyielding += _EACH + len(received)
        if self._unyielding > _RECEIVE:
            self._unyielding = 0
            yield_to_hub()
        return received


class ConnectionPool:
    """The connections of one process: ``_MAX_IDLE`` at the most wait for their next request, for ``_MAX_IDLE_SECONDS``.

    ``context`` is what TLS connections are made with.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        resolver: DnsResolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = tls.default_context() if context is None else context
        self._names = DnsResolver() if resolver is None else resolver
        self._clock = clock
        self._idle: list[Connection] = []  # the one that has waited for the shortest time comes last
        weakref.finalize(self, _close_all, self._idle)

    def acquire_idle(self, endpoint: Endpoint, *, private_network: bool) -> Connection | None:
        """Return a connection that waits for a request to ``endpoint``, the latest one, or None."""
        self._drop_old()
        for position in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[position]
            if connection.endpoint == endpoint and (private_network or is_public_address(connection.address)):
                del self._idle[position]
                if connection.is_quiet():
                    return connection
                connection.close()
        return None

    def release(self, connection: Connection) -> None:
        """Keep a connection, whose last answer was read to its end, for the next request."""
        self._drop_old()
        if len(self._idle) >= _MAX_IDLE:
            self._idle.pop(0).close()
        connection.idle_since = self._clock()
        self._idle.append(connection)

    def connect(self, endpoint: Endpoint, *, private_network: bool, timeout: float | None) -> Connection:
        """Return a new connection to ``endpoint``, made within ``timeout`` seconds; None is without limit.

        Raises:
            AddressRefusedError: none of the host's addresses is public, and ``private_network`` is not set.
            OSError: nobody is there, the time is up, or the peer is not who it should be.

        """
        with gevent.Timeout(timeout, ConnectTimeoutError("no connection in time")):
            until = None if timeout is None else self._clock() + timeout
            targets = self._names.resolve(endpoint.host, endpoint.port)
            allowed = [target for target in targets if private_network or is_public_address(target[1][0])]
            if not allowed:
                raise AddressNotAllowedError
            for others in range(len(allowed) - 1, 0, -1):
                # A black hole must not eat the time of those behind it, nor that of the page itself.
                share = None if until is None else max((until - self._clock()) / (others + 2), 0.001)
                try:
                    with gevent.Timeout(share, _TurnOverError()):
                        return self._connect(endpoint, allowed[-others - 1])
                except ConnectTimeoutError:
                    raise
                except OSError:
                    continue
            return self._connect(endpoint, allowed[-1])

    def close(self) -> None:
        """Close all that wait."""
        _close_all(self._idle)

    def _connect(self, endpoint: Endpoint, target: SocketAddress) -> Connection:
        """Connect to the very address that was allowed: a name that is looked up again may mean another."""
        family, address = target
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.connect(address)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(endpoint, address[0], connecting)
            if endpoint.scheme == "https":
                connection.start_tls(self._context)
        except BaseException:  # whichever way out, Timeout and GreenletExit included
            connecting.close()
            raise
        return connection

    def _drop_old(self) -> None:
        now = self._clock()
        while self._idle and now - self._idle[0].idle_since > _MAX_IDLE_SECONDS:
            self._idle.pop(0).close()


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()
