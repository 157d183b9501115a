"""Responses that are reused for byte-identical requests, for as long as the application allows.

The application makes its response cacheable through ``environ["covers.cache_response"]``; see
``Response.allow_caching``. A cached response is sent again with a new Date and a new value of one field. Neither
gunicorn's parser nor the application runs.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

#: Estimated memory of an entry in addition to its bytes: the tuple, the function and what the function refers to.
_OVERHEAD_BYTES = 800


class CachedResponse(NamedTuple):
    """The bytes of a response without its Date and without the value of one field.

    ``next_value`` returns the value of that field for the next reuse, or None if the response is no longer valid.
    """

    before_date: bytes
    before_value: bytes
    after_value: bytes
    next_value: Callable[[], bytes | None]


class ResponseCache:
    """Cached responses by the bytes of their requests. Beyond ``max_bytes`` the oldest are evicted (FIFO)."""

    def __init__(self, max_bytes: int) -> None:
        self._free_bytes = max_bytes
        self._responses = OrderedDict[bytes, CachedResponse]()  # finds its oldest key in O(1), unlike a dict
        #: Returns the response to the request with these bytes, or None. ``next_value`` says whether it is still valid.
        self.get = self._responses.get

    def __len__(self) -> int:
        return len(self._responses)

    def put(self, request: bytes, response: CachedResponse) -> None:
        """Store the response to a request."""
        self.drop(request)
        self._responses[request] = response
        self._free_bytes -= _size(request, response)
        while self._free_bytes < 0:
            self.drop(next(iter(self._responses)))

    def drop(self, request: bytes) -> None:
        """Remove the response to a request, if there is one."""
        response = self._responses.pop(request, None)
        if response is not None:
            self._free_bytes += _size(request, response)


def _size(request: bytes, response: CachedResponse) -> int:
    before_date, before_value, after_value, _ = response
    return len(request) + len(before_date) + len(before_value) + len(after_value) + _OVERHEAD_BYTES
