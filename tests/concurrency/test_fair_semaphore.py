"""Tests of the semaphore that serves greenlets in order of arrival."""

import gevent
import pytest

from app.concurrency.fair_semaphore import FairSemaphore

LONG = 60.0


def test_there_are_as_many_slots_as_stated() -> None:
    semaphore = FairSemaphore(2)
    assert [semaphore.acquire(0) for _ in range(3)] == [True, True, False]
    semaphore.release()
    assert [semaphore.acquire(0) for _ in range(2)] == [True, False]


def test_a_released_slot_goes_to_the_greenlet_that_has_waited_longest() -> None:
    """Also if another one asks for it before the waiting greenlet runs. gevent's semaphore would give it to that."""
    semaphore = FairSemaphore(1)
    semaphore.acquire(0)
    order: list[int] = []

    def acquire(number: int) -> None:
        assert semaphore.acquire(LONG)
        order.append(number)
        semaphore.release()

    waiting = [gevent.spawn(acquire, number) for number in range(3)]
    gevent.sleep(0)
    semaphore.release()
    acquire(3)
    gevent.joinall(waiting, raise_error=True)
    assert order == [0, 1, 2, 3]
    assert semaphore.acquire(0)


def test_a_greenlet_whose_time_is_up_leaves_the_queue() -> None:
    semaphore = FairSemaphore(1)
    semaphore.acquire(0)
    assert not semaphore.acquire(0.001)
    waiting = gevent.spawn(semaphore.acquire, LONG)
    gevent.sleep(0)
    semaphore.release()
    assert waiting.get()


@pytest.mark.parametrize("is_granted", [True, False])
def test_a_greenlet_that_is_killed_gives_its_slot_back(*, is_granted: bool) -> None:
    """Also if it is granted the slot before it dies."""
    semaphore = FairSemaphore(1)
    semaphore.acquire(0)
    killed, next_one = gevent.spawn(semaphore.acquire, LONG), gevent.spawn(semaphore.acquire, LONG)
    gevent.sleep(0)
    killed.kill(block=not is_granted)
    semaphore.release()
    assert next_one.get()
    assert isinstance(killed.get(), gevent.GreenletExit)
    assert not semaphore.acquire(0)
