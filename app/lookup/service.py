"""The lookup service: the order of the steps that find the cover of an item.

1. A record in memory is used if its freshness allows (RFC 5861):

   - *fresh*: the record is returned;
   - *stale-while-revalidate*: the record is returned. If a refresh is due, a background refresh fetches the page;
   - *stale-if-error*: the record is returned if a refresh has failed and the next refresh is not due yet. Otherwise the
     page is fetched first.

2. If the record in memory cannot be used, the caller joins the flight of the item, or starts a flight. All callers in
   this worker share the flight. A background refresh is a flight without waiters. A flight (``_run_flight``) has up to
   four steps:

   - it *looks* into the store, which returns the record, the item's lease and the purge number in one operation;
   - it waits for the record of another worker, if that worker holds the lease;
   - it fetches the item's page;
   - it *settles*, which saves the record of the cover or of the failure, and releases the lease. If the item was
     forgotten after the look, nothing is saved. So a page that was requested before the item was forgotten is never
     the result of a lookup that starts after that.

A stale cover that has not expired is returned instead of a failure, unless the failure is "no such item". Timeouts of
the caller and overload count as failures here.

The service imports neither requests nor gunicorn nor XML-RPC. The constructor receives all collaborators.
"""

import logging
import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial

import gevent
import msgspec
from msgspec.structs import asdict

from app.concurrency.clock import Clock
from app.concurrency.deadline import Deadline
from app.concurrency.rate_limit import OncePerMinute
from app.config.source import Source
from app.domain.errors import InternalError, LookupFailed, NoCover, OriginFailed, Overloaded, ServiceError, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import CacheStatus, CoverRecord, ItemId, LookupResult, outcome_label
from app.fetch.page_fetcher import Validators
from app.lookup.cover_page import CoverPageReader
from app.lookup.freshness import Freshness, failed_record, found_record, is_refresh_due, revalidated_record
from app.lookup.repository import CoverRepository, Look
from app.lookup.single_flight import Flight, FlightResult, SingleFlight

_log = logging.getLogger(__name__)

#: The first and the longest interval, in seconds, at which a flight polls the store for the record while another worker
#: fetches the page.
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.01, 0.15


class PendingLookup(msgspec.Struct, frozen=True):
    """A lookup that waits for the result of a flight. ``deadline`` is the deadline of the flight."""

    item: ItemId
    result: FlightResult[LookupResult]
    deadline: Deadline


#: The return value of ``LookupService.begin``: a result from memory, or a lookup to wait for.
StartedLookup = LookupResult | PendingLookup


class LookupService:
    """Finds covers.

    ``deadline`` is a duration in seconds. It limits how long a caller waits for a result, and how long a fetch waits in
    the queue of the host. ``clock`` returns seconds since the epoch and does not jump. ``jitter`` returns random
    numbers from 0 to 1. ``sleep`` suspends the calling greenlet for a number of seconds.
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
        sleep: Callable[[float], None] = gevent.sleep,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._sources = sources
        self._repository = repository
        self._flights = single_flight
        self._cover_pages = cover_pages
        self._deadline = deadline
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._observer = observer
        self._traceback_limit = OncePerMinute(clock)
        #: Returns a function that says whether a result from memory may be served again.
        self.validity_check = repository.validity_check

    def find(self, item: ItemId) -> LookupResult:
        """Return the item's record from memory, from the store or from the origin.

        Raises:
            TooSlow: there is no result within the deadline, and no stale cover.
            Overloaded: too many lookups are in progress or wait for the host, and there is no stale cover.

        """
        return self.wait(self.begin(item), self.deadline_from_now())

    def deadline_from_now(self) -> float:
        """Return the time, by the clock, at which a call that starts now must have its result."""
        return self._clock() + self._deadline

    def begin(self, item: ItemId) -> StartedLookup:
        """Return the result from memory, if it may be served. Otherwise join the item's flight, or start one.

        Raises:
            Overloaded: too many lookups are in progress, and there is no stale cover.

        """
        record = self._repository.from_memory(item)
        result = None if record is None else self._usable_result(item, record, CacheStatus.MEMORY)
        if result is not None and record is not None and self._needs_refresh(item, record):
            with suppress(Overloaded):  # the next lookup of the item tries again
                self._join_flight(item)
        elif result is None:
            try:
                flight = self._join_flight(item)
                return PendingLookup(item, flight.result, flight.deadline)
            except Overloaded as error:
                result = self._unexpired_result(item)
                if result is None:
                    self._observer.lookup_finished(item.source, outcome_label(error), "")
                    raise
        self._observer.lookup_finished(item.source, result.record.outcome, result.cache)
        return result

    def wait(self, started: StartedLookup, deadline: float) -> LookupResult:
        """Return the result of a lookup that ``begin`` has started. Wait until the time ``deadline`` of the clock.

        Raises:
            TooSlow: there is no result at the deadline, and no stale cover. The flight continues.
            Overloaded: too many lookups wait for the host, and there is no stale cover.

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
            return pending.result.wait(deadline - self._clock())
        except (TimeoutError, Overloaded) as error:
            result = self._unexpired_result(pending.item)
            if result is not None:
                return result
            if isinstance(error, Overloaded):
                raise
            text = f"no answer within {self._deadline:g} seconds"
            if waiting_for := pending.deadline.waiting_for:
                text += f", still waiting for {waiting_for}"
            raise TooSlow(text) from None

    def forget(self, item: ItemId) -> bool:
        """Delete the item's record from memory and from the store. Return whether there was a record.

        Raises:
            Overloaded: the store is not available.

        """
        try:
            return self._repository.forget(item)
        finally:
            # The flight is forgotten last, because a flight that started during the call may have read the old record.
            self._flights.forget(str(item))

    def apply_invalidations(self) -> None:
        """Delete from memory the records that other workers have forgotten since the last call."""
        self._apply_invalidations("")

    def _apply_invalidations(self, looked_up_key: str) -> list[str]:
        """Delete the forgotten records from memory, and return their keys.

        The flight of ``looked_up_key`` is not forgotten, so callers may still join it. That flight has not requested
        the page yet, so the page will be newer than the invalidation.
        """
        keys = self._repository.apply_invalidations(self._flights)
        for key in keys:
            if key != looked_up_key:
                self._flights.forget(key)
        return keys

    def _usable_result(self, item: ItemId, record: CoverRecord, cache: CacheStatus) -> LookupResult | None:
        """Return the record as a result, or None if the page must be fetched first.

        ``cache`` says from where the record was read.
        """
        freshness = self._repository.freshness(item, record)
        if freshness is Freshness.FRESH:
            return LookupResult(record, cache)
        if freshness is Freshness.STALE_WHILE_REVALIDATE:
            return LookupResult(record, CacheStatus.STALE)
        if freshness is Freshness.STALE_IF_ERROR and not is_refresh_due(record, self._clock()):
            return LookupResult(record, CacheStatus.STALE)
        return None

    def _needs_refresh(self, item: ItemId, record: CoverRecord) -> bool:
        """Return whether to start a background refresh.

        If the item already has a flight, no refresh is started, because joining the flight would extend its deadline
        although no caller waits longer.
        """
        if self._repository.freshness(item, record) is Freshness.FRESH or str(item) in self._flights:
            return False
        return is_refresh_due(record, self._clock())

    def _unexpired_result(self, item: ItemId) -> LookupResult | None:
        """Return the record in memory as a result, or None if there is none or it has expired."""
        record = self._repository.from_memory(item)
        if record is None or (freshness := self._repository.freshness(item, record)) is Freshness.EXPIRED:
            return None
        return LookupResult(record, CacheStatus.MEMORY if freshness is Freshness.FRESH else CacheStatus.STALE)

    def _join_flight(self, item: ItemId) -> Flight[LookupResult]:
        return self._flights.join(str(item), partial(self._run_flight, item), self.deadline_from_now())

    def _run_flight(self, item: ItemId, flight: Flight[LookupResult]) -> LookupResult:
        """Return the result from the store, from another worker, or from the origin. Flights call this method."""
        try:
            look = self._look_or_wait(item, flight)
            with look.lease or nullcontext():
                result = self._result_of(item, look)
                return self._fetch(item, flight, look) if result is None else result
        except ServiceError:
            raise
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001 - it is logged here
            raise self._internal_error(item, error) from None

    def _look_or_wait(self, item: ItemId, flight: Flight[LookupResult]) -> Look:
        """Repeat the look until there is a result, or until the flight may fetch the page. Return the last look.

        While another worker holds the lease, the flight polls the store for the record of that worker. The other worker
        may have to wait for its host until the deadline, and then fetch for the ``timeout`` of the source. So the
        flight polls until its own deadline plus this timeout. If the lease is still held then, the flight fetches the
        page without the lease.
        """
        poll_interval = _MIN_POLL_SECONDS
        while not (look := self._look(item, flight)).may_fetch and self._result_of(item, look) is None:
            if self._clock() >= flight.deadline.at + self._sources[item.source].timeout:
                break
            if look.record is not None and (stale := self._usable_result(item, look.record, CacheStatus.STORE)):
                flight.hand_out(stale)
            flight.deadline.waiting_for = "another worker, which fetches the page"
            self._sleep(poll_interval * (0.5 + self._jitter()))
            poll_interval = min(poll_interval * 1.5, _MAX_POLL_SECONDS)
        return look

    def _look(self, item: ItemId, flight: Flight[LookupResult]) -> Look:
        """Return the look of the repository. Replace ``record`` with ``stored`` if another worker forgot the item."""
        look = self._repository.look(item, flight)
        # The invalidations are read after the look, so they include all purges up to the purge number of the look.
        # ``settle`` checks for purges after that number. So no purge is missed.
        if look.is_unconfirmed and (str(item) in self._apply_invalidations(str(item)) or not flight.is_current):
            return look._replace(record=look.stored)
        return look

    def _result_of(self, item: ItemId, look: Look) -> LookupResult | None:
        """Return the record of a look as a result, or None if there is no record or the record is due for a refresh."""
        if look.record is None or is_refresh_due(look.record, self._clock()):
            return None
        return self._usable_result(item, look.record, CacheStatus.STORE)

    def _fetch(self, item: ItemId, flight: Flight[LookupResult], look: Look) -> LookupResult:
        """Fetch the item's page, and save the record of the cover or of the failure.

        If the record of ``look`` may be served during the fetch, the present waiters of the flight get that record.
        """
        previous = look.record
        if previous is not None and (stale := self._usable_result(item, previous, CacheStatus.STORE)) is not None:
            flight.hand_out(stale)
        source, started_at = self._sources[item.source], self._clock()
        try:
            record = self._fetch_record(source, item.id, previous, flight.deadline)
        except LookupFailed as error:
            record = failed_record(previous, source, error, now=self._clock(), jitter=self._jitter())
            if previous is not None and previous.is_found and isinstance(error, NoCover):
                fate = "kept" if record.is_found else "deleted"
                _log.warning(
                    "%s: the cover is no longer available; the cached one is %s: %s",
                    item,
                    fate,
                    error,
                    extra=asdict(item),
                )
        except (Exception, gevent.Timeout) as error:
            if previous is None or isinstance(error, ServiceError):
                # The flight is closed now, because the release of the lease takes some time. A caller that arrives
                # meanwhile must not get this error.
                self._flights.close(str(item), flight)
                raise
            # A bug must not replace a cached cover.
            bug = OriginFailed(str(self._internal_error(item, error)))
            record = failed_record(previous, source, bug, now=self._clock(), jitter=self._jitter())
        if _log.isEnabledFor(logging.DEBUG):
            fields = {"outcome": record.outcome, "error": record.error, "seconds": round(self._clock() - started_at, 6)}
            _log.debug("%s: its page was fetched", item, extra=asdict(item) | fields)
        flight.deadline.waiting_for = "the store"
        self._repository.settle(item, flight, look, record)
        return LookupResult(record, CacheStatus.STALE if record.is_found and record.error else CacheStatus.FETCHED)

    def _internal_error(self, item: ItemId, error: BaseException) -> InternalError:
        """Log an exception that is a bug, and return the error for the callers.

        The log is the only report of a bug in a background refresh, because it has no callers.
        """
        reference = secrets.token_hex(4)
        fields = asdict(item) | {"reference": reference}
        trace = error if self._traceback_limit.allows(type(error).__name__) else None
        _log.error("%s: internal error %s: %r", item, reference, error, exc_info=trace, extra=fields)
        return InternalError(f"internal error, reference {reference}")

    def _fetch_record(
        self, source: Source, item_id: str, previous: CoverRecord | None, deadline: Deadline
    ) -> CoverRecord:
        """Return the record of the cover on the item's page. Raises LookupFailed if there is none."""
        validators = None
        if (
            previous is not None
            and (previous.etag or previous.last_modified)
            # If the rules of the source have changed, the request must not be conditional, because the cover must be
            # extracted again even if the page has not changed.
            and previous.source_fingerprint == source.fingerprint
        ):
            validators = Validators(etag=previous.etag, last_modified=previous.last_modified)
        cover = self._cover_pages.read_cover(source, item_id, deadline, validators)
        if cover is not None:
            return found_record(source, cover, now=self._clock(), jitter=self._jitter())
        if previous is None:
            raise OriginFailed("the origin answered 304 to an unconditional request")
        return revalidated_record(previous, source, now=self._clock(), jitter=self._jitter())
