"""A worker's memory: a bounded cache that evicts the least recently used entry.

Values are kept in encoded form, which takes a quarter of the memory of the objects. Decoding a value takes less than a
microsecond. Positive and negative entries have separate limits, so a million requests for made-up keys evict only
negative entries.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

#: Encoded values by key, with the most recently used value at the end. The LRUCache of cachetools is not used, because
#: it keeps two tables and its reads take three times as long.
_Entries = OrderedDict[str, bytes]


class LruCache(Generic[V]):
    """A cache of up to ``size`` positive entries and a tenth as many negative entries.

    ``is_positive`` says whether a value is positive. Entries have no lifetime, so the caller must check the times in
    the values. The cache is for one thread. Greenlets may share the cache, because no operation switches greenlets.
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
        """Yield all keys. The cache must not change during the iteration."""
        yield from self._positive
        yield from self._negative

    def get(self, key: str) -> V | None:
        """Return the value, or None."""
        data = self.get_encoded(key)
        return None if data is None else self._decode(data)

    def get_encoded(self, key: str) -> bytes | None:
        """Return the encoded value, or None. Each call returns the same object until another value is put."""
        entries = self._positive
        data = entries.get(key)
        if data is None:
            entries = self._negative
            data = entries.get(key)
        if data is not None:
            entries.move_to_end(key)
        return data

    def put(self, key: str, value: V) -> None:
        """Add the value, or replace the value of the key."""
        self.forget(key)
        entries, limit = self._positive, self._size
        if not self._is_positive(value):
            entries, limit = self._negative, max(self._size // 10, 1)
        entries[key] = self._encode(value)
        if len(entries) > limit:
            entries.popitem(last=False)

    def forget(self, key: str) -> bool:
        """Delete the value; return whether there was a value."""
        return (self._positive.pop(key, None) or self._negative.pop(key, None)) is not None
