"""The story of a lookup."""

import gevent
import pytest
from gevent.event import Event

from app.config.css_selector import CssSelector
from app.config.rules import Rule
from app.config.source import Source
from app.config.sources import SourceRegistry
from app.domain.errors import (
    Blocked,
    LookupFailed,
    NoCover,
    NoSuchItem,
    OriginFailed,
    Overloaded,
    ServiceError,
    Throttled,
    TooSlow,
)
from app.domain.records import CacheStatus, ItemId, Outcome
from tests.support.lookup_harness import SHOP, LookupHarness, blocked, failing, picture

ITEM = ItemId("shop", "42")


def test_a_cover_is_fetched_once_and_then_remembered() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    lookup = story.lookup()
    first, second = lookup.find(ITEM), lookup.find(ITEM)
    assert first.record.url == "https://shop.example/42.jpg"
    assert (first.cache, second.cache) == (CacheStatus.FETCHED, CacheStatus.MEMORY)
    assert second.record == first.record
    assert story.asked == ["42"]


def test_the_record_says_what_when_and_how() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    record = story.lookup().find(ITEM).record
    assert record.outcome is Outcome.FOUND
    assert record.rule == 0
    assert (record.fetched_at, record.fresh_until) == (story.clock.now, story.clock.now + 100)
    assert record.error == ""


def test_items_of_two_sources_are_two() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    lookup = story.lookup()
    lookup.find(ITEM)
    lookup.find(ItemId("other", "42"))
    assert story.asked == ["42", "42"]


OUTCOMES: list[tuple[LookupFailed, Outcome, float, type[LookupFailed], int]] = [
    (NoSuchItem("no such item"), Outcome.NO_SUCH_ITEM, 50, NoCover, 404),
    (Blocked("blocked"), Outcome.BLOCKED, 10, Blocked, 403),
    (Throttled("slow down", 0), Outcome.THROTTLED, 10, Throttled, 429),
    (Throttled("slow down", 30), Outcome.THROTTLED, 30, Throttled, 429),
    (TooSlow("slow"), Outcome.TOO_SLOW, 10, TooSlow, 504),
    (OriginFailed("failed"), Outcome.ORIGIN_FAILED, 10, OriginFailed, 502),
]


@pytest.mark.parametrize(("error", "outcome", "lifetime", "failure", "code"), OUTCOMES)
def test_each_outcome_has_its_own_lifetime_and_fault(
    error: LookupFailed, outcome: Outcome, lifetime: float, failure: type[LookupFailed], code: int
) -> None:
    story = LookupHarness({"42": failing(error)})
    lookup = story.lookup()
    record = lookup.find(ITEM).record
    assert record.outcome is outcome
    raised = record.to_error(story.clock.now)
    assert isinstance(raised, failure)
    assert raised.fault_code == code
    story.pass_time(lifetime - 0.1)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    story.pass_time(0.1)
    assert lookup.find(ITEM).cache is CacheStatus.FETCHED


def test_a_page_without_a_cover_is_remembered_as_such() -> None:
    story = LookupHarness({"42": lambda: b"<p>nothing</p>"})
    record = story.lookup().find(ITEM).record
    assert record.outcome is Outcome.NO_COVER
    assert record.fresh_until - record.fetched_at == 50
    assert "no cover on the page" in str(record.to_error(story.clock.now))


def test_others_run_while_a_big_page_is_read() -> None:
    """It is parsed in a thread, so the greenlets of this one go on."""
    rules = [Rule(css=CssSelector("img.cover"))]
    source = Source(page_url=SHOP.page_url, extract=rules)
    story = LookupHarness({"42": lambda: b"<p>words</p>" * 10_000 + b'<img class="cover" src="/42.jpg">'})
    story.sources = SourceRegistry({"shop": source}, default="shop")
    finding = gevent.spawn(story.lookup().find, ITEM)
    turns = 0
    while not finding.ready():
        gevent.sleep(0.001)  # who never waits would take half of the thread's time
        turns += 1
    assert finding.get().record.url == "https://shop.example/42.jpg"
    assert turns > 3  # it would be one, or two


def test_a_found_cover_is_fresh_for_its_ttl() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    lookup = story.lookup()
    lookup.find(ITEM)
    story.pass_time(99.9)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    story.pass_time(0.1)
    assert lookup.find(ITEM).cache is CacheStatus.STALE


def test_a_throttled_fault_counts_the_seconds_down() -> None:
    story = LookupHarness({"42": failing(Throttled("slow down", 30))})
    lookup = story.lookup()
    lookup.find(ITEM)
    story.pass_time(20.5)
    assert str(lookup.find(ITEM).record.to_error(story.clock.now)) == "slow down; ask again in 10 seconds"


def test_callers_together_share_one_fetch() -> None:
    go = Event()

    story = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = story.lookup()
    callers = [gevent.spawn(lookup.find, ITEM) for _ in range(200)]
    gevent.sleep(0)
    go.set()
    assert {caller.get().record.url for caller in callers} == {"https://shop.example/42.jpg"}
    assert story.asked == ["42"]


def test_a_caller_out_of_time_is_told_and_the_answer_is_there_for_the_next() -> None:
    go = Event()

    story = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = story.lookup()
    with pytest.raises(TooSlow, match="no answer within 5 seconds"):
        lookup.wait(lookup.begin(ITEM), deadline=story.clock.now)
    go.set()
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND
    assert story.asked == ["42"]


def test_overload_is_not_remembered() -> None:
    pages = {"42": failing(Overloaded("too many"))}
    story = LookupHarness(pages)
    lookup = story.lookup()
    with pytest.raises(Overloaded) as caught:
        lookup.find(ITEM)
    assert isinstance(caught.value, ServiceError)
    pages["42"] = picture("/42.jpg")
    gevent.sleep(0)
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND


def test_a_bug_is_not_remembered_and_reaches_the_caller() -> None:
    pages = {"42": failing(ZeroDivisionError())}
    story = LookupHarness(pages)
    lookup = story.lookup()
    with pytest.raises(ZeroDivisionError):
        lookup.find(ITEM)
    pages["42"] = picture("/42.jpg")
    gevent.sleep(0)
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND


def test_an_observer_hears_what_each_caller_was_told() -> None:
    story = LookupHarness({"42": picture("/42.jpg"), "43": failing(NoCover("none"))})
    lookup = story.lookup()
    for item in (ITEM, ITEM, ItemId("other", "43")):
        lookup.find(item)
    story.pages["42"] = failing(OriginFailed("failed"))
    for seconds in (100, 20):
        story.pass_time(seconds)
        lookup.find(ITEM)
        gevent.sleep(0)
    assert story.observer.arguments_of("lookup_finished") == [
        ["shop", "found", "fetched"],
        ["shop", "found", "memory"],
        ["other", "no_cover", "fetched"],
        ["shop", "found", "stale"],
        ["shop", "found", "stale"],
    ]


def test_an_observer_hears_of_those_who_were_told_nothing() -> None:
    story = LookupHarness({"42": blocked(Event(), "/42.jpg"), "43": failing(ValueError("a bug"))}, deadline=0.01)
    with pytest.raises(TooSlow):
        story.lookup().find(ITEM)
    with pytest.raises(ValueError, match="a bug"):
        story.lookup().find(ItemId("shop", "43"))
    assert story.observer.arguments_of("lookup_finished") == [["shop", "too_slow", ""], ["shop", "internal_error", ""]]


def test_an_observer_hears_of_those_who_wait_until_they_do_no_more() -> None:
    go = Event()
    story = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = story.lookup()
    callers = [gevent.spawn(lookup.find, ITEM) for _ in range(3)]
    while not story.asked:
        gevent.sleep(0)
    callers[0].kill()
    assert sum(change for (change,) in story.observer.arguments_of("waiters_changed")) == 2
    go.set()
    gevent.joinall(callers)
    assert sum(change for (change,) in story.observer.arguments_of("waiters_changed")) == 0


def test_a_cover_that_is_answered_with_once_more_is_counted_when_it_is_and_while_it_holds() -> None:
    story = LookupHarness({"42": picture("/42.jpg")})
    lookup = story.lookup()
    holds = lookup.validity_check(ITEM, lookup.find(ITEM).record, "get_cover")
    assert [holds(), holds()] == [True, True]
    story.pass_time(100)
    assert not holds()
    assert story.observer.arguments_of("cached_response_counter again") == [["shop", "get_cover"]] * 2
