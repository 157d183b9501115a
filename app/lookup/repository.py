"""What is known of items: in this worker's memory, and in the store behind it that it may share with others.

What is kept is a record with its times (``app.domain.records``), and ``app.lookup.freshness`` says what may be done
with it. No origin is asked here.
"""

from collections.abc import Callable, Mapping

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.events import NOBODY, Observer
from app.domain.records import Answer, CacheState, ContentId, CoverRecord
from app.lookup.freshness import Freshness, clamped, freshness, is_due, seconds_worth_keeping
from app.store.circuit_breaker import GuardedStore
from app.store.lease import Lease
from app.store.lru import Memory


class Known:
    """What is known. ``clock`` tells seconds since the epoch and does not jump."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        memory: Memory[CoverRecord],
        store: GuardedStore[CoverRecord],
        clock: Clock,
        observer: Observer = NOBODY,
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._store = store
        self._clock = clock
        self._observer = observer
        self._news_point = ""
        #: Whether other workers know what this one does.
        self.is_shared = store.is_shared

    def remembered(self, item: ContentId) -> CoverRecord | None:
        """Return the record that memory has, however old."""
        return self._memory.get(str(item))

    def recalled(self, item: ContentId) -> CoverRecord | None:
        """Return the newest that memory and store have, and remember it; None where it is no use any more."""
        key = str(item)
        known = self._memory.get(key)
        stored = self._store.get(key)
        if stored is not None:
            stored = clamped(stored, self._clock())
            if known is None or (stored.fetched_at, stored.next_check) > (known.fetched_at, known.next_check):
                known = stored
                self._memory.put(key, stored)
        if known is None or self.freshness(item, known) is Freshness.GONE:
            return None
        return known

    def settled(self, item: ContentId, record: CoverRecord | None) -> Answer | None:
        """Return the answer that what was recalled is, or None where the origin is to be asked."""
        if record is None or is_due(record, self._clock()):
            return None
        is_fresh = self.freshness(item, record) is Freshness.FRESH
        return Answer(record, CacheState.STORE if is_fresh else CacheState.STALE)

    def old_answer(self, item: ContentId) -> Answer | None:
        """Return the cover that is remembered from before, if it may still be served."""
        record = self.remembered(item)
        if record is None or self.freshness(item, record) is Freshness.GONE:
            return None
        return Answer(record, CacheState.STALE)

    def freshness(self, item: ContentId, record: CoverRecord) -> Freshness:
        """Return what may be done now with a record of this item."""
        return freshness(record, self._sources[item.source], self._clock())

    def keep(self, item: ContentId, before: CoverRecord | None, record: CoverRecord) -> None:
        """Keep a record in memory and store, unless what it stems from, ``before``, was forgotten meanwhile."""
        key = str(item)
        if before is not None and before.is_found and record.url == before.url and self._memory.get(key) is None:
            return
        self._memory.put(key, record)
        self._store.put(
            key,
            record,
            lifetime=seconds_worth_keeping(record, self._sources[item.source], self._clock()),
            is_precious=record.is_found,
        )

    def holds(self, item: ContentId, record: CoverRecord, method: str = "") -> Callable[[], bool]:
        """Return a function that tells whether a fresh cover from memory is still what is known, and still fresh.

        It is to be called when the cover is answered with once more, and only then, for that is counted here: as a
        lookup, and as a call of ``method`` where one is named.
        """
        key, until, memory, clock = str(item), record.fresh_until, self._memory, self._clock
        kept, count = memory.encoded(key), self._observer.repeats(item.source, method)

        def is_held() -> bool:
            if clock() < until and memory.encoded(key) is kept:
                count()
                return True
            return False

        return is_held

    def lease(self, item: ContentId) -> Lease | None:
        """Take the item's lease among all who share the store; None: somebody else has it."""
        return Lease.taken(self._store, str(item))

    def forget(self, item: ContentId) -> bool:
        """Drop what is known of the item; other workers hear of it. Tell if it was known.

        Raises:
            Overloaded: the store cannot be asked at present, so it would bring the item back.

        """
        was_here = self._memory.forget(str(item))
        return self._store.forget(str(item)) or was_here

    def forgotten(self) -> list[str]:
        """Drop from memory what was forgotten elsewhere since this was called last; return the keys of it."""
        self._news_point, keys = self._store.forgotten(self._news_point)
        for key in keys:
            self._memory.forget(key)
        return keys
