"""The hub: runners, turns by key, and work in threads."""

import weakref
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from app.concurrency.greenlets import GreenletPool, run_in_thread
from app.concurrency.keyed_lock import KeyedLock


def ran(runners: GreenletPool, count: int = 1) -> list[Any]:
    """Return the greenlets in which so many pieces of work ran that all waited for each other."""
    greenlets, all_there, done = list[Any](), Event(), Event()

    def work() -> None:
        greenlets.append(getcurrent())
        if len(greenlets) == count:
            all_there.set()
        all_there.wait()
        done.set()

    for _ in range(count):
        runners.spawn(work)
    assert done.wait(10)
    gevent.sleep(0)
    return greenlets


def test_a_runner_that_is_done_is_used_again() -> None:
    runners = GreenletPool(5)
    (first,) = ran(runners)
    assert [ran(runners) for _ in range(3)] == [[first]] * 3


def test_what_runs_at_once_has_runners_of_its_own_of_which_so_many_are_kept() -> None:
    runners = GreenletPool(2)
    five = ran(runners, 5)
    assert len({id(one) for one in five}) == 5
    assert len([one for one in five if not one.dead]) == 2
    assert set(map(id, ran(runners, 2))) <= set(map(id, five))


def test_a_runner_keeps_nothing_of_its_work() -> None:
    class Work:
        def __call__(self) -> None:
            self.itself = getcurrent()

    runners, work = GreenletPool(1), Work()
    gone = weakref.ref(work)
    runners.spawn(work)
    del work
    gevent.sleep(0)
    assert gone() is None


def test_work_runs_in_a_copy_of_the_context_of_who_asks_for_it() -> None:
    variable, seen, runners = ContextVar("variable", default=""), list[str](), GreenletPool(1)

    def work() -> None:
        seen.append(variable.get())
        variable.set("its own")

    for value in ("one", "two"):
        variable.set(value)
        runners.spawn(work)
        gevent.sleep(0)
        assert variable.get() == value
    assert seen == ["one", "two"]


def test_a_runner_that_is_killed_is_not_used_again() -> None:
    runners = GreenletPool(1)
    (first,) = ran(runners)
    runners.spawn(lambda: getcurrent().throw())
    gevent.sleep(0)
    assert first.dead
    assert ran(runners) != [first]


def test_one_has_the_turn_of_a_key_and_others_wait() -> None:
    turns, order = KeyedLock(), list[str]()

    def work(key: str, name: str) -> None:
        with turns.hold(key):
            order.append(f"{name} begins")
            gevent.sleep(0)
            order.append(f"{name} ends")

    gevent.joinall([gevent.spawn(work, "a", "one"), gevent.spawn(work, "a", "two")], raise_error=True)
    assert order == ["one begins", "one ends", "two begins", "two ends"]


def test_keys_have_turns_of_their_own() -> None:
    turns = KeyedLock()
    with turns.hold("a"), turns.hold("b", 0):
        assert len(turns._turns) == 2


def test_a_turn_that_does_not_come_in_time_is_told() -> None:
    turns = KeyedLock()
    with turns.hold("a"), pytest.raises(TimeoutError), turns.hold("a", 0):
        pytest.fail("it was somebody else's turn")


def test_who_gives_up_does_not_end_the_turn_of_another() -> None:
    turns = KeyedLock()
    with turns.hold("a"):
        for _ in range(2):
            with pytest.raises(TimeoutError), turns.hold("a", 0):
                pytest.fail("it was somebody else's turn")


def test_nothing_is_kept_of_keys_that_nobody_has() -> None:
    turns = KeyedLock()
    with pytest.raises(ZeroDivisionError), turns.hold("a"):
        raise ZeroDivisionError
    assert turns._turns == {}


def test_what_a_thread_raises_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_in_thread(lambda: 1 // 0)
    assert capfd.readouterr().err == ""
