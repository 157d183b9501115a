"""The polite client: retries, the limits and the health of hosts, and robots.txt together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.config.rules import Regex, Rule
from app.config.source import Duration, Source, Timeout
from app.config.url_templates import PageUrlTemplate
from app.domain.errors import (
    Blocked,
    NoCover,
    NoSuchItem,
    OriginDown,
    OriginFailed,
    QueueTimeout,
    Throttled,
    TooSlow,
)
from app.fetch.host_health import FAILURE_THRESHOLD, HostState
from app.fetch.hosts import Hosts
from app.fetch.http_request import authority_of
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from app.fetch.polite_client import PoliteClient
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.request_timer import RequestTimer
from app.fetch.robots import RobotsFile, RobotsPolicy
from app.store.circuit_breaker import CircuitBreakingStore
from tests.support.clock import ManualClock
from tests.support.recording_observer import RecordingObserver

URL = "https://shop.example/item/42"

#: The number of requests that the client may have in progress at once.
TOTAL = 10

#: The response to one request: a page, None for 304, or the URL of a redirect. A step may take time of the clock, wait,
#: and raise.
Step = Callable[[], Page | str | None]


def source(**keys: Any) -> Source:
    return Source(page_url=PageUrlTemplate("https://shop.example/item/{id}"), extract=[Rule(regex=Regex("x"))], **keys)


def respond(text: str = "page") -> Step:
    return lambda: Page(url=URL, body=text.encode())


def redirect(target: str) -> Step:
    return lambda: target


def body_of(page: Page) -> bytes:
    return page.body


def fail(error: Exception) -> Step:
    def step() -> Page | None:
        raise error

    return step


def at_target(path: str) -> str:
    return f"https://target.example/{path}"


def after(clock: ManualClock, seconds: float, step: Step) -> Step:
    """Make a step take this time."""

    def step_after_delay() -> Page | str | None:
        clock.now += seconds
        return step()

    return step_after_delay


def after_event(event: Event, step: Step) -> Step:
    """Make a step wait for an event."""

    def step_after_event() -> Page | str | None:
        event.wait()
        return step()

    return step_after_event


@dataclass
class ScriptedFetcher(PageFetcher):
    """A page fetcher without network.

    ``pages`` has the steps of some URLs. For other URLs it runs one step of ``steps`` per request; the last one
    repeats. Other robots.txt files have the step ``robots``. ``requests`` lists the requests: the URL, and how many
    seconds it may take. ``in_progress`` has the number of requests to each host, and ``most`` the most at once.
    """

    clock: ManualClock
    steps: list[Step] = field(default_factory=lambda: [respond()])
    robots: Step = field(default_factory=lambda: respond(""))
    pages: dict[str, Step] = field(default_factory=dict)
    requests: list[tuple[str, float]] = field(default_factory=list)
    in_progress: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        """The URLs of the requests."""
        return [url for url, _ in self.requests]

    def check(self, source: Source, url: str) -> None:
        if "unlisted" in url:
            raise OriginFailed("not a host that the source allows")

    def fetch(
        self,
        source: Source,
        url: str,
        *,
        timer: RequestTimer,
        validators: Validators | None = None,
        follow: Callable[[str], None] = lambda _: None,
    ) -> Page | None:
        while True:
            result = self._run_step(url, timer)
            if not isinstance(result, str):
                return result
            url = result
            follow(url)

    def fetch_prefix(
        self,
        source: Source,
        url: str,
        *,
        timer: RequestTimer,
        size: int,
        follow: Callable[[str], None] = lambda _: None,
    ) -> Page:
        page = self.fetch(source, url, timer=timer, follow=follow)
        assert page is not None
        return page

    def _run_step(self, url: str, timer: RequestTimer) -> Page | str | None:
        self.requests.append((url, timer.seconds_left))
        host = authority_of(url)
        self.in_progress[host] = count = self.in_progress.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), count)
        try:
            return timer.call(host, self._step(url))
        finally:
            self.in_progress[host] -= 1

    def _step(self, url: str) -> Step:
        if url in self.pages:
            return self.pages[url]
        if url.endswith("/robots.txt"):
            return self.robots
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]


@pytest.fixture
def fetcher() -> ScriptedFetcher:
    return ScriptedFetcher(ManualClock())


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@dataclass
class Client:
    """A polite client, for calls with a deadline in so many seconds."""

    polite: PoliteClient
    clock: ManualClock

    def fetch(
        self,
        source: Source,
        url: str = URL,
        max_wait: float = 1,
        read: Callable[[Page], Any] = body_of,
        validators: Validators | None = None,
    ) -> Any:
        return self.polite.fetch(source, url, Deadline(self.clock.now + max_wait), read, validators)

    def start(self, source: Source, url: str = URL, max_wait: float = 1) -> "gevent.Greenlet[..., Any]":
        """Fetch in a greenlet, and let it run until it waits."""
        greenlet = gevent.spawn(self.fetch, source, url, max_wait)
        gevent.sleep(0)
        return greenlet


@pytest.fixture
def client(fetcher: ScriptedFetcher, observer: RecordingObserver, tmp_path: Path) -> Iterator[Client]:
    clock = fetcher.clock
    breaker = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
    semaphore = ProcessSemaphore(tmp_path / "places")
    polite = PoliteClient(
        fetcher=fetcher,
        hosts=Hosts(
            concurrency=TOTAL,
            max_waiting=1000,
            semaphore=semaphore,
            shared=breaker.namespace("@host:", HostState),
            clock=clock,
        ),
        robots=RobotsPolicy(user_agent="covers/1.0", shared=breaker.namespace("@robots:", RobotsFile), clock=clock),
        clock=clock,
        observer=observer,
    )
    yield Client(polite, clock)
    semaphore.close()


def test_a_successful_fetch_is_not_repeated(fetcher: ScriptedFetcher, client: Client) -> None:
    assert client.fetch(source()) == b"page"
    assert fetcher.requests == [(URL, 5)]


def test_a_page_that_was_not_modified_is_none(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.steps = [lambda: None]
    assert client.fetch(source(), validators=Validators(etag='"a"')) is None


def test_a_failed_connection_is_retried_as_often_as_the_source_allows(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.steps = [fail(OriginDown("down"))]
    with pytest.raises(OriginDown):
        client.fetch(source(retries=3))
    assert len(fetcher.requests) == 4


def test_the_result_of_a_successful_retry_is_returned(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.steps = [fail(OriginDown("down")), respond()]
    assert client.fetch(source()) is not None


@pytest.mark.parametrize(
    "error", [NoSuchItem("404"), Blocked("403"), Throttled("429"), OriginFailed("garbage"), TooSlow("slow")]
)
def test_other_errors_are_not_retried(fetcher: ScriptedFetcher, client: Client, error: Exception) -> None:
    fetcher.steps = [fail(error), respond()]
    with pytest.raises(type(error)):
        client.fetch(source(retries=3))
    assert len(fetcher.requests) == 1


def test_the_timeout_applies_to_all_attempts_together(fetcher: ScriptedFetcher, client: Client) -> None:
    def down_after_two_seconds() -> Page | None:
        fetcher.clock.now += 2
        raise OriginDown("down")

    fetcher.steps = [down_after_two_seconds]
    with pytest.raises(OriginDown):
        client.fetch(source(retries=9, timeout=Timeout(5)), max_wait=100)
    assert [timeout for _, timeout in fetcher.requests] == [5, 3, 1]


def test_without_a_slot_for_a_retry_the_first_failure_is_raised(fetcher: ScriptedFetcher, client: Client) -> None:
    """It counts as one failure of the host."""
    fetcher.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD):
        with pytest.raises(OriginDown, match="down"):
            client.fetch(source(delay=Duration(0.01)), max_wait=0)
        gevent.sleep(0.02)
    assert len(fetcher.requests) == FAILURE_THRESHOLD
    with pytest.raises(OriginFailed, match="it is tried again in"):
        client.fetch(source())


def test_no_request_is_sent_to_a_host_that_asked_to_wait(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.steps = [fail(Throttled("429", 30)), respond()]
    for _ in range(3):
        with pytest.raises(Throttled):
            client.fetch(source())
    assert len(fetcher.requests) == 1
    fetcher.clock.now += 30
    assert client.fetch(source()) is not None


def test_a_page_whose_content_asks_to_wait_counts_as_well(fetcher: ScriptedFetcher, client: Client) -> None:
    client.polite.record_throttled(source(error_ttl=Duration(7)), URL, Throttled("slow down"))
    fetcher.clock.now += 6.9
    with pytest.raises(Throttled, match="slow down"):
        client.fetch(source())
    fetcher.clock.now += 0.1
    assert client.fetch(source()) is not None


def test_repeated_failures_open_the_circuit_then_one_probe_is_sent(fetcher: ScriptedFetcher, client: Client) -> None:
    """A probe is not retried, whatever the source allows."""
    fetcher.steps = [fail(OriginDown("down"))]
    for _ in range(FAILURE_THRESHOLD + 5):
        with pytest.raises(OriginFailed):
            client.fetch(source(retries=0))
    assert len(fetcher.requests) == FAILURE_THRESHOLD
    fetcher.clock.now += 1
    for _ in range(5):
        with pytest.raises(OriginFailed):
            client.fetch(source(retries=3))
    assert len(fetcher.requests) == FAILURE_THRESHOLD + 1
    fetcher.steps = [respond()]
    fetcher.clock.now += 2
    assert [client.fetch(source()) for _ in range(2)] == [b"page", b"page"]


def test_a_response_of_the_first_host_counts_though_it_redirects(fetcher: ScriptedFetcher, client: Client) -> None:
    """Its failures are consecutive no longer. Fails if only the last host of a fetch is recorded."""
    fetcher.pages[URL] = redirect(at_target("42"))
    fetcher.pages["https://shop.example/down"] = fail(OriginDown("down"))
    for _ in range(2):
        for _ in range(FAILURE_THRESHOLD - 1):
            with pytest.raises(OriginDown):
                client.fetch(source(retries=0), "https://shop.example/down")
        assert client.fetch(source()) == b"page"


def test_a_source_with_robots_checks_robots_txt_first(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /item/\n")
    with pytest.raises(Blocked, match="does not allow this page"):
        client.fetch(source(robots=True))
    assert [url for url, _ in fetcher.requests] == ["https://shop.example/robots.txt"]


def test_a_source_without_robots_ignores_robots_txt(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /\n")
    assert client.fetch(source()) is not None


def test_robots_txt_is_not_requested_from_a_host_that_is_not_allowed(fetcher: ScriptedFetcher, client: Client) -> None:
    with pytest.raises(OriginFailed, match="not a host that the source allows"):
        client.fetch(source(robots=True), "https://unlisted.example/42")
    assert fetcher.requests == []


def test_a_redirect_to_a_disallowed_page_is_not_followed(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /private/\n")
    fetcher.pages[URL] = redirect("https://shop.example/private/42")
    with pytest.raises(Blocked, match="does not allow the target of a redirect"):
        client.fetch(source(robots=True))
    assert "https://shop.example/private/42" not in fetcher.urls
    assert client.fetch(source()) is not None


def test_robots_txt_is_fetched_within_the_same_limits_as_pages(fetcher: ScriptedFetcher, client: Client) -> None:
    """A 429 for robots.txt applies to its host."""
    fetcher.robots = fail(Throttled("429", 30))
    for _ in range(2):
        with pytest.raises(Throttled):
            client.fetch(source(robots=True))
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


def test_the_target_of_a_redirect_has_its_own_slots(fetcher: ScriptedFetcher, client: Client) -> None:
    """Redirects to a host and pages of that host share its slots."""
    go = Event()
    fetcher.pages[URL] = fetcher.pages["https://other.example/1"] = redirect(at_target("42"))
    fetcher.steps = [after_event(go, respond())]
    urls = [URL, "https://other.example/1", at_target("1")] * 3
    requests = [client.start(source(concurrency=2), url) for url in urls]
    gevent.sleep(0)
    assert fetcher.in_progress["target.example"] == 2
    go.set()
    gevent.joinall(requests, raise_error=True)
    assert fetcher.most["target.example"] == 2


def test_an_error_after_a_redirect_is_recorded_for_the_target(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.pages[URL] = redirect(at_target("42"))
    fetcher.steps = [fail(Throttled("429", 30)), respond()]
    with pytest.raises(Throttled):
        client.fetch(source())
    with pytest.raises(Throttled):
        client.fetch(source(), at_target("1"))
    assert fetcher.urls == [URL, at_target("42")]
    with pytest.raises(Throttled):  # it redirects to the target, which is unavailable
        client.fetch(source())
    assert fetcher.urls == [URL, at_target("42"), URL]
    fetcher.pages[URL] = respond()
    assert client.fetch(source()) == b"page"


def test_the_target_of_a_redirect_has_its_own_robots_txt(fetcher: ScriptedFetcher, client: Client) -> None:
    fetcher.pages[URL] = redirect(at_target("private/42"))
    fetcher.pages[at_target("robots.txt")] = respond("User-agent: *\nDisallow: /private/\n")
    with pytest.raises(Blocked, match=r"target\.example/robots\.txt does not allow"):
        client.fetch(source(robots=True))
    assert at_target("private/42") not in fetcher.urls


def test_a_redirect_to_the_same_host_needs_no_second_slot(fetcher: ScriptedFetcher, client: Client) -> None:
    """Nor does it wait behind others. Fails if the slot is released although the host is the same."""
    fetcher.pages[URL] = redirect("https://shop.example/elsewhere")
    assert client.fetch(source(concurrency=1, delay=Duration(60)), max_wait=0) == b"page"


def test_a_redirect_to_https_needs_no_second_slot_for_robots_txt(fetcher: ScriptedFetcher, client: Client) -> None:
    """The same host has another robots.txt there. Fails if the slot is held while that is waited for."""
    fetcher.pages["http://shop.example/item/42"] = redirect(URL)
    assert client.fetch(source(concurrency=1, robots=True), "http://shop.example/item/42", max_wait=0) == b"page"
    assert fetcher.urls == [
        "http://shop.example/robots.txt",
        "http://shop.example/item/42",
        "https://shop.example/robots.txt",
        URL,
    ]


def test_a_redirect_to_https_keeps_the_slot_if_its_robots_txt_is_known(
    fetcher: ScriptedFetcher, client: Client
) -> None:
    """Fails if such a redirect waits for the delay of the host once more."""
    fetcher.pages["http://shop.example/item/42"] = redirect(URL)
    for url in ("http://shop.example/", "https://shop.example/"):
        client.fetch(source(robots=True), url)
    delayed = source(robots=True, delay=Duration(60))
    assert client.fetch(delayed, "http://shop.example/item/42", max_wait=0) == b"page"


@pytest.mark.parametrize("robots", [False, True], ids=["", "robots.txt"])
@pytest.mark.parametrize("concurrency", range(1, 9))
def test_two_hosts_that_redirect_to_each_other_serve_all(
    fetcher: ScriptedFetcher,
    client: Client,
    concurrency: int,
    robots: bool,  # noqa: FBT001 - a test parameter
) -> None:
    """Of 512 concurrent fetches none fails. All are refused if a redirect keeps the slot of the first host."""
    urls = [f"https://shop.example/{number}" for number in range(256)] + [at_target(str(n)) for n in range(256)]
    for url in urls:
        host = "target.example" if "shop" in url else "shop.example"
        fetcher.pages[url] = redirect(f"https://{host}/found{url.rpartition('/')[2]}")

    def pass_on() -> Page:
        gevent.sleep(0)
        return Page(url="", body=b"page")

    fetcher.steps = [pass_on]
    fetches = [gevent.spawn(client.fetch, source(concurrency=concurrency, robots=robots), url) for url in urls]
    with gevent.Timeout(30):
        assert [fetch.get() for fetch in fetches] == [b"page"] * 512
    assert max(fetcher.most.values()) == concurrency


def test_a_busy_host_that_shops_redirect_to_does_not_stall_them(fetcher: ScriptedFetcher, client: Client) -> None:
    """More redirects wait for it than this worker may have requests in progress, and each shop has one slot.

    Fails if a redirect keeps the slot of the shop or that of the worker.
    """
    go = Event()
    fetcher.pages[at_target("busy")] = after_event(go, respond())
    shops = [f"https://shop{number}.example" for number in range(2 * TOTAL)]
    for shop in shops:
        fetcher.pages[f"{shop}/redirects"] = redirect(at_target("busy"))
    waiting = [client.start(source(concurrency=1), f"{shop}/redirects") for shop in shops]
    gevent.sleep(0)
    assert fetcher.urls.count(at_target("busy")) == 1
    for shop in shops:
        assert client.fetch(source(concurrency=1), f"{shop}/42", max_wait=0) == b"page"
    go.set()
    gevent.joinall(waiting, raise_error=True)
    assert fetcher.most["target.example"] == 1


def test_a_worker_has_no_more_requests_in_progress_than_its_total(fetcher: ScriptedFetcher, client: Client) -> None:
    """Redirects included: the total is reached, and what waits for it gets its turn."""
    go = Event()
    fetcher.steps = [after_event(go, respond())]
    hosts = [f"shop{number}.example" for number in range(3 * TOTAL)]
    for host in hosts:
        fetcher.pages[f"https://{host}/1"] = redirect(f"https://images.{host}/1")
    fetches = [client.start(source(), f"https://{host}/1") for host in hosts]
    gevent.sleep(0)
    assert sum(fetcher.in_progress.values()) == TOTAL
    with pytest.raises(QueueTimeout, match=r"waiting for shop\.example: all slots of this worker are taken"):
        client.fetch(source(), max_wait=0)
    go.set()
    gevent.joinall(fetches, raise_error=True)
    assert sum(fetcher.in_progress.values()) == 0
    assert len(fetcher.requests) == 2 * len(hosts)


@pytest.mark.parametrize("end", ["kill", "bug"])
def test_every_slot_is_released(fetcher: ScriptedFetcher, client: Client, end: str) -> None:
    """Whatever ends a fetch. Fails if a slot of the host or of the worker is lost: the worker has 10 of them."""
    fetcher.pages[URL] = redirect(at_target("42"))
    fetcher.pages[at_target("42")] = after_event(Event(), respond()) if end == "kill" else fail(ZeroDivisionError())
    for _ in range(TOTAL + 1):
        fetch = client.start(source(concurrency=1))
        if end == "kill":
            fetch.kill()
        else:
            with pytest.raises(ZeroDivisionError):
                fetch.get()
    assert client.fetch(source(concurrency=1), at_target("1"), max_wait=0) == b"page"


def test_without_a_slot_for_a_retry_at_the_target_the_first_failure_is_raised(
    fetcher: ScriptedFetcher, client: Client
) -> None:
    """And recorded for the target, once. Fails if the timeout in our queue replaces the failure of the host."""
    clock = fetcher.clock
    fetcher.pages[URL] = redirect(at_target("42"))
    fetcher.pages[at_target("1")] = after_event(Event(), respond())

    def down_then_busy() -> None:
        busy.append(client.start(source(concurrency=1), at_target("1")))
        clock.now += 2
        raise OriginDown("down")

    fetcher.pages[at_target("42")] = down_then_busy
    for _ in range(FAILURE_THRESHOLD):
        busy = list["gevent.Greenlet[..., Any]"]()
        with pytest.raises(OriginDown, match=r"^down$"):
            client.fetch(source(concurrency=1))
        gevent.killall(busy)
    with pytest.raises(OriginFailed, match=r"^down; it is tried again"):
        client.fetch(source(), at_target("2"))
    assert fetcher.urls.count(at_target("42")) == FAILURE_THRESHOLD


def test_the_last_error_counts_if_a_retry_gets_a_slot(fetcher: ScriptedFetcher, client: Client) -> None:
    """Even if the retry sends no second request: its redirect leads to a page that robots.txt disallows."""
    fetcher.robots = respond("User-agent: *\nDisallow: /private/\n")
    fetcher.steps = [fail(OriginDown("down")), redirect(at_target("private/42"))]
    with pytest.raises(Blocked, match=r"target\.example/robots\.txt"):
        client.fetch(source(robots=True))


def test_a_late_slot_leaves_the_second_host_its_full_time(fetcher: ScriptedFetcher, client: Client) -> None:
    """The wait is longer than the timeout. The page has what the first request has left of it.

    Fails if the wait counts as time of a request: of the first host, or of the page.
    """
    clock, go = fetcher.clock, Event()
    fetcher.pages[at_target("busy")] = after_event(go, respond())
    fetcher.pages[URL] = after(clock, 1, redirect(at_target("42")))
    fetcher.pages[at_target("42")] = after(clock, 3.5, respond())
    limited = source(concurrency=1, timeout=Timeout(5))
    for _ in range(FAILURE_THRESHOLD + 1):
        busy = client.start(limited, at_target("busy"), max_wait=100)
        late = client.start(limited, max_wait=100)
        clock.now += 60
        go.set()
        assert late.get() == b"page"
        assert fetcher.requests[-1] == (at_target("42"), 4.0)
        busy.get()
        go.clear()


def test_a_late_robots_txt_is_not_the_fault_of_the_first_host(fetcher: ScriptedFetcher, client: Client) -> None:
    """The file of the second host takes longer than the timeout, and is missing. Each try is at another host.

    Fails if waiting for the file counts as time of the page, or as a failure of the host that redirects.
    """
    clock = fetcher.clock
    robots = source(robots=True, timeout=Timeout(5), retries=0)
    for number in range(FAILURE_THRESHOLD + 1):
        target = f"https://target{number}.example"
        fetcher.pages[f"{target}/robots.txt"] = after(clock, 6, fail(TooSlow("robots.txt took longer")))
        fetcher.pages[f"https://shop.example/{number}"] = redirect(f"{target}/42")
        with pytest.raises(OriginFailed, match=rf"{target}/robots\.txt cannot be fetched"):
            client.fetch(robots, f"https://shop.example/{number}", max_wait=100)
    for number in range(20):
        assert client.fetch(robots, f"https://shop.example/own{number}") == b"page"


def test_a_host_that_gets_only_the_rest_of_the_time_is_not_too_slow(fetcher: ScriptedFetcher, client: Client) -> None:
    """Its circuit stays closed, and so does that of the host before it, which responds each time.

    Fails if TooSlow always counts for the host of the latest request.
    """
    clock = fetcher.clock
    fetcher.pages[URL] = after(clock, 4.75, redirect(at_target("42")))
    fetcher.pages[at_target("42")] = after(clock, 0.5, fail(TooSlow("shop.example took 4.75 of the 5 seconds")))
    for _ in range(2 * FAILURE_THRESHOLD):
        with pytest.raises(TooSlow):
            client.fetch(source(timeout=Timeout(5)))
    assert client.fetch(source(), at_target("1")) == b"page"
    assert client.fetch(source(), "https://shop.example/1") == b"page"


def test_a_host_that_takes_most_of_the_time_is_too_slow(fetcher: ScriptedFetcher, client: Client) -> None:
    clock = fetcher.clock
    fetcher.pages[URL] = after(clock, 1, redirect(at_target("42")))
    fetcher.pages[at_target("42")] = after(clock, 4, fail(TooSlow("target.example took 4 of the 5 seconds")))
    for _ in range(FAILURE_THRESHOLD):
        with pytest.raises(TooSlow):
            client.fetch(source(timeout=Timeout(5)))
    with pytest.raises(OriginFailed, match="it is tried again"):
        client.fetch(source(), at_target("1"))
    assert client.fetch(source(), "https://shop.example/1") == b"page"


def test_the_deadline_says_what_is_waited_for(fetcher: ScriptedFetcher, client: Client) -> None:
    """The host that is slow, or our queue for it: the text of a caller's timeout has it."""
    steps = dict[str, Event]()

    def waiting_for(url: str, step: Step) -> None:
        steps[url] = Event()
        fetcher.pages[url] = after_event(steps[url], step)

    waiting_for("https://shop.example/robots.txt", respond(""))
    waiting_for(URL, redirect(at_target("42")))
    waiting_for(at_target("robots.txt"), respond(""))
    waiting_for(at_target("42"), respond())
    parsing = Event()
    deadlines = [Deadline(fetcher.clock.now + 9) for _ in range(2)]

    def fetch(deadline: Deadline) -> None:
        client.polite.fetch(source(concurrency=1, robots=True), URL, deadline, lambda _: parsing.wait())

    for deadline in deadlines:
        gevent.spawn(fetch, deadline)
    texts = list[tuple[str, str]]()
    for event in [None, *steps.values()]:
        if event is not None:
            event.set()
        for _ in range(5):
            gevent.sleep(0)
        texts.append((deadlines[0].waiting_for, deadlines[1].waiting_for))
    assert texts == [
        ("a response of shop.example", "https://shop.example/robots.txt"),
        ("a response of shop.example", "a slot of shop.example"),
        ("a response of target.example", "https://target.example/robots.txt"),
        ("a response of target.example", "a slot of target.example"),
        ("the page of shop.example to be parsed", "a slot of target.example"),
    ]
    parsing.set()


def test_the_observer_is_notified_of_the_outcome_and_duration_of_each_attempt(
    fetcher: ScriptedFetcher, client: Client, observer: RecordingObserver
) -> None:
    fetcher.steps = [after(fetcher.clock, 0.5, fail(OriginDown("down"))), after(fetcher.clock, 2, respond())]
    client.fetch(source(name="shop"))
    assert observer.events == [("page_fetched", "shop", "origin_failed", 0.5), ("page_fetched", "shop", "found", 2)]


def test_the_outcome_of_an_attempt_includes_reading_the_page(
    fetcher: ScriptedFetcher, client: Client, observer: RecordingObserver
) -> None:
    """The duration does not include reading."""

    def read(error: Exception) -> Callable[[Page], None]:
        def fail(_page: Page) -> None:
            fetcher.clock.now += 3
            raise error

        return fail

    for error in (NoCover("none"), Throttled("wait"), ValueError("a bug")):
        with pytest.raises(type(error)):
            client.fetch(source(name="shop"), read=read(error))
    fetcher.steps = [lambda: None]
    client.fetch(source(name="shop"))
    assert [event[1:] for event in observer.events] == [
        ("shop", outcome, 0) for outcome in ("no_cover", "throttled", "internal_error", "not_modified")
    ]


def test_the_observer_is_not_notified_of_robots_txt_and_pages_that_are_not_requested(
    fetcher: ScriptedFetcher, client: Client, observer: RecordingObserver
) -> None:
    fetcher.robots = respond("User-agent: *\nDisallow: /")
    with pytest.raises(Blocked):
        client.fetch(source(robots=True))
    fetcher.pages["https://shop.example/busy"] = after_event(Event(), respond())
    busy = client.start(source(concurrency=1), "https://shop.example/busy")
    with pytest.raises(QueueTimeout):
        client.fetch(source(concurrency=1), max_wait=0)
    busy.kill()
    assert observer.arguments_of("page_fetched") == []


def test_a_redirect_that_gets_no_slot_is_reported(
    fetcher: ScriptedFetcher, client: Client, observer: RecordingObserver
) -> None:
    """With the time of its requests, without that in the queue."""
    fetcher.pages[URL] = after(fetcher.clock, 2, redirect(at_target("42")))
    fetcher.pages[at_target("busy")] = after_event(Event(), respond())
    busy = client.start(source(concurrency=1), at_target("busy"))
    with pytest.raises(QueueTimeout):
        client.fetch(source(concurrency=1, name="shop"))
    busy.kill()
    assert observer.arguments_of("page_fetched") == [["shop", "overloaded", 2]]
