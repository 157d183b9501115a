"""The story of a lookup, told once.

What is remembered and fresh is answered. What is stale is answered too, and refreshed behind the answer. What is not
known, or only kept for an emergency, is asked for: by one flight per item in this worker, which looks into the store
first, and by one worker at a time, the one that holds the item's lease. What came of it is remembered, here and in the
store, whatever it was. An old cover that may still be served beats every failure.

Everything that it needs is handed to it: it knows neither requests nor gunicorn nor XML-RPC.
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

#: Before the key of a flight that nobody waits for.
_REFRESH = "refresh "

#: Who waits for another worker's fetch looks for what it brought after this many seconds, then ever less often.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.15


class PendingLookup(msgspec.Struct, frozen=True):
    """A lookup that waits for a flight."""

    item: ItemId
    flight: Flight[LookupResult]


#: A lookup that has begun.
StartedLookup = LookupResult | PendingLookup


class LookupService:
    """Finds covers. ``deadline`` is the seconds that a caller, and a flight at its gate, waits at most.

    ``clock`` tells seconds since the epoch and does not jump; ``luck`` draws numbers from 0 to 1.
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
        self._known = repository
        self._flights = single_flight
        self._cover_pages = cover_pages
        self._deadline = deadline
        self._clock = clock
        self._luck = jitter
        self._observer = observer
        #: What tells whether an answer from memory may be given once more: ``Known.holds``.
        self.validity_check = repository.validity_check

    def find(self, item: ItemId) -> LookupResult:
        """Return what is known of the item's cover, or what the origin says now.

        Raises:
            TooSlow: the origin has not said it within the deadline.
            Overloaded: too many lookups are waiting.

        """
        return self.wait(self.begin(item), self.deadline_from_now())

    def deadline_from_now(self) -> float:
        """Return the time, by the clock, at which a call that begins now must be answered."""
        return self._clock() + self._deadline

    def begin(self, item: ItemId) -> StartedLookup:
        """Return the answer that is remembered, or what waits for the flight that is on its way to one.

        Raises:
            Overloaded: too many lookups are waiting.

        """
        record = self._known.from_memory(item)
        answer = None if record is None else self._remembered(item, record)
        if answer is None:
            try:
                return PendingLookup(item, self._flights.join(str(item), lambda: self._fly(item)))
            except Overloaded as error:
                answer = self._known.stale_result(item)
                if answer is None:
                    self._observer.lookup_finished(item.source, outcome_label(error), "")
                    raise
        self._observer.lookup_finished(item.source, answer.record.outcome, answer.cache)
        return answer

    def wait(self, started: StartedLookup, deadline: float) -> LookupResult:
        """Return the answer to what ``start`` began, by the time ``until``.

        Raises:
            TooSlow: the flight is still under way then; it goes on.
            Overloaded: too many lookups are waiting.

        """
        if isinstance(started, LookupResult):
            return started
        source = started.item.source
        self._observer.waiters_changed(+1)
        try:
            answer = self._awaited(started, deadline)
        except Exception as error:
            self._observer.lookup_finished(source, outcome_label(error), "")
            raise
        finally:
            self._observer.waiters_changed(-1)
        self._observer.lookup_finished(source, answer.record.outcome, answer.cache)
        return answer

    def _awaited(self, waiting: PendingLookup, until: float) -> LookupResult:
        try:
            return waiting.flight.wait(until - self._clock())
        except (TimeoutError, Overloaded) as error:
            old = self._known.stale_result(waiting.item)
            if old is not None:
                return old
            if isinstance(error, Overloaded):
                raise
            raise TooSlow(f"no answer within {self._deadline:g} seconds") from None

    def forget(self, item: ItemId) -> bool:
        """Drop what is known of the item, here and elsewhere. Tell if it was known. Raises as ``Known.forget`` does."""
        self._leave_behind(str(item))
        return self._known.forget(item)

    def apply_invalidations(self) -> None:
        """Drop from memory what was forgotten elsewhere since this was called last."""
        for key in self._known.apply_invalidations():
            self._leave_behind(key)

    def _leave_behind(self, key: str) -> None:
        """Have nobody who asks from now on join a flight that began with what is forgotten."""
        self._flights.forget(key)
        self._flights.forget(_REFRESH + key)

    def _remembered(self, item: ItemId, record: CoverRecord) -> LookupResult | None:
        """Return the answer that a record from memory is, or None where the origin is to be asked first."""
        now = self._clock()
        fresh = self._known.freshness(item, record)
        if fresh is Freshness.FRESH:
            return LookupResult(record, CacheStatus.MEMORY)
        if fresh is Freshness.STALE_WHILE_REVALIDATE and is_refresh_due(record, now):
            self._refresh(item)
        elif fresh is Freshness.EXPIRED or is_refresh_due(record, now):
            return None
        return LookupResult(record, CacheStatus.STALE)

    def _refresh(self, item: ItemId) -> None:
        """Have the origin asked behind an answer that was given already."""
        key = f"{_REFRESH}{item}"
        if key not in self._flights:
            with suppress(Overloaded):  # then the next one who asks for it will
                self._flights.join(key, lambda: self._find_out(item, self._known.newest(item)))

    def _fly(self, item: ItemId) -> LookupResult:
        """Find the item's cover in the store, else at the origin."""
        record = self._known.newest(item)
        if (answer := self._known.usable_result(item, record)) is not None:
            return answer
        if record is not None and self._known.freshness(item, record) is Freshness.STALE_WHILE_REVALIDATE:
            self._refresh(item)
            return LookupResult(record, CacheStatus.STALE)
        return self._find_out(item, record)

    def _find_out(self, item: ItemId, before: CoverRecord | None) -> LookupResult:
        """Ask the origin, or wait for what a worker brings that asks it already; ``before`` was recalled just now."""
        known = self._known
        if not known.is_shared:
            return self._ask(item, before, self._deadline)
        # Longer than any caller waits: what comes then is for those who ask next. The lease's holder may have as long
        # as a page takes after its wait at the gate; if it has the lease still, that has been long enough.
        until = self.deadline_from_now()
        look, last_look = _FIRST_LOOK, until + self._sources[item.source].timeout
        while (lease := known.acquire_lease(item)) is None and self._clock() < last_look:
            gevent.sleep(look * (0.5 + self._luck()))
            look = min(look * 1.5, _LAST_LOOK)
            if (answer := known.usable_result(item, known.newest(item))) is not None:
                return answer
        with lease or nullcontext():
            record = known.newest(item)  # somebody may have been quicker
            if (answer := known.usable_result(item, record)) is not None:
                return answer
            return self._ask(item, record, max(until - self._clock(), 0))

    def _ask(self, item: ItemId, before: CoverRecord | None, patience: float) -> LookupResult:
        """Ask the origin, and remember what came of it."""
        source, began = self._sources[item.source], self._clock()
        try:
            record = self._inquired(source, item.id, before, patience)
        except LookupFailed as error:
            record = failed_record(before, source, error, now=self._clock(), jitter=self._luck())
            if before is not None and before.is_found and isinstance(error, NoCover):
                fate = "the old one is kept" if record.is_found else "it is not known any more"
                _log.warning("%s: its cover has vanished, %s: %s", item, fate, error, extra=asdict(item))
        except ServiceError:
            raise
        except Exception:
            if before is None:
                raise
            # A bug must not take a known cover away; and behind an answer nobody waits who would be told of it.
            _log.exception("%s: internal error", item, extra=asdict(item))
            bug = OriginFailed("internal error, see the log")
            record = failed_record(before, source, bug, now=self._clock(), jitter=self._luck())
        if _log.isEnabledFor(logging.DEBUG):
            told = {"outcome": record.outcome, "error": record.error, "seconds": round(self._clock() - began, 6)}
            _log.debug("%s: its origin was asked", item, extra=asdict(item) | told)
        self._known.save(item, before, record)
        return LookupResult(record, CacheStatus.STALE if record.is_found and record.error else CacheStatus.FETCHED)

    def _inquired(self, source: Source, item_id: str, before: CoverRecord | None, patience: float) -> CoverRecord:
        """Return the record of the cover that the item's page shows. Raises LookupFailed where it shows none."""
        validators = None
        if (
            before is not None
            and (before.etag or before.last_modified)
            and before.source_fingerprint == source.fingerprint
        ):
            # Of a page from which other rules took the cover, it does not matter that it has not changed.
            validators = Validators(etag=before.etag, last_modified=before.last_modified)
        finding = self._cover_pages.read_cover(source, item_id, patience, validators)
        if finding is not None:
            return found_record(source, finding, now=self._clock(), jitter=self._luck())
        if before is None:
            raise OriginFailed("not modified, though nobody asked")
        return revalidated_record(before, source, now=self._clock(), jitter=self._luck())
