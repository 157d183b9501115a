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
from typing import Protocol

import gevent
import msgspec
from msgspec.structs import asdict

from app.concurrency.clock import Clock
from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, OriginFailed, Overloaded, ServiceError, TooSlow
from app.domain.events import NOBODY, Observer
from app.domain.records import Answer, CacheState, ContentId, CoverRecord, Finding, word_for
from app.fetch.page_fetcher import Validators
from app.lookup.freshness import Freshness, failed, found, is_due, renewed
from app.lookup.repository import Known
from app.lookup.single_flight import Flight, Flights

_log = logging.getLogger(__name__)

#: Before the key of a flight that nobody waits for.
_REFRESH = "refresh "

#: Who waits for another worker's fetch looks for what it brought after this many seconds, then ever less often.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.15


class Inquire(Protocol):
    """Asks an item's origin, as ``app.lookup.cover_page.Inquiry.ask`` does."""

    def __call__(  # noqa: D102 - see the class
        self, source: Source, item_id: str, patience: float, validators: Validators | None, /
    ) -> Finding | None: ...


class Waiting(msgspec.Struct, frozen=True):
    """A lookup that waits for a flight."""

    item: ContentId
    flight: Flight[Answer]


#: A lookup that has begun.
Started = Answer | Waiting


class Lookup:
    """Finds covers. ``deadline`` is the seconds that a caller, and a flight at its gate, waits at most.

    ``clock`` tells seconds since the epoch and does not jump; ``luck`` draws numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        known: Known,
        flights: Flights[str, Answer],
        inquire: Inquire,
        deadline: float,
        clock: Clock,
        luck: Callable[[], float] = random.random,
        observer: Observer = NOBODY,
    ) -> None:
        self._sources = sources
        self._known = known
        self._flights = flights
        self._inquire = inquire
        self._deadline = deadline
        self._clock = clock
        self._luck = luck
        self._observer = observer
        #: What tells whether an answer from memory may be given once more: ``Known.holds``.
        self.holds = known.holds

    def find(self, item: ContentId) -> Answer:
        """Return what is known of the item's cover, or what the origin says now.

        Raises:
            TooSlow: the origin has not said it within the deadline.
            Overloaded: too many lookups are waiting.

        """
        return self.finish(self.start(item), self.until())

    def until(self) -> float:
        """Return the time, by the clock, at which a call that begins now must be answered."""
        return self._clock() + self._deadline

    def start(self, item: ContentId) -> Started:
        """Return the answer that is remembered, or what waits for the flight that is on its way to one.

        Raises:
            Overloaded: too many lookups are waiting.

        """
        record = self._known.remembered(item)
        answer = None if record is None else self._remembered(item, record)
        if answer is None:
            try:
                return Waiting(item, self._flights.join(str(item), lambda: self._fly(item)))
            except Overloaded as error:
                answer = self._known.old_answer(item)
                if answer is None:
                    self._observer.looked_up(item.source, word_for(error), "")
                    raise
        self._observer.looked_up(item.source, answer.record.outcome, answer.cache)
        return answer

    def finish(self, started: Started, until: float) -> Answer:
        """Return the answer to what ``start`` began, by the time ``until``.

        Raises:
            TooSlow: the flight is still under way then; it goes on.
            Overloaded: too many lookups are waiting.

        """
        if isinstance(started, Answer):
            return started
        source = started.item.source
        self._observer.waiting(+1)
        try:
            answer = self._awaited(started, until)
        except Exception as error:
            self._observer.looked_up(source, word_for(error), "")
            raise
        finally:
            self._observer.waiting(-1)
        self._observer.looked_up(source, answer.record.outcome, answer.cache)
        return answer

    def _awaited(self, waiting: Waiting, until: float) -> Answer:
        try:
            return waiting.flight.wait(until - self._clock())
        except (TimeoutError, Overloaded) as error:
            old = self._known.old_answer(waiting.item)
            if old is not None:
                return old
            if isinstance(error, Overloaded):
                raise
            raise TooSlow(f"no answer within {self._deadline:g} seconds") from None

    def forget(self, item: ContentId) -> bool:
        """Drop what is known of the item, here and elsewhere. Tell if it was known. Raises as ``Known.forget`` does."""
        self._leave_behind(str(item))
        return self._known.forget(item)

    def hear(self) -> None:
        """Drop from memory what was forgotten elsewhere since this was called last."""
        for key in self._known.forgotten():
            self._leave_behind(key)

    def _leave_behind(self, key: str) -> None:
        """Have nobody who asks from now on join a flight that began with what is forgotten."""
        self._flights.leave_behind(key)
        self._flights.leave_behind(_REFRESH + key)

    def _remembered(self, item: ContentId, record: CoverRecord) -> Answer | None:
        """Return the answer that a record from memory is, or None where the origin is to be asked first."""
        now = self._clock()
        fresh = self._known.freshness(item, record)
        if fresh is Freshness.FRESH:
            return Answer(record, CacheState.MEMORY)
        if fresh is Freshness.STALE and is_due(record, now):
            self._refresh(item)
        elif fresh is Freshness.GONE or is_due(record, now):
            return None
        return Answer(record, CacheState.STALE)

    def _refresh(self, item: ContentId) -> None:
        """Have the origin asked behind an answer that was given already."""
        key = f"{_REFRESH}{item}"
        if key not in self._flights:
            with suppress(Overloaded):  # then the next one who asks for it will
                self._flights.join(key, lambda: self._find_out(item, self._known.recalled(item)))

    def _fly(self, item: ContentId) -> Answer:
        """Find the item's cover in the store, else at the origin."""
        record = self._known.recalled(item)
        if (answer := self._known.settled(item, record)) is not None:
            return answer
        if record is not None and self._known.freshness(item, record) is Freshness.STALE:
            self._refresh(item)
            return Answer(record, CacheState.STALE)
        return self._find_out(item, record)

    def _find_out(self, item: ContentId, before: CoverRecord | None) -> Answer:
        """Ask the origin, or wait for what a worker brings that asks it already; ``before`` was recalled just now."""
        known = self._known
        if not known.is_shared:
            return self._ask(item, before, self._deadline)
        # Longer than any caller waits: what comes then is for those who ask next. The lease's holder may have as long
        # as a page takes after its wait at the gate; if it has the lease still, that has been long enough.
        until = self.until()
        look, last_look = _FIRST_LOOK, until + self._sources[item.source].timeout
        while (lease := known.lease(item)) is None and self._clock() < last_look:
            gevent.sleep(look * (0.5 + self._luck()))
            look = min(look * 1.5, _LAST_LOOK)
            if (answer := known.settled(item, known.recalled(item))) is not None:
                return answer
        with lease or nullcontext():
            record = known.recalled(item)  # somebody may have been quicker
            if (answer := known.settled(item, record)) is not None:
                return answer
            return self._ask(item, record, max(until - self._clock(), 0))

    def _ask(self, item: ContentId, before: CoverRecord | None, patience: float) -> Answer:
        """Ask the origin, and remember what came of it."""
        source, began = self._sources[item.source], self._clock()
        try:
            record = self._inquired(source, item.id, before, patience)
        except LookupFailed as error:
            record = failed(before, source, error, now=self._clock(), luck=self._luck())
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
            record = failed(before, source, bug, now=self._clock(), luck=self._luck())
        if _log.isEnabledFor(logging.DEBUG):
            told = {"outcome": record.outcome, "error": record.error, "seconds": round(self._clock() - began, 6)}
            _log.debug("%s: its origin was asked", item, extra=asdict(item) | told)
        self._known.keep(item, before, record)
        return Answer(record, CacheState.STALE if record.is_found and record.error else CacheState.FETCHED)

    def _inquired(self, source: Source, item_id: str, before: CoverRecord | None, patience: float) -> CoverRecord:
        """Return the record of the cover that the item's page shows. Raises LookupFailed where it shows none."""
        validators = None
        if before is not None and (before.etag or before.last_modified) and before.made_by == source.fingerprint:
            # Of a page from which other rules took the cover, it does not matter that it has not changed.
            validators = Validators(etag=before.etag, last_modified=before.last_modified)
        finding = self._inquire(source, item_id, patience, validators)
        if finding is not None:
            return found(source, finding, now=self._clock(), luck=self._luck())
        if before is None:
            raise OriginFailed("not modified, though nobody asked")
        return renewed(before, source, now=self._clock(), luck=self._luck())
