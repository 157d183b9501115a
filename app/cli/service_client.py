"""An XML-RPC client of the service that retries calls while the service restarts."""

import re
import ssl
import time
import xmlrpc.client
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from app.cli.exit_status import ServiceUnreachable, UsageError
from app.cli.output_format import printable_line
from app.domain.version import NAME, VERSION

if TYPE_CHECKING:
    import http.client
    import socket

#: Timeouts in seconds. The longest ``deadline`` of a service is 600 s, so the service reports a slow lookup as a fault
#: before this client times out.
_CONNECT_TIMEOUT = 10.0
_RESPONSE_TIMEOUT = 620.0

_RETRY_DELAY_SECONDS = 0.2
#: The statuses with which a reverse proxy reports that the service behind it is down.
_RETRYABLE_STATUSES = frozenset({502, 503, 504})

#: Characters that XML does not allow (XML 1.0, 2.2). A call that contains one is not well-formed.
_FORBIDDEN_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INVALID_PARAMS = -32602

#: The user name and password in a URL, which messages must not show.
_USERINFO = re.compile("//[^/]*@")


class ServiceFault(Exception):
    """The service returned an XML-RPC fault."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class ServiceClient:
    """Opens connections to the service whose XML-RPC endpoint is at ``url``.

    Before the first response of the service, a failed call raises an error immediately, because the URL is probably
    wrong. After the first response, calls are retried for up to ``retry_seconds`` while the service is down.

    Raises UsageError if ``url`` is not a valid http or https URL.
    """

    def __init__(self, url: str, *, retry_seconds: float = 10.0) -> None:
        self.url = url
        self.retry_seconds = retry_seconds
        self.display_url = _USERINFO.sub("//", url)
        if not _is_valid_url(url):
            raise UsageError(f"--url: expected a URL such as http://127.0.0.1:8080/RPC2, got {self.display_url!r:.200}")
        self.has_responded = False

    def connect(self, source: str = "") -> "Connection":
        """Return a connection. ``source`` is the source of ids that do not name one; "" is the service's default."""
        return Connection(self, source)


class Connection:
    """A persistent HTTP connection to the service, and a context manager that closes it. Not thread-safe.

    Both methods raise ServiceFault if the service returns a fault, and ServiceUnreachable if it does not respond.
    """

    def __init__(self, service: ServiceClient, source: str) -> None:
        self._service = service
        self._source = source
        self._transport = _TlsTransport() if service.url.lower().startswith("https:") else _Transport()
        self._proxy = xmlrpc.client.ServerProxy(service.url, self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._transport.close()

    def get_cover(self, content_id: str) -> str:
        """Return the URL of the id's cover."""
        url = self._call("get_cover", content_id)
        if isinstance(url, str):
            return url
        raise self._unreachable("the result is not a URL")

    def explain_cover(self, content_id: str) -> Mapping[str, Any]:
        """Return the record of the id's cover, as the XML-RPC method ``explain_cover`` defines it."""
        record = self._call("explain_cover", content_id)
        if isinstance(record, dict):
            return record
        raise self._unreachable("the result is not a record")

    def _call(self, method: str, content_id: str) -> object:
        """Call a method, and retry while the service is down. Retries are safe because both methods are idempotent."""
        params = (content_id, self._source) if self._source else (content_id,)
        if any(_FORBIDDEN_IN_XML.search(param) for param in params):
            raise ServiceFault(_INVALID_PARAMS, "expected no control characters")
        deadline = None
        while True:
            try:
                result: object = getattr(self._proxy, method)(*params)
            except xmlrpc.client.Fault as fault:
                self._service.has_responded = True
                raise ServiceFault(fault.faultCode, str(fault.faultString)) from fault
            except Exception as error:  # xmlrpc.client raises various exceptions for responses that it cannot parse
                if deadline is None:
                    deadline = time.monotonic() + self._service.retry_seconds
                if not (self._service.has_responded and _is_retryable(error)) or time.monotonic() > deadline:
                    raise self._unreachable(_describe(error)) from error
                time.sleep(_RETRY_DELAY_SECONDS)
            else:
                self._service.has_responded = True
                return result

    def _unreachable(self, reason: str) -> ServiceUnreachable:
        return ServiceUnreachable(printable_line(f"no service at {self._service.display_url}: {reason}"))


def _is_valid_url(url: str) -> bool:
    """Return whether ``url`` is an http or https URL that can be sent in a request without further encoding."""
    try:
        parts = urlsplit(url)
        has_host = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False
    needs_no_encoding = url.isprintable() and " " not in url and parts.path.isascii() and parts.query.isascii()
    return parts.scheme in {"http", "https"} and has_host and needs_no_encoding


class _Transport(xmlrpc.client.Transport):
    """The transport of xmlrpc.client, extended by timeouts."""

    user_agent = f"{NAME}/{VERSION}"

    def make_connection(self, host: Any) -> Any:  # HTTPConnection here, HTTPSConnection in the subclass
        connection: http.client.HTTPConnection = super().make_connection(host)
        if connection.sock is None:
            connection.timeout = _CONNECT_TIMEOUT
            connection.connect()
            cast("socket.socket", connection.sock).settimeout(_RESPONSE_TIMEOUT)
        return connection


class _TlsTransport(_Transport, xmlrpc.client.SafeTransport):
    """``_Transport`` over TLS."""


def _is_retryable(error: Exception) -> bool:
    """Return whether a service that is down or shutting down may have caused ``error``."""
    if isinstance(error, xmlrpc.client.ProtocolError):
        return error.errcode in _RETRYABLE_STATUSES
    return not isinstance(error, TimeoutError)


def _describe(error: Exception) -> str:
    """Return the error in a few words."""
    if isinstance(error, xmlrpc.client.ProtocolError):
        return f"HTTP {error.errcode} {error.errmsg}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {str(error.reason).replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "the response is not XML-RPC"
