"""The parallel map runs tasks concurrently and yields the results in order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import gevent
import pytest
from gevent.event import Event

from app.cli.ordered_thread_pool import map_in_order


def ignore_idle() -> None:
    """Do nothing while no result is available."""


def double(number: int) -> int:
    return 2 * number


def wait_until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


@pytest.mark.parametrize("max_workers", [1, 3, 50])
def test_results_keep_the_order_of_the_items(max_workers: int) -> None:
    """The order in which the tasks complete has no effect."""
    completed: list[int] = []

    def function(number: int) -> int:
        gevent.sleep(0.01 * (number % 3 == 0))
        completed.append(number)
        return 2 * number

    results = list(
        map_in_order(
            range(20), lambda: nullcontext(function), max_workers=max_workers, max_queued=30, on_idle=ignore_idle
        )
    )
    assert results == [2 * number for number in range(20)]
    assert (completed == sorted(completed)) is (max_workers == 1)


def test_a_result_is_yielded_before_the_next_item_is_available() -> None:
    may_continue = Event()

    def items() -> Iterator[int]:
        yield 1
        may_continue.wait()
        yield 2

    results = map_in_order(items(), lambda: nullcontext(double), max_workers=2, max_queued=10, on_idle=ignore_idle)
    assert next(results) == 2
    may_continue.set()
    assert list(results) == [4]


def test_the_number_of_items_read_ahead_is_limited() -> None:
    """While the first task is in progress, ten more are queued, and another item has been read but not queued."""
    may_finish, read = Event(), list[int]()

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    def function(number: int) -> int:
        if number == 0:
            may_finish.wait()
        return number

    consumer = gevent.spawn(
        lambda: list(
            map_in_order(items(), lambda: nullcontext(function), max_workers=2, max_queued=10, on_idle=ignore_idle)
        )
    )
    wait_until(lambda: len(read) >= 12)
    gevent.idle()
    assert len(read) == 12
    may_finish.set()
    assert consumer.get(timeout=10) == list(range(1000))


def test_the_number_of_concurrent_tasks_is_limited() -> None:
    may_finish, started = Event(), list[int]()

    def function(number: int) -> int:
        started.append(number)
        may_finish.wait()
        return number

    consumer = gevent.spawn(
        lambda: list(
            map_in_order(range(9), lambda: nullcontext(function), max_workers=4, max_queued=100, on_idle=ignore_idle)
        )
    )
    wait_until(lambda: len(started) == 4)
    gevent.idle()
    assert started == [0, 1, 2, 3]
    may_finish.set()
    assert consumer.get(timeout=10) == list(range(9))


def test_each_worker_has_its_own_function() -> None:
    """The context of a worker is closed when all tasks are done."""
    events: list[str] = []

    @contextmanager
    def open_worker() -> Iterator[Callable[[int], int]]:
        events.append("opened")
        yield double
        events.append("closed")

    results = map_in_order(range(5), open_worker, max_workers=3, max_queued=10, on_idle=ignore_idle)
    assert list(results) == [0, 2, 4, 6, 8]
    wait_until(lambda: sorted(events) == ["closed"] * 3 + ["opened"] * 3)


def test_there_are_no_more_workers_than_items() -> None:
    opened: list[int] = []

    def open_worker() -> nullcontext[Callable[[int], int]]:
        opened.append(1)
        return nullcontext(double)

    results = map_in_order(range(2), open_worker, max_workers=1000, max_queued=10, on_idle=ignore_idle)
    assert list(results) == [0, 2]
    gevent.idle()
    assert sum(opened) <= 2


def test_an_exception_of_the_function_is_raised_in_order() -> None:
    """The exception is raised after the results of all earlier items."""

    def function(number: int) -> float:
        return 1 / (3 - number)

    results = map_in_order(range(9), lambda: nullcontext(function), max_workers=4, max_queued=10, on_idle=ignore_idle)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_exception_of_the_iterable_is_raised_in_order() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more of this")

    results = map_in_order(items(), lambda: nullcontext(double), max_workers=4, max_queued=10, on_idle=ignore_idle)
    assert next(results) == 2
    with pytest.raises(ValueError, match="no more of this"):
        next(results)


def test_on_idle_is_called_while_no_result_is_available() -> None:
    was_idle = Event()

    def function(number: int) -> int:
        was_idle.wait()
        return number

    results = map_in_order([1], lambda: nullcontext(function), max_workers=1, max_queued=1, on_idle=was_idle.set)
    assert list(results) == [1]
