"""Asking: a running service, called over XML-RPC with no more than any other client has."""

import http.client
import re
import ssl
import time
import xmlrpc.client
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from app.cli.exit_status import ServiceUnreachable, UsageError
from app.cli.output_format import one_line
from app.domain.version import NAME, VERSION

if TYPE_CHECKING:
    import socket

_CONNECT_SECONDS = 10.0
#: Beyond the longest deadline that a service may have, which is ten minutes: it is for the service to say "too slow".
_ANSWER_SECONDS = 620.0

#: How soon a service that is away is tried again.
_PAUSE_SECONDS = 0.2
#: What a proxy in front of a service answers while that is away.
_AWAY_STATUSES = frozenset({502, 503, 504})

#: What XML has no place for (XML 1.0, 2.2); a service would take the call for a broken one.
_UNSENDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INVALID_PARAMS = -32602

#: The name and the password in a URL: they are not repeated in messages.
_USER = re.compile("//[^/]*@")


class ServiceFault(Exception):
    """The service answered with a fault: its ``code``, and its ``text``."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class ServiceClient:
    """The service whose XML-RPC is answered at ``url``. Raises WrongUsage where that is no http or https URL.

    Once it has answered it may be away for ``patience`` seconds, as it is while it is started anew.
    """

    def __init__(self, url: str, *, patience: float = 10.0) -> None:
        self.url = url
        self.patience = patience
        self.name = _USER.sub("//", url)
        if not _can_be_asked(url):
            raise UsageError(f"--url: expected a URL such as http://127.0.0.1:8080/RPC2, got {self.name!r:.200}")
        #: Whether it ever has: one that never did is a wrong URL.
        self.has_answered = False

    def connect(self, source: str = "") -> "Connection":
        """Return a connection to it; ``source`` is that of ids that name none, empty for the service's default."""
        return Connection(self, source)


class Connection:
    """One connection to a service, kept alive from call to call and closed at the end of its block; for one thread."""

    def __init__(self, service: ServiceClient, source: str) -> None:
        self._service = service
        self._source = source
        self._transport = _TlsTransport() if service.url.lower().startswith("https:") else _Transport()
        self._proxy = xmlrpc.client.ServerProxy(service.url, self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._transport.close()

    def find(self, content_id: str) -> str:
        """Return the URL of an item's cover. Raises Refused where there is none, Unreachable."""
        url = self._call("get_cover", content_id)
        if isinstance(url, str):
            return url
        raise self._unreachable("its answer is no URL")

    def explain(self, content_id: str) -> Mapping[str, Any]:
        """Return the record of an item's cover, as ``explain_cover`` has it. Raises Refused, Unreachable."""
        record = self._call("explain_cover", content_id)
        if isinstance(record, dict):
            return record
        raise self._unreachable("its answer is no record")

    def _call(self, method: str, content_id: str) -> object:
        """Call it until it answers: such calls can be repeated."""
        params = (content_id, self._source) if self._source else (content_id,)
        if any(_UNSENDABLE.search(param) for param in params):
            raise ServiceFault(_INVALID_PARAMS, "expected no control characters")
        until = None
        while True:
            try:
                answer: object = getattr(self._proxy, method)(*params)
            except xmlrpc.client.Fault as fault:
                self._service.has_answered = True
                raise ServiceFault(fault.faultCode, str(fault.faultString)) from fault
            except Exception as error:  # who is no XML-RPC service may answer with anything
                if until is None:
                    until = time.monotonic() + self._service.patience
                if not (self._service.has_answered and _may_pass(error)) or time.monotonic() > until:
                    raise self._unreachable(_reason(error)) from error
                time.sleep(_PAUSE_SECONDS)
            else:
                self._service.has_answered = True
                return answer

    def _unreachable(self, reason: str) -> ServiceUnreachable:
        return ServiceUnreachable(one_line(f"no service at {self._service.name}: {reason}"))


def _can_be_asked(url: str) -> bool:
    """Whether this is an http or https URL as it may stand in a request."""
    try:
        parts = urlsplit(url)
        has_host = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False
    is_plain = url.isprintable() and " " not in url and parts.path.isascii() and parts.query.isascii()
    return parts.scheme in {"http", "https"} and has_host and is_plain


class _Transport(xmlrpc.client.Transport):
    """xmlrpc.client's own way to a server, except that it does not wait for ever."""

    user_agent = f"{NAME}/{VERSION}"

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        _connect(connection)
        return connection


class _TlsTransport(xmlrpc.client.SafeTransport):
    """Likewise, over TLS."""

    user_agent = _Transport.user_agent

    def make_connection(self, host: Any) -> http.client.HTTPSConnection:
        connection = super().make_connection(host)
        _connect(connection)
        return connection


def _connect(connection: http.client.HTTPConnection) -> None:
    """Connect it where it is not, with one bound for that and another one for answers."""
    if connection.sock is None:
        connection.timeout = _CONNECT_SECONDS
        connection.connect()
        cast("socket.socket", connection.sock).settimeout(_ANSWER_SECONDS)


def _may_pass(error: Exception) -> bool:
    """Whether this comes of a service that is away, or is just leaving."""
    if isinstance(error, xmlrpc.client.ProtocolError):
        return error.errcode in _AWAY_STATUSES
    return not isinstance(error, TimeoutError)


def _reason(error: Exception) -> str:
    """Return what went wrong, in a few words."""
    if isinstance(error, xmlrpc.client.ProtocolError):
        return f"HTTP {error.errcode} {error.errmsg}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {str(error.reason).replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "what answers there is no XML-RPC"
