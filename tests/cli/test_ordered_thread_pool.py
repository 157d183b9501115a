"""A crew: side by side, and in order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import gevent
import pytest
from gevent.event import Event

from app.cli.ordered_thread_pool import map_in_order


def idle() -> None:
    """Nothing is to be done meanwhile."""


def double(number: int) -> int:
    return 2 * number


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_results_come_in_the_order_of_the_work(jobs: int) -> None:
    """Whichever is done first."""
    done: list[int] = []

    def do(number: int) -> int:
        gevent.sleep(0.01 * (number % 3 == 0))
        done.append(number)
        return 2 * number

    results = list(map_in_order(range(20), lambda: nullcontext(do), jobs=jobs, ahead=30, idle=idle))
    assert results == [2 * number for number in range(20)]
    assert (done == sorted(done)) is (jobs == 1)


def test_a_result_comes_as_soon_as_its_turn_has_come() -> None:
    """While there is no more work yet, and later pieces wait."""
    more = Event()

    def work() -> Iterator[int]:
        yield 1
        more.wait()
        yield 2

    results = map_in_order(work(), lambda: nullcontext(double), jobs=2, ahead=10, idle=idle)
    assert next(results) == 2
    more.set()
    assert list(results) == [4]


def test_work_is_taken_so_far_ahead_and_no_further() -> None:
    """While the first result is waited for, ten are kept behind it, and one more waits for a place."""
    first, taken = Event(), list[int]()

    def work() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    def do(number: int) -> int:
        if number == 0:
            first.wait()
        return number

    waiting = gevent.spawn(lambda: list(map_in_order(work(), lambda: nullcontext(do), jobs=2, ahead=10, idle=idle)))
    until(lambda: len(taken) >= 12)
    gevent.idle()
    assert len(taken) == 12
    first.set()
    assert waiting.get(timeout=10) == list(range(1000))


def test_so_many_work_at_once_and_no_more() -> None:
    go, working = Event(), list[int]()

    def do(number: int) -> int:
        working.append(number)
        go.wait()
        return number

    waiting = gevent.spawn(lambda: list(map_in_order(range(9), lambda: nullcontext(do), jobs=4, ahead=100, idle=idle)))
    until(lambda: len(working) == 4)
    gevent.idle()
    assert working == [0, 1, 2, 3]
    go.set()
    assert waiting.get(timeout=10) == list(range(9))


def test_each_works_with_a_function_of_its_own() -> None:
    """Which it lets go of when there is no more work."""
    events: list[str] = []

    @contextmanager
    def hire() -> Iterator[Callable[[int], int]]:
        events.append("hired")
        yield double
        events.append("gone")

    assert list(map_in_order(range(5), hire, jobs=3, ahead=10, idle=idle)) == [0, 2, 4, 6, 8]
    until(lambda: sorted(events) == ["gone"] * 3 + ["hired"] * 3)


def test_no_more_are_hired_than_there_is_work_for() -> None:
    hired: list[int] = []

    def hire() -> nullcontext[Callable[[int], int]]:
        hired.append(1)
        return nullcontext(double)

    assert list(map_in_order(range(2), hire, jobs=1000, ahead=10, idle=idle)) == [0, 2]
    gevent.idle()
    assert sum(hired) <= 2


def test_what_is_raised_is_raised_in_its_turn() -> None:
    """By the function that works, after the results of what stood before it."""

    def do(number: int) -> float:
        return 1 / (3 - number)

    results = map_in_order(range(9), lambda: nullcontext(do), jobs=4, ahead=10, idle=idle)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_work_that_breaks_off_is_told_in_its_turn() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise ValueError("no more of this")

    results = map_in_order(work(), lambda: nullcontext(double), jobs=4, ahead=10, idle=idle)
    assert next(results) == 2
    with pytest.raises(ValueError, match="no more of this"):
        next(results)


def test_who_waits_is_told_now_and_then() -> None:
    told = Event()

    def do(number: int) -> int:
        told.wait()
        return number

    assert list(map_in_order([1], lambda: nullcontext(do), jobs=1, ahead=1, idle=told.set)) == [1]
