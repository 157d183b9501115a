"""The greenlet pool, keyed locks, and work in threads."""

import weakref
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from app.concurrency.greenlets import GreenletPool, run_in_thread
from app.concurrency.keyed_lock import KeyedLock


def greenlets_used(pool: GreenletPool, count: int = 1) -> list[Any]:
    """Run ``count`` functions that wait for each other, and return the greenlets in which they ran."""
    greenlets, all_started, done = list[Any](), Event(), Event()

    def work() -> None:
        greenlets.append(getcurrent())
        if len(greenlets) == count:
            all_started.set()
        all_started.wait()
        done.set()

    for _ in range(count):
        pool.spawn(work)
    assert done.wait(10)
    gevent.sleep(0)
    return greenlets


def test_an_idle_greenlet_is_reused() -> None:
    pool = GreenletPool(5)
    (first,) = greenlets_used(pool)
    assert [greenlets_used(pool) for _ in range(3)] == [[first]] * 3


def test_concurrent_functions_run_in_different_greenlets_and_max_idle_greenlets_are_kept() -> None:
    pool = GreenletPool(2)
    used = greenlets_used(pool, 5)
    assert len({id(greenlet) for greenlet in used}) == 5
    assert len([greenlet for greenlet in used if not greenlet.dead]) == 2
    assert set(map(id, greenlets_used(pool, 2))) <= set(map(id, used))


def test_an_idle_greenlet_does_not_keep_its_function_alive() -> None:
    class Work:
        def __call__(self) -> None:
            self.greenlet = getcurrent()

    pool, work = GreenletPool(1), Work()
    reference = weakref.ref(work)
    pool.spawn(work)
    del work
    gevent.sleep(0)
    assert reference() is None


def test_a_function_runs_in_a_copy_of_the_callers_context() -> None:
    variable, seen, pool = ContextVar("variable", default=""), list[str](), GreenletPool(1)

    def work() -> None:
        seen.append(variable.get())
        variable.set("its own")

    for value in ("one", "two"):
        variable.set(value)
        pool.spawn(work)
        gevent.sleep(0)
        assert variable.get() == value
    assert seen == ["one", "two"]


def test_a_killed_greenlet_is_not_reused() -> None:
    pool = GreenletPool(1)
    (first,) = greenlets_used(pool)
    pool.spawn(lambda: getcurrent().throw())
    gevent.sleep(0)
    assert first.dead
    assert greenlets_used(pool) != [first]


def test_only_one_greenlet_holds_the_lock_of_a_key() -> None:
    lock, order = KeyedLock(), list[str]()

    def work(key: str, name: str) -> None:
        with lock.hold(key):
            order.append(f"{name} begins")
            gevent.sleep(0)
            order.append(f"{name} ends")

    gevent.joinall([gevent.spawn(work, "a", "one"), gevent.spawn(work, "a", "two")], raise_error=True)
    assert order == ["one begins", "one ends", "two begins", "two ends"]


def test_locks_of_different_keys_are_independent() -> None:
    lock = KeyedLock()
    with lock.hold("a"), lock.hold("b", 0):
        assert len(lock._locks) == 2


def test_a_lock_that_is_not_acquired_in_time_is_a_timeout_error() -> None:
    lock = KeyedLock()
    with lock.hold("a"), pytest.raises(TimeoutError), lock.hold("a", 0):
        pytest.fail("the lock was held twice")


def test_a_timeout_does_not_release_the_lock_of_its_holder() -> None:
    lock = KeyedLock()
    with lock.hold("a"):
        for _ in range(2):
            with pytest.raises(TimeoutError), lock.hold("a", 0):
                pytest.fail("the lock was held twice")


def test_a_lock_that_is_not_in_use_is_removed() -> None:
    lock = KeyedLock()
    with pytest.raises(ZeroDivisionError), lock.hold("a"):
        raise ZeroDivisionError
    assert lock._locks == {}


def test_an_exception_in_a_thread_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_in_thread(lambda: 1 // 0)
    assert capfd.readouterr().err == ""
