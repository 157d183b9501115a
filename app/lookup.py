"""The story of a lookup, told once: what is remembered is answered; what is not is asked for, by one flight per item.

Everything that it needs is handed to it: it knows neither requests nor gunicorn nor XML-RPC.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Protocol

import gevent

from app.cache.flight import Flight, Flights
from app.cache.lru import LRU
from app.cover import Answer, CacheState, ContentId, CoverRecord, Outcome
from app.errors import Blocked, LookupFailed, NoCover, NoSuchItem, OriginFailed, Throttled, TooSlow
from app.origin.page import Page
from app.source import Source
from app.sources.extract import Extraction, extract

#: What an exception of a fetch says about the item; the first that fits counts.
_OUTCOMES: tuple[tuple[type[LookupFailed], Outcome], ...] = (
    (NoSuchItem, Outcome.NO_SUCH_ITEM),
    (NoCover, Outcome.NO_COVER),
    (Blocked, Outcome.BLOCKED),
    (Throttled, Outcome.THROTTLED),
    (TooSlow, Outcome.TOO_SLOW),
    (OriginFailed, Outcome.ORIGIN_FAILED),
)

#: Pages of more bytes are read in gevent's thread pool: parsing them would keep the hub for too long.
_INLINE_BYTES = 65_536

#: A lookup that has begun: the answer that was remembered, or the flight that is on its way to one.
Started = Answer | Flight[CoverRecord]


class Fetch(Protocol):
    """Asks an origin for a page, as ``app.origin.fetch.Fetcher.fetch`` does."""

    def __call__(self, name: str, source: Source, url: str, patience: float) -> Page: ...  # noqa: D102 - see the class


class Lookup:
    """Finds covers. ``deadline`` is the seconds that a caller, and a flight at its gate, waits at most.

    ``clock`` is monotonic, ``wall`` tells seconds since the epoch; both in seconds.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        memory: LRU[ContentId, CoverRecord],
        flights: Flights[ContentId, CoverRecord],
        fetch: Fetch,
        deadline: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._memory = memory
        self._flights = flights
        self._fetch = fetch
        self._deadline = deadline
        self._clock = clock
        self._wall = wall

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
        """Return the answer that is remembered, or the flight that is on its way to one.

        Raises:
            Overloaded: too many lookups are waiting.

        """
        record = self._memory.get(item)
        if record is not None:
            return Answer(record, CacheState.MEMORY)
        return self._flights.join(item, lambda: self._ask(item))

    def finish(self, started: Started, until: float) -> Answer:
        """Return the answer to what ``start`` began, by the time ``until``.

        Raises:
            TooSlow: the flight is still under way then; it goes on.
            Overloaded: too many lookups are waiting.

        """
        if isinstance(started, Answer):
            return started
        try:
            return Answer(started.wait(until - self._clock()), CacheState.FETCHED)
        except TimeoutError:
            raise TooSlow(f"no answer within {self._deadline:g} seconds") from None

    def _ask(self, item: ContentId) -> CoverRecord:
        """Ask the origin, and remember what came of it."""
        source = self._sources[item.source]
        page_url = source.page_url_of(item.id)
        try:
            page = self._fetch(item.source, source, page_url, self._deadline)
            record = self._record(source, page_url, _extracted(source, page))
        except LookupFailed as error:
            record = self._record_of_failure(source, page_url, error)
        self._memory.put(item, record, record.fresh_until - record.fetched_at)
        return record

    def _record(self, source: Source, page_url: str, found: Extraction) -> CoverRecord:
        if not found.url:
            raise NoCover(f"no cover on the page: {'; '.join(found.misses)}")
        now = self._wall()
        return CoverRecord(
            outcome=Outcome.FOUND,
            page_url=page_url,
            fetched_at=now,
            fresh_until=now + source.ttl,
            url=found.url,
            rule=found.rule,
        )

    def _record_of_failure(self, source: Source, page_url: str, error: LookupFailed) -> CoverRecord:
        now = self._wall()
        lifetime: float = source.negative_ttl if isinstance(error, NoCover) else source.error_ttl
        if isinstance(error, Throttled):
            lifetime = max(lifetime, error.retry_after)
        return CoverRecord(
            outcome=next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)),
            page_url=page_url,
            fetched_at=now,
            fresh_until=now + lifetime,
            error=str(error),
        )


def _extracted(source: Source, page: Page) -> Extraction:
    run = functools.partial(
        extract,
        page.body,
        rules=source.extract,
        page_url=page.url,
        charset=page.charset,
        image_url=source.image_url,
    )
    if len(page.body) <= _INLINE_BYTES:
        return run()
    found: Extraction = gevent.get_hub().threadpool.apply(run)
    return found
