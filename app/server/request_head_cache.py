"""gunicorn's request parser, and a cache of the request heads that it has parsed.

Clients repeatedly send heads that are identical byte for byte. The parsed head and the WSGI environ depend on the bytes
of the head, on the listener, and on whether the client is a trusted proxy. One ``HeadCache`` therefore serves one
listener, and either trusted proxies or all other clients.
"""

import io
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import InvalidHeader
from gunicorn.http.parser import RequestParser

from app.server.proxy_protocol import ProxyProtocolRequest
from app.server.response_cache import ResponseCache

#: Longer heads are not cached. The heads of XML-RPC clients have about 200 bytes.
_MAX_HEAD_BYTES = 2048

_MAX_HEADS = 1024

#: The size of a response cache. It is enough for about 13,000 short responses.
_MAX_RESPONSE_BYTES = 16 * 1024 * 1024

_HEAD_END = b"\r\n\r\n"

#: Attributes of gunicorn's request that differ between requests with the same head.
_REQUEST_ATTRIBUTES = {"body", "headers", "peer_addr", "remote_addr", "trailers", "unreader"}

#: Keys of the environ that differ between requests with the same head.
_REQUEST_VARIABLES = {
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "gunicorn.socket",
    "wsgi.early_hints",
    "wsgi.errors",
    "wsgi.input",
}


class Request(ProxyProtocolRequest):
    """gunicorn's request, which also rejects HTTP/1.1 without Host (RFC 9112, 3.2)."""

    _expected_100_continue: bool

    def set_body_reader(self) -> None:
        """Check that Host is present, then prepare the body. gunicorn calls this after it has parsed the head."""
        if self.version >= (1, 1) and all(name != "HOST" for name, _ in self.headers):
            raise InvalidHeader("HOST", req=self)
        super().set_body_reader()

    def take_continue_expectation(self) -> bool:
        """Return whether the client expects 100 Continue, and prevent gunicorn from sending it immediately."""
        is_expected = bool(self._expected_100_continue)
        self._expected_100_continue = False
        return is_expected

    def is_body_incomplete(self) -> bool:
        """Return whether a part of the body has not been received yet."""
        reader = self.body.reader
        if isinstance(reader, LengthReader):
            return bool(reader.length > self.unreader.buf.getbuffer().nbytes)
        return reader.parser is not None


class Parser(RequestParser):
    """gunicorn's parser for the requests of a connection."""

    mesg_class = Request


class CachedHeadRequest(Request):
    """A request whose head was cached and whose body has been received."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.__dict__ = attributes

    def should_close(self) -> bool:
        """Return whether the connection closes after this request. Heads that request the close are not cached."""
        return bool(self.must_close)

    def is_body_incomplete(self) -> bool:
        """Return False, because the body has been received."""
        return False


@dataclass(frozen=True, slots=True)
class CachedHead:
    """A parsed head: its bytes, the length of a request with this head, and the results of gunicorn's parser.

    ``attributes``, ``headers`` and ``environ`` are the same for all requests with this head.
    """

    raw: bytes
    request_length: int
    attributes: dict[str, Any]
    headers: list[tuple[str, str]]
    environ: dict[str, Any]

    def request(self, data: bytes, client_address: tuple[Any, ...]) -> CachedHeadRequest:
        """Return the request at the start of ``data``, which must contain this head and the whole body."""
        return CachedHeadRequest(
            {
                **self.attributes,
                "body": io.BytesIO(data[len(self.raw) : self.request_length]),
                "headers": self.headers.copy(),
                "peer_addr": client_address,
                "remote_addr": client_address,
                "trailers": [],
                "unreader": None,
            }
        )


class HeadCache:
    """The heads last received by one listener from clients of equal trust, and the cached responses for these clients.

    ``cfg`` is gunicorn's configuration.
    """

    def __init__(self, cfg: Any) -> None:
        self.responses = ResponseCache(_MAX_RESPONSE_BYTES)
        self._heads = LRUCache[bytes, CachedHead](_MAX_HEADS)
        self._errors = _ErrorStream(cfg)

    def find(self, data: bytes, previous: CachedHead | None) -> CachedHead | None:
        """Return the cached head at the start of ``data``, or None if the head is not cached.

        ``previous`` is the head of the connection's previous request. If it matches, no look-up is needed.
        """
        if previous is not None and data.startswith(previous.raw):
            return previous
        return self._heads.get(data[: data.find(_HEAD_END, 0, _MAX_HEAD_BYTES) + len(_HEAD_END)])

    def store(self, data: bytes, request: Request, environ: dict[str, Any]) -> None:
        """Store the head of the request at the start of ``data``, with gunicorn's results, if it can be cached.

        The head of an HTTP/1.1 POST with Content-Length can be cached, unless it has Expect or Upgrade or closes the
        connection. The application must not have changed ``environ`` yet.
        """
        size = data.find(_HEAD_END, 0, _MAX_HEAD_BYTES) + len(_HEAD_END)
        reader = request.body.reader
        is_cacheable = (
            size > len(_HEAD_END)
            and data.startswith(b"POST ")
            and request.version == (1, 1)
            and isinstance(reader, LengthReader)
            and "CONTENT_LENGTH" in environ
            and not {"HTTP_EXPECT", "HTTP_UPGRADE"} & environ.keys()
            and not request.should_close()
            # gunicorn's parser must have found the end of the head at the same offset.
            and request.unreader.buf.getvalue() == data[size:]
        )
        if is_cacheable:
            attributes = {name: value for name, value in vars(request).items() if name not in _REQUEST_ATTRIBUTES}
            variables = {name: value for name, value in environ.items() if name not in _REQUEST_VARIABLES}
            variables["wsgi.errors"] = self._errors
            self._heads[data[:size]] = CachedHead(
                raw=data[:size],
                request_length=size + reader.length,
                attributes=attributes,
                headers=list(request.headers),
                environ=variables,
            )


class _ErrorStream(wsgi.WSGIErrorsWrapper):
    """wsgi.errors for many requests. It looks up the log's streams for each write, because logs may be reopened."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    @property
    def streams(self) -> list[Any]:
        """The streams that lines are written to."""
        streams: list[Any] = wsgi.WSGIErrorsWrapper(self._cfg).streams
        return streams
