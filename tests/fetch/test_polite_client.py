"""A visit with manners: tries, the gate, robots.txt and what is known of the host, together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest

from app.config.rules import Regex, Rule
from app.config.source import Duration, Source, Timeout
from app.config.url_templates import PageUrlTemplate
from app.domain.errors import Blocked, NoCover, NoSuchItem, OriginDown, OriginFailed, Throttled, TooSlow
from app.fetch.host_health import FAILURE_THRESHOLD, HostHealth, HostState
from app.fetch.host_limiter import HostLimiter
from app.fetch.http_request import authority_of
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from app.fetch.polite_client import PoliteClient
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.robots import RobotsFile, RobotsPolicy
from app.store.circuit_breaker import CircuitBreakingStore
from tests.support.clock import ManualClock
from tests.support.recording_observer import RecordingObserver

URL = "https://shop.example/item/42"

Step = Callable[[], Page | None]


def source(**keys: Any) -> Source:
    return Source(page_url=PageUrlTemplate("https://shop.example/item/{id}"), extract=[Rule(regex=Regex("x"))], **keys)


def show(text: str = "page") -> Step:
    return lambda: Page(url=URL, body=text.encode())


def body_of(page: Page) -> bytes:
    return page.body


def fail(error: Exception) -> Step:
    def step() -> Page | None:
        raise error

    return step


@dataclass
class Origin(PageFetcher):
    """A scripted fetcher: each call plays the next step, the last one for ever."""

    clock: ManualClock
    steps: list[Step] = field(default_factory=lambda: [show()])
    robots: Step = field(default_factory=lambda: show(""))
    redirects: str = ""
    asked: list[tuple[str, float]] = field(default_factory=list)

    def check(self, source: Source, url: str) -> None:
        if "stranger" in url:
            raise OriginFailed("not a host that the source allows")

    def fetch(
        self,
        source: Source,
        url: str,
        *,
        timeout: float,
        validators: Validators | None = None,
        check_redirect: Callable[[str], None] = lambda _: None,
    ) -> Page | None:
        self.asked.append((url, timeout))
        if self.redirects:
            check_redirect(self.redirects)
        return (self.steps.pop(0) if len(self.steps) > 1 else self.steps[0])()

    def fetch_prefix(
        self,
        source: Source,
        url: str,
        *,
        timeout: float,
        size: int,
        check_redirect: Callable[[str], None] = lambda _: None,
    ) -> Page:
        self.asked.append((url, timeout))
        page = self.robots()
        assert page is not None
        return page


@pytest.fixture
def origin() -> Origin:
    return Origin(ManualClock())


@pytest.fixture
def listener() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def visitor(origin: Origin, listener: RecordingObserver, tmp_path: Path) -> Iterator[PoliteClient]:
    clock = origin.clock
    guard = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
    places = ProcessSemaphore(tmp_path / "places")
    yield PoliteClient(
        fetcher=origin,
        limiter=HostLimiter(10, semaphore=places, max_waiting=10, clock=clock),
        host_health=HostHealth(shared=guard.namespace("@host:", HostState), clock=clock),
        robots=RobotsPolicy(user_agent="covers/1.0", shared=guard.namespace("@robots:", RobotsFile), clock=clock),
        clock=clock,
        observer=listener,
    )
    places.close()


def test_a_page_that_comes_is_asked_for_once(origin: Origin, visitor: PoliteClient) -> None:
    assert visitor.fetch(source(), URL, 1, body_of) == b"page"
    assert origin.asked == [(URL, 5)]


def test_a_page_that_has_not_changed_is_none(origin: Origin, visitor: PoliteClient) -> None:
    origin.steps = [lambda: None]
    assert visitor.fetch(source(), URL, 1, body_of, Validators(etag='"a"')) is None


def test_no_connection_is_tried_again_as_often_as_the_source_says(origin: Origin, visitor: PoliteClient) -> None:
    origin.steps = [fail(OriginDown("down"))]
    with pytest.raises(OriginDown):
        visitor.fetch(source(retries=3), URL, 1, body_of)
    assert len(origin.asked) == 4


def test_a_try_that_succeeds_is_the_answer(origin: Origin, visitor: PoliteClient) -> None:
    origin.steps = [fail(OriginDown("down")), show()]
    assert visitor.fetch(source(), URL, 1, body_of) is not None


@pytest.mark.parametrize(
    "error", [NoSuchItem("404"), Blocked("403"), Throttled("429"), OriginFailed("garbage"), TooSlow("slow")]
)
def test_nothing_else_is_tried_again(origin: Origin, visitor: PoliteClient, error: Exception) -> None:
    origin.steps = [fail(error), show()]
    with pytest.raises(type(error)):
        visitor.fetch(source(retries=3), URL, 1, body_of)
    assert len(origin.asked) == 1


def test_all_tries_together_have_the_timeout(origin: Origin, visitor: PoliteClient) -> None:
    def down_after_two_seconds() -> Page | None:
        origin.clock.now += 2
        raise OriginDown("down")

    origin.steps = [down_after_two_seconds]
    with pytest.raises(OriginDown):
        visitor.fetch(source(retries=9, timeout=Timeout(5)), URL, 100, body_of)
    assert [timeout for _, timeout in origin.asked] == [5, 3, 1]


def test_a_retry_that_finds_no_place_leaves_the_first_failure(origin: Origin, visitor: PoliteClient) -> None:
    """Which counts as one, and is what the caller is told."""
    origin.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD):
        with pytest.raises(OriginDown, match="down"):
            visitor.fetch(source(delay=Duration(0.01)), URL, 0, body_of)
        gevent.sleep(0.02)
    assert len(origin.asked) == FAILURE_THRESHOLD
    with pytest.raises(OriginFailed, match="it is tried again in"):
        visitor.fetch(source(), URL, 1, body_of)


def test_a_host_that_asked_to_wait_is_not_asked(origin: Origin, visitor: PoliteClient) -> None:
    origin.steps = [fail(Throttled("429", 30)), show()]
    for _ in range(3):
        with pytest.raises(Throttled):
            visitor.fetch(source(), URL, 1, body_of)
    assert len(origin.asked) == 1
    origin.clock.now += 30
    assert visitor.fetch(source(), URL, 1, body_of) is not None


def test_a_page_that_says_so_in_its_own_words_counts_as_well(origin: Origin, visitor: PoliteClient) -> None:
    visitor.record_throttled(source(error_ttl=Duration(7)), URL, Throttled("slow down"))
    origin.clock.now += 6.9
    with pytest.raises(Throttled, match="slow down"):
        visitor.fetch(source(), URL, 1, body_of)
    origin.clock.now += 0.1
    assert visitor.fetch(source(), URL, 1, body_of) is not None


def test_a_host_that_fails_again_and_again_is_left_alone_then_tried_once(origin: Origin, visitor: PoliteClient) -> None:
    """The one who tries has one try, whatever the source says."""
    origin.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD + 5):
        with pytest.raises(OriginFailed):
            visitor.fetch(source(retries=0), URL, 1, body_of)
    assert len(origin.asked) == FAILURE_THRESHOLD
    origin.clock.now += 1
    for _ in range(5):
        with pytest.raises(OriginFailed):
            visitor.fetch(source(retries=3), URL, 1, body_of)
    assert len(origin.asked) == FAILURE_THRESHOLD + 1
    origin.steps = [show()]
    origin.clock.now += 2
    assert visitor.fetch(source(), URL, 1, body_of) is not None


def test_a_source_that_honours_robots_txt_asks_for_it_first(origin: Origin, visitor: PoliteClient) -> None:
    origin.robots = show("User-agent: *\nDisallow: /item/\n")
    with pytest.raises(Blocked, match="does not allow this page"):
        visitor.fetch(source(robots=True), URL, 1, body_of)
    assert [url for url, _ in origin.asked] == ["https://shop.example/robots.txt"]


def test_a_source_that_does_not_is_not_held_up_by_it(origin: Origin, visitor: PoliteClient) -> None:
    origin.robots = show("User-agent: *\nDisallow: /\n")
    assert visitor.fetch(source(), URL, 1, body_of) is not None


def test_not_even_robots_txt_is_asked_for_at_a_host_that_is_not_allowed(origin: Origin, visitor: PoliteClient) -> None:
    with pytest.raises(OriginFailed, match="not a host that the source allows"):
        visitor.fetch(source(robots=True), "https://stranger.example/42", 1, body_of)
    assert origin.asked == []


def test_a_redirect_to_what_robots_txt_forbids_is_not_followed(origin: Origin, visitor: PoliteClient) -> None:
    origin.robots = show("User-agent: *\nDisallow: /private/\n")
    origin.redirects = "https://shop.example/private/42"
    with pytest.raises(Blocked, match="does not allow the target of a redirect"):
        visitor.fetch(source(robots=True), URL, 1, body_of)
    assert visitor.fetch(source(), URL, 1, body_of) is not None


def test_robots_txt_passes_the_gate_as_pages_do(origin: Origin, visitor: PoliteClient) -> None:
    """A 429 for it is one for its host, and it is tried again as pages are."""
    origin.robots = fail(Throttled("429", 30))
    for _ in range(2):
        with pytest.raises(Throttled):
            visitor.fetch(source(robots=True), URL, 1, body_of)
    assert len(origin.asked) == 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://shop.example/x", "shop.example"),
        ("https://SHOP.example:443/x", "shop.example"),
        ("http://shop.example:443/x", "shop.example:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_a_host_is_a_name_and_a_port(url: str, host: str) -> None:
    assert authority_of(url) == host


def leading_to(target: str) -> str:
    return f"https://target.example/{target}"


def test_where_a_redirect_leads_has_a_gate_of_its_own(origin: Origin, visitor: PoliteClient) -> None:
    """Pages that lead there and pages that are there share its places."""
    origin.redirects = leading_to("42")
    inside, most = 0, 0

    def step() -> Page | None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gevent.sleep(0.002)
        inside -= 1
        return Page(url=URL, body=b"page")

    origin.steps = [step]
    urls = [URL, "https://other.example/1", leading_to("1")] * 3
    visits = [gevent.spawn(visitor.fetch, source(concurrency=2), url, 9, body_of) for url in urls]
    gevent.joinall(visits, raise_error=True)
    assert most == 2


def test_what_the_target_of_a_redirect_says_is_said_of_the_target(origin: Origin, visitor: PoliteClient) -> None:
    origin.redirects = leading_to("42")
    origin.steps = [fail(Throttled("429", 30)), show()]
    with pytest.raises(Throttled):
        visitor.fetch(source(), URL, 1, body_of)
    with pytest.raises(Throttled):
        visitor.fetch(source(), leading_to("1"), 1, body_of)
    assert [url for url, _ in origin.asked] == [URL]
    with pytest.raises(Throttled):  # it redirects to the target, which is not gone to
        visitor.fetch(source(), URL, 1, body_of)
    origin.redirects = ""
    assert visitor.fetch(source(), URL, 1, body_of) == b"page"


def test_the_target_of_a_redirect_has_its_own_robots_txt(origin: Origin, visitor: PoliteClient) -> None:
    origin.redirects = leading_to("private/42")
    origin.robots = show("User-agent: *\nDisallow: /private/\n")
    with pytest.raises(Blocked, match=r"target\.example/robots\.txt does not allow"):
        visitor.fetch(source(robots=True), URL, 1, body_of)


def test_a_page_that_leads_back_to_its_host_takes_no_second_place(origin: Origin, visitor: PoliteClient) -> None:
    origin.redirects = "https://shop.example/elsewhere"
    assert visitor.fetch(source(concurrency=1), URL, 1, body_of) == b"page"


def taking(clock: ManualClock, seconds: float, step: Step) -> Step:
    """Make a step take its time."""

    def play() -> Page | None:
        clock.now += seconds
        return step()

    return play


def test_an_observer_hears_of_each_try_what_it_came_to_and_how_long_it_took(
    origin: Origin, visitor: PoliteClient, listener: RecordingObserver
) -> None:
    origin.steps = [taking(origin.clock, 0.5, fail(OriginDown("down"))), taking(origin.clock, 2, show())]
    visitor.fetch(source(name="shop"), URL, 1, body_of)
    assert listener.events == [("page_fetched", "shop", "origin_failed", 0.5), ("page_fetched", "shop", "found", 2)]


def test_what_is_read_in_the_page_is_what_the_try_came_to(
    origin: Origin, visitor: PoliteClient, listener: RecordingObserver
) -> None:
    """How long it was read is not what its origin took."""

    def read(error: Exception) -> Callable[[Page], None]:
        def fail(_page: Page) -> None:
            origin.clock.now += 3
            raise error

        return fail

    for error in (NoCover("none"), Throttled("wait"), ValueError("a bug")):
        with pytest.raises(type(error)):
            visitor.fetch(source(name="shop"), URL, 1, read(error))
    origin.steps = [lambda: None]
    visitor.fetch(source(name="shop"), URL, 1, body_of)
    assert [event[1:] for event in listener.events] == [
        ("shop", outcome, 0) for outcome in ("no_cover", "throttled", "internal_error", "not_modified")
    ]


def test_an_observer_hears_nothing_of_robots_and_of_pages_that_are_not_asked_for(
    origin: Origin, visitor: PoliteClient, listener: RecordingObserver
) -> None:
    origin.robots = show("User-agent: *\nDisallow: /")
    with pytest.raises(Blocked):
        visitor.fetch(source(robots=True), URL, 1, body_of)
    assert listener.arguments_of("page_fetched") == []
