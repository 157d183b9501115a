"""The transport under requests: one GET over a connection of ours, every part of its answer within a limit.

It keeps what requests' own adapter leaves to luck: it dials no address that is not allowed, reads no more than it is
told however the bytes are wrapped, lets others have their turn after each receive, and takes no proxy, password or
cookie from anywhere. Time is the caller's: a ``gevent.Timeout`` may end anything here, and nothing is left behind.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidHeader, InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from app.origin.answer import Answer, framing_allowance
from app.origin.connections import Connection, Connections
from app.origin.failures import FOREIGN, translated
from app.origin.raw_body import RawBody, receive
from app.origin.request import BadFieldError, BadUrlError, Endpoint, read_url, write_get


class Transport(BaseAdapter):
    """Sends requests over ``connections``, which several transports may share.

    A body may have ``max_bytes``, as sent and after decompression. Addresses that are not public are dialled only with
    ``private_network``.
    """

    def __init__(self, *, connections: Connections, max_bytes: int, private_network: bool) -> None:
        super().__init__()
        self._connections = connections
        self._max_bytes = max_bytes
        self._private_network = private_network
        # Against what the reader of answers does not see: records of TLS that hold next to nothing, or nothing.
        self._budget = max_bytes + framing_allowance(max_bytes)

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
            endpoint, target = read_url(request.url or "")
            head = write_get(endpoint, target, request.headers.items())
        except BadUrlError as error:
            raise InvalidURL(str(error)) from error
        except BadFieldError as error:
            raise InvalidHeader(str(error)) from error
        to_connect, to_read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            connection, answer = self._ask(endpoint, head, to_connect, to_read)
        except FOREIGN as error:
            raise translated(error) from error
        response = Response()
        response.status_code = answer.status
        response.reason = answer.reason.decode("latin-1")
        response.headers = _joined(answer.fields)
        response.encoding = get_encoding_from_headers(response.headers)
        response.url = request.url or ""
        response.request = request
        response.raw = RawBody(
            connection,
            answer,
            connections=self._connections,
            max_bytes=self._max_bytes,
            encoding=response.headers.get("Content-Encoding", ""),
        )
        return response

    def close(self) -> None:
        """Close the connections that wait."""
        self._connections.close()

    def _ask(
        self, endpoint: Endpoint, head: bytes, to_connect: float | None, to_read: float | None
    ) -> tuple[Connection, Answer]:
        """Send a request and read up to the end of the answer's head, over a connection that waits if there is one."""
        waiting = self._connections.take(endpoint, private_network=self._private_network)
        if waiting is not None:
            try:
                return waiting, self._exchange(waiting, head, to_read)
            except (ConnectionError, ssl.SSLError):
                if waiting.has_answered:
                    raise
                # It was closed while the request was on its way: that says nothing of the request.
        connection = self._connections.dial(endpoint, private_network=self._private_network, timeout=to_connect)
        return connection, self._exchange(connection, head, to_read)

    def _exchange(self, connection: Connection, head: bytes, to_read: float | None) -> Answer:
        answer = Answer()
        try:
            connection.send(head, budget=self._budget, timeout=to_read)
            while not answer.is_begun:
                answer.feed(receive(connection))
        except BaseException:  # whichever way out, Timeout and GreenletExit included
            connection.close()
            raise
        return answer


def _joined(fields: list[tuple[str, str]]) -> CaseInsensitiveDict[str]:
    """Return header fields by their names, the values of one that came several times as a list (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in fields:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return CaseInsensitiveDict(joined)
