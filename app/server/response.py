"""gunicorn's response, sent in one piece if possible."""

import functools
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi

from app.server.response_cache import CachedResponse

#: A field line that needs no validation and has no effect on the other attributes of gunicorn's response.
_INERT_FIELD = re.compile(r"X-[A-Za-z0-9-]+: [\x21-\x7e]+", re.ASCII)

#: The attributes that gunicorn's start_response sets.
_START_ATTRIBUTES = ("_omits_body", "chunked", "headers", "response_length", "status", "status_code", "upgrade")


class Response(wsgi.Response):
    """gunicorn's response, which sends the head together with the first bytes of the body.

    If head and body were sent separately, the body could be delayed by 40 ms, until the client acknowledges the head
    (Nagle's algorithm and delayed ACK). If the body is empty, the head is sent when the body ends (PEP 3333).
    ``accepts_requests`` is called when the head is sent. If it returns False, the connection closes after the response.
    """

    headers: list[tuple[str, str]]
    headers_sent: bool
    must_close: bool
    #: This response for reuse, or None. It is set if the response has been sent in one piece, the connection stays
    #: open, and the application has allowed the reuse.
    cacheable: CachedResponse | None

    def __init__(self, req: Any, sock: Any, cfg: Any, accepts_requests: Callable[[], bool]) -> None:
        super().__init__(req, sock, cfg)
        self._accepts_requests = accepts_requests
        self._reuse: tuple[str, Callable[[], bytes | None]] | None = None
        self.cacheable = None

    def allow_caching(self, header: str, next_value: Callable[[], bytes | None]) -> None:
        """Allow this response to be reused for requests with the same bytes. Must be called before the head is sent.

        In each reuse, the field ``header`` has the value that ``next_value`` returns. ``next_value`` returns None if
        the response is no longer valid.
        """
        self._reuse = header, next_value

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Set status and headers (PEP 3333). Headers that gunicorn has validated before are not validated again.

        The last field is not part of the cache key if it needs no validation. A request id, for example, would make
        each key different.
        """
        if exc_info is not None or self.status is not None:
            return super().start_response(status, headers, exc_info)
        fields = tuple(map(tuple, headers))
        inert = fields[-1:] if fields and _is_inert(fields[-1]) else ()
        self.__dict__.update(
            _start_attributes(status, fields[: len(fields) - len(inert)], self.req.method, self.req.version)
        )
        self.headers = [*self.headers, *inert]
        return self.write

    def is_chunked(self) -> bool:
        """Return whether the body is sent in chunks: its length is unknown, and the client supports chunks."""
        return self.response_length is None and self.req.version > (1, 0) and not self._omits_body

    def should_close(self) -> bool:
        """Return whether the connection closes after this response.

        The connection also closes if the request body is incomplete, because nothing will read the rest of the body.
        """
        return not self._accepts_requests() or bool(super().should_close()) or self.req.is_body_incomplete()

    def send_headers(self) -> None:
        """Do nothing, because the head is sent with the first bytes of the body."""

    def _emit_body(self, data: bytes) -> None:
        if data:
            self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def close(self) -> None:
        """Send the last chunk, or the head of a response without a body."""
        if self.chunked:
            self._send(b"0\r\n\r\n")
        elif not self.headers_sent:
            self._send(b"")

    def sendfile(self, respiter: Any) -> bool:  # noqa: ARG002 - gunicorn's signature
        """Return False. Files are then sent block by block, as gunicorn's gevent worker sends them."""
        return False

    def _send(self, data: bytes) -> None:
        if self.headers_sent:
            self.cacheable = None
            self.sock.sendall(data)
            return
        # This is decided only once, because the rest of an unread body may arrive before the end of the response.
        self.must_close = self.should_close()
        varying_field, other_fields = self._split_headers()
        before_date, after_date = self._format_head(other_fields)
        self.headers_sent = True
        self.sock.sendall(b"".join((before_date, http_date(), varying_field, after_date, data)))
        if self._reuse is not None and len(data) == self.response_length and not self.must_close:
            header, next_value = self._reuse
            self.cacheable = CachedResponse(
                before_date, f"\r\n{header}: ".encode("latin-1"), after_date + data, next_value
            )

    def _split_headers(self) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the bytes of the field that differs in each reuse of the response, and the other fields."""
        if self._reuse is None:
            return b"", self.headers
        name = self._reuse[0].lower()
        varying = [f"\r\n{field}: {value}" for field, value in self.headers if field.lower() == name]
        return "".join(varying).encode("latin-1"), [field for field in self.headers if field[0].lower() != name]

    def _format_head(self, headers: list[tuple[str, str]]) -> tuple[bytes, bytes]:
        """Return the bytes of a head with these fields, before and after the value of Date."""
        connection = "upgrade" if self.upgrade else "close" if self.must_close else "keep-alive"
        major, minor = self.req.version
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        return (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: ".encode("latin-1"),
            f"\r\nConnection: {connection}\r\n{coding}{fields}\r\n".encode("latin-1"),
        )


def _is_inert(header: tuple[Any, ...]) -> bool:
    # A match statement would be shorter, but takes ten times as long.
    return set(map(type, header)) == {str} and _INERT_FIELD.fullmatch(": ".join(header)) is not None


@functools.lru_cache(maxsize=1024)
def _start_attributes(
    status: str, headers: tuple[tuple[str, str], ...], method: str, version: tuple[int, int]
) -> dict[str, Any]:
    """Return the attributes that gunicorn's start_response sets for these arguments."""
    response = Response(SimpleNamespace(method=method, version=version), None, None, bool)
    wsgi.Response.start_response(response, status, headers)
    return {name: getattr(response, name) for name in _START_ATTRIBUTES}


def http_date() -> bytes:
    """Return the current time as the value of Date (RFC 9110, 6.6.1)."""
    return _format_date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _format_date(seconds: int) -> bytes:
    date: str = util.http_date(seconds)
    return date.encode("latin-1")
