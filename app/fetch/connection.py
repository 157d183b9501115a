"""One connection to an origin server, plain or over TLS.

A connection receives data in pieces of bounded size, counts the bytes against a budget, and regularly yields to the
hub. gevent itself switches greenlets only when a socket would block, and the socket of a fast peer never blocks.
"""

import contextlib
import select
import ssl

import gevent
from gevent import monkey, socket

from app.concurrency.greenlets import yield_to_hub
from app.fetch.http_request import Endpoint
from app.fetch.tls import TlsSession

_RECEIVE_SIZE = 65_536
_EV_READ = 1  # libev's constant
_original_poll = monkey.get_original("select", "poll")  # called only with a timeout of 0, so it never blocks
_RECEIVE_COST = 4096  # the fixed cost of one receive, expressed in bytes
_HANDSHAKE_BUDGET = 262_144  # a certificate chain has a few kilobytes, and OpenSSL accepts up to 100 kB


class ByteBudgetExceededError(Exception):
    """The peer has sent more bytes than allowed."""


class ConnectionClosedError(ConnectionError):
    """The peer has closed the connection before the end of the response."""


class Connection:
    """A connection to an endpoint, with TLS if the scheme is https.

    ``has_received`` says whether any data of the response to the latest request has arrived.
    """

    __slots__ = (
        "_budget",
        "_bytes_since_yield",
        "_poll",
        "_readable",
        "_socket",
        "_timeout",
        "_tls",
        "address",
        "endpoint",
        "has_received",
        "idle_since",
    )

    def __init__(self, endpoint: Endpoint, address: str, connected_socket: socket.socket) -> None:
        self.endpoint = endpoint
        self.address = address
        self.idle_since = 0.0
        self.has_received = False
        self._socket = connected_socket
        self._readable = gevent.get_hub().loop.io(connected_socket.fileno(), _EV_READ)
        self._poll = _original_poll()
        self._poll.register(connected_socket.fileno(), select.POLLIN)
        self._timeout: float | None = None
        self._tls: TlsSession | None = None
        self._budget = 0
        self._bytes_since_yield = 0

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Perform the TLS handshake and verify that the certificate is valid for the endpoint's host.

        Raises:
            OSError: the handshake failed. ssl.SSLError is a subclass of OSError.
            ByteBudgetExceededError: the peer sent too many bytes.

        """
        self._budget = _HANDSHAKE_BUDGET
        session = TlsSession(context, self.endpoint.host)
        while not session.do_handshake():
            self._socket.sendall(session.take_pending_output())
            encrypted = self._receive_raw()
            if not encrypted:
                raise ConnectionClosedError("the connection was closed during the TLS handshake")
            session.feed_encrypted(encrypted)
        self._socket.sendall(session.take_pending_output())
        self._tls = session

    def send(self, request: bytes, *, budget: int, timeout: float | None) -> None:
        """Send a request.

        The response may have at most ``budget`` bytes. ``timeout`` limits each wait for the peer, in seconds. None
        means no limit.
        """
        self._budget = budget
        self.has_received = False
        self._timeout = timeout
        self._socket.settimeout(timeout)
        data = request if self._tls is None else self._tls.encrypt(request)
        # The send buffer is empty, so one send() normally accepts all data. sendall() would take twice as long.
        sent = self._socket.send(data)
        if sent < len(data):
            self._socket.sendall(data[sent:])

    def receive(self) -> bytes:
        """Return the next data of the response, at most about 64 KiB.

        Raises:
            ConnectionClosedError: the peer has closed the connection.
            OSError: the connection is broken, or the peer has sent nothing within the timeout.
            ByteBudgetExceededError: the peer has sent more than the budget.

        """
        data = self._receive_raw() if self._tls is None else self._receive_decrypted(self._tls)
        if not data:
            position = "in the middle of the response" if self.has_received else "without a response"
            raise ConnectionClosedError(f"the connection was closed {position}")
        self.has_received = True
        return data

    def is_usable(self) -> bool:
        """Return whether this idle connection can carry a request: it is open and has no unread data."""
        # recv() with MSG_PEEK would raise an exception in the normal case, which takes five times as long.
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close the connection, which may be broken or closed already."""
        self._readable.close()
        with contextlib.suppress(OSError):
            self._socket.close()

    def _receive_decrypted(self, session: TlsSession) -> bytes:
        while (plaintext := session.read_decrypted()) is None:
            if output := session.take_pending_output():
                self._socket.sendall(output)
            encrypted = self._receive_raw()
            if not encrypted:
                return b""
            session.feed_encrypted(encrypted)
        return plaintext

    def _receive_raw(self) -> bytes:
        if not self.has_received:
            # The response has probably not arrived yet, and a recv() that would block costs as much as one with data.
            socket.wait(self._readable, self._timeout)
        data = self._socket.recv(_RECEIVE_SIZE)
        self._budget -= len(data)
        if self._budget < 0:
            raise ByteBudgetExceededError
        self._bytes_since_yield += _RECEIVE_COST + len(data)
        if self._bytes_since_yield > _RECEIVE_SIZE:
            self._bytes_since_yield = 0
            yield_to_hub()
        return data
