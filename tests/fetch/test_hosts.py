"""The hosts: each has one queue and one health, for as long as it is used."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.config.rules import Regex, Rule
from app.config.source import Source
from app.config.url_templates import PageUrlTemplate
from app.domain.errors import OriginDown, OriginFailed, Throttled
from app.fetch.host_health import FAILURE_THRESHOLD, HostState
from app.fetch.hosts import Hosts, HostSlot
from app.fetch.process_semaphore import ProcessSemaphore
from app.store.base import Store
from app.store.circuit_breaker import CircuitBreakingStore
from tests.store.dictionary import DictionaryStore
from tests.support.clock import ManualClock

SOURCE = Source(
    page_url=PageUrlTemplate("https://shop.example/item/{id}"), extract=[Rule(regex=Regex("x"))], concurrency=1
)
MAX_HOSTS = 4096


@pytest.fixture
def semaphore(tmp_path: Path) -> Iterator[ProcessSemaphore]:
    new_semaphore = ProcessSemaphore(tmp_path / "places")
    yield new_semaphore
    new_semaphore.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def new_hosts(semaphore: ProcessSemaphore, clock: ManualClock, store: Store | None = None) -> Hosts:
    breaker = CircuitBreakingStore[str](store, encode=str.encode, decode=bytes.decode, clock=clock)
    shared = breaker.namespace("@host:", HostState)
    return Hosts(concurrency=1, max_waiting=10, semaphore=semaphore, shared=shared, clock=clock)


def acquire(hosts: Hosts, clock: ManualClock, name: str = "shop.example") -> HostSlot:
    return hosts[name].acquire(SOURCE, Deadline(clock.now + 5), 5)


def test_a_host_that_asked_to_wait_has_no_queue(semaphore: ProcessSemaphore, clock: ManualClock) -> None:
    """Callers are refused before any other greenlet runs. Fails if they join those who wait for a slot already."""
    hosts = new_hosts(semaphore, clock)
    slot = acquire(hosts, clock)
    waiting = gevent.spawn(acquire, hosts, clock)
    gevent.sleep(0)
    slot.record_error(Throttled("429", 30))
    with pytest.raises(Throttled):
        acquire(hosts, clock)
    assert not waiting.ready()
    slot.release()
    with pytest.raises(Throttled):
        waiting.get()


def test_those_who_wait_for_a_host_are_refused_when_its_circuit_opens(
    semaphore: ProcessSemaphore, clock: ManualClock
) -> None:
    """Fails if they wait until they get a slot."""
    hosts = new_hosts(semaphore, clock)
    slot = acquire(hosts, clock)
    waiting = [gevent.spawn(acquire, hosts, clock) for _ in range(3)]
    gevent.sleep(0)
    for _ in range(FAILURE_THRESHOLD):
        slot.record_error(OriginDown("down"))
    for caller in waiting:
        with pytest.raises(OriginFailed, match=r"^down; it is tried again in 1 seconds$"):
            caller.get(timeout=30)
    slot.release()


def test_a_caller_that_is_killed_while_the_store_is_read_releases_its_slot(
    semaphore: ProcessSemaphore, clock: ManualClock
) -> None:
    """Fails if a slot is lost that the caller has not received yet."""
    reads = list[str]()

    class BlockingStore(DictionaryStore):
        def get(self, key: str) -> bytes | None:
            reads.append(key)
            if len(reads) == 1:
                Event().wait()
            return None

    hosts = new_hosts(semaphore, clock, BlockingStore())
    caller = gevent.spawn(acquire, hosts, clock)
    gevent.sleep(0)
    assert reads == ["@host:shop.example"]
    caller.kill()
    assert hosts["shop.example"].is_idle
    acquire(hosts, clock).release()


def test_idle_hosts_that_were_used_least_recently_are_dropped(semaphore: ProcessSemaphore, clock: ManualClock) -> None:
    """A host that is used stays, and so do its queue and its health. Fails if any host is dropped, or none."""
    hosts = new_hosts(semaphore, clock)
    slot = acquire(hosts, clock, "busy.example")
    waiting = gevent.spawn(acquire, hosts, clock, "waiting.example")
    gevent.sleep(0)
    busy, waited_for = hosts["busy.example"], hosts["waiting.example"]
    recent = hosts["recent.example"]
    for number in range(2 * MAX_HOSTS):
        assert hosts[f"host{number}.example"].is_idle
        assert hosts["recent.example"] is recent
    assert len(hosts) == MAX_HOSTS
    assert hosts["busy.example"] is busy
    assert hosts["waiting.example"] is waited_for
    slot.release()
    waiting.get().release()
    for number in range(MAX_HOSTS):
        assert hosts[f"other{number}.example"].is_idle
    assert hosts["busy.example"] is not busy
