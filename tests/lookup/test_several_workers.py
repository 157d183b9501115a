"""Tests of several workers with one store: they share records, and one of them fetches."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.domain.errors import Blocked, NoSuchItem, OriginFailed, Overloaded, Throttled, TooSlow
from app.domain.records import CacheStatus, ItemId, Outcome, encode_record
from app.lookup.service import LookupService, PendingLookup
from app.store.base import Entry, StoreError
from tests.store.dictionary import DictionaryStore, Shared
from tests.support.empty_store import EmptyStore
from tests.support.lookup_harness import SHOP, LookupHarness, blocked, failing, picture, run_until

ITEM = ItemId("shop", "42")
URL = "https://shop.example/42.jpg"


def with_store(**pages: Any) -> LookupHarness:
    return LookupHarness({name.removeprefix("_"): page for name, page in pages.items()}, store=DictionaryStore())


def test_a_second_worker_reads_the_record_from_the_store() -> None:
    harness = with_store(_42=picture("/42.jpg"))
    assert harness.lookup().find(ITEM).cache is CacheStatus.FETCHED
    other = harness.lookup()
    assert [other.find(ITEM).cache for _ in range(2)] == [CacheStatus.STORE, CacheStatus.MEMORY]
    assert harness.fetched_ids == ["42"]


@pytest.mark.parametrize("error", [NoSuchItem("none"), Blocked("blocked"), OriginFailed("failed")])
def test_failures_are_shared(error: Exception) -> None:
    harness = with_store(_42=failing(error))
    records = [harness.lookup().find(ITEM).record for _ in range(4)]
    assert len(set(map(encode_record, records))) == 1
    assert harness.fetched_ids == ["42"]


def test_callers_of_all_workers_share_one_fetch() -> None:
    go = Event()
    harness = with_store(_42=blocked(go, "/42.jpg"))
    callers = [gevent.spawn(lookup.find, ITEM) for lookup in [harness.lookup() for _ in range(4)] for _ in range(50)]
    while not harness.fetched_ids:
        gevent.sleep(0.001)
    gevent.sleep(0.02)
    go.set()
    results = [caller.get() for caller in callers]
    assert {result.record.url for result in results} == {URL}
    assert {result.cache for result in results} == {CacheStatus.FETCHED, CacheStatus.STORE}
    assert harness.fetched_ids == ["42"]


def test_a_refresh_runs_once_over_all_workers() -> None:
    harness = with_store(_42=picture("/old.jpg"))
    workers = [harness.lookup() for _ in range(4)]
    for worker in workers:
        worker.find(ITEM)
    harness.pages["42"] = picture("/42.jpg")
    harness.pass_time(100)
    assert {worker.find(ITEM).cache for worker in workers} == {CacheStatus.STALE}
    for worker in workers:
        with gevent.Timeout(5):
            while worker.find(ITEM).record.url != URL:
                gevent.sleep(0.01)
    assert harness.fetched_ids == ["42", "42"]


def test_a_new_worker_returns_a_stale_record_while_it_revalidates() -> None:
    harness = with_store(_42=picture("/42.jpg"))
    harness.lookup().find(ITEM)
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(100)
    result = harness.lookup().find(ITEM)
    assert (result.record.url, result.cache) == (URL, CacheStatus.STALE)


def test_a_new_worker_returns_a_stale_record_if_the_fetch_fails() -> None:
    harness = with_store(_42=picture("/42.jpg"))
    harness.lookup().find(ITEM)
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(130)
    result = harness.lookup().find(ITEM)
    assert (result.record.url, result.cache) == (URL, CacheStatus.STALE)
    assert harness.lookup().find(ITEM).record.error == "failed"
    assert harness.fetched_ids == ["42", "42"]


def test_a_new_worker_returns_a_stale_record_at_the_deadline() -> None:
    harness = with_store(_42=picture("/42.jpg"))
    harness.lookup().find(ITEM)
    go = Event()

    def fetch() -> bytes:
        go.wait()
        return b""

    harness.pages["42"] = fetch
    harness.pass_time(130)
    other = harness.lookup()
    started = other.begin(ITEM)
    while len(harness.fetched_ids) < 2:
        gevent.sleep(0)
    assert other.wait(started, deadline=harness.clock.now).record.url == URL
    go.set()


def with_stale_cover_in_the_store(age: float, *, workers: int = 2) -> tuple[LookupHarness, Event, list[LookupService]]:
    """Return a harness, the event that lets fetches finish, and workers whose memory is empty."""
    store = DictionaryStore()
    harness, go = LookupHarness({"42": picture("/old.jpg")}, store=store), Event()
    store.shared.clock = harness.clock
    harness.lookup().find(ITEM)
    harness.pages["42"] = blocked(go, "/42.jpg")
    harness.pass_time(age)
    harness.fetched_ids.clear()
    return harness, go, [harness.lookup() for _ in range(workers)]


def test_new_workers_return_a_stale_record_before_the_refresh_has_finished() -> None:
    """The one that fetches the page as well as the one that waits for it."""
    harness, go, workers = with_stale_cover_in_the_store(100)
    started = [worker.begin(ITEM) for worker in workers]
    for _ in range(3):
        gevent.sleep(0)
    for worker, lookup in zip(workers, started, strict=True):
        assert isinstance(lookup, PendingLookup)
        assert lookup.result.is_set()
        result = worker.wait(lookup, deadline=0)
        assert (result.record.url, result.cache) == ("https://shop.example/old.jpg", CacheStatus.STALE)
    assert harness.fetched_ids == ["42"]
    go.set()


def test_a_new_worker_returns_all_stale_records_of_a_batch_before_the_refreshes_have_finished() -> None:
    """The lookups start before the first wait. An earlier version waited for the refreshes of all but the first."""
    harness, go, (worker,) = with_stale_cover_in_the_store(100, workers=1)
    items = [ItemId("shop", f"4{number}") for number in range(2, 7)]
    assert harness.store is not None
    for item in items[1:]:
        record = harness.store.get("shop:42")
        assert record is not None
        harness.store.settle(str(item), "", Entry(record, due=0, lifetime=99, is_positive=True), 0)
        harness.pages[item.id] = blocked(go, "/42.jpg")
    started = [worker.begin(item) for item in items]
    assert worker.wait(started[0], worker.deadline_from_now()).cache is CacheStatus.STALE
    assert [isinstance(lookup, PendingLookup) and lookup.result.is_set() for lookup in started] == [True] * 5
    go.set()


def test_a_worker_that_waits_for_another_one_says_so() -> None:
    harness, go, workers = with_stale_cover_in_the_store(99_999)
    started = [worker.begin(ITEM) for worker in workers]
    gevent.sleep(0)
    gevent.sleep(0)
    texts = []
    for worker, lookup in zip(workers, started, strict=True):
        harness.deadlines[-1].waiting_for = "a response of shop.example"
        with pytest.raises(TooSlow) as caught:
            worker.wait(lookup, deadline=harness.clock.now)
        texts.append(str(caught.value).partition(", ")[2])
    assert texts == [
        "still waiting for a response of shop.example",
        "still waiting for another worker, which fetches the page",
    ]
    go.set()


def test_a_worker_that_waits_for_the_store_says_so() -> None:
    """The host has responded, so it is not to blame."""

    class SlowStore(DictionaryStore):
        go = Event()

        def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
            self.go.wait()
            return super().settle(key, token, entry, purge_number)

    store = SlowStore()
    harness = LookupHarness({"42": picture("/42.jpg")}, store=store)
    worker = harness.lookup()
    started = worker.begin(ITEM)
    gevent.sleep(0)
    with pytest.raises(TooSlow, match="still waiting for the store"):
        worker.wait(started, deadline=harness.clock.now)
    store.go.set()


def test_a_worker_that_has_waited_too_long_for_another_one_fetches_itself() -> None:
    """Too long is more than the deadline in the queue of the host and then the source's timeout for the page."""
    harness, go, (holder, waiting) = with_stale_cover_in_the_store(99_999)
    assert isinstance(harness.store, DictionaryStore)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert isinstance(harness.store, DictionaryStore)
        token, _ = harness.store.shared.leases["shop:42"]
        harness.store.renew_lease("shop:42", token, 2.0)
        harness.pass_time(seconds)
        gevent.sleep(0)

    waiting._sleep = sleep
    for worker in (holder, waiting):
        worker.begin(ITEM)
        gevent.sleep(0)
    run_until(lambda: len(harness.fetched_ids) == 2)
    assert sum(slept) == pytest.approx(harness.deadline + SHOP.timeout, abs=0.15)
    assert max(slept) == pytest.approx(0.15 / 2)
    go.set()


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_of_two_records_the_one_that_is_not_due_is_used(jitter: float) -> None:
    """The jitter may make a newer record in memory due before an older one in the store, which grants no lease then."""
    harness = with_store(_42=picture("/old.jpg"))
    one, two = harness.lookup(), harness.lookup()
    one.find(ITEM)
    assert isinstance(harness.store, DictionaryStore)
    shared = harness.store.shared
    harness.store.shared = Shared()  # the other worker cannot reach it
    harness.pages["42"] = picture("/42.jpg")
    harness.pass_time(1)
    harness.jitter = jitter
    two.find(ITEM)
    harness.store.shared = shared
    harness.pass_time(95)
    harness.fetched_ids.clear()
    for _ in range(2):
        result = two.find(ITEM)
        gevent.sleep(0)
        gevent.sleep(0)
    assert result.record.url == (URL if jitter == 0 else "https://shop.example/old.jpg")
    assert (result.cache, harness.fetched_ids) == (CacheStatus.MEMORY, [])


def test_a_record_that_has_expired_before_it_is_due_is_fetched_with_a_lease() -> None:
    """The origin asked to wait for longer than the record is kept. The store grants no lease before a record is due."""
    harness, go, workers = with_stale_cover_in_the_store(130, workers=3)
    harness.pages["42"] = failing(Throttled("slow down", 99_999))
    workers[0].find(ITEM)
    harness.pages["42"] = blocked(go, "/42.jpg")
    harness.fetched_ids.clear()
    harness.pass_time(2000)
    callers = [gevent.spawn(worker.find, ITEM) for worker in workers]
    gevent.sleep(0.05)
    assert harness.fetched_ids == ["42"]
    go.set()
    assert {caller.get().record.url for caller in callers} == {URL}
    assert harness.fetched_ids == ["42"]


def test_the_lease_of_a_killed_worker_expires() -> None:
    """The lease is not renewed, so it expires, and another worker fetches."""
    harness = with_store(_42=picture("/42.jpg"))
    assert harness.store is not None
    assert harness.store.look("shop:42", "token of a killed worker", 0.3, 0).has_lease
    result = harness.lookup().find(ITEM)
    assert (result.record.url, result.cache) == (URL, CacheStatus.FETCHED)


def test_all_workers_forget_what_one_is_told_to_forget() -> None:
    harness = with_store(_42=picture("/42.jpg"))
    one, two = harness.lookup(), harness.lookup()
    two.apply_invalidations()
    for worker in (one, two):
        worker.find(ITEM)
    assert one.forget(ITEM)
    assert two.find(ITEM).cache is CacheStatus.MEMORY
    two.apply_invalidations()
    assert two.find(ITEM).cache is CacheStatus.FETCHED
    assert not one.forget(ItemId("shop", "43"))


def test_a_record_from_a_clock_that_is_ahead_counts_as_fetched_now() -> None:
    """So it does not stay fresh for longer."""
    harness = with_store(_42=picture("/42.jpg"))
    harness.pass_time(3600)
    harness.lookup().find(ITEM)
    harness.pass_time(-3600)
    other = harness.lookup()
    record = other.find(ITEM).record
    assert (record.fetched_at, record.fresh_until) == (harness.clock.now, harness.clock.now + 100)
    harness.pass_time(100)
    assert other.find(ITEM).cache is CacheStatus.STALE


class BrokenStore(EmptyStore):
    """A store whose methods all fail."""

    def __getattribute__(self, name: str) -> Any:
        def fail(*_arguments: object, **_keywords: object) -> None:
            raise StoreError("broken")

        return fail


def test_lookups_work_while_the_store_fails() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")}, store=BrokenStore())
    lookup = harness.lookup()
    assert [lookup.find(ITEM).cache for _ in range(2)] == [CacheStatus.FETCHED, CacheStatus.MEMORY]
    lookup.apply_invalidations()
    with pytest.raises(Overloaded, match="nothing can be forgotten"):
        lookup.forget(ITEM)


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\xc1", encode_record.__name__.encode()])
@pytest.mark.parametrize("due_in", [-1, 99])
def test_an_invalid_value_in_the_store_is_a_miss(garbage: bytes, due_in: float) -> None:
    """Even if it is not due for a refresh: it may be a record of another release."""
    harness = with_store(_42=picture("/42.jpg"))
    assert harness.store is not None
    harness.store.settle("shop:42", "", Entry(garbage, due=harness.clock.now + due_in, lifetime=9, is_positive=True), 0)
    result = harness.lookup().find(ITEM)
    assert (result.record.outcome, result.cache) == (Outcome.FOUND, CacheStatus.FETCHED)
    assert harness.lookup().find(ITEM).cache is CacheStatus.STORE
