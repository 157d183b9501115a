"""Several workers over one store: what one finds out the others know, and one asks the origin."""

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


def shared(**pages: Any) -> LookupHarness:
    return LookupHarness({name.removeprefix("_"): page for name, page in pages.items()}, store=DictionaryStore())


def test_what_one_worker_found_the_next_one_has_from_the_store() -> None:
    story = shared(_42=picture("/42.jpg"))
    assert story.lookup().find(ITEM).cache is CacheStatus.FETCHED
    other = story.lookup()
    assert [other.find(ITEM).cache for _ in range(2)] == [CacheStatus.STORE, CacheStatus.MEMORY]
    assert story.asked == ["42"]


@pytest.mark.parametrize("error", [NoSuchItem("none"), Blocked("blocked"), OriginFailed("failed")])
def test_a_failure_is_shared_too(error: Exception) -> None:
    story = shared(_42=failing(error))
    records = [story.lookup().find(ITEM).record for _ in range(4)]
    assert len(set(map(encode_record, records))) == 1
    assert story.asked == ["42"]


def test_callers_of_all_workers_share_one_fetch() -> None:
    go = Event()

    story = shared(_42=blocked(go, "/42.jpg"))
    callers = [gevent.spawn(lookup.find, ITEM) for lookup in [story.lookup() for _ in range(4)] for _ in range(50)]
    while not story.asked:
        gevent.sleep(0.001)
    gevent.sleep(0.02)
    go.set()
    answers = [caller.get() for caller in callers]
    assert {answer.record.url for answer in answers} == {URL}
    assert {answer.cache for answer in answers} == {CacheStatus.FETCHED, CacheStatus.STORE}
    assert story.asked == ["42"]


def test_a_refresh_runs_once_over_all_workers() -> None:
    story = shared(_42=picture("/old.jpg"))
    workers = [story.lookup() for _ in range(4)]
    for worker in workers:
        worker.find(ITEM)
    story.pages["42"] = picture("/42.jpg")
    story.pass_time(100)
    assert {worker.find(ITEM).cache for worker in workers} == {CacheStatus.STALE}
    for worker in workers:
        with gevent.Timeout(5):
            while worker.find(ITEM).record.url != URL:
                gevent.sleep(0.01)
    assert story.asked == ["42", "42"]


def test_a_worker_that_starts_anew_answers_what_is_stale_at_once() -> None:
    story = shared(_42=picture("/42.jpg"))
    story.lookup().find(ITEM)
    story.pages["42"] = failing(OriginFailed("failed"))
    story.pass_time(100)
    answer = story.lookup().find(ITEM)
    assert (answer.record.url, answer.cache) == (URL, CacheStatus.STALE)


def test_a_worker_that_starts_anew_in_an_outage_has_what_is_kept() -> None:
    story = shared(_42=picture("/42.jpg"))
    story.lookup().find(ITEM)
    story.pages["42"] = failing(OriginFailed("failed"))
    story.pass_time(130)
    answer = story.lookup().find(ITEM)
    assert (answer.record.url, answer.cache) == (URL, CacheStatus.STALE)
    assert story.lookup().find(ITEM).record.error == "failed"
    assert story.asked == ["42", "42"]


def test_running_out_of_time_a_worker_that_starts_anew_has_what_is_kept() -> None:
    story = shared(_42=picture("/42.jpg"))
    story.lookup().find(ITEM)
    go = Event()

    def held() -> bytes:
        go.wait()
        return b""

    story.pages["42"] = held
    story.pass_time(130)
    other = story.lookup()
    started = other.begin(ITEM)
    while len(story.asked) < 2:
        gevent.sleep(0)
    assert other.wait(started, deadline=story.clock.now).record.url == URL
    go.set()


def test_who_dies_with_a_lease_delays_the_others_by_its_end() -> None:
    """Nobody prolongs it, so it ends by itself, and another worker fetches."""
    story = shared(_42=picture("/42.jpg"))
    assert story.store is not None
    assert story.store.lease("shop:42", "of somebody who died", 0.3)
    answer = story.lookup().find(ITEM)
    assert (answer.record.url, answer.cache) == (URL, CacheStatus.FETCHED)


def test_what_one_worker_is_told_to_forget_all_forget() -> None:
    story = shared(_42=picture("/42.jpg"))
    one, two = story.lookup(), story.lookup()
    two.apply_invalidations()
    for worker in (one, two):
        worker.find(ITEM)
    assert one.forget(ITEM)
    assert two.find(ITEM).cache is CacheStatus.MEMORY
    two.apply_invalidations()
    assert two.find(ITEM).cache is CacheStatus.FETCHED
    assert not one.forget(ItemId("shop", "43"))


def test_a_record_from_the_future_is_as_good_as_one_of_now() -> None:
    """Its writer's clock went ahead of ours: it does not live longer for that."""
    story = shared(_42=picture("/42.jpg"))
    story.pass_time(3600)
    story.lookup().find(ITEM)
    story.pass_time(-3600)
    other = story.lookup()
    record = other.find(ITEM).record
    assert (record.fetched_at, record.fresh_until) == (story.clock.now, story.clock.now + 100)
    story.pass_time(100)
    assert other.find(ITEM).cache is CacheStatus.STALE


class BrokenStore(EmptyStore):
    """A store that fails whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        def fail(*_arguments: object, **_keywords: object) -> None:
            raise StoreError("broken")

        return fail


def test_a_store_that_fails_costs_no_answer() -> None:
    story = LookupHarness({"42": picture("/42.jpg")}, store=BrokenStore())
    lookup = story.lookup()
    assert [lookup.find(ITEM).cache for _ in range(2)] == [CacheStatus.FETCHED, CacheStatus.MEMORY]
    lookup.apply_invalidations()
    with pytest.raises(Overloaded, match="cannot be asked to forget"):
        lookup.forget(ITEM)


@pytest.mark.parametrize("lie", [b"", b"garbage", b"\xc1", encode_record.__name__.encode()])
def test_a_store_that_lies_costs_no_answer(lie: bytes) -> None:
    story = shared(_42=picture("/42.jpg"))
    assert story.store is not None
    story.store.put("shop:42", lie, lifetime=9, is_positive=True)
    answer = story.lookup().find(ITEM)
    assert (answer.record.outcome, answer.cache) == (Outcome.FOUND, CacheStatus.FETCHED)
    assert story.lookup().find(ITEM).cache is CacheStatus.STORE
