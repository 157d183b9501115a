"""Tests of single flight: one execution per key, shared by greenlets."""

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from app.domain.errors import Overloaded, Throttled
from app.lookup.single_flight import FlightAborted, SingleFlight
from tests.support.recording_observer import RecordingObserver


def test_concurrent_callers_share_one_flight() -> None:
    flights, go, runs = SingleFlight[str, int](10), Event(), []

    def run() -> int:
        runs.append(1)
        go.wait()
        return 7

    waiters = [gevent.spawn(lambda: flights.join("a", run).wait(9)) for _ in range(100)]
    gevent.sleep(0)
    go.set()
    assert [greenlet.get() for greenlet in waiters] == [7] * 100
    assert len(runs) == 1


def test_each_key_has_its_own_flight() -> None:
    flights = SingleFlight[str, str](10)
    assert [flights.join(key, lambda key=key: key.upper()).wait(9) for key in "ab"] == ["A", "B"]  # type: ignore[misc]  # the default binds


def test_a_new_flight_starts_after_the_last_one_has_finished() -> None:
    flights, runs = SingleFlight[str, int](10), iter([1, 2])
    assert flights.join("a", lambda: next(runs)).wait(9) == 1
    assert len(flights) == 0
    assert flights.join("a", lambda: next(runs)).wait(9) == 2


def test_a_killed_caller_does_not_end_the_flight() -> None:
    flights, go = SingleFlight[str, int](10), Event()

    def run() -> int:
        go.wait()
        return 7

    first = gevent.spawn(lambda: flights.join("a", run).wait(9))
    gevent.sleep(0)
    flight = flights.join("a", run)
    first.kill()
    go.set()
    assert flight.wait(9) == 7


def test_the_flight_continues_after_a_waiter_timed_out() -> None:
    go = Event()

    def run() -> int:
        go.wait()
        return 7

    flight = SingleFlight[str, int](10).join("a", run)
    with pytest.raises(TimeoutError):
        flight.wait(0)
    with pytest.raises(TimeoutError):
        flight.wait(-1)
    go.set()
    assert flight.wait(9) == 7


def test_each_waiter_gets_its_own_copy_of_an_exception() -> None:
    """The copy has the same class and attributes, and the original as its cause."""

    def run() -> int:
        raise Throttled("slow down", 4)

    flight = SingleFlight[str, int](10).join("a", run)
    caught = []
    for _ in range(2):
        with pytest.raises(Throttled, match="slow down") as info:
            flight.wait(9)
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert [error.retry_after for error in caught] == [4, 4]
    assert caught[0].__cause__ is caught[1].__cause__


def test_an_exception_that_cannot_be_copied_becomes_a_runtime_error() -> None:
    class NotCopyable(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    def run() -> int:
        raise NotCopyable(1, 2)

    with pytest.raises(RuntimeError, match="NotCopyable: 1 and 2"):
        SingleFlight[str, int](10).join("a", run).wait(9)


def killed() -> int:
    """Kill the greenlet that runs this."""
    getcurrent().throw()
    return 7


def test_a_killed_flight_raises_in_its_waiters_and_is_removed() -> None:
    flights = SingleFlight[str, int](10)
    flight = flights.join("a", killed)
    with pytest.raises(FlightAborted):
        flight.wait(9)
    assert len(flights) == 0
    assert flights.join("a", lambda: 7).wait(9) == 7


def test_the_limit_applies_to_new_flights_and_not_to_joining() -> None:
    flights, go = SingleFlight[str, bool](2), Event()
    first = flights.join("a", go.wait)
    flights.join("b", go.wait)
    with pytest.raises(Overloaded):
        flights.join("c", go.wait)
    assert flights.join("a", go.wait) is first
    go.set()
    assert first.wait(9)


def test_a_forgotten_flight_finishes_for_its_waiters_and_cannot_be_joined() -> None:
    flights, go = SingleFlight[str, bool](10), Event()
    first = flights.join("a", go.wait)
    flights.forget("a")
    second = flights.join("a", go.wait)
    assert first is not second
    go.set()
    assert first.wait(9)
    assert second.wait(9)
    gevent.sleep(0)
    assert len(flights) == 0


@pytest.mark.parametrize("forgets", [False, True])
def test_the_observer_receives_start_end_and_joins_of_a_flight(*, forgets: bool) -> None:
    observer, go = RecordingObserver(), Event()
    flights = SingleFlight[str, bool](10, observer)
    first = flights.join("a", go.wait)
    assert flights.join("a", go.wait) is first
    if forgets:
        flights.forget("a")
    go.set()
    first.wait(9)
    gevent.sleep(0)
    assert observer.events == [("flights_changed", +1), ("flight_joined",), ("flights_changed", -1)]


def test_the_observer_receives_the_end_of_a_killed_flight() -> None:
    observer = RecordingObserver()
    flights = SingleFlight[str, int](10, observer)
    with pytest.raises(FlightAborted):
        flights.join("a", killed).wait(9)
    assert observer.events == [("flights_changed", +1), ("flights_changed", -1)]
