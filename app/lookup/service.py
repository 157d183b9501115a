"""The lookup service: the order of the steps that find the cover of an item.

1. A record in memory is used if possible (RFC 5861):

   - *fresh*: it is returned;
   - *stale-while-revalidate*: it is returned, and refreshed in the background;
   - *stale-if-error*: it is returned only for a while after a failed refresh, before the page is fetched again.

2. Otherwise the callers of this worker share one flight per item, which reads the store and applies the same rules.
3. The flight acquires the item's lease, so that one worker at a time fetches the item's page. The others wait for the
   record that it saves.
4. The result of the fetch, a cover or a failure, is saved in memory and in the store.

A stale cover that has not expired is returned instead of any failure, the caller's timeout and overload included.

The service imports neither requests nor gunicorn nor XML-RPC: its collaborators are passed to the constructor.
"""

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress

import gevent
import msgspec
from msgspec.structs import asdict

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, OriginFailed, Overloaded, ServiceError, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CacheStatus, CoverRecord, ItemId, LookupResult, outcome_label
from app.fetch.page_fetcher import Validators
from app.lookup.cover_page import CoverPageReader
from app.lookup.freshness import Freshness, failed_record, found_record, is_refresh_due, revalidated_record
from app.lookup.repository import CoverRepository
from app.lookup.single_flight import Flight, SingleFlight

_log = logging.getLogger(__name__)

#: Precedes an item in the key of a background refresh. Such a flight has no waiters.
_REFRESH_PREFIX = "refresh "

#: Seconds between two checks whether another worker has saved the record: the first interval, and the longest.
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.01, 0.15


class PendingLookup(msgspec.Struct, frozen=True):
    """A lookup whose result comes from a flight."""

    item: ItemId
    flight: Flight[LookupResult]


#: The return value of ``LookupService.begin``: a result from memory, or the flight to wait for.
StartedLookup = LookupResult | PendingLookup


class LookupService:
    """Finds covers.

    ``deadline`` is in seconds: a caller waits no longer for its result, and a fetch no longer in the queue of its host.
    ``clock`` returns seconds since the epoch and does not jump. ``jitter`` returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        repository: CoverRepository,
        single_flight: SingleFlight[str, LookupResult],
        cover_pages: CoverPageReader,
        deadline: float,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._sources = sources
        self._repository = repository
        self._flights = single_flight
        self._cover_pages = cover_pages
        self._deadline = deadline
        self._clock = clock
        self._jitter = jitter
        self._observer = observer
        #: ``CoverRepository.validity_check``: whether a result from memory may be served once more.
        self.validity_check = repository.validity_check

    def find(self, item: ItemId) -> LookupResult:
        """Return the item's record: from memory, from the store, or from its origin.

        Raises:
            TooSlow: there is no result within the deadline, and no stale cover.
            Overloaded: too many lookups are in progress.

        """
        return self.wait(self.begin(item), self.deadline_from_now())

    def deadline_from_now(self) -> float:
        """Return the time, by the clock, at which a call that starts now must have its result."""
        return self._clock() + self._deadline

    def begin(self, item: ItemId) -> StartedLookup:
        """Return the result from memory, or join or start the flight that will have it.

        Raises:
            Overloaded: too many lookups are in progress.

        """
        record = self._repository.from_memory(item)
        result = None if record is None else self._cached_result(item, record, CacheStatus.MEMORY)
        if result is None:
            try:
                return PendingLookup(item, self._flights.join(str(item), lambda: self._find_beyond_memory(item)))
            except Overloaded as error:
                result = self._stale_result(item)
                if result is None:
                    self._observer.lookup_finished(item.source, outcome_label(error), "")
                    raise
        self._observer.lookup_finished(item.source, result.record.outcome, result.cache)
        return result

    def wait(self, started: StartedLookup, deadline: float) -> LookupResult:
        """Return the result of what ``begin`` returned. ``deadline`` is the time, by the clock, to wait until.

        Raises:
            TooSlow: there is no result at the deadline, and no stale cover. The flight continues.
            Overloaded: too many lookups are in progress.

        """
        if isinstance(started, LookupResult):
            return started
        source = started.item.source
        self._observer.waiters_changed(+1)
        try:
            result = self._wait_for_flight(started, deadline)
        except Exception as error:
            self._observer.lookup_finished(source, outcome_label(error), "")
            raise
        finally:
            self._observer.waiters_changed(-1)
        self._observer.lookup_finished(source, result.record.outcome, result.cache)
        return result

    def _wait_for_flight(self, pending: PendingLookup, deadline: float) -> LookupResult:
        try:
            return pending.flight.wait(deadline - self._clock())
        except (TimeoutError, Overloaded) as error:
            stale = self._stale_result(pending.item)
            if stale is not None:
                return stale
            if isinstance(error, Overloaded):
                raise
            raise TooSlow(f"no answer within {self._deadline:g} seconds") from None

    def forget(self, item: ItemId) -> bool:
        """Delete the item's record everywhere; return whether there was one. Raises as ``CoverRepository.forget``."""
        self._detach_flights(str(item))
        return self._repository.forget(item)

    def apply_invalidations(self) -> None:
        """Delete from memory what other workers have forgotten since the last call."""
        for key in self._repository.apply_invalidations():
            self._detach_flights(key)

    def _detach_flights(self, key: str) -> None:
        """Keep later callers from joining the flights of an item that started before it was forgotten."""
        self._flights.forget(key)
        self._flights.forget(_REFRESH_PREFIX + key)

    def _cached_result(self, item: ItemId, record: CoverRecord, cache: CacheStatus) -> LookupResult | None:
        """Return the result if the record may be served without a fetch, else None. ``cache`` says where it was read.

        A record in stale-while-revalidate that is due for a refresh is refreshed in the background.
        """
        freshness = self._repository.freshness(item, record)
        if freshness is Freshness.FRESH:
            return LookupResult(record, cache)
        if freshness is Freshness.EXPIRED:
            return None
        if is_refresh_due(record, self._clock()):
            if freshness is Freshness.STALE_IF_ERROR:
                return None
            self._refresh_in_background(item)
        return LookupResult(record, CacheStatus.STALE)

    def _stale_result(self, item: ItemId) -> LookupResult | None:
        """Return the record in memory as a stale result, or None if there is none or it has expired."""
        record = self._repository.from_memory(item)
        if record is None or self._repository.freshness(item, record) is Freshness.EXPIRED:
            return None
        return LookupResult(record, CacheStatus.STALE)

    def _refresh_in_background(self, item: ItemId) -> None:
        key = f"{_REFRESH_PREFIX}{item}"
        if key not in self._flights:
            with suppress(Overloaded):  # the next lookup of the item tries again
                self._flights.join(key, lambda: self._fetch_once(item, self._repository.newest(item)))

    def _find_beyond_memory(self, item: ItemId) -> LookupResult:
        """Return the result from the store, else from the origin. This is what a flight runs."""
        record = self._repository.newest(item)
        result = None if record is None else self._cached_result(item, record, CacheStatus.STORE)
        return self._fetch_once(item, record) if result is None else result

    def _fetch_once(self, item: ItemId, previous: CoverRecord | None) -> LookupResult:
        """Fetch the item's page while holding its lease, or return the record that another worker saves.

        ``previous`` is the newest record, as just read from the store.
        """
        if not self._repository.is_shared:
            return self._fetch_and_save(item, previous, self._deadline)
        deadline = self.deadline_from_now()
        # The holder of the lease may wait in the queue of the host until the deadline, and then fetch until the timeout
        # of the source. No caller waits that long, but later callers get the result. If the lease is still held after
        # that, the page is fetched without it.
        lease_deadline = deadline + self._sources[item.source].timeout
        poll_interval = _MIN_POLL_SECONDS
        while (lease := self._repository.acquire_lease(item)) is None and self._clock() < lease_deadline:
            gevent.sleep(poll_interval * (0.5 + self._jitter()))
            poll_interval = min(poll_interval * 1.5, _MAX_POLL_SECONDS)
            if (result := self._up_to_date_result(item, self._repository.newest(item))) is not None:
                return result
        with lease or nullcontext():
            # Another worker may have saved a record before it released the lease.
            previous = self._repository.newest(item)
            if (result := self._up_to_date_result(item, previous)) is not None:
                return result
            return self._fetch_and_save(item, previous, max(deadline - self._clock(), 0))

    def _up_to_date_result(self, item: ItemId, record: CoverRecord | None) -> LookupResult | None:
        """Return the record as a result, or None if there is none or it is due for a refresh."""
        if record is None or is_refresh_due(record, self._clock()):
            return None
        is_fresh = self._repository.freshness(item, record) is Freshness.FRESH
        return LookupResult(record, CacheStatus.STORE if is_fresh else CacheStatus.STALE)

    def _fetch_and_save(self, item: ItemId, previous: CoverRecord | None, max_wait: float) -> LookupResult:
        """Fetch the item's page and save the record of a cover or of a failure."""
        source, started_at = self._sources[item.source], self._clock()
        try:
            record = self._fetch(source, item.id, previous, max_wait)
        except LookupFailed as error:
            record = failed_record(previous, source, error, now=self._clock(), jitter=self._jitter())
            if previous is not None and previous.is_found and isinstance(error, NoCover):
                consequence = "the old one is kept" if record.is_found else "the old one is dropped"
                _log.warning("%s: its cover has vanished, %s: %s", item, consequence, error, extra=asdict(item))
        except ServiceError:
            raise
        except Exception:
            if previous is None:
                raise
            # A bug must not replace a cached cover. It is logged here, since a background refresh has no waiter.
            _log.exception("%s: internal error", item, extra=asdict(item))
            bug = OriginFailed("internal error, see the log")
            record = failed_record(previous, source, bug, now=self._clock(), jitter=self._jitter())
        if _log.isEnabledFor(logging.DEBUG):
            fields = {"outcome": record.outcome, "error": record.error, "seconds": round(self._clock() - started_at, 6)}
            _log.debug("%s: its page was fetched", item, extra=asdict(item) | fields)
        self._repository.save(item, previous, record)
        return LookupResult(record, CacheStatus.STALE if record.is_found and record.error else CacheStatus.FETCHED)

    def _fetch(self, source: Source, item_id: str, previous: CoverRecord | None, max_wait: float) -> CoverRecord:
        """Return the record of the cover on the item's page. Raises LookupFailed if there is none."""
        validators = None
        if (
            previous is not None
            and (previous.etag or previous.last_modified)
            # If the rules have changed since, the cover must be extracted anew even from an unchanged page.
            and previous.source_fingerprint == source.fingerprint
        ):
            validators = Validators(etag=previous.etag, last_modified=previous.last_modified)
        cover = self._cover_pages.read_cover(source, item_id, max_wait, validators)
        if cover is not None:
            return found_record(source, cover, now=self._clock(), jitter=self._jitter())
        if previous is None:
            raise OriginFailed("the origin answered 304 to an unconditional request")
        return revalidated_record(previous, source, now=self._clock(), jitter=self._jitter())
