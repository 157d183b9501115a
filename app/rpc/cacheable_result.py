"""A result whose response bytes may be reused for an identical request."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")

#: Called before each reuse of the response: returns whether it is still valid.
IsValid = Callable[[], bool]


class CacheableResult(msgspec.Struct, Generic[V], frozen=True):
    """A published function's result ``value`` and the function that says whether it is still valid."""

    value: V
    is_valid: IsValid
