"""The health of hosts: Retry-After and the circuit breaker."""

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


def new_health(
    clock: ManualClock, store: Store | None = None, observer: Observer = NULL_OBSERVER, host: str = HOST
) -> HostHealth:
    breaker = CircuitBreakingStore[str](store or DictionaryStore(), encode=str.encode, decode=bytes.decode, clock=clock)
    return HostHealth(host, shared=breaker.namespace("@host:", HostState), clock=clock, observer=observer)


def fail(health: HostHealth, times: int = FAILURE_THRESHOLD, error: LookupFailed = DOWN) -> None:
    for _ in range(times):
        health.record_error(error, 10, was_probe=health.admit(5))


def is_unavailable(health: HostHealth) -> bool:
    """Return whether this worker considers the host unavailable, without starting a probe."""
    try:
        health.check()
    except (Throttled, OriginFailed):
        return True
    return False


def test_an_unknown_host_is_available() -> None:
    assert new_health(ManualClock()).admit(5) is False


def test_a_throttling_host_is_unavailable_until_retry_after_has_passed() -> None:
    clock = ManualClock()
    health = new_health(clock)
    health.record_error(Throttled("429", 4), 10, was_probe=False)
    clock.now += 3.9
    with pytest.raises(Throttled, match="429") as caught:
        health.admit(5)
    assert caught.value.retry_after == pytest.approx(0.1)
    clock.now += 0.1
    assert health.admit(5) is False


def test_without_retry_after_a_throttling_host_is_unavailable_for_error_ttl() -> None:
    clock = ManualClock()
    health = new_health(clock)
    health.record_error(Throttled("429"), 10, was_probe=False)
    clock.now += 9.9
    assert is_unavailable(health)
    clock.now += 0.1
    assert not is_unavailable(health)


def test_the_longer_retry_after_counts() -> None:
    """Each of several concurrent requests may get a 429."""
    clock = ManualClock(1_700_000_000.0)
    health = new_health(clock)
    health.record_error(Throttled("429", 100), 10, was_probe=False)
    health.record_error(Throttled("429", 1), 10, was_probe=False)
    clock.now += 50
    assert is_unavailable(health)


def test_all_workers_share_the_state() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = new_health(clock, store), new_health(clock, store)
    one.record_error(Throttled("429", 4), 10, was_probe=False)
    with pytest.raises(Throttled):
        other.admit(5)
    assert is_unavailable(other)


def test_a_clock_that_is_ahead_does_not_make_a_host_unavailable_for_longer() -> None:
    store = DictionaryStore()
    clock_ahead, clock = ManualClock(5_000), ManualClock(1_000)
    new_health(clock_ahead, store).record_error(Throttled("429", 4), 10, was_probe=False)
    health = new_health(clock, store)
    with pytest.raises(Throttled):
        health.admit(5)
    clock.now += 4
    assert health.admit(5) is False


def test_consecutive_failures_open_the_circuit() -> None:
    health = new_health(ManualClock())
    fail(health, FAILURE_THRESHOLD - 1)
    assert not is_unavailable(health)
    fail(health, 1)
    with pytest.raises(OriginFailed, match=r"connection refused; it is tried again in 1 seconds$") as caught:
        health.check()
    assert caught.value.retry_after == 1


@pytest.mark.parametrize("error", [DOWN, TooSlow("slow")])
def test_no_response_counts_as_a_failure(error: LookupFailed) -> None:
    health = new_health(ManualClock())
    fail(health, error=error)
    assert is_unavailable(health)


@pytest.mark.parametrize("error", [NoSuchItem("404"), Blocked("403"), OriginFailed("the page has more than 5 bytes")])
def test_any_response_resets_the_failure_count(error: LookupFailed) -> None:
    health = new_health(ManualClock())
    fail(health, FAILURE_THRESHOLD - 1)
    fail(health, 1, error)
    fail(health, FAILURE_THRESHOLD - 1)
    assert not is_unavailable(health)


def test_a_half_open_circuit_admits_one_probe() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = new_health(clock, store), new_health(clock, store)
    fail(one)
    clock.now += 1
    assert one.admit(5) is True
    for health in (one, other):
        with pytest.raises(OriginFailed):
            health.admit(5)


def test_a_successful_probe_closes_the_circuit_for_all_workers() -> None:
    clock, store = ManualClock(), DictionaryStore()
    one, other = new_health(clock, store), new_health(clock, store)
    fail(one)
    clock.now += 1
    probe = other.admit(5)
    assert probe is True
    other.record_success(was_probe=probe)
    assert [health.admit(5) for health in (one, other)] == [False, False]


def test_a_failed_probe_opens_the_circuit_for_twice_as_long_up_to_15_seconds() -> None:
    clock = ManualClock()
    health = new_health(clock)
    fail(health)
    open_seconds = []
    for _ in range(7):
        opened_at = clock.now
        while is_unavailable(health):
            clock.now += 0.5
        open_seconds.append(clock.now - opened_at)
        fail(health, 1)
    assert open_seconds == [1, 2, 4, 8, 15, 15, 15]


def test_a_probe_that_does_not_end_blocks_others_for_its_timeout_only() -> None:
    clock = ManualClock()
    health = new_health(clock)
    fail(health)
    clock.now += 1
    assert health.admit(5) is True
    clock.now += 5
    assert health.admit(5) is True


def test_failures_of_requests_from_before_the_circuit_opened_are_ignored() -> None:
    clock = ManualClock()
    health = new_health(clock)
    fail(health)
    for _ in range(100):
        health.record_error(DOWN, 10, was_probe=False)
    clock.now += 1
    assert not is_unavailable(health)


def test_a_circuit_without_a_probe_closes_after_a_while() -> None:
    """An hour later, concurrent callers do not have to wait for a probe."""
    clock, store = ManualClock(), DictionaryStore()
    fail(new_health(clock, store))
    clock.now += 3600
    assert new_health(clock, store).admit(5) is False


def test_a_success_of_a_request_from_before_the_circuit_opened_is_ignored() -> None:
    """It says nothing about the host of today. Fails if any success closes the circuit, so that it flaps."""
    clock = ManualClock()
    health = new_health(clock)
    was_probe = health.admit(5)
    fail(health)
    health.record_success(was_probe=was_probe)
    assert is_unavailable(health)
    clock.now += 1
    probe = health.admit(5)
    health.record_success(was_probe=was_probe)
    assert is_unavailable(health)
    health.record_success(was_probe=probe)
    assert health.admit(5) is False


def test_a_circuit_that_counts_as_closed_is_closed_by_a_success() -> None:
    """So observers and the log have the end of the failures."""
    clock, observer = ManualClock(), RecordingObserver()
    health = new_health(clock, observer=observer)
    fail(health)
    clock.now += 1 + 60
    health.record_success(was_probe=health.admit(5))
    assert observer.events[-1] == ("host_state_changed", HOST, 0, 0)


def test_each_host_has_its_own_state() -> None:
    """In one store."""
    clock, store = ManualClock(), DictionaryStore()
    fail(new_health(clock, store))
    assert new_health(clock, store, host="other.example:443").admit(5) is False


def test_a_failed_probe_does_not_shorten_a_retry_after() -> None:
    clock = ManualClock()
    health = new_health(clock)
    fail(health)
    clock.now += 1
    probe = health.admit(5)
    health.record_error(Throttled("429", 60), 10, was_probe=False)
    health.record_error(DOWN, 10, was_probe=probe)
    clock.now += 59
    assert is_unavailable(health)


def test_an_older_state_in_the_store_does_not_shorten_a_retry_after() -> None:
    """The store may be readable but not writable: a full Redis, or a replica."""
    clock, store = ManualClock(), DictionaryStore()
    health, other = new_health(clock, store), new_health(clock, store)
    fail(other)
    before = dict(store.shared.values)
    clock.now += 2
    health.record_error(Throttled("429", 60), 10, was_probe=False)
    store.shared.values.update(before)
    with pytest.raises(Throttled):
        health.admit(5)


def test_a_state_that_is_recorded_during_a_read_of_the_store_counts() -> None:
    clock, store = ManualClock(), DictionaryStore()
    fail(new_health(clock, store))
    clock.now += 2
    health: HostHealth

    class SlowStore(DictionaryStore):
        def get(self, key: str) -> bytes | None:
            value = super().get(key)
            health.record_throttled(Throttled("429", 60), 10)
            return value

    health = new_health(clock, SlowStore(store.shared))
    with pytest.raises(Throttled):
        health.admit(5)


def test_observers_are_notified_of_a_circuit_in_all_workers() -> None:
    clock, store = ManualClock(), DictionaryStore()
    observer, other_observer = RecordingObserver(), RecordingObserver()
    one, other = new_health(clock, store, observer), new_health(clock, store, other_observer)
    fail(one)
    with pytest.raises(OriginFailed):
        other.admit(5)
    event = ("host_state_changed", HOST, 1 + 60, 0)
    assert observer.events == other_observer.events == [event]
    clock.now += 1
    other.record_success(was_probe=other.admit(5))
    assert other_observer.events[-1] == ("host_state_changed", HOST, 0, 0)
    one.admit(5)
    assert observer.events[-1] == other_observer.events[-1]


def test_a_throttling_host_has_no_open_circuit() -> None:
    observer = RecordingObserver()
    new_health(ManualClock(), observer=observer).record_error(Throttled("429", 4), 10, was_probe=False)
    assert observer.events == [("host_state_changed", HOST, 0, 4)]


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Failures and throttling that change nothing are not logged, nor are changes that another worker has logged."""
    clock, store = ManualClock(), DictionaryStore()
    one, other = new_health(clock, store), new_health(clock, store)
    with caplog.at_level(logging.INFO):
        fail(one)
        clock.now += 1
        fail(one, 1)
        clock.now += 2
        probe = other.admit(5)
        assert probe is True
        other.record_success(was_probe=probe)
        other.record_success(was_probe=probe)
        for seconds in (4, 9, 1):
            other.record_error(Throttled("429", seconds), 10, was_probe=False)
        with pytest.raises(Throttled):
            one.admit(5)
        clock.now += 9
        other.record_error(Throttled("429", 3), 10, was_probe=False)
    logged = [(record.levelname, record.message, record.__dict__.get("seconds")) for record in caplog.records]
    assert logged == [
        ("WARNING", f"{HOST} fails, its circuit is open", None),
        ("INFO", f"{HOST} responds again, its circuit is closed", None),
        ("WARNING", f"{HOST} throttles requests", 4),
        ("WARNING", f"{HOST} throttles requests", 3),
    ]
