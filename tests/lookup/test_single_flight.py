"""Tests of single flight: one execution per key, shared by greenlets."""

import math
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from app.domain.errors import NoCover, Overloaded, ServiceError, Throttled
from app.lookup.single_flight import Flight, FlightAborted, FlightResult, SingleFlight
from tests.support.recording_observer import RecordingObserver


def join(flights: SingleFlight[str, int], key: str, function: Callable[[], int]) -> FlightResult[int]:
    """Join the flight of a key, or start one, and return its result."""
    return flights.join(key, lambda _flight: function(), math.inf).result


def returning(number: int, after: Event) -> Callable[[], int]:
    """Return a function that waits for the event and returns the number."""

    def run() -> int:
        after.wait()
        return number

    return run


def test_concurrent_callers_share_one_flight() -> None:
    flights, go, runs = SingleFlight[str, int](10), Event(), []

    def run() -> int:
        runs.append(1)
        go.wait()
        return 7

    waiters = [gevent.spawn(lambda: join(flights, "a", run).wait(9)) for _ in range(100)]
    gevent.sleep(0)
    go.set()
    assert [greenlet.get() for greenlet in waiters] == [7] * 100
    assert len(runs) == 1


def test_each_key_has_its_own_flight() -> None:
    flights = SingleFlight[str, int](10)
    assert [join(flights, key, lambda key=key: ord(key)).wait(9) for key in "ab"] == [97, 98]  # type: ignore[misc]  # the default binds


def test_a_new_flight_starts_after_the_last_one_has_finished() -> None:
    flights, runs = SingleFlight[str, int](10), iter([1, 2])
    assert join(flights, "a", lambda: next(runs)).wait(9) == 1
    assert len(flights) == 0
    assert join(flights, "a", lambda: next(runs)).wait(9) == 2


def test_a_killed_caller_does_not_end_the_flight() -> None:
    flights, go = SingleFlight[str, int](10), Event()
    first = gevent.spawn(lambda: join(flights, "a", returning(7, go)).wait(9))
    gevent.sleep(0)
    result = join(flights, "a", returning(8, go))
    first.kill()
    go.set()
    assert result.wait(9) == 7


def test_the_flight_continues_after_a_waiter_timed_out() -> None:
    go = Event()
    result = join(SingleFlight[str, int](10), "a", returning(7, go))
    with pytest.raises(TimeoutError):
        result.wait(0)
    with pytest.raises(TimeoutError):
        result.wait(-1)
    go.set()
    assert result.wait(9) == 7


def test_a_flight_has_the_latest_deadline_of_its_callers() -> None:
    """An earlier version had that of the first one, so a caller who joined late was turned away at once."""
    flights, go = SingleFlight[str, int](10), Event()

    def run(_flight: Flight[int]) -> int:
        go.wait()
        return 7

    flight = flights.join("a", run, 3.0)
    for deadline, expected in ((2.0, 3.0), (5.9, 5.9), (4.0, 5.9)):
        assert flights.join("a", run, deadline) is flight
        assert flight.deadline.at == expected
    go.set()
    assert flight.result.wait(9) == 7


def test_each_waiter_gets_its_own_copy_of_an_exception() -> None:
    """The copy has the same class and attributes. It refers to no frame: neither by a traceback nor by a cause."""

    def run() -> int:
        try:
            raise ValueError("a cause")
        except ValueError as error:
            raise Throttled("slow down", 4) from error

    result = join(SingleFlight[str, int](10), "a", run)
    caught = []
    for _ in range(2):
        with pytest.raises(Throttled, match="slow down") as info:
            result.wait(9)
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert [error.retry_after for error in caught] == [4, 4]
    assert [(error.__cause__, error.__context__) for error in caught] == [(None, None)] * 2
    assert len(info.traceback) == 2  # this function and ``wait``


def _classes(base: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield base
    for subclass in base.__subclasses__():
        yield from _classes(subclass)


@pytest.mark.parametrize("error_class", list(_classes(ServiceError)))
def test_every_service_error_can_be_copied(error_class: type[ServiceError]) -> None:
    """With its text and its attributes."""
    error = error_class("a reason")
    vars(error).update({name: f"a {name}" for name in vars(error)})

    def run() -> int:
        raise error

    with pytest.raises(error_class, match="a reason") as info:
        join(SingleFlight[str, int](10), "a", run).wait(9)
    assert type(info.value) is error_class
    assert vars(info.value) == vars(error)


def killed() -> int:
    """Kill the greenlet that runs this."""
    getcurrent().throw()
    return 7


def test_a_killed_flight_raises_in_its_waiters_and_is_removed() -> None:
    flights = SingleFlight[str, int](10)
    result = join(flights, "a", killed)
    with pytest.raises(FlightAborted):
        result.wait(9)
    assert len(flights) == 0
    assert join(flights, "a", lambda: 7).wait(9) == 7


def test_the_limit_applies_to_new_flights_and_not_to_joining() -> None:
    flights, go = SingleFlight[str, int](2), Event()
    first = join(flights, "a", returning(7, go))
    join(flights, "b", returning(7, go))
    with pytest.raises(Overloaded):
        join(flights, "c", returning(7, go))
    assert join(flights, "a", returning(8, go)) is first
    go.set()
    assert first.wait(9) == 7


def test_the_limit_counts_forgotten_flights_in_progress() -> None:
    """An earlier version did not, so forgetting one item again and again started any number of flights."""
    flights, go = SingleFlight[str, int](1), Event()
    first = join(flights, "a", returning(7, go))
    flights.forget("a")
    with pytest.raises(Overloaded):
        join(flights, "a", returning(7, go))
    go.set()
    assert first.wait(9) == 7
    assert join(flights, "a", returning(8, go)).wait(9) == 8


def test_a_forgotten_flight_finishes_for_its_waiters_and_cannot_be_joined() -> None:
    flights, go = SingleFlight[str, int](10), Event()
    first = flights.join("a", lambda _: returning(7, go)(), 9)
    flights.forget("a")
    second = flights.join("a", lambda _: returning(8, go)(), 9)
    assert (first.is_current, second.is_current) == (False, True)
    go.set()
    assert first.result.wait(9) == 7
    assert second.result.wait(9) == 8
    gevent.sleep(0)
    assert len(flights) == 0


def test_a_closed_flight_cannot_be_joined_and_is_current() -> None:
    """To close it again does not affect the next flight of the key."""
    flights, go = SingleFlight[str, int](10), Event()
    first = flights.join("a", lambda _: returning(7, go)(), 9)
    flights.close("a", first)
    second = flights.join("a", lambda _: returning(8, go)(), 9)
    flights.close("a", first)
    assert first.is_current
    assert flights.join("a", lambda _: returning(9, go)(), 9) is second
    go.set()
    assert [flight.result.wait(9) for flight in (first, second)] == [7, 8]
    assert len(flights) == 0


def test_what_is_handed_out_is_for_those_who_have_joined() -> None:
    """Whether they wait already or not yet. Later callers get what the function returns."""
    flights, started, go = SingleFlight[str, int](10), Event(), Event()

    def run(flight: Flight[int]) -> int:
        started.set()
        flight.hand_out(1)
        flight.hand_out(2)  # to nobody
        go.wait()
        return 7

    flight = flights.join("a", run, 9)
    waiting, not_yet_waiting = gevent.spawn(flight.result.wait, 9), flight.result
    started.wait()
    later = flights.join("a", run, 9).result
    assert waiting.get() == not_yet_waiting.wait(0) == 1
    assert not later.is_set()
    go.set()
    assert later.wait(9) == 7


def test_an_error_after_a_result_was_handed_out_is_for_later_callers() -> None:
    flights, go = SingleFlight[str, int](10), Event()

    def run(flight: Flight[int]) -> int:
        flight.hand_out(1)
        go.wait()
        raise NoCover("none")

    first = flights.join("a", run, 9).result
    assert first.wait(9) == 1
    later = flights.join("a", run, 9).result
    go.set()
    with pytest.raises(NoCover):
        later.wait(9)
    assert first.wait(9) == 1


@pytest.mark.parametrize("forgets", [False, True])
def test_the_observer_receives_start_end_and_joins_of_a_flight(*, forgets: bool) -> None:
    observer, go = RecordingObserver(), Event()
    flights = SingleFlight[str, int](10, observer)
    first = join(flights, "a", returning(7, go))
    assert join(flights, "a", returning(7, go)) is first
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
        join(flights, "a", killed).wait(9)
    assert observer.events == [("flights_changed", +1), ("flights_changed", -1)]
