"""A lasting value: an answer that may be given again, to the very same request, for as long as it holds."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")

#: Tells, each time that an answer is to be given again, whether it may be.
IsValid = Callable[[], bool]


class CacheableResult(msgspec.Struct, Generic[V], frozen=True):
    """What a published function may return: the value, and what tells whether it still holds."""

    value: V
    is_valid: IsValid
