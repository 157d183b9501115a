"""Fresh, then stale, then kept, then gone: what callers get while the origin does this and that."""

import gevent
import msgspec
import pytest
from gevent.event import Event

from app.config.rules import Regex, Rule
from app.config.sources import SourceRegistry
from app.domain.errors import (
    Blocked,
    LookupFailed,
    NoCover,
    NoSuchItem,
    OriginFailed,
    Overloaded,
    Throttled,
    TooSlow,
)
from app.domain.records import CacheStatus, ItemId, Outcome
from app.fetch.page_fetcher import Validators
from app.lookup.service import LookupService
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


def known(**more: object) -> tuple[LookupHarness, LookupService]:
    """A worker that has just found the old cover."""
    story = LookupHarness({"42": picture("/old.jpg")}, **more)  # type: ignore[arg-type]  # the story's own fields
    lookup = story.lookup()
    assert lookup.find(ITEM).record.url == OLD
    story.asked.clear()
    return story, lookup


def settle() -> None:
    """Let what runs behind an answer run."""
    for _ in range(5):
        gevent.sleep(0)


def test_within_grace_the_old_cover_comes_at_once_and_the_new_one_next() -> None:
    story, lookup = known()
    story.pages["42"] = picture("/new.jpg")
    story.pass_time(TTL)
    answer = lookup.find(ITEM)
    assert (answer.record.url, answer.cache) == (OLD, CacheStatus.STALE)
    settle()
    answer = lookup.find(ITEM)
    assert (answer.record.url, answer.cache) == (NEW, CacheStatus.MEMORY)
    assert story.asked == ["42"]


def test_within_grace_one_refresh_runs_however_many_ask() -> None:
    story, lookup = known()
    go = Event()

    story.pages["42"] = blocked(go, "/new.jpg")
    story.pass_time(TTL)
    assert {lookup.find(ITEM).record.url for _ in range(50)} == {OLD}
    settle()
    assert {lookup.find(ITEM).record.url for _ in range(50)} == {OLD}
    go.set()
    settle()
    assert lookup.find(ITEM).record.url == NEW
    assert story.asked == ["42"]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("age", [TTL, TTL + GRACE - 1, TTL + GRACE, TTL + GRACE + KEEP - 1])
def test_no_failure_replaces_a_known_cover_while_it_is_kept(error: LookupFailed, age: float) -> None:
    story, lookup = known()
    story.pages["42"] = failing(error)
    story.pass_time(age)
    for _ in range(3):
        answer = lookup.find(ITEM)
        assert (answer.record.url, answer.cache) == (OLD, CacheStatus.STALE)
        settle()
    assert story.asked == ["42"]
    assert str(error) in lookup.find(ITEM).record.error


def test_a_page_without_a_cover_does_not_replace_a_known_one() -> None:
    """Rules break more often than covers vanish."""
    story, lookup = known()
    story.pages["42"] = lambda: b"<p>our new design"
    story.pass_time(TTL + GRACE)
    answer = lookup.find(ITEM)
    assert answer.record.url == OLD
    assert "no cover on the page" in answer.record.error


@pytest.mark.parametrize("age", [TTL, TTL + GRACE])
def test_the_origins_no_such_item_ends_a_known_cover(age: float) -> None:
    story, lookup = known()
    story.pages["42"] = failing(NoSuchItem("no such item"))
    story.pass_time(age)
    lookup.find(ITEM)
    settle()
    assert lookup.find(ITEM).record.outcome is Outcome.NO_SUCH_ITEM


@pytest.mark.parametrize(
    ("error", "fate"),
    [(NoCover("no cover"), "the old one is kept: no cover"), (NoSuchItem("404"), "the old one is dropped: 404")],
)
def test_a_cover_that_vanishes_is_logged(error: LookupFailed, fate: str, caplog: pytest.LogCaptureFixture) -> None:
    """One that never was is not."""
    story, lookup = known()
    story.pages["42"] = story.pages["43"] = failing(error)
    story.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    lookup.find(ItemId("shop", "43"))
    (record,) = caplog.records
    assert record.message == f"shop:42: its cover has vanished, {fate}"
    assert (record.__dict__["source"], record.__dict__["id"]) == ("shop", "42")


def test_what_was_kept_long_enough_is_gone() -> None:
    story, lookup = known()
    story.pages["42"] = failing(Blocked("blocked"))
    story.pass_time(TTL + GRACE + KEEP)
    assert lookup.find(ITEM).record.outcome is Outcome.BLOCKED


def test_after_a_failure_the_origin_is_left_alone_for_error_ttl() -> None:
    story, lookup = known()
    story.pages["42"] = failing(OriginFailed("failed"))
    story.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    story.pass_time(9.9)
    lookup.find(ITEM)
    assert story.asked == ["42"]
    story.pages["42"] = picture("/new.jpg")
    story.pass_time(0.1)
    assert lookup.find(ITEM).record.url == NEW


def test_an_origin_that_asks_to_wait_is_not_asked_meanwhile() -> None:
    story, lookup = known()
    story.pages["42"] = failing(Throttled("slow down", 300))
    story.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    story.pass_time(299)
    assert lookup.find(ITEM).record.url == OLD
    assert story.asked == ["42"]


def test_a_kept_cover_beats_running_out_of_time() -> None:
    story, lookup = known()
    go = Event()
    story.pages["42"] = blocked(go, "/new.jpg")
    story.pass_time(TTL + GRACE)
    answer = lookup.wait(lookup.begin(ITEM), deadline=story.clock.now)
    assert (answer.record.url, answer.cache) == (OLD, CacheStatus.STALE)
    go.set()
    settle()
    assert lookup.find(ITEM).record.url == NEW


def test_a_kept_cover_beats_overload() -> None:
    story, lookup = known()
    story.pages["42"] = failing(Overloaded("too many"))
    story.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.url == OLD


def test_a_page_that_has_validators_is_asked_whether_it_changed() -> None:
    """304 renews the times and costs no extraction."""
    validators = Validators(etag='"a"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
    story, lookup = known(validators=validators)
    story.pages["42"] = unchanged
    story.pass_time(TTL + GRACE)
    answer = lookup.find(ITEM)
    assert (answer.record.url, answer.cache) == (OLD, CacheStatus.FETCHED)
    assert answer.record.fresh_until == story.clock.now + TTL
    assert story.conditions == [None, validators]


def test_a_page_without_validators_is_asked_for_plainly() -> None:
    story, lookup = known()
    story.pass_time(TTL + GRACE)
    lookup.find(ITEM)
    assert story.conditions == [None, None]


def test_a_refresh_that_succeeds_clears_the_error_of_one_that_failed() -> None:
    story, lookup = known(validators=Validators(etag='"a"'))
    story.pages["42"] = failing(OriginFailed("failed"))
    story.pass_time(TTL)
    lookup.find(ITEM)
    settle()
    assert lookup.find(ITEM).record.error == "failed"
    story.pages["42"] = unchanged
    story.pass_time(10)
    lookup.find(ITEM)
    settle()
    answer = lookup.find(ITEM)
    assert (answer.record.error, answer.cache) == ("", CacheStatus.MEMORY)


def test_luck_ends_freshness_up_to_a_tenth_earlier() -> None:
    """So that what was learned together is not asked for together."""
    story, lookup = known(jitter=1.0)
    story.pass_time(TTL * 0.9 - 0.1)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    story.pass_time(0.2)
    assert lookup.find(ITEM).cache is CacheStatus.STALE


def test_a_rule_that_was_mended_is_not_held_up_by_an_unchanged_page() -> None:
    """The old rule's find is not renewed by 304: the page is asked for plainly."""
    story, lookup = known(validators=Validators(etag='"a"'))
    lookup.find(ITEM)
    mended = msgspec.structs.replace(SHOP, extract=[Rule(regex=Regex("(/new.jpg)"))])
    story.sources = SourceRegistry({"shop": mended, "other": SHOP}, default="shop")
    story.pages["42"] = lambda: b'<img src="/old.jpg"><b>/new.jpg</b>'
    lookup._sources = lookup._repository._sources = story.sources
    story.pass_time(TTL + GRACE)
    assert lookup.find(ITEM).record.url == NEW
    assert story.conditions == [None, None]


@pytest.mark.parametrize("outcome", ["304", "a failure"])
def test_what_is_forgotten_does_not_come_back_by_a_flight_that_was_under_way(outcome: str) -> None:
    story, lookup = known(validators=Validators(etag='"a"'))
    go = Event()

    def held() -> bytes | None:
        go.wait()
        if outcome == "304":
            return None
        raise OriginFailed("failed")

    story.pages["42"] = held
    story.pass_time(TTL)
    lookup.find(ITEM)
    settle()
    assert lookup.forget(ITEM)
    go.set()
    settle()
    story.pages["42"] = picture("/new.jpg")
    answer = lookup.find(ITEM)
    assert (answer.record.url, answer.cache) == (NEW, CacheStatus.FETCHED)


def test_a_bug_takes_no_known_cover_away(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the page is left alone for a while, though nobody waits for the refresh."""
    story, lookup = known()
    story.pages["42"] = failing(ZeroDivisionError())
    story.pass_time(TTL)
    for _ in range(3):
        assert lookup.find(ITEM).record.url == OLD
        settle()
    assert story.asked == ["42"]
    assert [record.exc_info is not None for record in caplog.records] == [True]
