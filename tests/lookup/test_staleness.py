"""Tests of stale records: the results that callers get while the origin responds, fails, or hangs."""

import gevent
import msgspec
import pytest
from gevent.event import Event

from app.config.rules import Regex, Rule
from app.config.source_registry import SourceRegistry
from app.domain.errors import (
    Blocked,
    LookupFailed,
    NoCover,
    NoSuchItem,
    OriginFailed,
    Overloaded,
    QueueTimeout,
    Throttled,
    TooSlow,
)
from app.domain.records import CacheStatus, ItemId, Outcome
from app.fetch.page_fetcher import Validators
from app.lookup.service import LookupService
from app.store.base import Entry
from tests.store.dictionary import DictionaryStore
from tests.support.lookup_harness import SHOP, LookupHarness, blocked, failing, picture, unchanged

ITEM = ItemId("shop", "42")
OLD, NEW = "https://shop.example/old.jpg", "https://shop.example/new.jpg"

TTL, GRACE, KEEP = 100, 20, 1000

FAILURES: list[LookupFailed] = [
    Blocked("blocked"),
    Throttled("slow down", 0),
    TooSlow("slow"),
    OriginFailed("failed"),
    NoCover("no cover on the page"),
]


def cached_cover_harness(**fields: object) -> tuple[LookupHarness, LookupService]:
    """Return a harness with the given fields, and a worker that has just cached the old cover."""
    harness = LookupHarness({"42": picture("/old.jpg")}, **fields)  # type: ignore[arg-type]  # fields of the harness
    lookup = harness.lookup()
    assert lookup.find(ITEM).record.url == OLD
    harness.fetched_ids.clear()
    return harness, lookup


def run_background_refreshes() -> None:
    """Yield to the hub until all background refreshes have finished or wait for an event."""
    for _ in range(5):
        gevent.sleep(0)


def test_within_grace_the_stale_cover_is_returned_and_then_refreshed() -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = picture("/new.jpg")
    harness.pass_time(TTL)
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (OLD, CacheStatus.STALE)
    run_background_refreshes()
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (NEW, CacheStatus.MEMORY)
    assert harness.fetched_ids == ["42"]


def test_within_grace_many_lookups_start_one_refresh() -> None:
    harness, lookup = cached_cover_harness()
    may_respond = Event()
    harness.pages["42"] = blocked(may_respond, "/new.jpg")
    harness.pass_time(TTL)
    assert {lookup.find(ITEM).record.url for _ in range(50)} == {OLD}
    run_background_refreshes()
    assert {lookup.find(ITEM).record.url for _ in range(50)} == {OLD}
    may_respond.set()
    run_background_refreshes()
    assert lookup.find(ITEM).record.url == NEW
    assert harness.fetched_ids == ["42"]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("age", [TTL, TTL + GRACE - 1, TTL + GRACE, TTL + GRACE + KEEP - 1])
def test_no_failure_replaces_a_cover_that_has_not_expired(error: LookupFailed, age: float) -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(error)
    harness.pass_time(age)
    for _ in range(3):
        result = lookup.find(ITEM)
        assert (result.record.url, result.cache) == (OLD, CacheStatus.STALE)
        run_background_refreshes()
    assert harness.fetched_ids == ["42"]
    assert str(error) in lookup.find(ITEM).record.error


def test_a_page_without_a_cover_does_not_replace_a_cached_cover() -> None:
    """The page may have a new layout, which the rules do not match yet."""
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = lambda: b"<p>our new design"
    harness.pass_time(TTL + GRACE)
    result = lookup.find(ITEM)
    assert result.record.url == OLD
    assert "no cover on the page" in result.record.error


@pytest.mark.parametrize("age", [TTL, TTL + GRACE])
def test_no_such_item_replaces_a_cached_cover(age: float) -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(NoSuchItem("no such item"))
    harness.pass_time(age)
    lookup.find(ITEM)
    run_background_refreshes()
    assert lookup.find(ITEM).record.outcome is Outcome.NO_SUCH_ITEM


@pytest.mark.parametrize(
    ("error", "fate"),
    [(NoCover("no cover"), "kept: no cover"), (NoSuchItem("404"), "deleted: 404")],
)
def test_a_cover_that_is_no_longer_available_is_logged(
    error: LookupFailed, fate: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged for an item that had no cover before."""
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = harness.pages["43"] = failing(error)
    harness.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    lookup.find(ItemId("shop", "43"))
    (record,) = caplog.records
    assert record.message == f"shop:42: the cover is no longer available; the cached one is {fate}"
    assert (record.__dict__["source"], record.__dict__["id"]) == ("shop", "42")


def test_a_cover_expires_after_keep() -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(Blocked("blocked"))
    harness.pass_time(TTL + GRACE + KEEP)
    assert lookup.find(ITEM).record.outcome is Outcome.BLOCKED


def test_after_a_failure_the_page_is_not_fetched_for_error_ttl() -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    harness.pass_time(9.9)
    lookup.find(ITEM)
    assert harness.fetched_ids == ["42"]
    harness.pages["42"] = picture("/new.jpg")
    harness.pass_time(0.1)
    assert lookup.find(ITEM).record.url == NEW


def test_a_page_is_not_fetched_before_its_retry_after() -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(Throttled("slow down", 300))
    harness.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    harness.pass_time(299)
    assert lookup.find(ITEM).record.url == OLD
    assert harness.fetched_ids == ["42"]


def test_a_stale_cover_is_returned_at_the_deadline() -> None:
    harness, lookup = cached_cover_harness()
    may_respond = Event()
    harness.pages["42"] = blocked(may_respond, "/new.jpg")
    harness.pass_time(TTL + GRACE)
    result = lookup.wait(lookup.begin(ITEM), deadline=harness.clock.now)
    assert (result.record.url, result.cache) == (OLD, CacheStatus.STALE)
    may_respond.set()
    run_background_refreshes()
    assert lookup.find(ITEM).record.url == NEW


def test_a_stale_cover_is_returned_on_overload() -> None:
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(Overloaded("too many"))
    harness.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.url == OLD


def test_validators_make_the_refresh_a_conditional_request() -> None:
    """A 304 response renews the times of the record, and nothing is extracted."""
    validators = Validators(etag='"a"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    harness, lookup = cached_cover_harness(validators=validators)
    harness.pages["42"] = unchanged
    harness.pass_time(TTL + GRACE)
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (OLD, CacheStatus.FETCHED)
    assert result.record.fresh_until == harness.clock.now + TTL
    assert harness.sent_validators == [None, validators]


@pytest.mark.parametrize("validators", [Validators(etag='"a"'), Validators(last_modified="yesterday")])
def test_one_validator_is_enough_for_a_conditional_request(validators: Validators) -> None:
    harness, lookup = cached_cover_harness(validators=validators)
    harness.pages["42"] = unchanged
    harness.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.url == OLD
    assert harness.sent_validators == [None, validators]


def test_without_validators_the_request_is_unconditional() -> None:
    harness, lookup = cached_cover_harness()
    harness.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    assert harness.sent_validators == [None, None]


def test_a_successful_refresh_clears_the_error_of_a_failed_one() -> None:
    harness, lookup = cached_cover_harness(validators=Validators(etag='"a"'))
    harness.pages["42"] = failing(OriginFailed("failed"))
    harness.pass_time(TTL)
    lookup.find(ITEM)
    run_background_refreshes()
    assert lookup.find(ITEM).record.error == "failed"
    harness.pages["42"] = unchanged
    harness.pass_time(10)
    lookup.find(ITEM)
    run_background_refreshes()
    result = lookup.find(ITEM)
    assert (result.record.error, result.cache) == ("", CacheStatus.MEMORY)


def test_jitter_shortens_the_lifetime_by_up_to_a_tenth() -> None:
    """Records that were saved together are therefore not refreshed together."""
    harness, lookup = cached_cover_harness(jitter=1.0)
    harness.pass_time(TTL * 0.9 - 0.1)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    harness.pass_time(0.2)
    assert lookup.find(ITEM).cache is CacheStatus.STALE


def test_after_a_change_of_rules_the_request_is_unconditional() -> None:
    """A 304 response would renew the cover that the old rules found."""
    harness, lookup = cached_cover_harness(validators=Validators(etag='"a"'))
    lookup.find(ITEM)
    changed = msgspec.structs.replace(SHOP, extract=[Rule(regex=Regex("(/new.jpg)"))])
    harness.sources = SourceRegistry({"shop": changed, "other": SHOP}, default="shop")
    harness.pages["42"] = lambda: b'<img src="/old.jpg"><b>/new.jpg</b>'
    lookup._sources = lookup._repository._sources = harness.sources
    harness.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.url == NEW
    assert harness.sent_validators == [None, None]


@pytest.mark.parametrize("response", ["304", "a failure"])
def test_a_flight_in_progress_does_not_restore_a_forgotten_item(response: str) -> None:
    harness, lookup = cached_cover_harness(validators=Validators(etag='"a"'))
    may_respond = Event()

    def fetch() -> bytes | None:
        may_respond.wait()
        if response == "304":
            return None
        raise OriginFailed("failed")

    harness.pages["42"] = fetch
    harness.pass_time(TTL)
    lookup.find(ITEM)
    run_background_refreshes()
    assert lookup.forget(ITEM)
    may_respond.set()
    run_background_refreshes()
    harness.pages["42"] = picture("/new.jpg")
    result = lookup.find(ITEM)
    assert (result.record.url, result.cache) == (NEW, CacheStatus.FETCHED)


@pytest.mark.parametrize("bug", [ZeroDivisionError(), gevent.Timeout(9)], ids=repr)
def test_an_internal_error_does_not_replace_a_cached_cover(
    bug: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged, and the page is not fetched again for some time."""
    harness, lookup = cached_cover_harness()
    harness.pages["42"] = failing(bug)
    harness.pass_time(TTL)
    for _ in range(3):
        assert lookup.find(ITEM).record.url == OLD
        run_background_refreshes()
    assert harness.fetched_ids == ["42"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert (record.__dict__["source"], record.__dict__["id"]) == ("shop", "42")
    assert lookup.find(ITEM).record.error == f"internal error, reference {record.__dict__['reference']}"


def test_a_lookup_that_must_wait_joins_the_refresh_in_progress() -> None:
    """An earlier version started a second flight of the item in the same worker, and fetched the page twice."""
    harness, lookup = cached_cover_harness()
    may_respond = Event()
    harness.pages["42"] = blocked(may_respond, "/new.jpg")
    harness.pass_time(TTL)
    assert lookup.find(ITEM).cache is CacheStatus.STALE
    run_background_refreshes()
    harness.pass_time(GRACE)
    waiting = gevent.spawn(lookup.find, ITEM)
    run_background_refreshes()
    assert not waiting.ready()
    may_respond.set()
    result = waiting.get()
    assert (result.record.url, result.cache) == (NEW, CacheStatus.FETCHED)
    assert harness.fetched_ids == ["42"]


def test_a_fresh_record_is_never_reported_as_stale() -> None:
    """A refresh is refused because of overload, and the next refresh of the item succeeds before the first one ends.

    An earlier version reported a record as stale whenever it returned the record instead of an error.
    """

    class SlowRelease(DictionaryStore):
        """A store that responds to the release of a lease only when ``may_respond`` is set."""

        may_respond = Event()

        def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
            is_saved = super().settle(key, token, entry, purge_number)
            if entry is None:
                self.may_respond.wait()
            return is_saved

    store = SlowRelease()
    harness, lookup = cached_cover_harness(store=store)
    harness.pages["42"] = failing(Overloaded("too many"))
    harness.pass_time(TTL + GRACE)
    refused = gevent.spawn(lookup.find, ITEM)
    run_background_refreshes()
    harness.pages["42"] = picture("/new.jpg")
    assert lookup.find(ITEM).record.url == NEW
    store.may_respond.set()
    result = refused.get()
    assert (result.record.url, result.cache) == (NEW, CacheStatus.MEMORY)


def test_a_caller_that_comes_after_a_flight_has_failed_does_not_get_its_error() -> None:
    """The caller comes while the flight is releasing its lease, and waits for a new flight."""

    class SlowSettle(DictionaryStore):
        """A store that responds to ``settle`` only when ``may_respond`` is set."""

        may_respond = Event()

        def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
            is_saved = super().settle(key, token, entry, purge_number)
            self.may_respond.wait()
            return is_saved

    store = SlowSettle()
    harness = LookupHarness({"42": failing(QueueTimeout("no slot in time"))}, store=store)
    lookup = harness.lookup()
    refused = gevent.spawn(lookup.find, ITEM)
    run_background_refreshes()
    harness.pages["42"] = picture("/new.jpg")
    second = lookup.begin(ITEM)
    store.may_respond.set()
    assert lookup.wait(second, lookup.deadline_from_now()).record.url == NEW
    refused.join()
