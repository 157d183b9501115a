"""A worker's memory: a bounded cache that evicts the least recently used entry.

Values are kept encoded, which takes a quarter of the memory of their objects; decoding one takes less than a
microsecond. Positive and negative entries have separate limits, so a million requests for made-up keys evict only
negative entries.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

#: Encoded values by key, the most recently used at the end. cachetools' LRUCache keeps two tables, and a read takes
#: three times as long.
_Entries = OrderedDict[str, bytes]


class LruCache(Generic[V]):
    """At most ``size`` positive entries, and a tenth as many negative ones. ``is_positive`` tells which a value is.

    Entries have no lifetime here: the caller checks the times in a value. The cache is for one thread; greenlets may
    share it, since no operation switches.
    """

    def __init__(
        self,
        size: int,
        *,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        is_positive: Callable[[V], bool],
    ) -> None:
        self._positive, self._negative = _Entries(), _Entries()
        self._size = size
        self._encode = encode
        self._decode = decode
        self._is_positive = is_positive

    def __len__(self) -> int:
        return len(self._positive) + len(self._negative)

    def keys(self) -> Iterator[str]:
        """Yield all keys. The cache must not change meanwhile."""
        yield from self._positive
        yield from self._negative

    def get(self, key: str) -> V | None:
        """Return the value, or None."""
        data = self.get_encoded(key)
        return None if data is None else self._decode(data)

    def get_encoded(self, key: str) -> bytes | None:
        """Return the encoded value, or None. It is the same object each time, until another value is put."""
        entries = self._positive
        data = entries.get(key)
        if data is None:
            entries = self._negative
            data = entries.get(key)
        if data is not None:
            entries.move_to_end(key)
        return data

    def put(self, key: str, value: V) -> None:
        """Add the value, or replace the key's value."""
        self.forget(key)
        entries, limit = self._positive, self._size
        if not self._is_positive(value):
            entries, limit = self._negative, max(self._size // 10, 1)
        entries[key] = self._encode(value)
        if len(entries) > limit:
            entries.popitem(last=False)

    def forget(self, key: str) -> bool:
        """Delete the value; return whether there was one."""
        return (self._positive.pop(key, None) or self._negative.pop(key, None)) is not None
