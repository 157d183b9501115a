"""The exceptions of the application, each with the XML-RPC fault code that callers receive.

    ServiceError                  the call fails with a fault: a code and one line of text
    ├── InvalidParams     -32602  an invalid id, source or number of ids
    ├── NotAllowed           403  an administrative call without a valid token
    ├── LookupFailed              the call was valid, but there is no cover to return
    │   ├── NoCover          404  the page of the item has no cover
    │   │   └── NoSuchItem   404  the origin has no such item
    │   └── OriginError           the origin sent no usable response, so nothing is known about the item
    │       ├── Blocked      403  a refusal, a challenge page, or a page that robots.txt forbids
    │       ├── Throttled    429  the origin asked the service to slow down
    │       ├── OriginFailed 502  an invalid or oversized response, or a redirect that is not allowed
    │       │   └── OriginDown   502  a connection failure or a 5xx status, after which a retry may succeed
    │       └── TooSlow      504  a timeout of the page fetch or of the whole call
    └── Overloaded           503  too much work in this worker, or a store that is unavailable
    SettingsError                 an invalid configuration, with which the service does not start

Any other exception that reaches the dispatcher is a bug. The caller then receives only a reference to the log.
"""

from typing import ClassVar


class ServiceError(Exception):
    """An error that is reported to the caller. ``fault_code`` is the XML-RPC fault code, ``str(error)`` is the text."""

    fault_code: ClassVar[int]


class InvalidParams(ServiceError):
    """An argument is invalid, for example a malformed id, an unknown source, or too many ids."""

    fault_code = -32602


class NotAllowed(ServiceError):
    """An administrative call without a valid token."""

    fault_code = 403


class LookupFailed(ServiceError):
    """The call was valid, but there is no cover to return.

    ``status`` is the HTTP status of the origin's response, or 0 if there was no response.
    """

    def __init__(self, text: str, *, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class NoCover(LookupFailed):
    """The page of the item has no cover. ``misses`` has ``"<rule>: <reason>"`` for each rule."""

    fault_code = 404

    def __init__(self, text: str, misses: tuple[str, ...] = (), *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.misses = misses


class NoSuchItem(NoCover):
    """The origin has no such item: status 404 or 410."""


class OriginError(LookupFailed):
    """The origin sent no usable response, so nothing is known about the item.

    ``retry_after`` is the number of seconds to wait before the next request, or 0 if it is not known.
    """

    def __init__(self, text: str, retry_after: float = 0.0, *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.retry_after = retry_after


class Blocked(OriginError):
    """The origin refused the request (status 401, 403, 451 or a challenge page), or robots.txt forbids the page."""

    fault_code = 403


class Throttled(OriginError):
    """The origin asked the service to slow down, for example with status 429."""

    fault_code = 429


class OriginFailed(OriginError):
    """An invalid or oversized response, or a redirect or an address that is not allowed."""

    fault_code = 502


class OriginDown(OriginFailed):
    """No connection, a broken connection, or a 5xx status. A retry may succeed."""


class TooSlow(OriginError):
    """The page fetch took longer than the ``timeout`` of the source, or the call took longer than ``deadline``."""

    fault_code = 504


class Overloaded(ServiceError):
    """This worker has too many lookups in progress or waiting for a host, or a store is needed and unavailable."""

    fault_code = 503


class InternalError(ServiceError):
    """A bug of the service. The text has a reference that the log has too."""

    fault_code = -32603


class QueueTimeout(Overloaded):
    """The lookup waited in a queue of this service until its deadline."""

    fault_code = 504


class SettingsError(Exception):
    """The configuration is invalid. The text is one line with the place, the key, the expected and the actual value."""
