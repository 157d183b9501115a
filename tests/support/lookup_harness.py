"""A lookup with scripted pages and a clock that the test moves: everything real but the network.

Several lookups of one story are several workers: each has its own memory, all share the story's store and origin.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gevent.event import Event

from app.config.rules import Pattern, Rule
from app.config.source import Duration, Source
from app.config.sources import Registry
from app.config.url_templates import PageUrl
from app.domain.errors import OriginError
from app.domain.records import Answer, CoverRecord, Finding, decode_record, encode_record
from app.fetch.page_fetcher import Page, Validators
from app.lookup.cover_page import Inquiry
from app.lookup.repository import Known
from app.lookup.service import Lookup
from app.lookup.single_flight import Flights
from app.store.base import NoStore, Store
from app.store.circuit_breaker import GuardedStore
from app.store.lru import Memory
from tests.support.clock import Clock
from tests.support.recording_observer import Listener

SHOP = Source(
    page_url=PageUrl("https://shop.example/item/{id}"),
    extract=[Rule(regex=Pattern(r'src="([^"]+)"'))],
    ttl=Duration(100),
    grace=Duration(20),
    keep=Duration(1000),
    negative_ttl=Duration(50),
    error_ttl=Duration(10),
)

#: What fetching a page does; None says that it has not changed.
Script = Callable[[], bytes | None]


def new_memory(size: int = 1000) -> Memory[CoverRecord]:
    """Return a worker's memory."""
    return Memory(size, encode=encode_record, decode=decode_record, is_precious=lambda record: record.is_found)


@dataclass(slots=True)
class Story:
    """``pages`` maps an id to what fetching its page does; ``asked`` lists the ids whose pages were fetched."""

    pages: dict[str, Script] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    validators: Validators = field(default_factory=Validators)
    told: list[str] = field(default_factory=list)
    conditions: list[Validators | None] = field(default_factory=list)
    clock: Clock = field(default_factory=lambda: Clock(1_700_000_000.0))
    sources: Registry = field(default_factory=lambda: Registry({"shop": SHOP, "other": SHOP}, default="shop"))
    store: Store = field(default_factory=NoStore)
    deadline: float = 5.0
    luck: float = 0.0
    listener: Listener = field(default_factory=Listener)

    def visit(
        self,
        source: Source,
        url: str,
        patience: float,
        read: Callable[[Page], Finding],
        validators: Validators | None = None,
    ) -> Finding | None:
        """Play the visitor."""
        assert source in self.sources.values()
        assert 0 <= patience <= self.deadline
        item_id = url.rpartition("/")[2]
        self.asked.append(item_id)
        self.conditions.append(validators)
        body = self.pages[item_id]()
        return None if body is None else read(Page(url=url, body=body, validators=self.validators))

    def throttled(self, source: Source, url: str, error: OriginError) -> None:
        """Be told that a page asked to wait."""
        self.told.append(str(error))

    def lookup(self) -> Lookup:
        """Return one worker's lookup."""
        store = GuardedStore(self.store, encode=encode_record, decode=decode_record, clock=self.clock)
        return Lookup(
            sources=self.sources,
            known=Known(
                sources=self.sources, memory=new_memory(), store=store, clock=self.clock, observer=self.listener
            ),
            flights=Flights[str, Answer](1000),
            inquire=Inquiry(self).ask,
            deadline=self.deadline,
            clock=self.clock,
            luck=lambda: self.luck,
            observer=self.listener,
        )

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.now += seconds


def picture(name: str) -> Script:
    """Make a page that shows this picture."""
    body = f'<img src="{name}">'.encode()
    return lambda: body


def held_back(go: Event, name: str) -> Script:
    """Make a page that shows this picture once ``go`` is set."""

    def show() -> bytes:
        go.wait()
        return f'<img src="{name}">'.encode()

    return show


def unchanged() -> None:
    """Be a page that has not changed."""


def failing(error: Exception) -> Script:
    """Make a page whose fetching fails."""

    def fail() -> bytes:
        raise error

    return fail
