"""A lookup with scripted pages and clocks that the test moves: everything real but the network."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.cache.flight import Flights
from app.cache.lru import LRU
from app.cover import ContentId, CoverRecord
from app.lookup import Lookup
from app.origin.page import Page
from app.source import Duration, PageUrl, Pattern, Rule, Source
from app.sources.registry import Registry
from tests.clock import Clock

SHOP = Source(
    page_url=PageUrl("https://shop.example/item/{id}"),
    extract=[Rule(regex=Pattern(r'src="([^"]+)"'))],
    ttl=Duration(100),
    negative_ttl=Duration(50),
    error_ttl=Duration(10),
)


@dataclass(slots=True)
class Story:
    """``pages`` maps an id to what fetching its page does; ``asked`` lists the ids whose pages were fetched."""

    pages: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    wall: Clock = field(default_factory=lambda: Clock(1_700_000_000.0))
    sources: Registry = field(default_factory=lambda: Registry({"shop": SHOP, "other": SHOP}, default="shop"))
    deadline: float = 5.0

    def fetch(self, name: str, source: Source, url: str, patience: float) -> Page:
        """Play the fetcher."""
        assert source is self.sources[name]
        assert patience == self.deadline
        item_id = url.rpartition("/")[2]
        self.asked.append(item_id)
        return Page(url=url, body=self.pages[item_id]())

    def lookup(self) -> Lookup:
        """Return a lookup on these pages."""
        return Lookup(
            sources=self.sources,
            memory=LRU[ContentId, CoverRecord](1000, clock=self.clock),
            flights=Flights[ContentId, CoverRecord](1000),
            fetch=self.fetch,
            deadline=self.deadline,
            clock=self.clock,
            wall=self.wall,
        )

    def pass_time(self, seconds: float) -> None:
        """Move both clocks."""
        self.clock.now += seconds
        self.wall.now += seconds


def picture(name: str) -> Callable[[], bytes]:
    """Make a page that shows this picture."""
    body = f'<img src="{name}">'.encode()
    return lambda: body


def failing(error: Exception) -> Callable[[], bytes]:
    """Make a page whose fetching fails."""

    def fail() -> bytes:
        raise error

    return fail
