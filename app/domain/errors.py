"""The domain errors: everything that the service tells its callers or its operator in one clear line.

    ServiceError                  what a caller is told, by a fault code and a text
    ├── InvalidParams     -32602  the call itself: an id, a source or a number of ids that cannot be
    ├── NotAllowed           403  an administrative call without the token
    ├── LookupFailed              the call was right, yet there is no cover to answer with
    │   ├── NoCover          404  the item's page has no cover
    │   │   └── NoSuchItem   404  the origin has no such item
    │   └── OriginError           the origin did not answer properly; it is asked again soon
    │       ├── Blocked      403  it answered with a block
    │       ├── Throttled    429  it asked to wait
    │       ├── OriginFailed 502  a broken or oversized answer, a redirect that is not allowed
    │       │   └── OriginDown   502  no connection, a broken one, or a 5xx: it may be over at the next try
    │       └── TooSlow      504  the page took too long, or the answer would
    └── Overloaded           503  too much waiting here
    SettingsError                 the configuration is wrong: the start stops with this line

Any other exception that leaves a room is a bug: callers are told a reference to the log, and nothing else.
"""

from typing import ClassVar


class ServiceError(Exception):
    """What a caller is told. ``str(error)`` is the text; ``fault_code`` is the XML-RPC fault code."""

    fault_code: ClassVar[int]


class InvalidParams(ServiceError):
    """The call asks for something that cannot be: a malformed id, an unknown source, too many ids."""

    fault_code = -32602


class NotAllowed(ServiceError):
    """An administrative call that does not carry the token."""

    fault_code = 403


class LookupFailed(ServiceError):
    """The call was right, yet there is no cover to answer with.

    ``status`` is the HTTP status of the origin's answer, 0 where there was none.
    """

    def __init__(self, text: str, *, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class NoCover(LookupFailed):
    """The item's page has no cover. ``misses`` says of each rule why it found none."""

    fault_code = 404

    def __init__(self, text: str, misses: tuple[str, ...] = (), *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.misses = misses


class NoSuchItem(NoCover):
    """The origin has no such item: 404 or 410."""


class OriginError(LookupFailed):
    """The origin did not answer properly: nothing is known about the item.

    ``retry_after`` is the number of seconds for which it is not to be asked, 0 where that is not known.
    """

    def __init__(self, text: str, retry_after: float = 0.0, *, status: int = 0) -> None:
        super().__init__(text, status=status)
        self.retry_after = retry_after


class Blocked(OriginError):
    """The origin refuses us: 401, 403 or 451."""

    fault_code = 403


class Throttled(OriginError):
    """The origin asked to wait."""

    fault_code = 429


class OriginFailed(OriginError):
    """A broken or oversized answer, a redirect or an address that is not allowed."""

    fault_code = 502


class OriginDown(OriginFailed):
    """No connection, a broken one, or a 5xx: a failure that may be over at the next try."""


class TooSlow(OriginError):
    """The page took longer than the source's ``timeout``, or the answer longer than ``deadline``."""

    fault_code = 504


class Overloaded(ServiceError):
    """Too much is waiting here already."""

    fault_code = 503


class QueueTimeout(Overloaded):
    """The lookup waited in a queue of this service until its deadline."""

    fault_code = 504


class SettingsError(Exception):
    """The configuration is wrong. The text is one line: where, which key, what was expected."""
