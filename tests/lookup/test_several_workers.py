"""Tests of several workers with one store: they share records, and one of them fetches."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from app.domain.errors import Blocked, NoSuchItem, OriginFailed, Overloaded
from app.domain.records import CacheStatus, ItemId, Outcome, encode_record
from app.store.base import StoreError
from tests.store.dictionary import DictionaryStore
from tests.support.empty_store import EmptyStore
from tests.support.lookup_harness import LookupHarness, blocked, failing, picture

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


def test_the_lease_of_a_killed_worker_expires() -> None:
    """The lease is not renewed, so it expires, and another worker fetches."""
    harness = with_store(_42=picture("/42.jpg"))
    assert harness.store is not None
    assert harness.store.acquire_lease("shop:42", "token of a killed worker", 0.3)
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
def test_an_invalid_value_in_the_store_is_a_miss(garbage: bytes) -> None:
    harness = with_store(_42=picture("/42.jpg"))
    assert harness.store is not None
    harness.store.put("shop:42", garbage, lifetime=9, is_positive=True)
    result = harness.lookup().find(ITEM)
    assert (result.record.outcome, result.cache) == (Outcome.FOUND, CacheStatus.FETCHED)
    assert harness.lookup().find(ITEM).cache is CacheStatus.STORE
