"""An answer on its way out: gunicorn's response, whose head leaves together with the first bytes of its body."""

import functools
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi

from app.server.response_cache import CachedResponse

#: A header by which gunicorn finds nothing out, as a line.
_FREE = re.compile(r"X-[A-Za-z0-9-]+: [\x21-\x7e]+", re.ASCII)

#: What gunicorn's start_response finds out.
_FINDINGS = ("_omits_body", "chunked", "headers", "response_length", "status", "status_code", "upgrade")


class Response(wsgi.Response):
    """gunicorn's response in one send where it fits: apart, a peer's delayed ACK can keep the body back for 40 ms.

    Its head is sent with the first bytes of the body or at the end, as PEP 3333 asks. ``goes_on`` tells then whether
    the server takes further requests.
    """

    headers: list[tuple[str, str]]
    headers_sent: bool
    must_close: bool
    #: By what it may be given again, where it was sent whole, the connection goes on and the application says so.
    cacheable: CachedResponse | None

    def __init__(self, req: Any, sock: Any, cfg: Any, goes_on: Callable[[], bool]) -> None:
        super().__init__(req, sock, cfg)
        self._goes_on = goes_on
        self._again: tuple[str, Callable[[], bytes | None]] | None = None
        self.cacheable = None

    def allow_caching(self, header: str, again: Callable[[], bytes | None]) -> None:
        """Let it be given again to requests of the same bytes, each time with the value of ``header`` from ``again``.

        That returns it as it is sent, or None when the answer holds no more. It has to be said before any of the answer
        is sent.
        """
        self._again = header, again

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Take status and headers (PEP 3333); what gunicorn has found in order once, it need not look at again.

        A last header by which nothing is found out, such as an id, is left out of that: it differs each time.
        """
        if exc_info is not None or self.status is not None:
            return super().start_response(status, headers, exc_info)
        told = tuple(map(tuple, headers))
        last = told[-1:] if told and _is_free(told[-1]) else ()
        self.__dict__.update(_findings(status, told[: len(told) - len(last)], self.req.method, self.req.version))
        self.headers = [*self.headers, *last]
        return self.write

    def is_chunked(self) -> bool:
        """Tell whether the answer needs chunks to show its end, and may have them."""
        return self.response_length is None and self.req.version > (1, 0) and not self._omits_body

    def should_close(self) -> bool:
        """Tell whether the connection ends with this answer: also when a body would have to be read for nothing."""
        return not self._goes_on() or bool(super().should_close()) or self.req.is_body_left()

    def send_headers(self) -> None:
        """Send nothing yet."""

    def _emit_body(self, data: bytes) -> None:
        if data:
            self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def close(self) -> None:
        """Send what the answer still lacks."""
        if self.chunked:
            self._send(b"0\r\n\r\n")
        elif not self.headers_sent:
            self._send(b"")

    def sendfile(self, respiter: Any) -> bool:  # noqa: ARG002 - gunicorn's signature
        """Leave a file's blocks to go the way of all others: gevent knows no other either."""
        return False

    def _send(self, data: bytes) -> None:
        if self.headers_sent:
            self.cacheable = None
            self.sock.sendall(data)
            return
        self.must_close = self.should_close()  # it stays so when the rest of a body has come by the end of the answer
        own, others = self._own_and_others()
        before, behind = self._head(others)
        self.headers_sent = True
        self.sock.sendall(b"".join((before, date(), own, behind, data)))
        if self._again is not None and len(data) == self.response_length and not self.must_close:
            header, again = self._again
            self.cacheable = CachedResponse(before, f"\r\n{header}: ".encode("latin-1"), behind + data, again)

    def _own_and_others(self) -> tuple[bytes, list[tuple[str, str]]]:
        """Return the header that differs each time that the answer is given, as it is sent, and the other headers."""
        if self._again is None:
            return b"", self.headers
        name = self._again[0].lower()
        own = [f"\r\n{field}: {value}" for field, value in self.headers if field.lower() == name]
        return "".join(own).encode("latin-1"), [field for field in self.headers if field[0].lower() != name]

    def _head(self, headers: list[tuple[str, str]]) -> tuple[bytes, bytes]:
        """Return the bytes of a head with these headers before and behind the Date."""
        connection = "upgrade" if self.upgrade else "close" if self.must_close else "keep-alive"
        major, minor = self.req.version
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        return (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: ".encode("latin-1"),
            f"\r\nConnection: {connection}\r\n{coding}{fields}\r\n".encode("latin-1"),
        )


def _is_free(header: tuple[Any, ...]) -> bool:
    # A match statement would say it shorter, and take ten times as long.
    return set(map(type, header)) == {str} and _FREE.fullmatch(": ".join(header)) is not None


@functools.lru_cache(maxsize=1024)
def _findings(
    status: str, headers: tuple[tuple[str, str], ...], method: str, version: tuple[int, int]
) -> dict[str, Any]:
    """Return what gunicorn's response finds out at its start, by the name of its attributes."""
    response = Response(SimpleNamespace(method=method, version=version), None, None, bool)
    wsgi.Response.start_response(response, status, headers)
    return {name: getattr(response, name) for name in _FINDINGS}


class _Dates:
    """The Date of answers, written once a second."""

    def __init__(self) -> None:
        self._begins, self._ends, self._text = 0, 0, b""

    def now(self) -> bytes:
        """Return the time as Date has it."""
        now = time.time()
        if not self._begins <= now < self._ends:
            self._begins = int(now)
            self._ends = self._begins + 1
            self._text = util.http_date(self._begins).encode("latin-1")
        return self._text


#: Returns the time as Date has it.
date = _Dates().now
