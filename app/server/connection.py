"""A client connection with timeouts, which yields to other greenlets while it sends and receives.

gevent switches greenlets only where a socket would block. A client that never lets it block could therefore occupy the
worker alone, so every loop over input or output yields to the hub once per iteration.
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

#: Bytes per recv() while a request is awaited: as many as gunicorn's parser asks for.
_RECV_BYTES = 8192

#: A connection that is closed with unread input first discards up to this much, for up to this long. The kernel
#: responds with a reset to data that arrives after the close, and the reset can destroy a response that the client has
#: not read yet (RFC 9112, 9.6). Most clients send the whole body before they read a response, so the limit is as large
#: as a body that was sent by mistake may be, and larger than the buffers of the kernels.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16_000_000
_LINGER_RECV_BYTES = 65_536

#: The event mask of gevent's loop for "readable".
_READ = 1

#: SO_LINGER with a timeout of zero: close() resets the connection.
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
    """A request body that was incomplete or late; ``status`` is the status of the response."""

    def __init__(self, status: http.HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class BodyTimeout(BodyError):
    """A request body that did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(http.HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.")


class Connection:
    """A gevent socket with timeouts: gunicorn's parser reads from it, and its responses write to it.

    All timeouts are in seconds. ``head_timeout`` limits the time from the start of the wait for a request to the end of
    its head. ``body_timeout`` and ``response_timeout`` limit the time for each ``TIMEOUT_RESET_BYTES`` of a body or a
    response, or for what remains of it.
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
        #: The socket has failed: nothing more can be sent.
        self.is_broken = False
        #: The client did not send in time.
        self.timed_out = False
        #: The client may still be sending data that is not going to be read.
        self.has_unread_input = False
        self._clock = clock
        self._hub: Any = gevent.get_hub()
        self._readable = self._hub.loop.io(sock.fileno(), _READ)
        self._head_ticks = clock.ticks(head_timeout)
        self._body_ticks = clock.ticks(body_timeout) + _APPLICATION_GRACE_TICKS
        self._response_ticks = clock.ticks(response_timeout)
        self._remaining_ticks = 0  # of the timeout for the input that is being received
        self._transferred = 0  # body bytes since its timeout started
        self._is_continue_expected = False
        self._is_draining = False

    def next_request(self, buffered: bytes) -> bytes:
        """Return the first bytes of the next request: ``buffered`` if it is not empty, else the next that arrive.

        The result is empty if there is no next request: the client has closed the connection, has timed out, or the
        socket has failed.
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
        """Return ``received`` and what follows it, up to the offset ``end`` of the end of the body or beyond.

        The result is shorter if the client has closed the connection, has timed out (see ``timed_out``), or the socket
        has failed.
        """
        self.begin_body(expects_continue=False)
        self._remaining_ticks -= _APPLICATION_GRACE_TICKS  # the application is not running yet
        with suppress(OSError):  # the next recv() raises it again
            while len(received) < end and (data := self._receive(_RECV_BYTES)):
                received += data
        return received

    def begin_body(self, *, expects_continue: bool) -> None:
        """Start the timeout of a body; with ``expects_continue`` the client waits for 100 Continue before it sends."""
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

        The wait lets other greenlets run before each recv(). It also avoids the first, non-blocking recv() of gevent's
        own implementation, which nearly always fails with EAGAIN here and costs a fifth of a request.
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
        """Return whether the connection waits for the client to send a request or the rest of one."""
        return self.expires_at < NEVER and self.stage is not Stage.RESPONSE

    def waiting_since(self) -> int:
        """Return the tick at which the timeout of the input that is awaited started.

        A connection that only lingers counts as the oldest: its client has been sent the response.
        """
        if self.stage is Stage.LINGER:
            return 0
        return self.expires_at - (self._body_ticks if self.stage is Stage.BODY else self._head_ticks)

    def drop(self) -> None:
        """Shut the connection down in both directions, without a response."""
        self.is_broken = True
        self._shutdown(socket.SHUT_RDWR)

    def time_out(self) -> None:
        """End the current wait: input ends here; a response that the client does not receive resets the connection.

        Shutting the socket down wakes the greenlet that waits for it as a close by the client would. Nothing is raised
        into that greenlet, which could be at any other point by the time it runs.
        """
        self.expires_at = NEVER
        if self.stage is Stage.RESPONSE:
            with suppress(OSError):
                # The reset also discards what the kernel still holds for the client.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._shutdown(socket.SHUT_RDWR)
        else:
            self.timed_out = True
            self._shutdown(socket.SHUT_RD)

    def drain(self) -> None:
        """Receive no further request: an idle connection ends now, another one after its current request.

        A request that the kernel has received but nobody has read yet is still served.
        """
        self._is_draining = True
        if self.is_idle():
            self._shutdown(socket.SHUT_RD)

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):  # the client has closed the connection already
            self.socket.shutdown(how)

    def gettimeout(self) -> float:
        """Return 0, so that gunicorn does not set a timeout on the socket before it writes an error response."""
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
