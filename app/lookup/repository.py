"""The repository of cover records: the worker's memory in front of the store, which workers may share.

A record holds its times (``app.domain.records``), and ``app.lookup.freshness`` derives its freshness from them. The
repository sends no request to an origin.
"""

from collections.abc import Callable, Mapping

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CoverRecord, ItemId
from app.lookup.freshness import Freshness, clamp_to_clock, freshness_of, retention_seconds
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lease import Lease
from app.store.lru import LruCache


class CoverRepository:
    """Reads and saves records. ``clock`` returns seconds since the epoch and does not jump.

    ``is_shared`` says whether there is a store, through which other workers see the records of this one.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        memory: LruCache[CoverRecord],
        store: CircuitBreakingStore[CoverRecord],
        clock: Clock,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._store = store
        self._clock = clock
        self._observer = observer
        self._invalidation_cursor = ""
        self.is_shared = store.is_shared

    def from_memory(self, item: ItemId) -> CoverRecord | None:
        """Return the record in memory, whatever its freshness."""
        return self._memory.get(str(item))

    def newest(self, item: ItemId) -> CoverRecord | None:
        """Return the newer of the records in memory and in the store, and keep it in memory; None if it has expired."""
        key = str(item)
        record = self._memory.get(key)
        stored = self._store.get(key)
        if stored is not None:
            stored = clamp_to_clock(stored, self._clock())
            if record is None or (stored.fetched_at, stored.refresh_due_at) > (
                record.fetched_at,
                record.refresh_due_at,
            ):
                record = stored
                self._memory.put(key, stored)
        if record is None or self.freshness(item, record) is Freshness.EXPIRED:
            return None
        return record

    def freshness(self, item: ItemId, record: CoverRecord) -> Freshness:
        """Return the freshness of a record of this item now."""
        return freshness_of(record, self._sources[item.source], self._clock())

    def save(self, item: ItemId, previous: CoverRecord | None, record: CoverRecord) -> None:
        """Save the record in memory and in the store.

        A record that only renews the times of ``previous`` is dropped if memory no longer has the item: it may have
        been forgotten in the meantime, and saving the record would undo that.
        """
        key = str(item)
        if previous is not None and previous.is_found and record.url == previous.url and self._memory.get(key) is None:
            return
        self._memory.put(key, record)
        self._store.put(
            key,
            record,
            lifetime=retention_seconds(record, self._sources[item.source], self._clock()),
            is_positive=record.is_found,
        )

    def validity_check(self, item: ItemId, record: CoverRecord, method: str = "") -> Callable[[], bool]:
        """Return a function that returns whether a fresh record is still in memory, unchanged, and still fresh.

        Call the function only when the record is about to be served again: if it is valid, the function counts a
        lookup, and a call of ``method`` if that is not empty.
        """
        key, fresh_until, memory, clock = str(item), record.fresh_until, self._memory, self._clock
        cached = memory.get_encoded(key)
        count = self._observer.cached_response_counter(item.source, method)

        def is_valid() -> bool:
            if clock() < fresh_until and memory.get_encoded(key) is cached:
                count()
                return True
            return False

        return is_valid

    def acquire_lease(self, item: ItemId) -> Lease | None:
        """Acquire the item's lease; None if another process holds it."""
        return Lease.acquire(self._store, str(item))

    def forget(self, item: ItemId) -> bool:
        """Delete the item's record from memory and the store, and notify other workers; return whether there was one.

        Raises:
            Overloaded: the store is not available, so the record would come back from it later.

        """
        was_in_memory = self._memory.forget(str(item))
        return self._store.forget(str(item)) or was_in_memory

    def apply_invalidations(self) -> list[str]:
        """Delete from memory what any worker has forgotten since the last call; return the keys."""
        self._invalidation_cursor, keys = self._store.invalidations(self._invalidation_cursor)
        for key in keys:
            self._memory.forget(key)
        return keys
