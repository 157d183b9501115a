"""A bounded mapping whose entries expire, the least recently used going first."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(Generic[K, V]):
    """At most ``maxsize`` values by key, each for a lifetime in seconds of its own; ``clock`` must be monotonic.

    For one thread: greenlets may share it, since no operation switches.
    """

    def __init__(self, maxsize: int, *, clock: Callable[[], float]) -> None:
        # Not cachetools' TLRUCache: it keeps a heap besides, at almost thrice the time of a hit, to remove what has
        # expired earlier than the next look or the next eviction does.
        self._entries: LRUCache[K, tuple[V, float]] = LRUCache(maxsize)
        self._clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value, or None where there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if self._clock() < expires:
            return value
        del self._entries[key]
        return None

    def put(self, key: K, value: V, lifetime: float) -> None:
        """Keep the value for ``lifetime`` seconds; one of 0 or less is not kept at all, nor is what it replaces."""
        if lifetime > 0:
            self._entries[key] = (value, self._clock() + lifetime)
        else:
            self._entries.pop(key, None)

    def forget(self, key: K) -> bool:
        """Drop the value; return whether there was one, expired or not."""
        return self._entries.pop(key, None) is not None
