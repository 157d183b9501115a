"""A scripted origin: a real HTTP server on loopback whose pages behave as a test needs, or misbehave.

Each page has a *behaviour*: a function that receives the connection and the request and sends the response. ``page``
and ``redirect`` return well-behaved ones. ``Barrier`` delays another behaviour until the test releases it, so that no
test has to sleep.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from gevent.event import Event
from gevent.server import StreamServer

Behaviour = Callable[[socket.socket, "Request"], None]

COVER_PATH = "/multimedia/audio_cd_covers/{number}.jpg"
PAGE_PATH = "/context/detail/id/{id}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the origin has received. The names of ``headers`` are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


def page(
    body: bytes | str, *, status: str = "200 OK", headers: Mapping[str, str] | None = None, length: bool | None = True
) -> Behaviour:
    """Return a behaviour that responds with ``body``.

    The end of the body is marked by Content-Length, or with ``length=False`` by closing the connection. With
    ``length=None`` neither is done: ``headers`` or ``body`` must mark it.
    """
    data = body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": "text/html; charset=utf-8"}
    if length:
        fields["Content-Length"] = str(len(data))
    fields |= headers or {}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    response = head.encode("latin-1") + data

    def behave(connection: socket.socket, _request: Request) -> None:
        connection.sendall(response)
        if length is False:
            connection.shutdown(socket.SHUT_RDWR)

    return behave


def cover(number: int = 1) -> Behaviour:
    """Return a product page like those of ozon, with the cover of this number."""
    path = COVER_PATH.format(number=number)
    return page(f'<html><body><h1>Item</h1><img src="{path}" alt="cover"></body></html>')


def chunked(*chunks: bytes, trailer: bytes = b"") -> Behaviour:
    """Return a behaviour that responds with a chunked body; the connection stays open."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return page(framed + b"0\r\n" + trailer + b"\r\n", headers={"Transfer-Encoding": "chunked"}, length=None)


def in_sequence(*behaviours: Behaviour) -> Behaviour:
    """Return a behaviour that uses the given ones for successive requests, and the last one for all that follow."""
    remaining = list(behaviours)

    def behave(connection: socket.socket, request: Request) -> None:
        (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection, request)

    return behave


def reset(connection: socket.socket, _request: Request) -> None:
    """Reset the connection instead of responding."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def redirect(location: str, status: str = "302 Found", body: bytes = b"") -> Behaviour:
    """Return a behaviour that redirects to ``location``."""
    return page(body, status=status, headers={"Location": location})


def raw(*parts: bytes) -> Behaviour:
    """Return a behaviour that sends these bytes and closes the connection."""

    def behave(connection: socket.socket, _request: Request) -> None:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


@dataclass(slots=True)
class Barrier:
    """A behaviour that waits until the test sets ``go``, then calls ``then``. The first request sets ``reached``."""

    then: Behaviour
    reached: Event = field(default_factory=Event)
    go: Event = field(default_factory=Event)

    def __call__(self, connection: socket.socket, request: Request) -> None:
        """Wait for ``go``, then respond."""
        self.reached.set()
        self.go.wait()
        self.then(connection, request)


@dataclass(slots=True)
class Origin:
    """The server, and what it has received.

    ``pages`` maps request targets to behaviours. ``default`` is the behaviour of all others, a 404 unless a test sets
    it. ``in_progress`` is the number of requests in progress, and ``max_in_progress`` the highest number so far.
    ``connections`` is the number of connections so far.
    """

    port: int = 0
    pages: dict[str, Behaviour] = field(default_factory=dict)
    default: Behaviour = field(default_factory=lambda: page("no such item", status="404 Not Found"))
    requests: list[Request] = field(default_factory=list)
    in_progress: int = 0
    max_in_progress: int = 0
    connections: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The URL of the origin, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Reset pages and counters for the next test, and release all barriers."""
        self._release_barriers()
        self.pages.clear()
        self.requests.clear()
        self.connections = self.max_in_progress = 0

    def item(self, item_id: object, behaviour: Behaviour) -> str:
        """Set the behaviour of an item's product page; return its URL."""
        path = PAGE_PATH.format(id=item_id)
        self.pages[path] = behaviour
        return self.url + path

    def request_count(self, item_id: object) -> int:
        """Return the number of requests for the page of this item."""
        return sum(request.target == PAGE_PATH.format(id=item_id) for request in self.requests)

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[Self]:
        """Serve on a free port until the block ends, over TLS if ``tls`` is given."""
        if tls is None:
            server = StreamServer(("127.0.0.1", 0), self._serve)
        else:
            server = StreamServer(("127.0.0.1", 0), self._serve, ssl_context=tls)
            self.scheme = "https"
        server.start()
        self.port = int(server.server_port or 0)
        try:
            yield self
        finally:
            self._release_barriers()
            server.stop(timeout=1)

    def _release_barriers(self) -> None:
        for behaviour in self.pages.values():
            if isinstance(behaviour, Barrier):
                behaviour.go.set()

    def _serve(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    buffer += _receive(connection)
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                request = _parse(head)
                length = int(request.headers.get("content-length", 0))
                while len(buffer) < length:
                    buffer += _receive(connection)
                body, buffer = buffer[:length], buffer[length:]
                self._respond(connection, replace(request, body=body))
        except OSError:
            return  # the client or the behaviour has closed the connection

    def _respond(self, connection: socket.socket, request: Request) -> None:
        self.requests.append(request)
        self.in_progress += 1
        self.max_in_progress = max(self.max_in_progress, self.in_progress)
        try:
            self.pages.get(request.target, self.default)(connection, request)
        finally:
            self.in_progress -= 1


def _receive(connection: socket.socket) -> bytes:
    """Return the next bytes. Raises ConnectionError if the client has closed the connection."""
    if not (received := connection.recv(65536)):
        raise ConnectionError("the client has closed the connection")
    return received


def _parse(head: bytes) -> Request:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = request_line.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Request(method, target, {name.lower(): value.strip() for name, _, value in pairs})
