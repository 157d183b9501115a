"""The repository of cover records. It uses the worker's memory and, if there is one, the store that workers share.

A record contains times (``app.domain.records``), from which ``app.lookup.freshness`` derives the record's freshness.
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

    ``stored`` is the record in the store, or None. ``is_unconfirmed`` is true if another worker may have forgotten the
    item after ``record`` was put into memory. The caller must then call ``CoverRepository.apply_invalidations``, which
    returns the keys that were forgotten. If the key of the item is among them, the caller must use ``stored`` instead
    of ``record``.

    ``may_fetch`` is false if the store granted no lease, because another worker holds the lease or because the record
    is not due for a refresh. ``purge_number`` is the purge number of the store at the time of the look. If there is no
    store, ``purge_position`` is the position of the purge log at that time. ``settle`` needs these values.
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

    If ``Flight.is_current`` becomes false while a flight waits for the store, the item was forgotten during the wait.
    The record may be older than that, so the repository does not put it into the memory.
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
        """Return the better one of the records in memory and in the store. ``_rank`` defines which record is better.

        If the store has no record, or a record that is due for a refresh, the item's lease is acquired unless another
        worker holds the lease. If the record in the store is the better one, it is put into memory.
        """
        if not self._store.is_shared:
            return self._look_in_memory(item)
        key, token, now = str(item), new_token(), self._clock()
        record = self._unexpired(item, self._memory.get(key))
        value, has_lease, purge_number = self._store.look(key, token, LEASE_SECONDS, now)
        stored = None if value is None else self._unexpired(item, clamp_to_clock(value, self._clock()))
        if value is not None and stored is None and not is_refresh_due(value, now) and not has_lease:
            # The store granted no lease, because its record is not due for a refresh. But the record has expired,
            # either because the settings have changed, or because the origin asked to wait until after the record's
            # expiry. So ask for the lease again, with a time at which every record is due.
            _, has_lease, _ = self._store.look(key, token, LEASE_SECONDS, math.inf)
        # If the store does not have ``record``, then the store has evicted it, was not available to save it, or was
        # told to forget it.
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

        Returns false, and saves nothing, if the item was forgotten after ``look``. If the record has already expired,
        it is not saved, but the older record is deleted.
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
        """Return a function that says whether ``record`` may be served again.

        The record may be served while it is fresh and the memory has no other record of the item. Each time the
        function returns true, it also counts a lookup, and a call of ``method`` unless ``method`` is empty. So call the
        function only when the record is about to be served.
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
        """Delete the record of ``item`` from memory and from the store, and notify other workers.

        Returns whether there was a record.

        Raises:
            Overloaded: the store is not available, so it may return the record again later.

        """
        key = str(item)
        try:
            was_stored = self._store.forget(key)
        finally:
            # The record is deleted from memory last, because during the call above, a lookup may have read the record
            # from the store and put it into memory.
            was_in_memory = self._memory.forget(key)
        if not self._store.is_shared:
            self._purge_log.add(key)
        return was_stored or was_in_memory

    def apply_invalidations(self, keys_in_flight: Iterable[str]) -> list[str]:
        """Delete from memory the records that other workers have forgotten since the last call, and return their keys.

        A forgotten key that is neither in memory nor in ``keys_in_flight`` may be missing from the result.
        """
        if not self._store.is_shared:
            keys = self._purge_log.purged_keys([*self._memory.keys(), *keys_in_flight])
        else:
            since = self._invalidation_cursor
            self._invalidation_cursor, keys = self._store.invalidations(since)
            if not since and self._invalidation_cursor:
                # This is the first cursor that the store returned, and it came without keys. If the store was not
                # available until now, the memory may have records that were forgotten before this cursor. So all
                # records are deleted from memory.
                keys = [*self._memory.keys(), *keys_in_flight]
        for key in keys:
            self._memory.forget(key)
        return keys


def _rank(record: CoverRecord, now: float) -> tuple[bool, float, float]:
    """Return a sort key, which is greater for a better record.

    A record that is not due for a refresh is better than a record that is due. If this does not decide, the newer
    record is better. A failed refresh changes the time at which a record is due, but not ``fetched_at``. So if two
    records have the same ``fetched_at``, the newer one is the one that is due later.
    """
    return not is_refresh_due(record, now), record.fetched_at, record.refresh_due_at
