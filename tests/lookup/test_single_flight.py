"""One fetch per key among greenlets."""

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from app.domain.errors import Overloaded, Throttled
from app.lookup.single_flight import FlightAborted, SingleFlight
from tests.support.recording_observer import RecordingObserver


def test_all_who_ask_meanwhile_share_one_flight() -> None:
    flights, go, runs = SingleFlight[str, int](10), Event(), []

    def run() -> int:
        runs.append(1)
        go.wait()
        return 7

    waiting = [gevent.spawn(lambda: flights.join("a", run).wait(9)) for _ in range(100)]
    gevent.sleep(0)
    go.set()
    assert [greenlet.get() for greenlet in waiting] == [7] * 100
    assert len(runs) == 1


def test_other_keys_fly_by_themselves() -> None:
    flights = SingleFlight[str, str](10)
    assert [flights.join(key, lambda key=key: key.upper()).wait(9) for key in "ab"] == ["A", "B"]  # type: ignore[misc]  # the default binds


def test_after_it_has_landed_the_next_one_starts_anew() -> None:
    flights, runs = SingleFlight[str, int](10), iter([1, 2])
    assert flights.join("a", lambda: next(runs)).wait(9) == 1
    assert len(flights) == 0
    assert flights.join("a", lambda: next(runs)).wait(9) == 2


def test_a_caller_that_leaves_does_not_end_the_flight() -> None:
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


def test_a_waiter_out_of_time_leaves_the_flight_to_the_others() -> None:
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


def test_each_waiter_gets_an_exception_of_its_own() -> None:
    """Of the same class, with all it carries, and with the original as its cause."""

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


def test_an_exception_that_cannot_be_copied_is_told_all_the_same() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    def run() -> int:
        raise Odd(1, 2)

    with pytest.raises(RuntimeError, match="Odd: 1 and 2"):
        SingleFlight[str, int](10).join("a", run).wait(9)


def killed() -> int:
    """Kill the greenlet that runs this."""
    getcurrent().throw()
    return 7


def test_a_flight_that_is_killed_is_lost_to_its_waiters_and_not_under_way() -> None:
    flights = SingleFlight[str, int](10)
    flight = flights.join("a", killed)
    with pytest.raises(FlightAborted):
        flight.wait(9)
    assert len(flights) == 0
    assert flights.join("a", lambda: 7).wait(9) == 7


def test_more_flights_than_the_limit_are_refused_but_joining_is_not() -> None:
    flights, go = SingleFlight[str, bool](2), Event()
    first = flights.join("a", go.wait)
    flights.join("b", go.wait)
    with pytest.raises(Overloaded):
        flights.join("c", go.wait)
    assert flights.join("a", go.wait) is first
    go.set()
    assert first.wait(9)


def test_a_flight_that_is_left_behind_is_joined_by_nobody_and_lands_for_its_waiters() -> None:
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


@pytest.mark.parametrize("leaves_behind", [False, True])
def test_an_observer_hears_of_each_flight_its_end_and_those_who_joined(*, leaves_behind: bool) -> None:
    listener, go = RecordingObserver(), Event()
    flights = SingleFlight[str, bool](10, listener)
    first = flights.join("a", go.wait)
    assert flights.join("a", go.wait) is first
    if leaves_behind:
        flights.forget("a")
    go.set()
    first.wait(9)
    gevent.sleep(0)
    assert listener.events == [("flights_changed", +1), ("flight_joined",), ("flights_changed", -1)]


def test_an_observer_hears_of_the_end_of_a_flight_that_is_killed() -> None:
    listener = RecordingObserver()
    flights = SingleFlight[str, int](10, listener)
    with pytest.raises(FlightAborted):
        flights.join("a", killed).wait(9)
    assert listener.events == [("flights_changed", +1), ("flights_changed", -1)]
