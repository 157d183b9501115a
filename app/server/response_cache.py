"""Answers that may be given again: by the very bytes of their requests, for as long as the application says.

Clients repeat their requests byte for byte. Where the application says of an answer, by ``environ["worker.repeat"]``,
that it holds for as long as a function returns a value for one of its headers, whoever sends the same bytes meanwhile
is sent the same answer, with that value and another Date, and neither parser nor application are asked.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

#: What an answer takes beside its bytes and those of its request: the tuple, the function and what that needs.
_OVERHEAD = 800


class CachedResponse(NamedTuple):
    """An answer that may be given again: its bytes before the Date, from there to a header's value, and behind that.

    ``again`` returns the value that this header has the next time, or None when the answer holds no more.
    """

    before: bytes
    between: bytes
    behind: bytes
    header_value: Callable[[], bytes | None]


class ResponseCache:
    """The answers to requests by their bytes, some ``size`` bytes in all; the oldest goes first."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._repeats = OrderedDict[bytes, CachedResponse]()  # whose oldest is found at once, unlike a dict's
        #: Returns the answer to the request of these bytes, if there is one; whether it holds, ``again`` tells.
        self.get = self._repeats.get

    def __len__(self) -> int:
        return len(self._repeats)

    def put(self, request: bytes, repeat: CachedResponse) -> None:
        """Keep the answer to this request."""
        self.drop(request)
        self._repeats[request] = repeat
        self._left -= _size(request, repeat)
        while self._left < 0:
            self.drop(next(iter(self._repeats)))

    def drop(self, request: bytes) -> None:
        """Drop the answer to this request, if there is one."""
        repeat = self._repeats.pop(request, None)
        if repeat is not None:
            self._left += _size(request, repeat)


def _size(request: bytes, repeat: CachedResponse) -> int:
    return len(request) + len(repeat.before) + len(repeat.between) + len(repeat.behind) + _OVERHEAD
