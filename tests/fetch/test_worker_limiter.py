"""The limiter of a worker. Its use by the limiters of hosts is tested with those."""

from gevent.event import Event

from app.fetch.worker_limiter import WorkerLimiter


def test_slots_are_acquired_in_order_of_arrival() -> None:
    """Fails if a free slot is given to a caller that is not the first."""
    limiter = WorkerLimiter(1)
    holder, first, second = Event(), Event(), Event()
    assert limiter.try_acquire(holder)
    assert not limiter.try_acquire(first)
    assert not limiter.try_acquire(second)
    limiter.release()
    assert (first.is_set(), second.is_set()) == (True, False)
    assert not limiter.try_acquire(second)
    assert not limiter.try_acquire(Event())
    assert limiter.try_acquire(first)


def test_a_caller_keeps_its_position_when_it_tries_again() -> None:
    limiter = WorkerLimiter(1)
    holder, first, second = Event(), Event(), Event()
    for caller in (holder, first, second, first):
        limiter.try_acquire(caller)
    limiter.release()
    assert (first.is_set(), second.is_set()) == (True, False)


def test_a_caller_that_stops_waiting_wakes_up_the_next_if_a_slot_is_free() -> None:
    """Whether it has acquired one of several free slots or none. Fails if a free slot is left to nobody."""
    limiter = WorkerLimiter(2)
    callers = [Event() for _ in range(6)]
    for caller in callers:
        limiter.try_acquire(caller)
    assert [limiter.is_waiting(caller) for caller in callers] == [False, False, True, True, True, True]
    limiter.stop_waiting(callers[2])
    assert not any(caller.is_set() for caller in callers)  # no slot is free
    limiter.release()
    limiter.release()
    assert [caller.is_set() for caller in callers[3:]] == [True, False, False]
    assert limiter.try_acquire(callers[3])
    limiter.stop_waiting(callers[3])
    assert [caller.is_set() for caller in callers[4:]] == [True, False]
    limiter.stop_waiting(callers[4])
    assert callers[5].is_set()
    assert limiter.try_acquire(callers[5])
