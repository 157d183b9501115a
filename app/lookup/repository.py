"""The repository of cover records: the memory of the worker and, if there is one, the store that workers share.

A record holds times (``app.domain.records``), from which ``app.lookup.freshness`` derives the freshness of the record.
The repository sends no requests to origins.
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

    ``record`` is None if there is no record, or the record has expired.

    ``is_unconfirmed`` says that another worker may have forgotten the item, and that the record in memory may be from
    before that. ``CoverRepository.apply_invalidations`` returns the keys that were forgotten. If it returns the key of
    the item, use ``stored`` instead of ``record``. ``stored`` is the record of the store, or None.

    ``may_fetch`` is false if the store granted no lease, because another worker holds the lease or because the record
    is not due for a refresh. ``settle`` needs ``purge_number``, which is that of the store. If there is no store,
    ``settle`` needs ``purge_position``, which is that of the purge log.
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

    ``purge_log`` has the keys that the workers of this machine have forgotten. It is used only if there is no store.

    A flight that is not current (``Flight.is_current``) puts nothing into the memory. The item was forgotten while the
    flight waited for the store, so the record that the store returned may be from before that.
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
        """Return the better record of memory and store; ``_rank`` says which one is better.

        If the store has no record, or its record is due for a refresh, the lease of the item is acquired unless another
        worker holds it. If the record of the store is the better one, it is put into memory.
        """
        if not self._store.is_shared:
            return self._look_in_memory(item)
        key, token, now = str(item), new_token(), self._clock()
        record = self._unexpired(item, self._memory.get(key))
        value, has_lease, purge_number = self._store.look(key, token, LEASE_SECONDS, now)
        stored = None if value is None else self._unexpired(item, clamp_to_clock(value, self._clock()))
        if value is not None and stored is None and not is_refresh_due(value, now) and not has_lease:
            # The store granted no lease, because its record is not due. But the record has expired, because the
            # settings have changed or because the origin asked to wait for longer than the record is kept.
            _, has_lease, _ = self._store.look(key, token, LEASE_SECONDS, math.inf)
        # The store does not have ``record``: it has evicted the record, was not available to save it, or forgot it.
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
        """Return the present freshness of a record of ``item``."""
        return freshness_of(record, self._sources[item.source], self._clock())

    def settle(self, item: ItemId, flight: Flight[Any], look: Look, record: CoverRecord) -> bool:
        """Save the record in memory and in the store, and release the lease of ``look``.

        Returns false, and saves nothing, if the item was forgotten after ``look``. A record whose lifetime has ended
        is not kept, but the older record is deleted.
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
        """Return a function that says whether ``record`` may be served again: it is fresh, and unchanged in memory.

        If the record may be served, the function also counts a lookup, and a call of ``method`` unless ``method`` is
        empty. So call the function only when the record is about to be served.
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
        """Delete the record of ``item`` from memory and store, and notify other workers; return whether it existed.

        Raises:
            Overloaded: the store is not available, so it may return the record again later.

        """
        key = str(item)
        try:
            was_stored = self._store.forget(key)
        finally:
            # The memory comes last, because a lookup may have read the record from the store during the call.
            was_in_memory = self._memory.forget(key)
        if not self._store.is_shared:
            self._purge_log.add(key)
        return was_stored or was_in_memory

    def apply_invalidations(self, keys_in_flight: Iterable[str]) -> list[str]:
        """Delete from memory the records that other workers have forgotten since the last call; return their keys.

        Forgotten keys that are neither in memory nor in ``keys_in_flight`` may be missing from the result.
        """
        if not self._store.is_shared:
            keys = self._purge_log.purged_keys([*self._memory.keys(), *keys_in_flight])
        else:
            since = self._invalidation_cursor
            self._invalidation_cursor, keys = self._store.invalidations(since)
            if not since and self._invalidation_cursor:
                # The store returned its first cursor, and no keys. If the store was not available before, the memory
                # may have records that were forgotten before this cursor, so all records are deleted.
                keys = [*self._memory.keys(), *keys_in_flight]
        for key in keys:
            self._memory.forget(key)
        return keys


def _rank(record: CoverRecord, now: float) -> tuple[bool, float, float]:
    """Return a sort key that is greater for the better record: one that is not due for a refresh, or is newer.

    A failed refresh changes only the time at which the record is due. So the record that is due later is the newer one
    of two records with the same ``fetched_at``.
    """
    return not is_refresh_due(record, now), record.fetched_at, record.refresh_due_at
