"""A connection whose peer can neither hold it for ever nor keep the others from their turn.

gevent lets others run only where a socket would block, so a peer that never lets it block could have a worker for
itself. Whatever is read or sent in a loop lets the others run at each turn of it.
"""

import enum
import http
import socket
import struct
from contextlib import suppress
from typing import Any

import gevent
from gunicorn import util

from app.server.connection_timeouts import NEVER, ConnectionTimeouts

#: A peer that sends a body or takes an answer has its full time again after so many bytes.
STEP = 16_384

#: An application that bounds its bodies to as many seconds has its word so many rounds before the watch.
_WORD_ROUNDS = 4

#: What is received at once while a request is waited for: as much as gunicorn's parser would.
_CHUNK = 8192

#: A connection that ends with bytes unread hears its peer out for so many seconds and bytes, for the kernel answers
#: those that come after the end with a reset, by which the peer may lose the answer (RFC 9112, 9.6). Most clients send
#: all of a body before they look for an answer: so many bytes as such a mistake may have, more than kernels keep.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16_000_000
_LINGER_CHUNK = 65_536

#: What gevent's loop calls it.
_READ = 1

#: SO_LINGER with no time: closing resets the connection.
_RESET = struct.pack("ii", 1, 0)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Stage(enum.Enum):
    """What is done with a connection: it waits for a request, its head or body is read, its answer is sent, it ends."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    RESPONSE = enum.auto()
    END = enum.auto()


class BodyError(Exception):
    """A body that its peer did not send whole, or not in time; ``status`` says how that is answered."""

    def __init__(self, status: http.HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class BodyTimeout(BodyError):
    """A body that did not come in time."""

    def __init__(self) -> None:
        super().__init__(http.HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.")


class Connection:
    """A gevent socket with terms: what gunicorn's parser reads from, and its responses write to.

    All in seconds: ``head`` is how long a request may take to begin and to be there up to the end of its head;
    ``body`` and ``answer`` are how long a peer may take for ``STEP`` bytes of them, or for what is left.
    """

    __slots__ = (
        "_answer_rounds",
        "_body_rounds",
        "_head_rounds",
        "_hub",
        "_is_to_continue",
        "_patience",
        "_readable",
        "_step",
        "_watch",
        "expires_at",
        "has_unread_input",
        "is_broken",
        "socket",
        "stage",
        "timed_out",
    )

    def __init__(self, sock: Any, timeouts: ConnectionTimeouts, *, head: float, body: float, response: float) -> None:
        self.socket = sock
        self.stage = Stage.IDLE
        #: The round in which the peer's time is over; the watch looks at it.
        self.expires_at = NEVER
        #: The socket has failed: nothing can be said to the peer any more.
        self.is_broken = False
        #: What was waited for did not come in time.
        self.timed_out = False
        #: The peer may be sending what nobody will read.
        self.has_unread_input = False
        self._watch = timeouts
        self._hub: Any = gevent.get_hub()
        self._readable = self._hub.loop.io(sock.fileno(), _READ)
        self._head_rounds = timeouts.ticks(head)
        self._body_rounds = timeouts.ticks(body) + _WORD_ROUNDS
        self._answer_rounds = timeouts.ticks(response)
        self._patience = 0  # the rounds that the peer has left for what is read
        self._step = 0  # the bytes since it had all of them
        self._is_to_continue = False
        timeouts.connections.add(self)

    def next_request(self, begun: bytes) -> bytes:
        """Return the first bytes of the next request: ``begun``, where there are such, else as soon as some come.

        Empty: there is none, for the peer has closed, let its time run out, or failed.
        """
        self._patience = self._head_rounds
        if begun:
            self.stage = Stage.HEAD
            gevent.sleep(0)
            return begun
        self.stage = Stage.IDLE
        if self._watch.is_draining:
            self.stop_receiving()
        try:
            data = self._receive(_CHUNK)
        except OSError:
            return b""
        self.stage = Stage.HEAD
        return data

    def receive_until(self, received: bytes, end: int) -> bytes:
        """Return ``received`` with what comes of a body that ends at ``end``, and perhaps of what is behind that.

        Where it ends earlier, the peer has closed, failed, or let its time run out: ``is_late`` tells that.
        """
        self.begin_body(is_to_continue=False)
        self._patience -= _WORD_ROUNDS
        with suppress(OSError):  # whoever reads on meets it again
            while len(received) < end and (data := self._receive(_CHUNK)):
                received += data
        return received

    def begin_body(self, *, is_to_continue: bool) -> None:
        """Take what is read from here on as body; ``is_to_continue``: the peer waits for a word before it sends."""
        self.stage = Stage.BODY
        self._patience = self._body_rounds
        self._step = 0
        self._is_to_continue = is_to_continue

    def recv(self, size: int) -> bytes:
        """Receive up to ``size`` bytes of a head or a body.

        Raises:
            BodyFailed: the body ends too early, or does not come in time.
            OSError: the connection is broken.

        """
        if self.stage is Stage.HEAD:
            return self._receive(size)
        if self._is_to_continue and self.stage is Stage.BODY:
            self.sendall(_CONTINUE)
        self._is_to_continue = False
        self.stage = Stage.BODY
        data = self._receive(size)
        if not data:
            self.has_unread_input = True
            if self.timed_out:
                raise BodyTimeout
            raise BodyError(http.HTTPStatus.BAD_REQUEST, "The body ended too early.")
        self._step += len(data)
        if self._step >= STEP:
            self._step = 0
            self._patience = self._body_rounds
        return data

    def _receive(self, size: int) -> bytes:
        """Receive when the loop finds that there is something.

        By that the others have their turn before each receiving, and none fails for want of bytes, as the one by which
        gevent's own recv() begins would nearly always: that costs a fifth of a request.
        """
        began = self._watch.tick
        self.expires_at = began + self._patience
        try:
            self._hub.wait(self._readable)
            data: bytes = self.socket.recv(size)
        except OSError:
            self.is_broken = True
            raise
        finally:
            self.expires_at = NEVER
        self._patience -= self._watch.tick - began
        return data

    def sendall(self, data: bytes) -> None:
        """Send it all.

        Raises:
            OSError: the connection is broken, or was cut since the peer did not take it.

        """
        self.stage = Stage.RESPONSE
        self.expires_at = self._watch.tick + self._answer_rounds
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
        taken = 0
        while rest:
            gevent.sleep(0)
            sent = self.socket.send(rest)
            rest = rest[sent:]
            taken += sent
            if taken >= STEP:
                taken = 0
                self.expires_at = self._watch.tick + self._answer_rounds

    def is_idle(self) -> bool:
        """Tell whether it waits for a request of which nothing has come."""
        return self.stage is Stage.IDLE

    def is_waiting_for_peer(self) -> bool:
        """Tell whether the peer is waited for: to ask, or to go on with its request."""
        return self.expires_at < NEVER and self.stage is not Stage.RESPONSE

    def waiting_since(self) -> int:
        """Return the round in which the waiting for this request, or for this step of its body, began."""
        if self.stage is Stage.END:
            return 0  # the peer has had its answer
        return self.expires_at - (self._body_rounds if self.stage is Stage.BODY else self._head_rounds)

    def drop(self) -> None:
        """End it now, without a word."""
        self.is_broken = True
        self._shutdown(socket.SHUT_RDWR)

    def time_out(self) -> None:
        """End what the peer is waited for: the reading, or the whole connection when it does not take its answer.

        Whoever waits for the socket is woken by that as by the peer's own end; nothing is thrown into a greenlet,
        which might be elsewhere when it arrives.
        """
        self.expires_at = NEVER
        if self.stage is Stage.RESPONSE:
            with suppress(OSError):
                # What the kernel still holds for the peer goes with it.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._shutdown(socket.SHUT_RDWR)
        else:
            self.timed_out = True
            self._shutdown(socket.SHUT_RD)

    def stop_receiving(self) -> None:
        """Read what has been received, and after that the end."""
        self._shutdown(socket.SHUT_RD)

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):  # the peer was faster
            self.socket.shutdown(how)

    def gettimeout(self) -> float:
        """Tell gunicorn, which would set a time-out before it writes an error, that there is no need to."""
        return 0.0

    def close(self) -> None:
        """End the connection."""
        try:
            if self.has_unread_input and not self.is_broken:
                self._linger()
        finally:
            self._watch.connections.discard(self)
            self._readable.close()
            util.close(self.socket)

    def _linger(self) -> None:
        self.stage = Stage.END
        self._shutdown(socket.SHUT_WR)
        self._patience = self._watch.ticks(_LINGER_SECONDS)
        left = _LINGER_BYTES
        with suppress(OSError):
            while left > 0 and (data := self._receive(_LINGER_CHUNK)):
                left -= len(data)
