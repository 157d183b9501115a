"""A lasting value: an answer that may be given again, to the very same request, for as long as it holds."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")


class Lasting(msgspec.Struct, Generic[V], frozen=True):
    """What a published function may return: the value, and a function that tells, each time, whether it still holds."""

    value: V
    holds: Callable[[], bool]


class LastingAnswers:
    """The answers to requests by their very bytes, at most ``size`` of them; the first one kept is the first to go."""

    def __init__(self, size: int) -> None:
        self._size = size
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
        del self._answers[body, charset]
        return None

    def put(self, body: bytes, charset: str | None, answer: bytes, holds: Callable[[], bool]) -> None:
        """Keep the answer to this request for as long as it holds."""
        if len(self._answers) >= self._size:
            del self._answers[next(iter(self._answers))]
        self._answers[body, charset] = answer, holds
