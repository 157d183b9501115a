"""A result whose response bytes may be reused for an identical request."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")

#: Called before each reuse of a response; returns whether the response is still valid.
IsValid = Callable[[], bool]


class CacheableResult(msgspec.Struct, Generic[V], frozen=True):
    """The result ``value`` of a published function, and ``is_valid`` for the response with this result."""

    value: V
    is_valid: IsValid
