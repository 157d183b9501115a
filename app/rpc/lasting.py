"""A lasting value: an answer that may be given again, to the very same request, for as long as it holds."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")

#: What an answer takes beside its bytes and those of its request: the tuples, the function and what that holds.
_OVERHEAD = 800


class Lasting(msgspec.Struct, Generic[V], frozen=True):
    """What a published function may return: the value, and a function that tells, each time, whether it still holds."""

    value: V
    holds: Callable[[], bool]


class LastingAnswers:
    """The answers to requests by their very bytes, some ``size`` bytes in all; the oldest goes first."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._answers: dict[tuple[bytes, str | None], tuple[bytes, Callable[[], bool]]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, body: bytes, charset: str | None) -> bytes | None:
        """Return the answer to this request, if there is one that holds."""
        known = self._answers.get((body, charset))
        if known is None:
            return None
        answer, holds = known
        if holds():
            return answer
        self._drop(body, charset)
        return None

    def put(self, body: bytes, charset: str | None, answer: bytes, holds: Callable[[], bool]) -> None:
        """Keep the answer to this request for as long as it holds."""
        if (body, charset) in self._answers:
            self._drop(body, charset)
        self._answers[body, charset] = answer, holds
        self._left -= len(body) + len(answer) + _OVERHEAD
        while self._left < 0:
            self._drop(*next(iter(self._answers)))

    def _drop(self, body: bytes, charset: str | None) -> None:
        answer, _ = self._answers.pop((body, charset))
        self._left += len(body) + len(answer) + _OVERHEAD
