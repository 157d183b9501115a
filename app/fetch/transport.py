"""The transport under requests: one GET over a connection of ours, every part of its answer within a limit.

It keeps what requests' own adapter leaves to luck: it dials no address that is not allowed, reads no more than it is
told however the bytes are wrapped, lets others have their turn after each receive, and takes no proxy, password or
cookie from anywhere. Time is the caller's: a ``gevent.Timeout`` may end anything here, and nothing is left behind.
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

from app.fetch.connection_pool import Connection, ConnectionPool
from app.fetch.header_fields import HeaderFields, InvalidHeaderFieldError, serialize_fields
from app.fetch.http_request import Endpoint, InvalidUrlError, parse_url, serialize_get
from app.fetch.response_body import ResponseBody, receive
from app.fetch.response_parser import ResponseParser, max_framing_bytes
from app.fetch.transport_errors import LOW_LEVEL_ERRORS, to_requests_error

#: A longer Content-Type says nothing: reading one of 64 kB takes requests 15 ms.
_MAX_CONTENT_TYPE = 256


class TransportAdapter(BaseAdapter):
    """Sends requests over ``connections``, which several transports may share.

    A body may have ``max_bytes``, as sent and after decompression. Addresses that are not public are dialled only with
    ``private_network``.
    """

    def __init__(self, *, pool: ConnectionPool, max_bytes: int, private_network: bool) -> None:
        super().__init__()
        self._connections = pool
        self._max_bytes = max_bytes
        self._private_network = private_network
        # Against what the reader of answers does not see: records of TLS that hold next to nothing, or nothing.
        self._budget = max_bytes + max_framing_bytes(max_bytes)

    def send(  # noqa: PLR0917 - BaseAdapter has it so
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - BaseAdapter has it so; a body is read when asked for
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002 - certificates are always checked, by one context
        cert: Any = None,  # noqa: ARG002 - not offered
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - requests takes them from the environment
    ) -> Response:
        """Send a GET without a body and return its answer, the body yet to be read.

        ``timeout``, or the first of two, is for the connection; the second is for each wait for a byte.

        Raises:
            InvalidURL: this cannot be asked for, or (AddressRefused) its host must not be dialled.
            InvalidHeader: a request field that cannot be sent.
            BadAnswer: the answer breaks HTTP or a limit.
            ConnectTimeout, ReadTimeout: it takes too long.
            SSLError: TLS failed, or the certificate is not the host's.
            ConnectionError: no connection, or a broken one.

        """
        if request.method != "GET" or request.body:
            raise ValueError("only a GET without a body is sent")
        try:
            endpoint, target = parse_url(request.url or "")
            fields = request.headers
            head = serialize_get(
                endpoint,
                target,
                fields.serialized if type(fields) is HeaderFields else serialize_fields(fields.items()),
            )
        except InvalidUrlError as error:
            raise InvalidURL(str(error)) from error
        except InvalidHeaderFieldError as error:
            raise InvalidHeader(str(error)) from error
        to_connect, to_read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            connection, answer = self._ask(endpoint, head, to_connect, to_read)
        except LOW_LEVEL_ERRORS as error:
            raise to_requests_error(error) from error
        encoding = answer.fields.get("content-encoding", "")
        raw = ResponseBody(connection, answer, pool=self._connections, max_bytes=self._max_bytes, encoding=encoding)
        return _Answered(request, answer, raw)

    def close(self) -> None:
        """Close the connections that wait."""
        self._connections.close()

    def _ask(
        self, endpoint: Endpoint, head: bytes, to_connect: float | None, to_read: float | None
    ) -> tuple[Connection, ResponseParser]:
        """Send a request and read up to the end of the answer's head, over a connection that waits if there is one."""
        waiting = self._connections.acquire_idle(endpoint, private_network=self._private_network)
        if waiting is not None:
            try:
                return waiting, self._exchange(waiting, head, to_read)
            except (ConnectionError, ssl.SSLError):
                if waiting.has_received:
                    raise
                # It was closed while the request was on its way: that says nothing of the request.
        connection = self._connections.connect(endpoint, private_network=self._private_network, timeout=to_connect)
        return connection, self._exchange(connection, head, to_read)

    def _exchange(self, connection: Connection, head: bytes, to_read: float | None) -> ResponseParser:
        answer = ResponseParser()
        try:
            connection.send(head, budget=self._budget, timeout=to_read)
            while not answer.has_headers:
                answer.feed(receive(connection))
        except BaseException:  # whichever way out, Timeout and GreenletExit included
            connection.close()
            answer.close()
            raise
        return answer


class _Answered(Response):
    """requests' own response; but its cookies, which cost more than all the rest of it, are made when asked for."""

    _blank: ClassVar = {name: value for name, value in vars(Response()).items() if name != "cookies"}

    def __init__(self, request: PreparedRequest, answer: ResponseParser, raw: ResponseBody) -> None:
        self.__dict__.update(self._blank)
        self.history = []
        self.status_code = answer.status
        self.reason = answer.reason.decode("latin-1")
        self.headers = HeaderFields(answer.fields)
        content_type = answer.fields.get("content-type", "")
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
