"""The connection pool makes connections to allowed addresses, and keeps idle connections for later requests."""

import ssl
import time
import weakref
from collections.abc import Callable

import gevent
from gevent import socket

from app.fetch.connection import Connection
from app.fetch.dns import DnsResolver, SocketAddress
from app.fetch.http_request import Endpoint
from app.fetch.ssrf import is_public_address
from app.fetch.tls import default_context

_MAX_IDLE = 256  # the number of pages that a worker fetches concurrently by default
_MAX_IDLE_SECONDS = 30.0


class AddressNotAllowedError(Exception):
    """None of a host's addresses is public, and ``private_network`` is not set."""


class ConnectTimeoutError(TimeoutError):
    """No connection was made within the timeout."""


class _AddressTimeoutError(OSError):
    """An address did not respond within its share of the timeout."""


class ConnectionPool:
    """The idle connections of one process: at most ``_MAX_IDLE``, each for at most ``_MAX_IDLE_SECONDS``.

    ``context`` is the TLS context for https endpoints.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        resolver: DnsResolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = default_context() if context is None else context
        self._resolver = DnsResolver() if resolver is None else resolver
        self._clock = clock
        self._idle: list[Connection] = []  # the most recently used one is last
        weakref.finalize(self, _close_all, self._idle)

    def acquire_idle(self, endpoint: Endpoint, *, private_network: bool) -> Connection | None:
        """Return the most recently used idle connection to ``endpoint``, or None if there is none.

        A connection to an address that is not public is returned only if ``private_network`` is set.
        """
        self._close_expired()
        for position in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[position]
            if connection.endpoint == endpoint and (private_network or is_public_address(connection.address)):
                del self._idle[position]
                if connection.is_usable():
                    return connection
                connection.close()
        return None

    def release(self, connection: Connection) -> None:
        """Keep a connection for a later request. Its last response must have been read to the end."""
        self._close_expired()
        if len(self._idle) >= _MAX_IDLE:
            self._idle.pop(0).close()
        connection.idle_since = self._clock()
        self._idle.append(connection)

    def connect(self, endpoint: Endpoint, *, private_network: bool, timeout: float | None) -> Connection:
        """Return a new connection to ``endpoint``, made within ``timeout`` seconds; None means no limit.

        Raises:
            AddressNotAllowedError: none of the host's addresses is public, and ``private_network`` is not set.
            ByteBudgetExceededError: the peer sent too many bytes in the TLS handshake.
            OSError: the host cannot be resolved or reached, the timeout has passed, or TLS failed.
            Overloaded: too many DNS lookups are in progress.

        """
        with gevent.Timeout(timeout, ConnectTimeoutError("the connection timed out")):
            deadline = None if timeout is None else self._clock() + timeout
            addresses = self._resolver.resolve(endpoint.host, endpoint.port)
            allowed = [address for address in addresses if private_network or is_public_address(address[1][0])]
            if not allowed:
                raise AddressNotAllowedError
            for untried in range(len(allowed) - 1, 0, -1):
                # An address that does not respond must leave time for the other addresses and for the page itself.
                share = None if deadline is None else max((deadline - self._clock()) / (untried + 2), 0.001)
                try:
                    with gevent.Timeout(share, _AddressTimeoutError()):
                        return self._connect(endpoint, allowed[-untried - 1])
                except ConnectTimeoutError:
                    raise
                except OSError:
                    continue
            return self._connect(endpoint, allowed[-1])

    def close(self) -> None:
        """Close all idle connections."""
        _close_all(self._idle)

    def _connect(self, endpoint: Endpoint, address: SocketAddress) -> Connection:
        """Connect to the address that was checked. Another DNS lookup could return another address."""
        family, sockaddr = address
        new_socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            new_socket.connect(sockaddr)
            new_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(endpoint, sockaddr[0], new_socket)
            if endpoint.scheme == "https":
                connection.start_tls(self._context)
        except BaseException:  # Timeout and GreenletExit included
            new_socket.close()
            raise
        return connection

    def _close_expired(self) -> None:
        now = self._clock()
        while self._idle and now - self._idle[0].idle_since > _MAX_IDLE_SECONDS:
            self._idle.pop(0).close()


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()
