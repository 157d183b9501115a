"""The repository of cover records: the worker's memory in front of the store, which workers may share.

A record holds its times (``app.domain.records``), and ``app.lookup.freshness`` derives its freshness from them. The
repository sends no request to an origin.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CoverRecord, ItemId
from app.lookup.freshness import Freshness, clamp_to_clock, freshness_of, is_refresh_due, retention_seconds
from app.lookup.single_flight import Flight
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lease import LEASE_SECONDS, Lease, new_token
from app.store.lru import LruCache
from app.store.purge_log import Position, PurgeLog


class Look(NamedTuple):
    """The result of ``CoverRepository.look``.

    ``record`` is None if there is none, or it has expired. ``is_unconfirmed`` says that only this worker's memory has
    it, and that another worker may have forgotten the item: ``CoverRepository.apply_invalidations`` tells. If so,
    ``stored`` is the record to use instead, that of the store.

    ``may_fetch`` is false if the store granted no lease: another worker has it, or the record is not due.
    ``purge_number`` and ``purge_position`` are for ``settle``: those of the store, and of the purge log if there is no
    store.
    """

    record: CoverRecord | None
    stored: CoverRecord | None = None
    is_unconfirmed: bool = False
    lease: Lease | None = None
    may_fetch: bool = True
    purge_number: int = 0
    purge_position: Position = ()


class CoverRepository:
    """Reads and saves records. ``clock`` returns seconds since the epoch and does not jump.

    ``purge_log`` has what the workers of this machine have forgotten; it is used if there is no store.

    A flight that is not current (``Flight.is_current``) puts nothing into the memory. Its item was forgotten while it
    waited for the store, so what the store has returned may be from before that.
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

    def from_memory(self, item: ItemId) -> CoverRecord | None:
        """Return the record in memory, whatever its freshness."""
        return self._memory.get(str(item))

    def look(self, item: ItemId, flight: Flight[Any]) -> Look:
        """Return the newest record of memory and store, and acquire the item's lease unless that is not due.

        The record is kept in memory.
        """
        if not self._store.is_shared:
            return self._look_in_memory(item)
        key, token, now = str(item), new_token(), self._clock()
        record = self._unexpired(item, self._memory.get(key))
        value, has_lease, purge_number = self._store.look(key, token, LEASE_SECONDS, now)
        stored = None if value is None else self._unexpired(item, clamp_to_clock(value, now))
        if value is not None and stored is None and not is_refresh_due(value, now) and not has_lease:
            # The record is not due, so the store granted no lease. But it has expired: the settings have changed, or
            # the origin asked to wait for longer than the record is kept.
            _, has_lease, _ = self._store.look(key, token, LEASE_SECONDS, math.inf)
        # A record that only this worker has: the store has evicted it, was not available to save it, or forgot it.
        is_unconfirmed = record is not None and (stored is None or _rank(stored, now) < _rank(record, now))
        if stored is not None and (record is None or _rank(stored, now) > _rank(record, now)):
            record = stored
            if flight.is_current:
                self._memory.put(key, stored)
        lease = Lease(self._store, key, token) if has_lease else None
        return Look(record, stored, is_unconfirmed, lease, may_fetch=has_lease, purge_number=purge_number)

    def _look_in_memory(self, item: ItemId) -> Look:
        key, position = str(item), self._purge_log.position()
        record = self._unexpired(item, self._memory.get(key))
        return Look(record, is_unconfirmed=self._purge_log.has_unread(key), purge_position=position)

    def _unexpired(self, item: ItemId, record: CoverRecord | None) -> CoverRecord | None:
        return None if record is None or self.freshness(item, record) is Freshness.EXPIRED else record

    def freshness(self, item: ItemId, record: CoverRecord) -> Freshness:
        """Return the freshness of a record of this item now."""
        return freshness_of(record, self._sources[item.source], self._clock())

    def settle(self, item: ItemId, flight: Flight[Any], look: Look, record: CoverRecord) -> bool:
        """Save the record in memory and in the store, and release the lease of ``look``; return whether it was saved.

        A record is not saved if the item was forgotten after ``look``. A record that must not be kept, since its
        lifetime is zero, still replaces an older one.
        """
        key, now = str(item), self._clock()
        lifetime = retention_seconds(record, self._sources[item.source], now)
        if self._store.is_shared:
            token = look.lease.token if look.lease is not None else ""
            is_saved = self._store.settle(
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
            if not flight.is_current:
                return is_saved
        else:
            is_saved = not self._purge_log.is_purged(key, look.purge_position)
        if is_saved and lifetime > 0:
            self._memory.put(key, record)
        elif is_saved:
            self._memory.forget(key)
        return is_saved

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
        try:
            was_stored = self._store.forget(key)
        finally:
            was_in_memory = self._memory.forget(key)  # not earlier: a lookup may have read the record meanwhile
        if not self._store.is_shared:
            self._purge_log.add(key)
        return was_stored or was_in_memory

    def apply_invalidations(self, keys_in_flight: Iterable[str]) -> list[str]:
        """Delete from memory what other workers have forgotten since the last call; return the keys.

        Keys that are neither in memory nor in ``keys_in_flight`` may be missing.
        """
        if not self._store.is_shared:
            keys = self._purge_log.purged_keys([*self._memory.keys(), *keys_in_flight])
        else:
            since = self._invalidation_cursor
            self._invalidation_cursor, keys = self._store.invalidations(since)
            if not since and self._invalidation_cursor:
                # The first cursor says nothing about what was forgotten before. The memory may have records from then,
                # if the store was not available at first.
                keys = [*self._memory.keys(), *keys_in_flight]
        for key in keys:
            self._memory.forget(key)
        return keys


def _rank(record: CoverRecord, now: float) -> tuple[bool, float, float]:
    """Return what is greater for the better one of two records: not due, or newer.

    A failed refresh changes only the time at which a record is due.
    """
    return not is_refresh_due(record, now), record.fetched_at, record.refresh_due_at
