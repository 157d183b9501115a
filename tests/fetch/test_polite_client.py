"""The polite client: retries, the host limiter, robots.txt and host health together."""

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


def respond(text: str = "page") -> Step:
    return lambda: Page(url=URL, body=text.encode())


def body_of(page: Page) -> bytes:
    return page.body


def fail(error: Exception) -> Step:
    def step() -> Page | None:
        raise error

    return step


@dataclass
class ScriptedFetcher(PageFetcher):
    """A page fetcher that runs one step of a script per call; the last step repeats."""

    clock: ManualClock
    steps: list[Step] = field(default_factory=lambda: [respond()])
    robots: Step = field(default_factory=lambda: respond(""))
    redirects: str = ""
    requests: list[tuple[str, float]] = field(default_factory=list)

    def check(self, source: Source, url: str) -> None:
        if "unlisted" in url:
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
        self.requests.append((url, timeout))
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
        self.requests.append((url, timeout))
        page = self.robots()
        assert page is not None
        return page


@pytest.fixture
def fetcher() -> ScriptedFetcher:
    return ScriptedFetcher(ManualClock())


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def client(fetcher: ScriptedFetcher, observer: RecordingObserver, tmp_path: Path) -> Iterator[PoliteClient]:
    clock = fetcher.clock
    breaker = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
    semaphore = ProcessSemaphore(tmp_path / "places")
    yield PoliteClient(
        fetcher=fetcher,
        limiter=HostLimiter(10, semaphore=semaphore, max_waiting=10, clock=clock),
        host_health=HostHealth(shared=breaker.namespace("@host:", HostState), clock=clock),
        robots=RobotsPolicy(user_agent="covers/1.0", shared=breaker.namespace("@robots:", RobotsFile), clock=clock),
        clock=clock,
        observer=observer,
    )
    semaphore.close()


def test_a_successful_fetch_is_not_repeated(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    assert client.fetch(source(), URL, 1, body_of) == b"page"
    assert fetcher.requests == [(URL, 5)]


def test_a_page_that_was_not_modified_is_none(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.steps = [lambda: None]
    assert client.fetch(source(), URL, 1, body_of, Validators(etag='"a"')) is None


def test_a_failed_connection_is_retried_as_often_as_the_source_allows(
    fetcher: ScriptedFetcher, client: PoliteClient
) -> None:
    fetcher.steps = [fail(OriginDown("down"))]
    with pytest.raises(OriginDown):
        client.fetch(source(retries=3), URL, 1, body_of)
    assert len(fetcher.requests) == 4


def test_the_result_of_a_successful_retry_is_returned(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.steps = [fail(OriginDown("down")), respond()]
    assert client.fetch(source(), URL, 1, body_of) is not None


@pytest.mark.parametrize(
    "error", [NoSuchItem("404"), Blocked("403"), Throttled("429"), OriginFailed("garbage"), TooSlow("slow")]
)
def test_other_errors_are_not_retried(fetcher: ScriptedFetcher, client: PoliteClient, error: Exception) -> None:
    fetcher.steps = [fail(error), respond()]
    with pytest.raises(type(error)):
        client.fetch(source(retries=3), URL, 1, body_of)
    assert len(fetcher.requests) == 1


def test_the_timeout_applies_to_all_attempts_together(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    def down_after_two_seconds() -> Page | None:
        fetcher.clock.now += 2
        raise OriginDown("down")

    fetcher.steps = [down_after_two_seconds]
    with pytest.raises(OriginDown):
        client.fetch(source(retries=9, timeout=Timeout(5)), URL, 100, body_of)
    assert [timeout for _, timeout in fetcher.requests] == [5, 3, 1]


def test_without_a_slot_for_a_retry_the_first_failure_is_raised(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    """It counts as one failure of the host."""
    fetcher.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD):
        with pytest.raises(OriginDown, match="down"):
            client.fetch(source(delay=Duration(0.01)), URL, 0, body_of)
        gevent.sleep(0.02)
    assert len(fetcher.requests) == FAILURE_THRESHOLD
    with pytest.raises(OriginFailed, match="it is tried again in"):
        client.fetch(source(), URL, 1, body_of)


def test_no_request_is_sent_to_a_host_that_asked_to_wait(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.steps = [fail(Throttled("429", 30)), respond()]
    for _ in range(3):
        with pytest.raises(Throttled):
            client.fetch(source(), URL, 1, body_of)
    assert len(fetcher.requests) == 1
    fetcher.clock.now += 30
    assert client.fetch(source(), URL, 1, body_of) is not None


def test_a_page_whose_content_asks_to_wait_counts_as_well(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    client.record_throttled(source(error_ttl=Duration(7)), URL, Throttled("slow down"))
    fetcher.clock.now += 6.9
    with pytest.raises(Throttled, match="slow down"):
        client.fetch(source(), URL, 1, body_of)
    fetcher.clock.now += 0.1
    assert client.fetch(source(), URL, 1, body_of) is not None


def test_repeated_failures_open_the_circuit_then_one_trial_is_sent(
    fetcher: ScriptedFetcher, client: PoliteClient
) -> None:
    """A trial is not retried, whatever the source allows."""
    fetcher.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD + 5):
        with pytest.raises(OriginFailed):
            client.fetch(source(retries=0), URL, 1, body_of)
    assert len(fetcher.requests) == FAILURE_THRESHOLD
    fetcher.clock.now += 1
    for _ in range(5):
        with pytest.raises(OriginFailed):
            client.fetch(source(retries=3), URL, 1, body_of)
    assert len(fetcher.requests) == FAILURE_THRESHOLD + 1
    fetcher.steps = [respond()]
    fetcher.clock.now += 2
    assert client.fetch(source(), URL, 1, body_of) is not None


def test_a_source_with_robots_checks_robots_txt_first(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /item/\n")
    with pytest.raises(Blocked, match="does not allow this page"):
        client.fetch(source(robots=True), URL, 1, body_of)
    assert [url for url, _ in fetcher.requests] == ["https://shop.example/robots.txt"]


def test_a_source_without_robots_ignores_robots_txt(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /\n")
    assert client.fetch(source(), URL, 1, body_of) is not None


def test_robots_txt_is_not_requested_from_a_host_that_is_not_allowed(
    fetcher: ScriptedFetcher, client: PoliteClient
) -> None:
    with pytest.raises(OriginFailed, match="not a host that the source allows"):
        client.fetch(source(robots=True), "https://unlisted.example/42", 1, body_of)
    assert fetcher.requests == []


def test_a_redirect_to_a_disallowed_page_is_not_followed(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /private/\n")
    fetcher.redirects = "https://shop.example/private/42"
    with pytest.raises(Blocked, match="does not allow the target of a redirect"):
        client.fetch(source(robots=True), URL, 1, body_of)
    assert client.fetch(source(), URL, 1, body_of) is not None


def test_robots_txt_is_fetched_within_the_same_limits_as_pages(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    """A 429 for robots.txt applies to its host."""
    fetcher.robots = fail(Throttled("429", 30))
    for _ in range(2):
        with pytest.raises(Throttled):
            client.fetch(source(robots=True), URL, 1, body_of)
    assert len(fetcher.requests) == 1


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://shop.example/x", "shop.example"),
        ("https://SHOP.example:443/x", "shop.example"),
        ("http://shop.example:443/x", "shop.example:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_authority_is_the_host_and_a_port_other_than_the_default(url: str, authority: str) -> None:
    assert authority_of(url) == authority


def at_target(path: str) -> str:
    return f"https://target.example/{path}"


def test_the_target_of_a_redirect_has_its_own_slots(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    """Redirects to a host and pages of that host share its slots."""
    fetcher.redirects = at_target("42")
    in_flight, most = 0, 0

    def step() -> Page | None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        gevent.sleep(0.002)
        in_flight -= 1
        return Page(url=URL, body=b"page")

    fetcher.steps = [step]
    urls = [URL, "https://other.example/1", at_target("1")] * 3
    requests = [gevent.spawn(client.fetch, source(concurrency=2), url, 9, body_of) for url in urls]
    gevent.joinall(requests, raise_error=True)
    assert most == 2


def test_an_error_after_a_redirect_is_recorded_for_the_target(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.redirects = at_target("42")
    fetcher.steps = [fail(Throttled("429", 30)), respond()]
    with pytest.raises(Throttled):
        client.fetch(source(), URL, 1, body_of)
    with pytest.raises(Throttled):
        client.fetch(source(), at_target("1"), 1, body_of)
    assert [url for url, _ in fetcher.requests] == [URL]
    with pytest.raises(Throttled):  # it redirects to the target, which is unavailable
        client.fetch(source(), URL, 1, body_of)
    fetcher.redirects = ""
    assert client.fetch(source(), URL, 1, body_of) == b"page"


def test_the_target_of_a_redirect_has_its_own_robots_txt(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.redirects = at_target("private/42")
    fetcher.robots = respond("User-agent: *\nDisallow: /private/\n")
    with pytest.raises(Blocked, match=r"target\.example/robots\.txt does not allow"):
        client.fetch(source(robots=True), URL, 1, body_of)


def test_a_redirect_to_the_same_host_needs_no_second_slot(fetcher: ScriptedFetcher, client: PoliteClient) -> None:
    fetcher.redirects = "https://shop.example/elsewhere"
    assert client.fetch(source(concurrency=1), URL, 1, body_of) == b"page"


def after(clock: ManualClock, seconds: float, step: Step) -> Step:
    """Make a step take this time."""

    def step_after_delay() -> Page | None:
        clock.now += seconds
        return step()

    return step_after_delay


def test_the_observer_is_notified_of_the_outcome_and_duration_of_each_attempt(
    fetcher: ScriptedFetcher, client: PoliteClient, observer: RecordingObserver
) -> None:
    fetcher.steps = [after(fetcher.clock, 0.5, fail(OriginDown("down"))), after(fetcher.clock, 2, respond())]
    client.fetch(source(name="shop"), URL, 1, body_of)
    assert observer.events == [("page_fetched", "shop", "origin_failed", 0.5), ("page_fetched", "shop", "found", 2)]


def test_the_outcome_of_an_attempt_includes_reading_the_page(
    fetcher: ScriptedFetcher, client: PoliteClient, observer: RecordingObserver
) -> None:
    """The duration does not include reading."""

    def read(error: Exception) -> Callable[[Page], None]:
        def fail(_page: Page) -> None:
            fetcher.clock.now += 3
            raise error

        return fail

    for error in (NoCover("none"), Throttled("wait"), ValueError("a bug")):
        with pytest.raises(type(error)):
            client.fetch(source(name="shop"), URL, 1, read(error))
    fetcher.steps = [lambda: None]
    client.fetch(source(name="shop"), URL, 1, body_of)
    assert [event[1:] for event in observer.events] == [
        ("shop", outcome, 0) for outcome in ("no_cover", "throttled", "internal_error", "not_modified")
    ]


def test_the_observer_is_not_notified_of_robots_txt_and_pages_that_are_not_requested(
    fetcher: ScriptedFetcher, client: PoliteClient, observer: RecordingObserver
) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /")
    with pytest.raises(Blocked):
        client.fetch(source(robots=True), URL, 1, body_of)
    assert observer.arguments_of("page_fetched") == []
