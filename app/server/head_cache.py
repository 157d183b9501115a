"""What gunicorn makes of a request's head, and the memory of it.

Clients repeat their heads byte for byte. The verdict of gunicorn's own parser on one of them, and the WSGI environ that
it made of it, hold for the next one of the same bytes, at the same listener, from a peer that is trusted as much.
"""

import io
import sys
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import InvalidHeader
from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.parser import RequestParser

from app.server.response_cache import ResponseCache

#: Longer heads are not remembered: those of XML-RPC clients have some 200 bytes.
_MAX_HEAD = 2048

#: Heads that are remembered of a listener.
_MAX_HEADS = 1024

#: Answers that are remembered take so many bytes: some 13,000 of short ones.
_REPEATS_BYTES = 16 * 1024 * 1024

_END = b"\r\n\r\n"

#: Parts of a request that belong to it alone, or to its peer.
_OWN_ATTRIBUTES = {"body", "headers", "peer_addr", "remote_addr", "trailers", "unreader"}
_OWN_VARIABLES = {
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "gunicorn.socket",
    "wsgi.early_hints",
    "wsgi.errors",
    "wsgi.input",
}


class Request(GunicornRequest):
    """A request as gunicorn reads it; one of HTTP/1.1 without Host is refused (RFC 9112, 3.2)."""

    _expected_100_continue: bool

    def set_body_reader(self) -> None:
        """Begin the body."""
        if self.version >= (1, 1) and all(name != "HOST" for name, _ in self.headers):
            raise InvalidHeader("HOST", req=self)
        super().set_body_reader()

    def take_expectation(self) -> bool:
        """Tell whether the peer waits for 100 Continue; gunicorn, which would send it at once, hears no more of it."""
        is_expected = bool(self._expected_100_continue)
        self._expected_100_continue = False
        return is_expected

    def is_body_left(self) -> bool:
        """Tell whether more of the body is to come than has been received."""
        reader = self.body.reader
        if isinstance(reader, LengthReader):
            return bool(reader.length > self.unreader.buf.getbuffer().nbytes)
        return reader.parser is not None


class Parser(RequestParser):
    """gunicorn's parser of the requests of a connection."""

    mesg_class = Request


class KnownRequest(Request):
    """A request whose head is known and whose body is there."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.__dict__ = attributes

    def should_close(self) -> bool:
        """Tell whether the connection ends with it; its head does not ask for that."""
        return bool(self.must_close)

    def is_body_left(self) -> bool:
        """Nothing is."""
        return False


@dataclass(frozen=True, slots=True)
class CachedHead:
    """A head that is known: its bytes, where a request with it ends, and what is made of it."""

    raw: bytes
    end: int
    attributes: dict[str, Any]
    headers: list[tuple[str, str]]
    environ: dict[str, Any]

    def request(self, data: bytes, addr: tuple[Any, ...]) -> KnownRequest:
        """Return the request that ``data`` begins with."""
        return KnownRequest(
            {
                **self.attributes,
                "body": io.BytesIO(data[len(self.raw) : self.end]),
                "headers": self.headers.copy(),
                "peer_addr": addr,
                "remote_addr": addr,
                "trailers": [],
                "unreader": None,
            }
        )


#: Stands for none: no request begins with it.
NO_CACHED_HEAD: Final = CachedHead(raw=b"\0", end=sys.maxsize, attributes={}, headers=[], environ={})


class HeadCache:
    """The heads met last at one listener, from peers that are trusted alike, and answers to requests that have them."""

    def __init__(self, cfg: Any) -> None:
        self.responses = ResponseCache(_REPEATS_BYTES)
        self._heads = LRUCache[bytes, CachedHead](_MAX_HEADS)
        self._errors = _Errors(cfg)

    def find(self, data: bytes, last: CachedHead) -> CachedHead | None:
        """Return the known head of the request that ``data`` begins with; ``last`` is the one of the request before."""
        if data.startswith(last.raw):
            return last
        return self._heads.get(data[: data.find(_END, 0, _MAX_HEAD) + len(_END)])

    def store(self, data: bytes, request: Request, environ: dict[str, Any]) -> None:
        """Remember what gunicorn has made of the request that ``data`` begins with, if it is a plain one.

        Plain is: a POST of HTTP/1.1 with a Content-Length, that expects nothing and ends nothing. The environ is as
        gunicorn has made it: the application has not seen it yet.
        """
        size = data.find(_END, 0, _MAX_HEAD) + len(_END)
        reader = request.body.reader
        is_plain = (
            size > len(_END)
            and data.startswith(b"POST ")
            and request.version == (1, 1)
            and isinstance(reader, LengthReader)
            and "CONTENT_LENGTH" in environ
            and not {"HTTP_EXPECT", "HTTP_UPGRADE"} & environ.keys()
            and not request.should_close()
            # What gunicorn takes for the end of the head is what is taken for it here.
            and request.unreader.buf.getvalue() == data[size:]
        )
        if is_plain:
            attributes = {name: value for name, value in vars(request).items() if name not in _OWN_ATTRIBUTES}
            variables = {name: value for name, value in environ.items() if name not in _OWN_VARIABLES}
            variables["wsgi.errors"] = self._errors
            self._heads[data[:size]] = CachedHead(
                raw=data[:size],
                end=size + reader.length,
                attributes=attributes,
                headers=list(request.headers),
                environ=variables,
            )


class _Errors(wsgi.WSGIErrorsWrapper):
    """gunicorn's wsgi.errors, which looks for the log's files when it is written to: they may have been reopened."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    @property
    def streams(self) -> list[Any]:
        """Where lines go."""
        streams: list[Any] = wsgi.WSGIErrorsWrapper(self._cfg).streams
        return streams
