"""The exceptions of the application, each with the XML-RPC fault code that callers receive.

    ServiceError                  the call fails with a fault: a code and one line of text
    ├── InvalidParams     -32602  an invalid id, source or number of ids
    ├── NotAllowed           403  an administrative call without a valid token
    ├── LookupFailed              the call was valid, but there is no cover to return
    │   ├── NoCover          404  the item's page has no cover
    │   │   └── NoSuchItem   404  the origin has no such item
    │   └── OriginError           the origin sent no usable response; its item is fetched again soon
    │       ├── Blocked      403  a refusal, a challenge page, or robots.txt forbids the page
    │       ├── Throttled    429  the origin asked the service to slow down
    │       ├── OriginFailed 502  an invalid or oversized response, or a redirect that is not allowed
    │       │   └── OriginDown   502  a connection failure or a 5xx status: a retry may succeed
    │       └── TooSlow      504  a timeout of the page, or of the whole call
    └── Overloaded           503  too many requests are waiting in this worker
    SettingsError                 the configuration is invalid: the service does not start

Any other exception that reaches the dispatcher is a bug. The caller then receives only a reference to the log.
"""

from typing import ClassVar


class ServiceError(Exception):
    """An error that is reported to the caller: ``fault_code`` is the XML-RPC fault code, ``str(error)`` the text."""

    fault_code: ClassVar[int]


class InvalidParams(ServiceError):
    """An argument is invalid: a malformed id, an unknown source, too many ids."""

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
    """The item's page has no cover. ``misses`` has, for each rule, the reason why it found none."""

    fault_code = 404

    def __init__(self, text: str, misses: tuple[str, ...] = (), *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.misses = misses


class NoSuchItem(NoCover):
    """The origin has no such item: status 404 or 410."""


class OriginError(LookupFailed):
    """The origin sent no usable response, so nothing is known about the item.

    ``retry_after`` is the number of seconds to wait before the next request, or 0 if the origin named none.
    """

    def __init__(self, text: str, retry_after: float = 0.0, *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.retry_after = retry_after


class Blocked(OriginError):
    """The origin refuses the request (status 401, 403 or 451, or a challenge page), or its robots.txt forbids it."""

    fault_code = 403


class Throttled(OriginError):
    """The origin asked the service to slow down: status 429, for example."""

    fault_code = 429


class OriginFailed(OriginError):
    """An invalid or oversized response, or a redirect or an address that is not allowed."""

    fault_code = 502


class OriginDown(OriginFailed):
    """No connection, a broken connection, or a 5xx status: a retry may succeed."""


class TooSlow(OriginError):
    """The page took longer than the source's ``timeout``, or the call longer than ``deadline``."""

    fault_code = 504


class Overloaded(ServiceError):
    """Too many requests are waiting in this worker."""

    fault_code = 503


class InternalError(ServiceError):
    """A bug of the service. The text has a reference that the log has too."""

    fault_code = -32603


class QueueTimeout(Overloaded):
    """The lookup waited in a queue of this service until its deadline."""

    fault_code = 504


class SettingsError(Exception):
    """The configuration is invalid. The text is one line: the place, the key, what was expected and what was found."""
