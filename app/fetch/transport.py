"""A transport adapter for the requests library that limits every part of a response.

It differs from the library's own adapter in these points: it connects only to allowed addresses; it limits the bytes
that it reads, framing and decompressed content included; it regularly yields to other greenlets; and it uses no proxies
or client certificates. A ``gevent.Timeout`` of the caller may interrupt it at any point. The connection in use is
closed then.
"""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidHeader, InvalidURL
from requests.utils import get_encoding_from_headers

from app.fetch.connection import Connection
from app.fetch.connection_pool import ConnectionPool
from app.fetch.header_fields import HeaderFields, InvalidHeaderFieldError, serialize_fields
from app.fetch.http_request import Endpoint, InvalidUrlError, parse_url, serialize_get
from app.fetch.response_body import ResponseBody
from app.fetch.response_parser import ResponseParser, max_framing_bytes
from app.fetch.transport_errors import LOW_LEVEL_ERRORS, to_requests_error

#: A longer Content-Type is not parsed, because the requests library takes 15 ms to parse one of 64 kB.
_MAX_CONTENT_TYPE = 256


class TransportAdapter(BaseAdapter):
    """Sends requests over the connections of ``pool``, which several adapters may share.

    A body may have at most ``max_bytes`` bytes, both before and after decompression. Connections to addresses that are
    not public are made only if ``private_network`` is set.
    """

    def __init__(self, *, pool: ConnectionPool, max_bytes: int, private_network: bool) -> None:
        super().__init__()
        self._pool = pool
        self._max_bytes = max_bytes
        self._private_network = private_network
        # Limits bytes that the response parser does not see, such as those of TLS records with little or no content.
        self._budget = max_bytes + max_framing_bytes(max_bytes)

    def send(  # noqa: PLR0917 - the signature of BaseAdapter
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - likewise; the body is always read on demand
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002 - certificates are always verified, by one context
        cert: Any = None,  # noqa: ARG002 - client certificates are not supported
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - proxies are not supported
    ) -> Response:
        """Send a GET request without a body. Return the response, before its body is read.

        ``timeout`` is a pair of the connect timeout and the timeout of each read, in seconds, or one number for both.

        Raises:
            InvalidURL: the URL is invalid, or (AddressNotAllowed) connections to its host are not allowed.
            InvalidHeader: a request header field cannot be sent.
            InvalidResponse: the response violates HTTP or exceeds a limit.
            ConnectTimeout, ReadTimeout: a timeout has passed.
            SSLError: TLS failed, or the certificate is not valid for the host.
            ConnectionError: no connection could be made, or the connection broke.
            Overloaded: too many DNS lookups are in progress.

        """
        if request.method != "GET" or request.body:
            raise ValueError("only a GET without a body is sent")
        try:
            endpoint, target = parse_url(request.url or "")
            fields = request.headers
            data = serialize_get(
                endpoint,
                target,
                fields.serialized if type(fields) is HeaderFields else serialize_fields(fields.items()),
            )
        except InvalidUrlError as error:
            raise InvalidURL(str(error)) from error
        except InvalidHeaderFieldError as error:
            raise InvalidHeader(str(error)) from error
        connect_timeout, read_timeout = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            connection, parser = self._request(endpoint, data, connect_timeout, read_timeout)
        except LOW_LEVEL_ERRORS as error:
            raise to_requests_error(error) from error
        encoding = parser.fields.get("content-encoding", "")
        raw = ResponseBody(connection, parser, pool=self._pool, max_bytes=self._max_bytes, encoding=encoding)
        return _LazyCookiesResponse(request, parser, raw)

    def close(self) -> None:
        """Close the idle connections of the pool."""
        self._pool.close()

    def _request(
        self, endpoint: Endpoint, data: bytes, connect_timeout: float | None, read_timeout: float | None
    ) -> tuple[Connection, ResponseParser]:
        """Send a request over an idle connection or a new one, and read the header of the response."""
        idle = self._pool.acquire_idle(endpoint, private_network=self._private_network)
        if idle is not None:
            try:
                return idle, self._exchange(idle, data, read_timeout)
            except (ConnectionError, ssl.SSLError):
                if idle.has_received:
                    raise
                # The server closed the idle connection without a response. A new connection is used instead.
        connection = self._pool.connect(endpoint, private_network=self._private_network, timeout=connect_timeout)
        return connection, self._exchange(connection, data, read_timeout)

    def _exchange(self, connection: Connection, data: bytes, read_timeout: float | None) -> ResponseParser:
        """Send a request and read the header of the response; close the connection on any exception."""
        parser = ResponseParser()
        try:
            connection.send(data, budget=self._budget, timeout=read_timeout)
            while not parser.has_headers:
                parser.feed(connection.receive())
        except BaseException:  # Timeout and GreenletExit included
            connection.close()
            parser.close()
            raise
        return parser


class _LazyCookiesResponse(Response):
    """A response that makes its cookie jar on first access, because the jar costs more than all the rest."""

    _defaults: ClassVar = {name: value for name, value in vars(Response()).items() if name != "cookies"}

    def __init__(self, request: PreparedRequest, parser: ResponseParser, raw: ResponseBody) -> None:
        self.__dict__.update(self._defaults)
        self.history = []
        self.status_code = parser.status
        self.reason = parser.reason.decode("latin-1")
        self.headers = HeaderFields(parser.fields)
        content_type = parser.fields.get("content-type", "")
        self.encoding = _encoding_of(content_type) if 0 < len(content_type) <= _MAX_CONTENT_TYPE else None
        self.url = request.url or ""
        self.request = request
        self.raw = raw

    def __getattr__(self, name: str) -> RequestsCookieJar:
        if name != "cookies":
            raise AttributeError(name)
        self.cookies = RequestsCookieJar()
        return self.cookies


@lru_cache(256)
def _encoding_of(content_type: str) -> str | None:
    return get_encoding_from_headers(HeaderFields({"content-type": content_type}))
