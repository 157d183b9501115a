"""The repository of cover records: the worker's memory in front of the store, which workers may share.

A record holds its times (``app.domain.records``), and ``app.lookup.freshness`` derives its freshness from them. The
repository sends no request to an origin.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CoverRecord, ItemId
from app.lookup.freshness import Freshness, clamp_to_clock, freshness_of, retention_seconds
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lease import LEASE_SECONDS, Lease, new_token
from app.store.lru import LruCache
from app.store.purge_log import PurgeLog


class Look(NamedTuple):
    """The result of ``CoverRepository.look``.

    ``record`` is None if there is none, or it has expired. ``lease`` is the item's lease, if this worker holds it, and
    ``is_leased_elsewhere`` says whether another one fetches the item. ``purge_number`` is for ``settle``.
    """

    record: CoverRecord | None
    lease: Lease | None
    purge_number: int
    is_leased_elsewhere: bool


class CoverRepository:
    """Reads and saves records. ``clock`` returns seconds since the epoch and does not jump.

    ``purge_log`` has what the workers of this machine have forgotten; it is used if there is no store. ``is_shared``
    says whether there is a store, through which other workers see the records of this one.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        memory: LruCache[CoverRecord],
        store: CircuitBreakingStore[CoverRecord],
        clock: Clock,
        purge_log: PurgeLog | None = None,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._store = store
        self._clock = clock
        self._purge_log = PurgeLog.create() if purge_log is None else purge_log
        self._observer = observer
        self._invalidation_cursor = ""
        self.is_shared = store.is_shared

    def from_memory(self, item: ItemId) -> CoverRecord | None:
        """Return the record in memory, whatever its freshness."""
        return self._memory.get(str(item))

    def look(self, item: ItemId) -> Look:
        """Return the newest record of memory and store, and acquire the item's lease unless that is not due.

        The record is kept in memory.
        """
        key, token, now = str(item), new_token(), self._clock()
        purge_number = self._purge_log.number()
        record = self._memory.get(key)
        if not self.is_shared:
            return Look(self._unexpired(item, record), None, purge_number, is_leased_elsewhere=False)
        stored, has_lease, purge_number = self._store.look(key, token, LEASE_SECONDS, now)
        if stored is not None:
            stored = clamp_to_clock(stored, now)
            if record is None or (stored.fetched_at, stored.refresh_due_at) > (
                record.fetched_at,
                record.refresh_due_at,
            ):
                record = stored
                self._memory.put(key, stored)
        is_due = record is None or record.refresh_due_at <= now
        return Look(
            self._unexpired(item, record),
            Lease(self._store, key, token) if has_lease else None,
            purge_number,
            is_leased_elsewhere=is_due and not has_lease,
        )

    def _unexpired(self, item: ItemId, record: CoverRecord | None) -> CoverRecord | None:
        return None if record is None or self.freshness(item, record) is Freshness.EXPIRED else record

    def freshness(self, item: ItemId, record: CoverRecord) -> Freshness:
        """Return the freshness of a record of this item now."""
        return freshness_of(record, self._sources[item.source], self._clock())

    def settle(self, item: ItemId, look: Look, record: CoverRecord, *, is_current: bool) -> bool:
        """Save the record in memory and in the store, and release the lease of ``look``; return whether it was saved.

        A record is not saved if the item was forgotten after ``look``. ``is_current`` is false if this worker knows
        that already. A record that must not be kept, since its lifetime is zero, still replaces an older one.
        """
        key, now = str(item), self._clock()
        lifetime = retention_seconds(record, self._sources[item.source], now)
        if self.is_shared:
            token = look.lease.token if look.lease is not None else ""
            is_current &= self._store.settle(
                key,
                token,
                record,
                look.purge_number,
                due=record.refresh_due_at,
                lifetime=lifetime,
                is_positive=record.is_found,
            )
            if look.lease is not None:
                look.lease.is_settled = True
        else:
            is_current &= not self._purge_log.is_purged(key, look.purge_number)
        if is_current:
            self._memory.put(key, record)
        return is_current

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

    def forget(self, item: ItemId) -> bool:
        """Delete the item's record from memory and the store, and notify other workers; return whether there was one.

        Raises:
            Overloaded: the store is not available, so the record would come back from it later.

        """
        key = str(item)
        was_in_memory = self._memory.forget(key)
        self._purge_log.add(key)
        was_stored = self._store.forget(key)
        self._memory.forget(key)  # a lookup may have read the record from the store meanwhile
        return was_stored or was_in_memory

    def apply_invalidations(self) -> list[str]:
        """Delete from memory what any worker has forgotten since the last call; return the keys."""
        if self.is_shared:
            self._invalidation_cursor, keys = self._store.invalidations(self._invalidation_cursor)
        else:
            keys = self._purge_log.purged_keys(self._memory.keys())
        for key in keys:
            self._memory.forget(key)
        return keys
