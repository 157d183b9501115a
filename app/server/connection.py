"""A client connection with timeouts. It yields to other greenlets while it sends and receives.

gevent switches greenlets only where a socket would block. The socket of a fast client may never block, and the client
would then keep the worker from all other clients. Every loop over input or output therefore yields to the hub once per
iteration.
"""

import enum
import http
import socket
import struct
from contextlib import suppress
from typing import Any

import gevent
from gunicorn import util

from app.server.tick_clock import NEVER, TickClock

#: The timeout of a request body or a response starts again whenever this many bytes have been transferred.
TIMEOUT_RESET_BYTES = 16_384

#: A body times out this many ticks late, so that an application with its own timeout of the same length responds first.
_APPLICATION_GRACE_TICKS = 4

#: Bytes per recv() while the connection waits for a request. gunicorn's parser uses the same number.
_RECV_BYTES = 8192

#: Before a connection with unread input is closed, up to this many bytes are discarded for up to this many seconds. The
#: kernel responds with a reset to data that arrives after the close, and the reset can destroy a response that the
#: client has not read yet (RFC 9112, 9.6). Most clients send the whole body before they read a response. The limit is
#: therefore larger than the buffers of both kernels, and large enough for a body that was sent by mistake.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16_000_000
_LINGER_RECV_BYTES = 65_536

#: The event mask of gevent's loop for "readable".
_READ = 1

#: A value of SO_LINGER that makes close() reset the connection: enabled, with a timeout of zero.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Stage(enum.Enum):
    """What a connection is doing."""

    #: Waiting for the first byte of a request.
    IDLE = enum.auto()
    #: Receiving a request head.
    HEAD = enum.auto()
    #: Receiving a request body.
    BODY = enum.auto()
    #: Sending a response.
    RESPONSE = enum.auto()
    #: Discarding input before the close.
    LINGER = enum.auto()


class BodyError(Exception):
    """The request body was incomplete or late. ``status`` is the status of the response."""

    def __init__(self, status: http.HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class BodyTimeout(BodyError):
    """The request body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(http.HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.")


class Connection:
    """A gevent socket with timeouts. gunicorn's parser reads from it, and responses are written to it.

    All timeouts are in seconds. ``head_timeout`` limits the time from the start of the wait for a request to the end of
    the request head. ``body_timeout`` and ``response_timeout`` limit the time for each ``TIMEOUT_RESET_BYTES`` of a
    body or a response, and for the last bytes.
    """

    __slots__ = (
        "_body_ticks",
        "_clock",
        "_head_ticks",
        "_hub",
        "_is_continue_expected",
        "_is_draining",
        "_readable",
        "_remaining_ticks",
        "_response_ticks",
        "_transferred",
        "expires_at",
        "has_unread_input",
        "is_broken",
        "socket",
        "stage",
        "timed_out",
    )

    def __init__(
        self, sock: Any, clock: TickClock, *, head_timeout: float, body_timeout: float, response_timeout: float
    ) -> None:
        self.socket = sock
        self.stage = Stage.IDLE
        #: The tick at which the current wait for the client times out.
        self.expires_at = NEVER
        #: Whether the socket has failed, so that nothing more can be sent.
        self.is_broken = False
        #: Whether the client did not send in time.
        self.timed_out = False
        #: Whether the client may still be sending data that the worker will not read.
        self.has_unread_input = False
        self._clock = clock
        self._hub: Any = gevent.get_hub()
        self._readable = self._hub.loop.io(sock.fileno(), _READ)
        self._head_ticks = clock.ticks(head_timeout)
        self._body_ticks = clock.ticks(body_timeout) + _APPLICATION_GRACE_TICKS
        self._response_ticks = clock.ticks(response_timeout)
        self._remaining_ticks = 0  # of the timeout for the awaited input
        self._transferred = 0  # body bytes since the body timeout was started
        self._is_continue_expected = False
        self._is_draining = False

    def next_request(self, buffered: bytes) -> bytes:
        """Return the first bytes of the next request: ``buffered`` if not empty, else the next bytes that arrive.

        The result is empty if no request follows, because the client has closed the connection or timed out, or because
        the socket has failed.
        """
        self._remaining_ticks = self._head_ticks
        if buffered:
            self.stage = Stage.HEAD
            gevent.sleep(0)
            return buffered
        self.stage = Stage.IDLE
        if self._is_draining:
            self._shutdown(socket.SHUT_RD)
        try:
            data = self._receive(_RECV_BYTES)
        except OSError:
            return b""
        self.stage = Stage.HEAD
        return data

    def receive_until(self, received: bytes, end: int) -> bytes:
        """Receive until the body ends, at the offset ``end``. Return ``received`` followed by the new bytes.

        The result is shorter if the client has closed the connection or timed out (see ``timed_out``), or if the socket
        has failed.
        """
        self.begin_body(expects_continue=False)
        self._remaining_ticks -= _APPLICATION_GRACE_TICKS  # the application does not run yet and needs no grace
        with suppress(OSError):  # the next recv() raises it again
            while len(received) < end and (data := self._receive(_RECV_BYTES)):
                received += data
        return received

    def begin_body(self, *, expects_continue: bool) -> None:
        """Start the timeout of a body. ``expects_continue`` says whether the client waits for 100 Continue."""
        self.stage = Stage.BODY
        self._remaining_ticks = self._body_ticks
        self._transferred = 0
        self._is_continue_expected = expects_continue

    def recv(self, size: int) -> bytes:
        """Receive up to ``size`` bytes of a head or a body.

        Raises:
            BodyError: the body is incomplete, or did not arrive in time.
            OSError: the connection is broken.

        """
        if self.stage is Stage.HEAD:
            return self._receive(size)
        if self._is_continue_expected and self.stage is Stage.BODY:
            self.sendall(_CONTINUE)
        self._is_continue_expected = False
        self.stage = Stage.BODY
        data = self._receive(size)
        if not data:
            self.has_unread_input = True
            if self.timed_out:
                raise BodyTimeout
            raise BodyError(http.HTTPStatus.BAD_REQUEST, "The body ended too early.")
        self._transferred += len(data)
        if self._transferred >= TIMEOUT_RESET_BYTES:
            self._transferred = 0
            self._remaining_ticks = self._body_ticks
        return data

    def _receive(self, size: int) -> bytes:
        """Wait until the socket is readable, then receive.

        The wait lets other greenlets run before each recv(). It also saves time: gevent's own recv() first tries to
        receive without waiting, which nearly always fails with EAGAIN here and takes a fifth of the time of a request.
        """
        started_at = self._clock.now
        self.expires_at = started_at + self._remaining_ticks
        try:
            self._hub.wait(self._readable)
            data: bytes = self.socket.recv(size)
        except OSError:
            self.is_broken = True
            raise
        finally:
            self.expires_at = NEVER
        self._remaining_ticks -= self._clock.now - started_at
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            OSError: the connection is broken, or was reset because the client did not receive in time.

        """
        self.stage = Stage.RESPONSE
        self.expires_at = self._clock.now + self._response_ticks
        try:
            sent = self.socket.send(data)
            if sent < len(data):
                self._send_rest(memoryview(data)[sent:])
        except OSError:
            self.is_broken = True
            raise
        finally:
            self.expires_at = NEVER

    def _send_rest(self, rest: memoryview) -> None:
        transferred = 0
        while rest:
            gevent.sleep(0)
            sent = self.socket.send(rest)
            rest = rest[sent:]
            transferred += sent
            if transferred >= TIMEOUT_RESET_BYTES:
                transferred = 0
                self.expires_at = self._clock.now + self._response_ticks

    def is_idle(self) -> bool:
        """Return whether the connection waits for a request and has received nothing of it."""
        return self.stage is Stage.IDLE

    def is_waiting_for_client(self) -> bool:
        """Return whether the connection waits for the client to send a request or the rest of a request."""
        return self.expires_at < NEVER and self.stage is not Stage.RESPONSE

    def waiting_since(self) -> int:
        """Return the tick at which the timeout of the awaited input was started.

        A lingering connection counts as the oldest, because its response has been sent.
        """
        if self.stage is Stage.LINGER:
            return 0
        return self.expires_at - (self._body_ticks if self.stage is Stage.BODY else self._head_ticks)

    def drop(self) -> None:
        """Shut the connection down in both directions, without a response."""
        self.is_broken = True
        self._shutdown(socket.SHUT_RDWR)

    def time_out(self) -> None:
        """End the current wait for the client. If the client does not receive a response, reset the connection.

        Shutting the socket down wakes the greenlet that waits for it, as if the client had closed the connection. No
        exception is raised into the greenlet, because by the time it runs, it may have finished the wait.
        """
        self.expires_at = NEVER
        if self.stage is Stage.RESPONSE:
            with suppress(OSError):
                # A reset also discards the data in the send buffer of the kernel.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._shutdown(socket.SHUT_RDWR)
        else:
            self.timed_out = True
            self._shutdown(socket.SHUT_RD)

    def drain(self) -> None:
        """Receive no further requests. An idle connection ends now, any other connection after its current request.

        A request that the kernel has received is still served, even if the worker has not read it yet.
        """
        self._is_draining = True
        if self.is_idle():
            self._shutdown(socket.SHUT_RD)

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):  # the client has closed the connection already
            self.socket.shutdown(how)

    def gettimeout(self) -> float:
        """Return 0. gunicorn then sets no timeout on the socket before it writes an error response."""
        return 0.0

    def close(self) -> None:
        """Close the connection, after discarding unread input for a short time."""
        try:
            if self.has_unread_input and not self.is_broken:
                self._linger()
        finally:
            self._readable.close()
            util.close(self.socket)

    def _linger(self) -> None:
        self.stage = Stage.LINGER
        self._shutdown(socket.SHUT_WR)
        self._remaining_ticks = self._clock.ticks(_LINGER_SECONDS)
        discarded = 0
        with suppress(OSError):
            while discarded < _LINGER_BYTES and (data := self._receive(_LINGER_RECV_BYTES)):
                discarded += len(data)
