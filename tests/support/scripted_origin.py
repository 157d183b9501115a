"""A scripted origin: a real HTTP server on loopback whose pages misbehave on demand.

A page is a *behaviour*: a function that is given the connection and the request and sends what it likes. ``page`` and
``redirect`` make well-behaved ones; ``Hold`` makes one wait until the test lets it go, so that no test has to wait for
time to pass.
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
    """What the origin was asked for."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


def page(
    body: bytes | str, *, status: str = "200 OK", headers: Mapping[str, str] | None = None, length: bool | None = True
) -> Behaviour:
    """Make a behaviour that answers with ``body``.

    ``length`` says whether its length is told; if not, the connection is closed behind it. None leaves both out.
    """
    data = body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": "text/html; charset=utf-8"}
    if length:
        fields["Content-Length"] = str(len(data))
    fields |= headers or {}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    answer = head.encode("latin-1") + data

    def behave(connection: socket.socket, _request: Request) -> None:
        connection.sendall(answer)
        if length is False:
            connection.shutdown(socket.SHUT_RDWR)

    return behave


def cover(number: int = 1) -> Behaviour:
    """Make a product page in the ozon form, with the cover of this number."""
    path = COVER_PATH.format(number=number)
    return page(f'<html><body><h1>Item</h1><img src="{path}" alt="cover"></body></html>')


def chunked(*chunks: bytes, trailer: bytes = b"") -> Behaviour:
    """Make a behaviour that answers in these chunks; the connection stays open."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return page(framed + b"0\r\n" + trailer + b"\r\n", headers={"Transfer-Encoding": "chunked"}, length=None)


def one_after_the_other(*behaviours: Behaviour) -> Behaviour:
    """Make a behaviour that is another one at each request, and stays the last."""
    left = list(behaviours)

    def behave(connection: socket.socket, request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(connection, request)

    return behave


def reset(connection: socket.socket, _request: Request) -> None:
    """Break the connection off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def redirect(location: str, status: str = "302 Found", body: bytes = b"") -> Behaviour:
    """Make a behaviour that leads elsewhere."""
    return page(body, status=status, headers={"Location": location})


def raw(*parts: bytes) -> Behaviour:
    """Make a behaviour that sends these bytes and closes."""

    def behave(connection: socket.socket, _request: Request) -> None:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


@dataclass(slots=True)
class Barrier:
    """A behaviour that waits for the test: ``asked`` is set when a request has come, ``go`` lets all of them answer."""

    then: Behaviour
    asked: Event = field(default_factory=Event)
    go: Event = field(default_factory=Event)

    def __call__(self, connection: socket.socket, request: Request) -> None:
        """Wait, then behave."""
        self.asked.set()
        self.go.wait()
        self.then(connection, request)


@dataclass(slots=True)
class Origin:
    """The server. ``pages`` maps a path to its behaviour; what is not there is a 404, unless ``default`` is set."""

    port: int = 0
    pages: dict[str, Behaviour] = field(default_factory=dict)
    default: Behaviour = field(default_factory=lambda: page("no such item", status="404 Not Found"))
    requests: list[Request] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    connections: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The origin's root, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def clear(self) -> None:
        """Forget pages and requests, for the next test; who is still held is let go."""
        self._let_go()
        self.pages.clear()
        self.requests.clear()
        self.connections = self.most_under_way = 0

    def item(self, item_id: object, behaviour: Behaviour) -> str:
        """Set the page of an item in the ozon form; return its URL."""
        path = PAGE_PATH.format(id=item_id)
        self.pages[path] = behaviour
        return self.url + path

    def asked_for(self, item_id: object) -> int:
        """Return how often the page of this item was asked for."""
        return sum(request.target == PAGE_PATH.format(id=item_id) for request in self.requests)

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[Self]:
        """Serve on a port that the system chooses, over TLS if there is a context for it."""
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
            self._let_go()
            server.stop(timeout=1)

    def _let_go(self) -> None:
        for behaviour in self.pages.values():
            if isinstance(behaviour, Barrier):
                behaviour.go.set()

    def _serve(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    buffer += _received(connection)
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                request = _parse(head)
                length = int(request.headers.get("content-length", 0))
                while len(buffer) < length:
                    buffer += _received(connection)
                body, buffer = buffer[:length], buffer[length:]
                self._answer(connection, replace(request, body=body))
        except OSError:
            return  # the client has gone, or the behaviour has closed the connection: both are part of the script

    def _answer(self, connection: socket.socket, request: Request) -> None:
        self.requests.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.pages.get(request.target, self.default)(connection, request)
        finally:
            self.under_way -= 1


def _received(connection: socket.socket) -> bytes:
    """Return the next bytes. Raises ConnectionError where there are none."""
    if not (received := connection.recv(65536)):
        raise ConnectionError("the client has gone")
    return received


def _parse(head: bytes) -> Request:
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = request_line.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Request(method, target, {name.lower(): value.strip() for name, _, value in pairs})
