"""Tests of the lookup service with one worker and no store."""

import gevent
import pytest
from gevent.event import Event

from app.config.css_selector import CssSelector
from app.config.rules import Rule
from app.config.source import Source
from app.config.source_registry import SourceRegistry
from app.domain.errors import (
    Blocked,
    InternalError,
    LookupFailed,
    NoCover,
    NoSuchItem,
    OriginFailed,
    Overloaded,
    QueueTimeout,
    ServiceError,
    Throttled,
    TooSlow,
)
from app.domain.records import CacheStatus, ItemId, LookupResult, Outcome
from tests.support.lookup_harness import SHOP, LookupHarness, blocked, failing, picture

ITEM = ItemId("shop", "42")


def test_a_cover_is_fetched_once_and_then_served_from_memory() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    lookup = harness.lookup()
    first, second = lookup.find(ITEM), lookup.find(ITEM)
    assert first.record.url == "https://shop.example/42.jpg"
    assert (first.cache, second.cache) == (CacheStatus.FETCHED, CacheStatus.MEMORY)
    assert second.record == first.record
    assert harness.fetched_ids == ["42"]


def test_a_record_has_outcome_rule_and_times() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    record = harness.lookup().find(ITEM).record
    assert record.outcome is Outcome.FOUND
    assert record.rule == 0
    assert (record.fetched_at, record.fresh_until) == (harness.clock.now, harness.clock.now + 100)
    assert record.error == ""


def test_the_same_id_at_two_sources_is_two_items() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    lookup = harness.lookup()
    lookup.find(ITEM)
    lookup.find(ItemId("other", "42"))
    assert harness.fetched_ids == ["42", "42"]


OUTCOMES: list[tuple[LookupFailed, Outcome, float, type[LookupFailed], int]] = [
    (NoSuchItem("no such item"), Outcome.NO_SUCH_ITEM, 50, NoCover, 404),
    (Blocked("blocked"), Outcome.BLOCKED, 10, Blocked, 403),
    (Throttled("slow down", 0), Outcome.THROTTLED, 10, Throttled, 429),
    (Throttled("slow down", 30), Outcome.THROTTLED, 30, Throttled, 429),
    (TooSlow("slow"), Outcome.TOO_SLOW, 10, TooSlow, 504),
    (OriginFailed("failed"), Outcome.ORIGIN_FAILED, 10, OriginFailed, 502),
]


@pytest.mark.parametrize(("error", "outcome", "lifetime", "error_type", "code"), OUTCOMES)
def test_each_outcome_has_its_own_lifetime_and_fault(
    error: LookupFailed, outcome: Outcome, lifetime: float, error_type: type[LookupFailed], code: int
) -> None:
    harness = LookupHarness({"42": failing(error)})
    lookup = harness.lookup()
    record = lookup.find(ITEM).record
    assert record.outcome is outcome
    raised = record.to_error(harness.clock.now)
    assert isinstance(raised, error_type)
    assert raised.fault_code == code
    harness.pass_time(lifetime - 0.1)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    harness.pass_time(0.1)
    assert lookup.find(ITEM).cache is CacheStatus.FETCHED


def test_a_page_without_a_cover_is_cached_for_the_negative_ttl() -> None:
    harness = LookupHarness({"42": lambda: b"<p>nothing</p>"})
    record = harness.lookup().find(ITEM).record
    assert record.outcome is Outcome.NO_COVER
    assert record.fresh_until - record.fetched_at == 50
    assert "no cover on the page" in str(record.to_error(harness.clock.now))


@pytest.mark.parametrize(("words", "threads"), [(10, 0), (10_000, 1)])
def test_a_large_page_does_not_block_the_hub(words: int, threads: int) -> None:
    """It is parsed in a thread, so the greenlets of the hub's thread keep running. A small one is not worth that."""
    rules = [Rule(css=CssSelector("img.cover"))]
    source = Source(page_url=SHOP.page_url, extract=rules)
    harness = LookupHarness({"42": lambda: b"<p>words</p>" * words + b'<img class="cover" src="/42.jpg">'})
    harness.sources = SourceRegistry({"shop": source}, default="shop")
    lookup = harness.lookup()
    assert lookup.find(ITEM).record.url == "https://shop.example/42.jpg"
    assert lookup._cover_pages._threads.size == threads


def test_a_found_cover_is_fresh_for_its_ttl() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    lookup = harness.lookup()
    lookup.find(ITEM)
    harness.pass_time(99.9)
    assert lookup.find(ITEM).cache is CacheStatus.MEMORY
    harness.pass_time(0.1)
    assert lookup.find(ITEM).cache is CacheStatus.STALE


def test_a_throttled_fault_has_the_remaining_seconds() -> None:
    harness = LookupHarness({"42": failing(Throttled("slow down", 30))})
    lookup = harness.lookup()
    lookup.find(ITEM)
    harness.pass_time(20.5)
    assert str(lookup.find(ITEM).record.to_error(harness.clock.now)) == "slow down; ask again in 10 seconds"


def test_concurrent_callers_share_one_fetch() -> None:
    go = Event()
    harness = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = harness.lookup()
    callers = [gevent.spawn(lookup.find, ITEM) for _ in range(200)]
    gevent.sleep(0)
    go.set()
    assert {caller.get().record.url for caller in callers} == {"https://shop.example/42.jpg"}
    assert harness.fetched_ids == ["42"]


def test_a_timeout_raises_too_slow_and_the_next_caller_gets_the_result() -> None:
    go = Event()
    harness = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = harness.lookup()
    with pytest.raises(TooSlow, match="no answer within 5 seconds"):
        lookup.wait(lookup.begin(ITEM), deadline=harness.clock.now)
    go.set()
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND
    assert harness.fetched_ids == ["42"]


def test_overload_is_not_cached() -> None:
    pages = {"42": failing(Overloaded("too many"))}
    harness = LookupHarness(pages)
    lookup = harness.lookup()
    with pytest.raises(Overloaded) as caught:
        lookup.find(ITEM)
    assert isinstance(caught.value, ServiceError)
    pages["42"] = picture("/42.jpg")
    gevent.sleep(0)
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND


def test_a_call_beyond_the_maximum_number_of_flights_is_refused_and_counted() -> None:
    may_respond = Event()
    harness = LookupHarness({"1": blocked(may_respond, "/1.jpg"), "2": picture("/2.jpg")})
    lookup = harness.lookup(max_flights=1)
    first = lookup.begin(ItemId("shop", "1"))
    with pytest.raises(Overloaded):
        lookup.begin(ItemId("shop", "2"))
    assert harness.observer.arguments_of("lookup_finished") == [["shop", "overloaded", ""]]
    may_respond.set()
    assert lookup.wait(first, lookup.deadline_from_now()).record.outcome is Outcome.FOUND
    assert harness.fetched_ids == ["1"]


def test_a_call_beyond_the_maximum_number_of_flights_gets_the_stale_cover() -> None:
    may_respond = Event()
    harness = LookupHarness({"1": blocked(may_respond, "/1.jpg"), "2": picture("/2.jpg")})
    lookup = harness.lookup(max_flights=1)
    lookup.find(ItemId("shop", "2"))
    harness.pass_time(SHOP.ttl + SHOP.grace)
    first = lookup.begin(ItemId("shop", "1"))
    result = lookup.begin(ItemId("shop", "2"))
    assert isinstance(result, LookupResult)
    assert (result.record.url, result.cache) == ("https://shop.example/2.jpg", CacheStatus.STALE)
    assert harness.observer.arguments_of("lookup_finished")[-1] == ["shop", "found", "stale"]
    may_respond.set()
    lookup.wait(first, lookup.deadline_from_now())


def test_an_internal_error_is_raised_and_not_cached() -> None:
    pages = {"42": failing(ZeroDivisionError())}
    harness = LookupHarness(pages)
    lookup = harness.lookup()
    with pytest.raises(InternalError, match=r"^internal error, reference \w{8}$"):
        lookup.find(ITEM)
    pages["42"] = picture("/42.jpg")
    gevent.sleep(0)
    assert lookup.find(ITEM).record.outcome is Outcome.FOUND


@pytest.mark.parametrize("bug", [ZeroDivisionError("a bug"), gevent.Timeout(9)], ids=repr)
def test_an_internal_error_is_logged_once_for_all_callers(bug: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """With source, id and the reference that each caller gets."""
    lookup = LookupHarness({"42": failing(bug)}).lookup()
    callers = [gevent.spawn(lookup.find, ITEM) for _ in range(3)]
    gevent.joinall(callers)
    texts = {str(caller.exception) for caller in callers}
    (record,) = caplog.records
    assert (record.levelname, record.__dict__["source"], record.__dict__["id"]) == ("ERROR", "shop", "42")
    assert texts == {f"internal error, reference {record.__dict__['reference']}"}
    assert repr(bug) in record.message
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


def test_an_internal_error_of_a_flight_without_waiters_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An earlier version logged it in the greenlet of a caller, so nowhere if the caller had given up."""
    go = Event()

    def fetch() -> bytes:
        go.wait()
        raise ZeroDivisionError

    harness = LookupHarness({"42": fetch})
    lookup = harness.lookup()
    with pytest.raises(TooSlow):
        lookup.wait(lookup.begin(ITEM), deadline=harness.clock.now)
    assert caplog.records == []
    go.set()
    gevent.sleep(0)
    assert [record.__dict__["id"] for record in caplog.records] == ["42"]


def test_the_log_has_each_internal_error_and_one_traceback_a_kind_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    pages = {str(number): failing(ZeroDivisionError()) for number in range(9)} | {"9": failing(KeyError())}
    harness = LookupHarness(pages)
    lookup = harness.lookup()

    def find(number: int) -> str:
        with pytest.raises(InternalError) as caught:
            lookup.find(ItemId("shop", str(number)))
        return str(caught.value).rpartition(" ")[2]

    references = [find(0), find(1), find(9)]
    harness.pass_time(59.9)
    references.append(find(2))
    harness.pass_time(0.1)
    references += [find(3), find(4)]
    assert [record.__dict__["reference"] for record in caplog.records] == references
    assert [record.__dict__["id"] for record in caplog.records] == ["0", "1", "9", "2", "3", "4"]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, False, True, False]


def test_a_timeout_names_what_was_waited_for() -> None:
    """Which host, or the queue of this service for it. The text is for that moment."""
    harness = LookupHarness({"42": blocked(Event(), "/42.jpg")})
    lookup = harness.lookup()
    started = lookup.begin(ITEM)
    gevent.sleep(0)
    for waiting_for in ("a slot of shop.example", "a response of shop.example"):
        harness.deadlines[0].waiting_for = waiting_for
        with pytest.raises(TooSlow) as caught:
            lookup.wait(started, deadline=harness.clock.now)
        assert str(caught.value) == f"no answer within 5 seconds, still waiting for {waiting_for}"


def test_a_flight_waits_in_a_queue_as_long_as_its_latest_caller() -> None:
    """An earlier version turned the second caller away 0.1 seconds after it came."""
    harness, go = LookupHarness(deadline=3.0), Event()

    def fetch() -> bytes:
        go.wait()
        if harness.clock.now >= harness.deadlines[0].at:
            raise QueueTimeout("no slot became free in time")
        return b'<img src="/42.jpg">'

    harness.pages["42"] = fetch
    lookup = harness.lookup()
    first = lookup.begin(ITEM)
    gevent.sleep(0)
    harness.pass_time(2.9)
    second, second_deadline = lookup.begin(ITEM), lookup.deadline_from_now()
    harness.pass_time(0.1)
    with pytest.raises(TooSlow):
        lookup.wait(first, deadline=harness.clock.now)
    go.set()
    assert lookup.wait(second, second_deadline).record.outcome is Outcome.FOUND
    assert harness.fetched_ids == ["42"]


def test_a_lookup_that_is_answered_at_once_does_not_extend_the_deadline_of_the_refresh() -> None:
    """Nobody waits for it: it would stay in the queue of a slow host as long as there are lookups."""
    harness = LookupHarness({"42": picture("/42.jpg")})
    lookup = harness.lookup()
    lookup.find(ITEM)
    harness.pages["42"] = blocked(Event(), "/42.jpg")
    harness.pass_time(100)
    for _ in range(3):
        assert lookup.find(ITEM).cache is CacheStatus.STALE
        gevent.sleep(0)
        harness.pass_time(1)
    assert harness.deadlines[1].at == harness.clock.now - 3 + harness.deadline
    assert harness.observer.arguments_of("flight_joined") == []


def test_the_observer_receives_outcome_and_cache_status_of_each_lookup() -> None:
    harness = LookupHarness({"42": picture("/42.jpg"), "43": failing(NoCover("none"))})
    lookup = harness.lookup()
    for item in (ITEM, ITEM, ItemId("other", "43")):
        lookup.find(item)
    harness.pages["42"] = failing(OriginFailed("failed"))
    for seconds in (100, 20):
        harness.pass_time(seconds)
        lookup.find(ITEM)
        gevent.sleep(0)
    assert harness.observer.arguments_of("lookup_finished") == [
        ["shop", "found", "fetched"],
        ["shop", "found", "memory"],
        ["other", "no_cover", "fetched"],
        ["shop", "found", "stale"],
        ["shop", "found", "stale"],
    ]


def test_the_observer_receives_failed_lookups() -> None:
    harness = LookupHarness({"42": blocked(Event(), "/42.jpg"), "43": failing(ValueError("a bug"))}, deadline=0.01)
    with pytest.raises(TooSlow):
        harness.lookup().find(ITEM)
    with pytest.raises(InternalError):
        harness.lookup().find(ItemId("shop", "43"))
    assert harness.observer.arguments_of("lookup_finished") == [
        ["shop", "too_slow", ""],
        ["shop", "internal_error", ""],
    ]


def test_the_observer_receives_the_number_of_waiters() -> None:
    go = Event()
    harness = LookupHarness({"42": blocked(go, "/42.jpg")})
    lookup = harness.lookup()
    callers = [gevent.spawn(lookup.find, ITEM) for _ in range(3)]
    while not harness.fetched_ids:
        gevent.sleep(0)
    callers[0].kill()
    assert sum(change for (change,) in harness.observer.arguments_of("waiters_changed")) == 2
    go.set()
    gevent.joinall(callers)
    assert sum(change for (change,) in harness.observer.arguments_of("waiters_changed")) == 0


def test_a_validity_check_counts_each_reuse_while_the_record_is_fresh() -> None:
    harness = LookupHarness({"42": picture("/42.jpg")})
    lookup = harness.lookup()
    is_valid = lookup.validity_check(ITEM, lookup.find(ITEM).record, "get_cover")
    assert [is_valid(), is_valid()] == [True, True]
    harness.pass_time(100)
    assert not is_valid()
    assert harness.observer.arguments_of("cached_response_counter again") == [["shop", "get_cover"]] * 2
