"""A lookup service with scripted pages and a clock that the test moves. All other parts are real.

Several lookup services of one harness act as several workers: each has its own memory, and all share the store and the
scripted pages of the harness.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import gevent
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.config.rules import Regex, Rule
from app.config.source import Duration, Source
from app.config.source_registry import SourceRegistry
from app.config.url_templates import PageUrlTemplate
from app.domain.errors import OriginError
from app.domain.records import CoverRecord, LookupResult, decode_record, encode_record
from app.fetch.page_fetcher import Page, Validators
from app.fetch.polite_client import PoliteClient
from app.lookup.cover_page import CoverPageReader
from app.lookup.repository import CoverRepository
from app.lookup.service import LookupService
from app.lookup.single_flight import SingleFlight
from app.store.base import Store
from app.store.circuit_breaker import CircuitBreakingStore
from app.store.lru import LruCache
from app.store.purge_log import PurgeLog, allocate
from tests.support.clock import ManualClock
from tests.support.recording_observer import RecordingObserver

SHOP = Source(
    page_url=PageUrlTemplate("https://shop.example/item/{id}"),
    extract=[Rule(regex=Regex(r'src="([^"]+)"'))],
    ttl=Duration(100),
    grace=Duration(20),
    keep=Duration(1000),
    negative_ttl=Duration(50),
    error_ttl=Duration(10),
)

#: Workers of one harness, at most.
_MAX_WORKERS = 8

T = TypeVar("T")

#: Fetches a page: returns its body, or None for 304, or raises.
Script = Callable[[], bytes | None]


def new_memory(size: int = 1000) -> LruCache[CoverRecord]:
    """Return the memory of one worker."""
    return LruCache(size, encode=encode_record, decode=decode_record, is_positive=lambda record: record.is_found)


@dataclass(slots=True)
class LookupHarness(PoliteClient):
    """A client with scripted pages instead of an origin, and the lookup services that use it.

    ``pages`` maps the id of an item to the script of its page, and ``validators`` are those of all pages.
    ``fetched_ids`` lists the ids whose pages were fetched; ``sent_validators`` and ``deadlines`` are those of the
    requests. ``sleep`` is how the services sleep.
    """

    pages: dict[str, Script] = field(default_factory=dict)
    fetched_ids: list[str] = field(default_factory=list)
    validators: Validators = field(default_factory=Validators)
    sent_validators: list[Validators | None] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_700_000_000.0))
    sources: SourceRegistry = field(
        default_factory=lambda: SourceRegistry({"shop": SHOP, "other": SHOP}, default="shop")
    )
    store: Store | None = None
    deadline: float = 5.0
    jitter: float = 0.0
    sleep: Callable[[float], None] = gevent.sleep
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    purges: "memoryview[float]" = field(default_factory=lambda: allocate(_MAX_WORKERS))
    workers: int = 0

    def fetch(
        self,
        source: Source,
        url: str,
        deadline: Deadline,
        read: Callable[[Page], T],
        validators: Validators | None = None,
    ) -> T | None:
        """Run the script of the page and return what ``read`` makes of the body."""
        assert source in self.sources.values()
        assert deadline.at <= self.clock.now + self.deadline
        item_id = url.rpartition("/")[2]
        self.fetched_ids.append(item_id)
        self.sent_validators.append(validators)
        self.deadlines.append(deadline)
        body = self.pages[item_id]()
        return None if body is None else read(Page(url=url, body=body, validators=self.validators))

    def record_throttled(self, source: Source, url: str, error: OriginError) -> None:
        """Do nothing: the harness has no host health."""

    def lookup(self, *, memory_size: int = 1000, max_flights: int = 1000) -> LookupService:
        """Return the lookup service of one more worker."""
        store = CircuitBreakingStore(self.store, encode=encode_record, decode=decode_record, clock=self.clock)
        self.workers += 1
        return LookupService(
            sources=self.sources,
            repository=CoverRepository(
                sources=self.sources,
                memory=new_memory(memory_size),
                store=store,
                clock=self.clock,
                purge_log=PurgeLog(self.purges, self.workers - 1),
                observer=self.observer,
            ),
            single_flight=SingleFlight[str, LookupResult](max_flights),
            cover_pages=CoverPageReader(self),
            deadline=self.deadline,
            clock=self.clock,
            jitter=lambda: self.jitter,
            sleep=self.sleep,
            observer=self.observer,
        )

    def pass_time(self, seconds: float) -> None:
        """Move the clock forward."""
        self.clock.now += seconds


def picture(name: str) -> Script:
    """Return the script of a page with this picture."""
    body = f'<img src="{name}">'.encode()
    return lambda: body


def blocked(may_respond: Event, name: str) -> Script:
    """Return the script of a page with this picture. The fetch of the page blocks until ``may_respond`` is set."""

    def fetch() -> bytes:
        may_respond.wait()
        return f'<img src="{name}">'.encode()

    return fetch


def unchanged() -> None:
    """Respond with 304: the page has not changed."""


def failing(error: BaseException) -> Script:
    """Return the script of a page whose fetch raises ``error``."""

    def fail() -> bytes:
        raise error

    return fail


def run_until(condition: Callable[[], bool]) -> None:
    """Let other greenlets run until the condition is true. Raises AssertionError if it never becomes true."""
    for _ in range(1000):
        if condition():
            return
        gevent.sleep(0)
    raise AssertionError("the condition did not become true")
