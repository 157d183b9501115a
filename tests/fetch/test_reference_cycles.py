"""Fetches that fail leave no reference cycles: what they used is freed at once, without the garbage collector."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import pytest

from app.concurrency.clock import steady_clock
from app.concurrency.deadline import Deadline
from app.config.source import Source
from app.config.url_templates import HostPattern
from app.domain.errors import (
    Blocked,
    NoCover,
    OriginDown,
    OriginFailed,
    Overloaded,
    QueueTimeout,
    Throttled,
    TooSlow,
)
from app.fetch.connection_pool import ConnectionPool
from app.fetch.dns import DnsResolver
from app.fetch.host_health import FAILURE_THRESHOLD, HostState
from app.fetch.hosts import Hosts
from app.fetch.page_fetcher import Page, PageFetcher
from app.fetch.polite_client import PoliteClient
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.robots import RobotsFile, RobotsPolicy
from app.store.circuit_breaker import CircuitBreakingStore
from tests.fetch.sources import source_at
from tests.support.scripted_origin import Barrier, Origin, page, redirect, reset

BODY = b"x" * 100_000
FORBIDDEN = page("User-agent: *\nDisallow: /private/\n")


def body_of(page: Page) -> bytes:
    return page.body


def raise_no_cover(_page: Page) -> bytes:
    raise NoCover("nothing")


def raise_bug(_page: Page) -> bytes:
    raise ZeroDivisionError


@dataclass
class Site:
    """A scripted origin, and a client that may have two requests in progress, and two that wait."""

    origin: Origin
    client: PoliteClient
    hosts: Hosts

    def fetch(
        self,
        path: str = "/page",
        read: Callable[[Page], Any] = body_of,
        *,
        url: str = "",
        max_wait: float = 0.0,
        **keys: Any,
    ) -> None:
        deadline = Deadline(steady_clock()() + max_wait)
        self.client.fetch(self.source(**keys), (url or self.origin.url) + path, deadline, read)

    def source(self, **keys: Any) -> Source:
        keys = {"concurrency": 1, "allowed_hosts": [HostPattern("localhost")], "retries": 0} | keys
        return source_at(self.origin.url, **keys)

    @contextmanager
    def holding(self, *names: str) -> Iterator[None]:
        """Hold a slot of each host."""
        deadline = Deadline(float("inf"))
        slots = [self.hosts[name].acquire(self.source(), deadline, 5) for name in names]
        try:
            yield
        finally:
            for slot in slots:
                slot.release()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.origin.port}"

    @property
    def other(self) -> str:
        return f"http://localhost:{self.origin.port}"


def start_and_kill(site: Site, **keys: Any) -> None:
    fetching = gevent.spawn(site.fetch, max_wait=60, **keys)
    gevent.sleep(0.02)
    fetching.kill()
    raise gevent.GreenletExit


def down(site: Site) -> None:
    site.origin.pages["/page"] = reset
    site.fetch(retries=2)


def no_slot_for_a_retry(site: Site) -> None:
    site.origin.pages["/page"] = reset
    site.fetch(retries=2, delay=60)


def too_slow(site: Site) -> None:
    site.origin.pages["/page"] = Barrier(page(BODY))
    site.fetch(timeout=0.03)


def too_slow_after_a_redirect(site: Site) -> None:
    site.origin.pages["/page"] = redirect(f"{site.other}/other")
    site.origin.pages["/other"] = Barrier(page(BODY))
    site.fetch(timeout=0.03)


def down_after_a_redirect(site: Site) -> None:
    site.origin.pages["/page"] = redirect(f"{site.other}/other")
    site.origin.pages["/other"] = reset
    site.fetch(retries=1)


def no_slot_after_a_redirect(site: Site) -> None:
    site.origin.pages["/page"] = redirect(f"{site.other}/other")
    with site.holding(f"localhost:{site.origin.port}"):
        site.fetch()


def no_slot(site: Site) -> None:
    with site.holding(site.name):
        site.fetch()


def no_slot_of_the_worker(site: Site) -> None:
    with site.holding("a", "b"):
        site.fetch()


def full_queue(site: Site) -> None:
    with site.holding(site.name):
        waiting = [gevent.spawn(site.fetch, max_wait=60) for _ in range(2)]
        gevent.sleep(0)
        try:
            site.fetch()
        finally:
            gevent.killall(waiting)


def killed_in_the_queue(site: Site) -> None:
    with site.holding(site.name):
        start_and_kill(site)


def killed_in_a_request(site: Site) -> None:
    site.origin.pages["/page"] = Barrier(page(BODY))
    start_and_kill(site)


def timeout_of_the_caller(site: Site) -> None:
    site.origin.pages["/page"] = Barrier(page(BODY))
    with gevent.Timeout(0.03):
        site.fetch()


def throttled(site: Site) -> None:
    site.origin.pages["/page"] = page(BODY, status="429 Slow Down")
    site.fetch(error_ttl=60)


def host_that_asked_to_wait(site: Site) -> None:
    with suppress(Throttled):
        throttled(site)
    site.fetch()


def open_circuit(site: Site) -> None:
    site.origin.pages["/page"] = reset
    for _ in range(FAILURE_THRESHOLD):
        with suppress(OriginFailed):
            site.fetch()
    site.fetch()


def refused(site: Site) -> None:
    site.fetch(url="http://127.0.0.1:1")


def unknown_name(site: Site) -> None:
    site.fetch(url="http://nosuch.invalid")


def too_many_lookups(site: Site) -> None:
    site.fetch(url="http://overloaded.invalid")


def disallowed(site: Site) -> None:
    site.origin.pages["/robots.txt"] = FORBIDDEN
    site.fetch("/private/42", robots=True)


def redirect_to_a_disallowed_page(site: Site) -> None:
    site.origin.pages |= {"/robots.txt": FORBIDDEN, "/page": redirect("/private/42")}
    site.fetch(robots=True)


def redirect_to_a_page_that_another_host_disallows(site: Site) -> None:
    site.origin.pages |= {"/robots.txt": FORBIDDEN, "/page": redirect(f"{site.other}/private/42")}
    site.fetch(robots=True)


def robots_txt_that_fails(site: Site) -> None:
    site.origin.pages["/robots.txt"] = reset
    site.fetch(robots=True, retries=1)


def robots_txt_without_a_slot(site: Site) -> None:
    with site.holding(site.name):
        site.fetch(robots=True)


def redirect_loop(site: Site) -> None:
    site.origin.pages["/page"] = redirect("/page")
    site.fetch()


def no_cover(site: Site) -> None:
    site.fetch(read=raise_no_cover)


def bug(site: Site) -> None:
    site.fetch(read=raise_bug)


CASES: list[tuple[Callable[[Site], None], type[BaseException]]] = [
    (down, OriginDown),
    (no_slot_for_a_retry, OriginDown),
    (too_slow, TooSlow),
    (too_slow_after_a_redirect, TooSlow),
    (down_after_a_redirect, OriginDown),
    (no_slot_after_a_redirect, QueueTimeout),
    (no_slot, QueueTimeout),
    (no_slot_of_the_worker, QueueTimeout),
    (full_queue, Overloaded),
    (killed_in_the_queue, gevent.GreenletExit),
    (killed_in_a_request, gevent.GreenletExit),
    (timeout_of_the_caller, gevent.Timeout),
    (throttled, Throttled),
    (host_that_asked_to_wait, Throttled),
    (open_circuit, OriginFailed),
    (refused, OriginDown),
    (unknown_name, OriginDown),
    (too_many_lookups, Overloaded),
    (disallowed, Blocked),
    (redirect_to_a_disallowed_page, Blocked),
    (redirect_to_a_page_that_another_host_disallows, Blocked),
    (robots_txt_that_fails, OriginFailed),
    (robots_txt_without_a_slot, QueueTimeout),
    (redirect_loop, OriginFailed),
    (no_cover, NoCover),
    (bug, ZeroDivisionError),
]


class OverloadedResolver(DnsResolver):
    """Has no thread left for one of the names."""

    def resolve(self, host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
        if host == "overloaded.invalid":
            raise Overloaded("too many DNS lookups")
        return super().resolve(host, port)


def new_site(origin: Origin, semaphore: ProcessSemaphore, pool: ConnectionPool) -> Site:
    """Return a site whose hosts are healthy."""
    clock = steady_clock()
    breaker = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
    hosts = Hosts(
        concurrency=2, max_waiting=2, semaphore=semaphore, shared=breaker.namespace("@host:", HostState), clock=clock
    )
    client = PoliteClient(
        fetcher=PageFetcher(user_agent="covers/1.0", wall_clock=clock, pool=pool),
        hosts=hosts,
        robots=RobotsPolicy(user_agent="covers/1.0", shared=breaker.namespace("@robots:", RobotsFile), clock=clock),
        clock=clock,
    )
    return Site(origin, client, hosts)


@contextmanager
def garbage() -> Iterator[list[object]]:
    """Turn the garbage collector off, and return the objects that only it would have freed."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.extend(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize(("fail", "error"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_a_failed_fetch_leaves_no_reference_cycle(
    fail: Callable[[Site], None], error: type[BaseException], origin: Origin, tmp_path: Path
) -> None:
    """Fails if an error refers to a frame that refers to the error."""
    semaphores = [ProcessSemaphore(tmp_path / name) for name in ("first", "second")]
    pool = ConnectionPool(resolver=OverloadedResolver())
    origin.default = page(BODY)

    def run(semaphore: ProcessSemaphore) -> type[BaseException] | None:
        """Return the class of the error, which is freed with this frame."""
        try:
            fail(new_site(origin, semaphore, pool))
        except BaseException as caught:  # noqa: BLE001 - GreenletExit and Timeout included
            return type(caught)
        return None

    gevent.spawn(run, semaphores[0]).get()  # creates the objects that exist once
    origin.clear()
    with garbage() as found:
        assert gevent.spawn(run, semaphores[1]).get() is error
        origin.clear()
        gevent.sleep(0.01)
    assert [_name(candidate) for candidate in found if _is_from_app(candidate)] == []
    for semaphore in semaphores:
        semaphore.close()


def _is_from_app(candidate: object) -> bool:
    if isinstance(candidate, FrameType):
        return "/app/" in candidate.f_code.co_filename
    return type(candidate).__module__.startswith("app.") or isinstance(candidate, BaseException)


def _name(candidate: object) -> str:
    return candidate.f_code.co_qualname if isinstance(candidate, FrameType) else repr(candidate)
