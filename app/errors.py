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
    │       ├── OriginFailed 502  connection failure, 5xx, a broken or oversized answer
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
    """The call was right, yet there is no cover to answer with."""


class NoCover(LookupFailed):
    """The item's page has no cover."""

    fault_code = 404


class NoSuchItem(NoCover):
    """The origin has no such item: 404 or 410."""


class OriginError(LookupFailed):
    """The origin did not answer properly: nothing is known about the item."""


class Blocked(OriginError):
    """The origin refuses us: 401, 403 or 451."""

    fault_code = 403


class Throttled(OriginError):
    """The origin asked to wait for ``retry_after`` seconds."""

    fault_code = 429

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class OriginFailed(OriginError):
    """A connection failure, a 5xx, a broken or oversized answer, a redirect that is not allowed."""

    fault_code = 502


class TooSlow(OriginError):
    """The page took longer than the source's ``timeout``, or the answer longer than ``deadline``."""

    fault_code = 504


class Overloaded(ServiceError):
    """Too much is waiting here already."""

    fault_code = 503


class SettingsError(Exception):
    """The configuration is wrong. The text is one line: where, which key, what was expected."""
