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

from app import lifetime
from app.cache.flight import Flight, Flights
from app.cache.guard import GuardedStore
from app.cache.lease import Lease
from app.cache.memory import Memory
from app.clock import Clock
from app.cover import Answer, CacheState, ContentId, CoverRecord, Finding, word_for
from app.errors import LookupFailed, NoCover, OriginFailed, Overloaded, ServiceError, TooSlow
from app.lifetime import Freshness
from app.observer import NOBODY, Observer
from app.origin.page import Validators
from app.source import Source

_log = logging.getLogger(__name__)

#: Before the key of a flight that nobody waits for.
_REFRESH = "refresh "

#: Who waits for another worker's fetch looks for what it brought after this many seconds, then ever less often.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.15


class Inquire(Protocol):
    """Asks an item's origin, as ``app.inquiry.Inquiry.ask`` does."""

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
        memory: Memory[CoverRecord],
        store: GuardedStore[CoverRecord],
        flights: Flights[str, Answer],
        inquire: Inquire,
        deadline: float,
        clock: Clock,
        luck: Callable[[], float] = random.random,
        observer: Observer = NOBODY,
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._store = store
        self._flights = flights
        self._inquire = inquire
        self._deadline = deadline
        self._clock = clock
        self._luck = luck
        self._observer = observer
        self._news_point = ""

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
        record = self._memory.get(str(item))
        answer = None if record is None else self._remembered(item, record)
        if answer is None:
            try:
                return Waiting(item, self._flights.join(str(item), lambda: self._fly(item)))
            except Overloaded as error:
                answer = self._old_answer(item)
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
            old = self._old_answer(waiting.item)
            if old is not None:
                return old
            if isinstance(error, Overloaded):
                raise
            raise TooSlow(f"no answer within {self._deadline:g} seconds") from None

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

    def forget(self, item: ContentId) -> bool:
        """Drop what is known of the item, here and in the store; other workers hear of it. Tell if it was known.

        Raises:
            Overloaded: the store cannot be asked at present, so it would bring the item back.

        """
        was_here = self._drop(str(item))
        return self._store.forget(str(item)) or was_here

    def hear(self) -> None:
        """Drop from memory what was forgotten elsewhere since this was called last."""
        self._news_point, keys = self._store.forgotten(self._news_point)
        for key in keys:
            self._drop(key)

    def _drop(self, key: str) -> bool:
        # Who asks from now on is not to join a flight that began with what is forgotten.
        self._flights.leave_behind(key)
        self._flights.leave_behind(_REFRESH + key)
        return self._memory.forget(key)

    def _remembered(self, item: ContentId, record: CoverRecord) -> Answer | None:
        """Return the answer that a record from memory is, or None where the origin is to be asked first."""
        now = self._clock()
        fresh = self._freshness(item, record, now)
        if fresh is Freshness.FRESH:
            return Answer(record, CacheState.MEMORY)
        if fresh is Freshness.STALE and lifetime.is_due(record, now):
            self._refresh(item)
        elif fresh is Freshness.GONE or lifetime.is_due(record, now):
            return None
        return Answer(record, CacheState.STALE)

    def _old_answer(self, item: ContentId) -> Answer | None:
        """Return the cover that is known from before, if it may still be served."""
        record = self._memory.get(str(item))
        if record is None or self._freshness(item, record, self._clock()) is Freshness.GONE:
            return None
        return Answer(record, CacheState.STALE)

    def _refresh(self, item: ContentId) -> None:
        """Have the origin asked behind an answer that was given already."""
        key = f"{_REFRESH}{item}"
        if key not in self._flights:
            with suppress(Overloaded):  # then the next one who asks for it will
                self._flights.join(key, lambda: self._find_out(item))

    def _fly(self, item: ContentId) -> Answer:
        """Find the item's cover in the store, else at the origin."""
        known = self._recall(item)
        if (answer := self._settled(item, known)) is not None:
            return answer
        if known is not None and self._freshness(item, known, self._clock()) is Freshness.STALE:
            self._refresh(item)
            return Answer(known, CacheState.STALE)
        return self._find_out(item)

    def _find_out(self, item: ContentId) -> Answer:
        """Ask the origin, or wait for what a worker brings that asks it already."""
        if not self._store.is_shared:
            return self._ask(item, self._recall(item), self._deadline)
        # Longer than any caller waits: what comes then is for those who ask next. The lease's holder may have as long
        # as a page takes after its wait at the gate; if it has the lease still, that has been long enough.
        until = self.until()
        look, last_look = _FIRST_LOOK, until + self._sources[item.source].timeout
        while (lease := Lease.taken(self._store, str(item))) is None and self._clock() < last_look:
            gevent.sleep(look * (0.5 + self._luck()))
            look = min(look * 1.5, _LAST_LOOK)
            if (answer := self._settled(item, self._recall(item))) is not None:
                return answer
        with lease or nullcontext():
            known = self._recall(item)  # somebody may have been quicker
            if (answer := self._settled(item, known)) is not None:
                return answer
            return self._ask(item, known, max(until - self._clock(), 0))

    def _recall(self, item: ContentId) -> CoverRecord | None:
        """Return the newest that memory and store know, and remember it; None where it is no use any more."""
        key = str(item)
        known = self._memory.get(key)
        stored = self._store.get(key)
        if stored is not None:
            stored = lifetime.clamped(stored, self._clock())
            if known is None or (stored.fetched_at, stored.next_check) > (known.fetched_at, known.next_check):
                known = stored
                self._memory.put(key, stored)
        if known is None or self._freshness(item, known, self._clock()) is Freshness.GONE:
            return None
        return known

    def _settled(self, item: ContentId, known: CoverRecord | None) -> Answer | None:
        """Return the answer that what was recalled is, or None where the origin is to be asked."""
        now = self._clock()
        if known is None or lifetime.is_due(known, now):
            return None
        fresh = self._freshness(item, known, now) is Freshness.FRESH
        return Answer(known, CacheState.STORE if fresh else CacheState.STALE)

    def _freshness(self, item: ContentId, record: CoverRecord, now: float) -> Freshness:
        return lifetime.freshness(record, self._sources[item.source], now)

    def _ask(self, item: ContentId, known: CoverRecord | None, patience: float) -> Answer:
        """Ask the origin, and remember what came of it."""
        source, began = self._sources[item.source], self._clock()
        try:
            record = self._inquired(item, source, known, patience)
        except LookupFailed as error:
            record = lifetime.failed(known, source, error, now=self._clock(), luck=self._luck())
            if known is not None and known.is_found and isinstance(error, NoCover):
                fate = "the old one is kept" if record.is_found else "it is not known any more"
                _log.warning("%s: its cover has vanished, %s: %s", item, fate, error, extra=asdict(item))
        except ServiceError:
            raise
        except Exception:
            if known is None:
                raise
            # A bug must not take a known cover away; and behind an answer nobody waits who would be told of it.
            _log.exception("%s: internal error", item, extra=asdict(item))
            bug = OriginFailed("internal error, see the log")
            record = lifetime.failed(known, source, bug, now=self._clock(), luck=self._luck())
        told = {"outcome": record.outcome, "error": record.error, "seconds": round(self._clock() - began, 6)}
        _log.debug("%s: its origin was asked", item, extra=asdict(item) | told)
        self._remember(item, source, known, record)
        return Answer(record, CacheState.STALE if record.is_found and record.error else CacheState.FETCHED)

    def _remember(self, item: ContentId, source: Source, known: CoverRecord | None, record: CoverRecord) -> None:
        """Keep the record in memory and store, unless what it stems from was forgotten meanwhile."""
        key = str(item)
        if known is not None and known.is_found and record.url == known.url and self._memory.get(key) is None:
            return
        self._memory.put(key, record)
        self._store.put(
            key,
            record,
            lifetime=lifetime.seconds_worth_keeping(record, source, self._clock()),
            is_precious=record.is_found,
        )

    def _inquired(self, item: ContentId, source: Source, known: CoverRecord | None, patience: float) -> CoverRecord:
        """Return the record of the cover that the item's page shows. Raises LookupFailed where it shows none."""
        validators = None
        if known is not None and (known.etag or known.last_modified) and known.made_by == source.fingerprint:
            # Of a page from which other rules took the cover, it does not matter that it has not changed.
            validators = Validators(etag=known.etag, last_modified=known.last_modified)
        finding = self._inquire(source, item.id, patience, validators)
        if finding is not None:
            return lifetime.found(source, finding, now=self._clock(), luck=self._luck())
        if known is None:
            raise OriginFailed("not modified, though nobody asked")
        return lifetime.renewed(known, source, now=self._clock(), luck=self._luck())
