"""Tests that a forgotten item stays forgotten.

No page that was requested before an item was forgotten decides a result after that. Items that were not forgotten are
not treated as forgotten.
"""

from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import pytest
from gevent.event import Event

from app.config.source_registry import SourceRegistry
from app.domain.errors import NoSuchItem, OriginFailed, Overloaded
from app.domain.records import CacheStatus, ItemId, Outcome, decode_record
from app.fetch.page_fetcher import Validators
from app.lookup.service import LookupService
from app.store.base import Entry, Look, StoreError
from tests.store.dictionary import DictionaryStore
from tests.support.lookup_harness import SHOP, LookupHarness, Script, failing, picture, unchanged

ITEM, KEY = ItemId("shop", "42"), "shop:42"
OLD, NEW = "https://shop.example/old.jpg", "https://shop.example/new.jpg"

TTL, GRACE, KEEP = 100, 20, 1000


def run_greenlets() -> None:
    """Yield to the hub until all greenlets have finished or wait for an event."""
    for _ in range(10):
        gevent.sleep(0)


def delayed(may_respond: Event, script: Script) -> Script:
    """Return a script that waits until ``may_respond`` is set, and then calls ``script``."""

    def fetch() -> bytes | None:
        may_respond.wait()
        return script()

    return fetch


def new_harness(store: str) -> LookupHarness:
    harness = LookupHarness({"42": picture("/old.jpg")}, validators=Validators(etag='"a"'))
    if store == "shared":
        harness.store = DictionaryStore()
        harness.store.shared.clock = harness.clock
    return harness


def stored(harness: LookupHarness) -> Any:
    """Return the record in the store of the harness, or None if there is no record or no store."""
    data = None if harness.store is None else harness.store.get(KEY)
    return None if data is None else decode_record(data)


STORES = pytest.mark.parametrize("store", ["shared", "none"])
OUTCOMES = pytest.mark.parametrize(
    "outcome",
    [picture("/old.jpg"), unchanged, failing(OriginFailed("failed")), failing(NoSuchItem("none"))],
    ids=["found", "304", "failed", "no such item"],
)


@STORES
@OUTCOMES
@pytest.mark.parametrize("order", ["finished before the invalidations are read", "finished after that"])
def test_a_refresh_in_another_worker_does_not_restore_the_item(store: str, outcome: Script, order: str) -> None:
    """An earlier version stored the old cover for all workers."""
    harness, may_respond = new_harness(store), Event()
    one, two = harness.lookup(), harness.lookup()
    for worker in (one, two):
        worker.apply_invalidations()
        worker.find(ITEM)
    harness.pages["42"] = delayed(may_respond, outcome)
    harness.pass_time(TTL)
    assert two.find(ITEM).cache is CacheStatus.STALE
    run_greenlets()
    assert one.forget(ITEM)
    if order == "finished after that":
        two.apply_invalidations()
    may_respond.set()
    run_greenlets()
    two.apply_invalidations()
    assert stored(harness) is None
    harness.pages["42"] = picture("/new.jpg")
    for worker in (two, one):
        result = worker.find(ITEM)
        assert result.record.url == NEW
        assert result.cache in {CacheStatus.FETCHED, CacheStatus.STORE}


@STORES
@OUTCOMES
def test_a_first_lookup_in_this_worker_does_not_restore_the_item(store: str, outcome: Script) -> None:
    """The caller of that lookup gets its result. An earlier version overwrote the newer cover of other callers."""
    harness, may_respond = new_harness(store), Event()
    lookup = harness.lookup()
    harness.pages["42"] = delayed(may_respond, picture("/old.jpg") if outcome is unchanged else outcome)
    first = gevent.spawn(lookup.find, ITEM)
    run_greenlets()
    assert not lookup.forget(ITEM)
    harness.pages["42"] = picture("/new.jpg")
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (NEW, CacheStatus.FETCHED)
    may_respond.set()
    assert first.get().cache is CacheStatus.FETCHED
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (NEW, CacheStatus.MEMORY)
    assert store == "none" or stored(harness).url == NEW


@STORES
@OUTCOMES
@pytest.mark.parametrize("order", ["finished before the invalidations are read", "finished after that"])
def test_a_first_lookup_in_another_worker_does_not_restore_the_item(store: str, outcome: Script, order: str) -> None:
    """A lookup that starts after the worker has read the invalidation does not join the first lookup's flight."""
    harness, may_respond = new_harness(store), Event()
    one, two = harness.lookup(), harness.lookup()
    two.apply_invalidations()
    harness.pages["42"] = delayed(may_respond, picture("/old.jpg") if outcome is unchanged else outcome)
    first = gevent.spawn(two.find, ITEM)
    run_greenlets()
    one.forget(ITEM)
    harness.pages["42"] = picture("/new.jpg")
    if order == "finished after that":
        two.apply_invalidations()
        assert two.find(ITEM).record.url == NEW
    may_respond.set()
    assert first.get().record.url != NEW
    two.apply_invalidations()
    assert [worker.find(ITEM).record.url for worker in (two, one)] == [NEW, NEW]


@STORES
@OUTCOMES
def test_a_record_that_another_worker_has_forgotten_is_not_revalidated(store: str, outcome: Script) -> None:
    """The worker has not read the invalidation yet. An earlier version stored the old cover for all workers."""
    harness = new_harness(store)
    one, two = harness.lookup(), harness.lookup()
    for worker in (one, two):
        worker.apply_invalidations()
        worker.find(ITEM)
    harness.pass_time(TTL)
    assert one.forget(ITEM)
    harness.pages["42"] = failing(OriginFailed("304 to an unconditional request")) if outcome is unchanged else outcome
    two.find(ITEM)
    run_greenlets()
    assert harness.sent_validators[-1] is None
    result = two.find(ITEM)
    assert result.cache is CacheStatus.MEMORY
    assert result.record.fetched_at == harness.clock.now
    fetches = len(harness.fetched_ids)
    two.apply_invalidations()
    assert two.find(ITEM).cache is CacheStatus.MEMORY
    assert len(harness.fetched_ids) == fetches


@STORES
def test_an_item_that_the_memory_has_evicted_is_not_treated_as_forgotten(store: str) -> None:
    """An earlier version did not save the 304 or the failure, so each lookup fetched the page of a stale item again."""
    for outcome in (unchanged, failing(OriginFailed("failed"))):
        harness, may_respond = new_harness(store), Event()
        lookup = harness.lookup(memory_size=1)
        lookup.find(ITEM)
        harness.pages |= {"42": delayed(may_respond, outcome), "43": picture("/43.jpg")}
        harness.pass_time(TTL)
        assert lookup.find(ITEM).cache is CacheStatus.STALE
        run_greenlets()
        lookup.find(ItemId("shop", "43"))  # the memory evicts the record of ITEM
        may_respond.set()
        run_greenlets()
        harness.fetched_ids.clear()
        for _ in range(3):
            assert lookup.find(ITEM).record.url == OLD
            run_greenlets()
        assert harness.fetched_ids == []


@STORES
def test_an_item_that_the_store_has_evicted_is_not_treated_as_forgotten(store: str) -> None:
    harness = new_harness(store)
    lookup = harness.lookup()
    lookup.apply_invalidations()
    lookup.find(ITEM)
    if isinstance(harness.store, DictionaryStore):
        harness.store.shared.values.clear()
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(TTL + GRACE)
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (OLD, CacheStatus.STALE)


@STORES
@pytest.mark.parametrize("key", ["the same", "another"], ids=lambda key: f"{key} item was forgotten")
def test_a_record_that_is_fetched_after_the_item_was_forgotten_is_kept(store: str, key: str) -> None:
    """The worker reads the invalidation only after the fetch."""
    harness = new_harness(store)
    one, two = harness.lookup(), harness.lookup()
    two.apply_invalidations()
    one.forget(ITEM if key == "the same" else ItemId("shop", "43"))
    assert two.find(ITEM).cache is CacheStatus.FETCHED
    two.apply_invalidations()
    assert two.find(ITEM).cache in {CacheStatus.MEMORY, CacheStatus.STORE}
    assert harness.fetched_ids == ["42"]


@STORES
def test_a_record_that_must_not_be_kept_still_replaces_the_old_one(store: str) -> None:
    """After the answer "no such item", an earlier version returned the old cover in other and in restarted workers."""
    harness = new_harness(store)
    harness.sources = SourceRegistry(
        {"shop": msgspec.structs.replace(SHOP, negative_ttl=type(SHOP.negative_ttl)(0))}, default="shop"
    )
    lookup = harness.lookup()
    lookup.find(ITEM)
    harness.pages["42"] = failing(NoSuchItem("none"))
    harness.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.outcome is Outcome.NO_SUCH_ITEM
    assert stored(harness) is None
    assert lookup._repository.from_memory(ITEM) is None
    for worker in (harness.lookup(), lookup):
        result = worker.find(ITEM)
        assert (result.record.outcome, result.cache) == (Outcome.NO_SUCH_ITEM, CacheStatus.FETCHED)


class DelayedStore(DictionaryStore):
    """A store that delays the next call of the operation ``delayed`` until ``arrival`` is set.

    A call of ``look`` or ``settle`` is executed at once, and its response is delayed. A call of ``forget`` is executed
    only after the delay.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delayed = ""
        self.arrival = Event()

    def _delay(self, operation: str) -> None:
        if operation == self.delayed:
            self.delayed = ""
            self.arrival.wait()

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        look = super().look(key, token, seconds, now)
        self._delay("look")
        return look

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        is_saved = super().settle(key, token, entry, purge_number)
        self._delay("settle")
        return is_saved

    def forget(self, key: str) -> bool:
        self._delay("forget")
        return super().forget(key)


def delayed_store_harness() -> tuple[LookupHarness, DelayedStore]:
    store = DelayedStore()
    return LookupHarness({"42": picture("/old.jpg")}, store=store), store


def forget_here(one: LookupService, _two: LookupService) -> None:
    one.forget(ITEM)


def forget_elsewhere(one: LookupService, two: LookupService) -> None:
    two.forget(ITEM)
    one.apply_invalidations()


@pytest.mark.parametrize("forget", [forget_here, forget_elsewhere])
@pytest.mark.parametrize("operation", ["look", "settle"])
def test_a_late_response_of_the_store_does_not_restore_the_item_in_memory(
    operation: str, forget: Callable[[LookupService, LookupService], None]
) -> None:
    """The store executes the operation before it forgets the item, and the response arrives after that."""
    harness, store = delayed_store_harness()
    one, two = harness.lookup(), harness.lookup()
    one.apply_invalidations()
    if operation == "look":
        two.find(ITEM)
    store.delayed = operation
    first = gevent.spawn(one.find, ITEM)
    run_greenlets()
    assert not store.delayed
    forget(one, two)
    harness.pages["42"] = picture("/new.jpg")
    store.arrival.set()
    first.get()
    assert one.find(ITEM).record.url == NEW


def test_a_record_that_a_lookup_reads_during_the_call_of_forget_is_not_kept() -> None:
    """The lookup starts before the store executes the call of ``forget``."""
    harness, store = delayed_store_harness()
    lookup = harness.lookup()
    harness.lookup().find(ITEM)
    store.delayed = "forget"
    forgetting = gevent.spawn(lookup.forget, ITEM)
    run_greenlets()
    assert lookup.find(ITEM).cache is CacheStatus.STORE
    store.arrival.set()
    assert forgetting.get()
    harness.pages["42"] = picture("/new.jpg")
    assert lookup.find(ITEM).record.url == NEW


def test_an_invalidation_that_is_read_during_a_look_is_not_missed() -> None:
    """The look finds no record in the store, and after the look the invalidations have nothing new."""
    harness, store = delayed_store_harness()
    one, two = harness.lookup(), harness.lookup()
    for worker in (one, two):
        worker.apply_invalidations()
        worker.find(ITEM)
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(TTL + GRACE)
    one.forget(ITEM)
    store.delayed = "look"
    first = gevent.spawn(two.find, ITEM)
    run_greenlets()
    two.apply_invalidations()
    store.arrival.set()
    assert first.get().record.outcome is Outcome.ORIGIN_FAILED
    assert stored(harness).outcome is Outcome.ORIGIN_FAILED


def test_a_forgotten_record_that_seems_newer_than_the_record_of_the_store_is_not_used() -> None:
    """The worker that fetched the page again has a clock that is behind."""
    harness = new_harness("shared")
    one, two = harness.lookup(), harness.lookup()
    two.apply_invalidations()
    two.find(ITEM)
    one.forget(ITEM)
    harness.pages["42"] = picture("/new.jpg")
    harness.pass_time(-10)
    one.find(ITEM)
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(10 + TTL + GRACE)
    result = two.find(ITEM)
    assert (result.record.url, result.cache) == (NEW, CacheStatus.STALE)
    assert stored(harness).url == NEW


class UnavailableStore(DictionaryStore):
    """A store that fails until ``is_available`` is true."""

    is_available = False

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        self._check()
        return super().look(key, token, seconds, now)

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        self._check()
        return super().invalidations(since)

    def _check(self) -> None:
        if not self.is_available:
            raise StoreError("not available")


def test_a_record_that_was_forgotten_before_the_first_read_of_the_invalidations_is_not_served() -> None:
    """The store was not available to the worker at first. With the first cursor, the store returns no keys."""
    store = UnavailableStore()
    harness = LookupHarness({"42": picture("/old.jpg")}, store=store)
    lookup = harness.lookup()
    lookup.apply_invalidations()
    lookup.find(ITEM)
    store.forget(KEY)  # by another worker
    store.is_available = True
    harness.pass_time(10)
    lookup.apply_invalidations()
    harness.pages["42"] = picture("/new.jpg")
    assert lookup.find(ITEM).record.url == NEW


def test_if_the_store_cannot_forget_the_caller_gets_an_error() -> None:
    """The record is deleted from memory in any case."""

    class Broken(DictionaryStore):
        def forget(self, key: str) -> bool:
            raise StoreError("broken")

    harness = LookupHarness({"42": picture("/old.jpg")}, store=Broken())
    lookup = harness.lookup()
    lookup.find(ITEM)
    with pytest.raises(Overloaded, match="nothing can be forgotten"):
        lookup.forget(ITEM)
    assert lookup._repository.from_memory(ITEM) is None
