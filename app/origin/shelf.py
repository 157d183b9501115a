"""Where workers share what they know of origins."""

from typing import Protocol, TypeVar

V = TypeVar("V")


class Shelf(Protocol[V]):
    """Values by key, as ``app.cache.guard.Shelf`` keeps them. Raises nothing: what cannot be had is not there."""

    def get(self, key: str, /) -> V | None: ...  # noqa: D102 - see the class
    def put(self, key: str, value: V, /, *, lifetime: float) -> None: ...  # noqa: D102 - see the class
