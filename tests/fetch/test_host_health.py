"""What is known of hosts: not before, and the circuit breaker."""

import logging

import pytest

from app.domain.errors import Blocked, LookupFailed, NoSuchItem, OriginDown, OriginFailed, Throttled, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.fetch.host_health import FAILURE_THRESHOLD, HostHealth, HostState
from app.store.base import Store
from app.store.circuit_breaker import CircuitBreakingStore
from tests.store.dictionary import DictionaryStore
from tests.support.clock import ManualClock
from tests.support.recording_observer import RecordingObserver

HOST = "shop.example:443"
DOWN = OriginDown("shop.example: connection refused")


def worker(clock: ManualClock, store: Store | None = None, observer: Observer = NULL_OBSERVER) -> HostHealth:
    guard = CircuitBreakingStore[str](store or DictionaryStore(), encode=str.encode, decode=bytes.decode, clock=clock)
    return HostHealth(shared=guard.namespace("@host:", HostState), clock=clock, observer=observer)


def fail(hosts: HostHealth, times: int = FAILURE_THRESHOLD, error: LookupFailed = DOWN) -> None:
    for _ in range(times):
        hosts.record_error(HOST, error, 10, was_trial=hosts.admit(HOST, 5))


def is_closed(hosts: HostHealth) -> bool:
    """Tell whether the host is closed, by what is known here; nothing is claimed by asking."""
    try:
        hosts.check(HOST)
    except (Throttled, OriginFailed):
        return True
    return False


def test_a_host_of_which_nothing_is_known_is_open() -> None:
    assert worker(ManualClock()).admit(HOST, 5) is False


def test_a_host_that_asks_to_wait_is_not_asked_before() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    hosts.record_error(HOST, Throttled("429", 4), 10, was_trial=False)
    clock.now += 3.9
    with pytest.raises(Throttled, match="429") as caught:
        hosts.admit(HOST, 5)
    assert caught.value.retry_after == pytest.approx(0.1)
    clock.now += 0.1
    assert hosts.admit(HOST, 5) is False


def test_without_a_number_it_is_error_ttl() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    hosts.record_error(HOST, Throttled("429"), 10, was_trial=False)
    clock.now += 9.9
    assert is_closed(hosts)
    clock.now += 0.1
    assert not is_closed(hosts)


def test_the_longer_wait_counts() -> None:
    """Pages that were under way together may each be answered with a 429."""
    clock = ManualClock()
    hosts = worker(clock)
    hosts.record_error(HOST, Throttled("429", 100), 10, was_trial=False)
    hosts.record_error(HOST, Throttled("429", 1), 10, was_trial=False)
    clock.now += 50
    assert is_closed(hosts)


def test_all_workers_know_at_once() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = worker(clock, store), worker(clock, store)
    one.record_error(HOST, Throttled("429", 4), 10, was_trial=False)
    with pytest.raises(Throttled):
        other.admit(HOST, 5)
    assert is_closed(other)


def test_a_clock_that_is_ahead_closes_a_host_no_longer_than_was_said() -> None:
    store = DictionaryStore()
    ahead, clock = ManualClock(5_000), ManualClock(1_000)
    worker(ahead, store).record_error(HOST, Throttled("429", 4), 10, was_trial=False)
    hosts = worker(clock, store)
    with pytest.raises(Throttled):
        hosts.admit(HOST, 5)
    clock.now += 4
    assert hosts.admit(HOST, 5) is False


def test_failures_in_a_row_open_the_circuit() -> None:
    hosts = worker(ManualClock())
    fail(hosts, FAILURE_THRESHOLD - 1)
    assert not is_closed(hosts)
    fail(hosts, 1)
    with pytest.raises(OriginFailed, match=r"connection refused; it is tried again in 1 seconds$") as caught:
        hosts.check(HOST)
    assert caught.value.retry_after == 1


@pytest.mark.parametrize("error", [DOWN, TooSlow("slow")])
def test_no_answer_is_a_failure(error: LookupFailed) -> None:
    hosts = worker(ManualClock())
    fail(hosts, error=error)
    assert is_closed(hosts)


@pytest.mark.parametrize("error", [NoSuchItem("404"), Blocked("403"), OriginFailed("a page of more than 5 bytes")])
def test_any_answer_ends_the_row(error: LookupFailed) -> None:
    hosts = worker(ManualClock())
    fail(hosts, FAILURE_THRESHOLD - 1)
    fail(hosts, 1, error)
    fail(hosts, FAILURE_THRESHOLD - 1)
    assert not is_closed(hosts)


def test_after_a_while_one_caller_tries_it() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = worker(clock, store), worker(clock, store)
    fail(one)
    clock.now += 1
    assert one.admit(HOST, 5) is True
    for hosts in (one, other):
        with pytest.raises(OriginFailed):
            hosts.admit(HOST, 5)


def test_a_trial_that_succeeds_closes_the_circuit_for_all() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = worker(clock, store), worker(clock, store)
    fail(one)
    clock.now += 1
    assert other.admit(HOST, 5) is True
    other.record_success(HOST)
    assert [hosts.admit(HOST, 5) for hosts in (one, other)] == [False, False]


def test_a_trial_that_fails_opens_it_for_longer_but_never_for_more_than_15_seconds() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    fail(hosts)
    pauses = []
    for _ in range(7):
        began = clock.now
        while is_closed(hosts):
            clock.now += 0.5
        pauses.append(clock.now - began)
        fail(hosts, 1)
    assert pauses == [1, 2, 4, 8, 15, 15, 15]


def test_a_trial_that_never_comes_back_holds_the_others_up_for_as_long_as_it_may_take() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    fail(hosts)
    clock.now += 1
    assert hosts.admit(HOST, 5) is True
    clock.now += 5
    assert hosts.admit(HOST, 5) is True


def test_failures_of_pages_begun_before_count_for_nothing() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    fail(hosts)
    for _ in range(100):
        hosts.record_error(HOST, DOWN, 10, was_trial=False)
    clock.now += 1
    assert not is_closed(hosts)


def test_a_circuit_that_nobody_tried_is_forgotten() -> None:
    """An hour later the first callers are not held up for the one who tries."""
    clock, store = ManualClock(), DictionaryStore()
    fail(worker(clock, store))
    clock.now += 3600
    assert worker(clock, store).admit(HOST, 5) is False


def test_hosts_are_told_apart() -> None:
    hosts = worker(ManualClock())
    fail(hosts)
    assert hosts.admit("other.example:443", 5) is False


def test_a_trial_that_fails_does_not_end_the_wait_that_another_page_was_asked_for() -> None:
    clock = ManualClock()
    hosts = worker(clock)
    fail(hosts)
    clock.now += 1
    trial = hosts.admit(HOST, 5)
    hosts.record_error(HOST, Throttled("429", 60), 10, was_trial=False)
    hosts.record_error(HOST, DOWN, 10, was_trial=trial)
    clock.now += 59
    assert is_closed(hosts)


def test_what_the_store_still_has_does_not_end_a_wait() -> None:
    """A store may be read and not written: a Redis that is full, or a replica."""
    clock, store = ManualClock(), DictionaryStore()
    hosts, other = worker(clock, store), worker(clock, store)
    fail(other)
    before = dict(store.shared.values)
    clock.now += 2
    hosts.record_error(HOST, Throttled("429", 60), 10, was_trial=False)
    store.shared.values.update(before)
    with pytest.raises(Throttled):
        hosts.admit(HOST, 5)


def test_what_is_learned_while_the_store_is_read_counts() -> None:
    clock, store = ManualClock(), DictionaryStore()
    fail(worker(clock, store))
    clock.now += 2
    hosts: HostHealth

    class Slow(DictionaryStore):
        def get(self, key: str) -> bytes | None:
            value = super().get(key)
            hosts.record_retry_after(HOST, 60, "429")
            return value

    hosts = worker(clock, Slow(store.shared))
    with pytest.raises(Throttled):
        hosts.admit(HOST, 5)


def test_an_observer_hears_of_a_circuit_here_and_in_the_other_workers() -> None:
    clock, store, here, there = ManualClock(), DictionaryStore(), RecordingObserver(), RecordingObserver()
    one, other = worker(clock, store, here), worker(clock, store, there)
    fail(one)
    with pytest.raises(OriginFailed):
        other.admit(HOST, 5)
    event = ("host_state_changed", HOST, 1 + 60, 0)
    assert here.events == there.events == [event]
    clock.now += 1
    other.admit(HOST, 5)
    other.record_success(HOST)
    assert there.events[-1] == ("host_state_changed", HOST, 0, 0)
    one.admit(HOST, 5)
    assert here.events[-1] == there.events[-1]


def test_a_host_that_asks_to_wait_has_no_open_circuit() -> None:
    listener = RecordingObserver()
    worker(ManualClock(), observer=listener).record_error(HOST, Throttled("429", 4), 10, was_trial=False)
    assert listener.events == [("host_state_changed", HOST, 0, 4)]


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Failures and requests to wait that say nothing new are not; nor is what other workers have logged."""
    clock, store = ManualClock(), DictionaryStore()
    one, other = worker(clock, store), worker(clock, store)
    with caplog.at_level(logging.INFO):
        fail(one)
        clock.now += 1
        fail(one, 1)
        clock.now += 2
        assert other.admit(HOST, 5) is True
        other.record_success(HOST)
        other.record_success(HOST)
        for seconds in (4, 9, 1):
            other.record_error(HOST, Throttled("429", seconds), 10, was_trial=False)
        with pytest.raises(Throttled):
            one.admit(HOST, 5)
        clock.now += 9
        other.record_error(HOST, Throttled("429", 3), 10, was_trial=False)
    told = [(record.levelname, record.message, record.__dict__.get("seconds")) for record in caplog.records]
    assert told == [
        ("WARNING", f"{HOST} fails, its circuit is open", None),
        ("INFO", f"{HOST} responds again, its circuit is closed", None),
        ("WARNING", f"{HOST} throttles requests", 4),
        ("WARNING", f"{HOST} throttles requests", 3),
    ]
