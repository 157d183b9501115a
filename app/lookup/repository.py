"""What is known of items: in this worker's memory, and in the store behind it that it may share with others.

What is kept is a record with its times (``app.domain.records``), and ``app.lookup.freshness`` says what may be done
with it. No origin is asked here.
"""

from collections.abc import Callable, Mapping

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CacheStatus, CoverRecord, ItemId, LookupResult
from app.lookup.freshness import Freshness, clamp_to_clock, freshness_of, is_refresh_due, retention_seconds
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lease import Lease
from app.store.lru import LruCache


class CoverRepository:
    """What is known. ``clock`` tells seconds since the epoch and does not jump."""

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
        self._news_point = ""
        #: Whether other workers know what this one does.
        self.is_shared = store.is_shared

    def from_memory(self, item: ItemId) -> CoverRecord | None:
        """Return the record that memory has, however old."""
        return self._memory.get(str(item))

    def newest(self, item: ItemId) -> CoverRecord | None:
        """Return the newest that memory and store have, and remember it; None where it is no use any more."""
        key = str(item)
        known = self._memory.get(key)
        stored = self._store.get(key)
        if stored is not None:
            stored = clamp_to_clock(stored, self._clock())
            if known is None or (stored.fetched_at, stored.refresh_due_at) > (known.fetched_at, known.refresh_due_at):
                known = stored
                self._memory.put(key, stored)
        if known is None or self.freshness(item, known) is Freshness.EXPIRED:
            return None
        return known

    def usable_result(self, item: ItemId, record: CoverRecord | None) -> LookupResult | None:
        """Return the answer that what was recalled is, or None where the origin is to be asked."""
        if record is None or is_refresh_due(record, self._clock()):
            return None
        is_fresh = self.freshness(item, record) is Freshness.FRESH
        return LookupResult(record, CacheStatus.STORE if is_fresh else CacheStatus.STALE)

    def stale_result(self, item: ItemId) -> LookupResult | None:
        """Return the cover that is remembered from before, if it may still be served."""
        record = self.from_memory(item)
        if record is None or self.freshness(item, record) is Freshness.EXPIRED:
            return None
        return LookupResult(record, CacheStatus.STALE)

    def freshness(self, item: ItemId, record: CoverRecord) -> Freshness:
        """Return what may be done now with a record of this item."""
        return freshness_of(record, self._sources[item.source], self._clock())

    def save(self, item: ItemId, previous: CoverRecord | None, record: CoverRecord) -> None:
        """Keep a record in memory and store, unless what it stems from, ``before``, was forgotten meanwhile."""
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
        """Return a function that tells whether a fresh cover from memory is still what is known, and still fresh.

        It is to be called when the cover is answered with once more, and only then, for that is counted here: as a
        lookup, and as a call of ``method`` where one is named.
        """
        key, until, memory, clock = str(item), record.fresh_until, self._memory, self._clock
        kept, count = memory.get_encoded(key), self._observer.cached_response_counter(item.source, method)

        def is_held() -> bool:
            if clock() < until and memory.get_encoded(key) is kept:
                count()
                return True
            return False

        return is_held

    def acquire_lease(self, item: ItemId) -> Lease | None:
        """Take the item's lease among all who share the store; None: somebody else has it."""
        return Lease.acquire(self._store, str(item))

    def forget(self, item: ItemId) -> bool:
        """Drop what is known of the item; other workers hear of it. Tell if it was known.

        Raises:
            Overloaded: the store cannot be asked at present, so it would bring the item back.

        """
        was_here = self._memory.forget(str(item))
        return self._store.forget(str(item)) or was_here

    def apply_invalidations(self) -> list[str]:
        """Drop from memory what was forgotten elsewhere since this was called last; return the keys of it."""
        self._news_point, keys = self._store.invalidations(self._news_point)
        for key in keys:
            self._memory.forget(key)
        return keys
