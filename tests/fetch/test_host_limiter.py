"""The host limiter: concurrent fetches of a host, and the delay between their starts."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from app.domain.errors import Overloaded
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore
from tests.support.service import ROOT


@pytest.fixture
def semaphore(tmp_path: Path) -> Iterator[ProcessSemaphore]:
    new_semaphore = ProcessSemaphore(tmp_path / "places")
    yield new_semaphore
    new_semaphore.close()


def new_limiter(semaphore: ProcessSemaphore, total: int = 100, max_waiting: int = 100) -> HostLimiter:
    return HostLimiter(total, semaphore=semaphore, max_waiting=max_waiting, clock=time.monotonic)


@contextmanager
def slot(
    limiter: HostLimiter,
    host: str,
    concurrency: int = 1,
    *,
    delay: float = 0.0,
    max_wait: float = 9.0,
    check: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    deadline = time.monotonic() + max_wait
    release = limiter.acquire(host, concurrency=concurrency, delay=delay, deadline=deadline, check=check)
    try:
        yield
    finally:
        release()


def max_concurrency(limiter: HostLimiter, callers: list[tuple[str, int]]) -> int:
    """Have callers, each a host and its concurrency, hold a slot; return the most slots held at once."""
    held, most = 0, 0

    def hold_slot(host: str, concurrency: int) -> None:
        nonlocal held, most
        with slot(limiter, host, concurrency):
            held += 1
            most = max(most, held)
            gevent.sleep(0.001)
            held -= 1

    gevent.joinall([gevent.spawn(hold_slot, *caller) for caller in callers], raise_error=True)
    return most


def test_a_host_has_as_many_slots_as_its_concurrency(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(new_limiter(semaphore), [("a", 3)] * 20) == 3


def test_each_host_has_its_own_slots(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(new_limiter(semaphore), [("a", 3)] * 20 + [("b", 4)] * 20) == 7


def test_all_hosts_together_are_limited_to_the_total(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(new_limiter(semaphore, total=5), [("a", 4)] * 20 + [("b", 4)] * 20) == 5


def test_waiting_for_one_host_does_not_block_others(semaphore: ProcessSemaphore) -> None:
    limiter, may_release = new_limiter(semaphore, total=2), Event()

    def hold_slot() -> None:
        with slot(limiter, "slow"):
            may_release.wait()

    slow = [gevent.spawn(hold_slot) for _ in range(5)]
    gevent.sleep(0)
    with slot(limiter, "quick", max_wait=0):
        may_release.set()
    gevent.joinall(slow, raise_error=True)


def test_a_wait_beyond_the_deadline_is_overload(semaphore: ProcessSemaphore) -> None:
    limiter = new_limiter(semaphore)
    with (
        slot(limiter, "a"),
        pytest.raises(Overloaded, match="too many requests are waiting for a"),
        slot(limiter, "a", max_wait=0),
    ):
        pytest.fail("there was no free slot")


def test_a_full_queue_is_overload_at_once(semaphore: ProcessSemaphore) -> None:
    limiter, may_release = new_limiter(semaphore, max_waiting=3), Event()

    def hold_slot() -> None:
        with slot(limiter, "a"):
            may_release.wait()

    callers = [gevent.spawn(hold_slot) for _ in range(4)]
    gevent.sleep(0)
    with pytest.raises(Overloaded, match="3 requests are already waiting for a"), slot(limiter, "a"):
        pytest.fail("there was no free slot")
    with slot(limiter, "b"):
        may_release.set()
    gevent.joinall(callers, raise_error=True)


def test_a_slot_is_released_after_an_exception(semaphore: ProcessSemaphore) -> None:
    limiter = new_limiter(semaphore, total=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slot(limiter, "a", max_wait=0):
            raise ZeroDivisionError


def test_a_killed_caller_releases_its_slot(semaphore: ProcessSemaphore) -> None:
    limiter = new_limiter(semaphore)
    with slot(limiter, "a", delay=0.05):
        waiting = [gevent.spawn(lambda: slot(limiter, "a", delay=0.05).__enter__()) for _ in range(3)]
        gevent.sleep(0)
        gevent.killall(waiting)
    with slot(limiter, "a", max_wait=1):
        pass


def test_callers_are_served_in_order_of_arrival(semaphore: ProcessSemaphore) -> None:
    limiter, order = new_limiter(semaphore), list[int]()

    def hold_slot(number: int) -> None:
        with slot(limiter, "a"):
            order.append(number)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(hold_slot, number) for number in range(10)], raise_error=True)
    assert order == list(range(10))


def test_fetches_start_a_delay_apart(semaphore: ProcessSemaphore) -> None:
    """Whatever the concurrency, and in all workers together."""
    limiters, started_at = [new_limiter(semaphore), new_limiter(semaphore)], list[float]()

    def hold_slot(limiter: HostLimiter) -> None:
        with slot(limiter, "a", 10, delay=0.03):
            started_at.append(time.monotonic())

    gevent.joinall([gevent.spawn(hold_slot, limiters[number % 2]) for number in range(6)], raise_error=True)
    assert min(later - earlier for earlier, later in itertools.pairwise(started_at)) > 0.02
    assert started_at[-1] - started_at[0] > 5 * 0.03 - 0.01  # after a late start the next may come early, but not all


def test_a_delay_beyond_the_deadline_is_overload(semaphore: ProcessSemaphore) -> None:
    limiter = new_limiter(semaphore)
    with slot(limiter, "a", 2, delay=60):
        pass
    with pytest.raises(Overloaded), slot(limiter, "a", 2, delay=60, max_wait=0.01):
        pytest.fail("the delay had not passed")


def test_a_caller_waits_for_a_slot_that_another_process_holds(semaphore: ProcessSemaphore) -> None:
    """The test plays the other process: it bypasses the limiter, which is not notified of the release."""
    held = semaphore.acquire("a", 1)
    assert held is not None
    limiter = new_limiter(semaphore)
    gevent.spawn_later(0.02, semaphore.release, held)
    with slot(limiter, "a", max_wait=5):
        pass


def test_empty_queues_are_dropped(semaphore: ProcessSemaphore) -> None:
    limiter = new_limiter(semaphore)
    for number in range(3000):
        with slot(limiter, f"host{number}"):
            pass
    assert len(limiter._queues) <= 1024 + 1


def test_the_delay_applies_if_all_slots_of_the_worker_are_taken(semaphore: ProcessSemaphore) -> None:
    """The delay starts after the wait for a slot of the worker."""
    limiter, started_at = new_limiter(semaphore, total=2), list[float]()

    def hold_slot() -> None:
        with slot(limiter, "a", 10, delay=0.05):
            started_at.append(time.monotonic())
            gevent.sleep(0.12)

    gevent.joinall([gevent.spawn(hold_slot) for _ in range(5)], raise_error=True)
    shortest_delay = min(later - earlier for earlier, later in itertools.pairwise(started_at))
    assert shortest_delay > 0.03  # with a tolerance for a busy machine
    assert started_at[-1] - started_at[0] > 4 * 0.05 - 0.01


def test_the_check_may_reject_the_first_in_the_queue(semaphore: ProcessSemaphore) -> None:
    """Before it acquires a slot, so that the rest of the queue is checked at once."""
    limiter, rejected = new_limiter(semaphore), list[int]()

    def reject() -> None:
        raise ZeroDivisionError

    def hold_slot(number: int) -> None:
        with (
            pytest.raises(ZeroDivisionError),
            slot(limiter, "a", delay=60, check=reject),
        ):
            pytest.fail("the check did not raise")
        rejected.append(number)

    with slot(limiter, "a", 1), gevent.Timeout(5):
        gevent.joinall([gevent.spawn(hold_slot, number) for number in range(5)], raise_error=True)
    assert rejected == [0, 1, 2, 3, 4]


#: A process with 500 fetches of 20 ms each for two slots of a host.
BUSY_PROCESS = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from pathlib import Path
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore

limiter = HostLimiter(100, semaphore=ProcessSemaphore(Path(sys.argv[1])), max_waiting=1000, clock=time.monotonic)

def fetch():
    release = limiter.acquire("a", concurrency=2, delay=0, deadline=time.monotonic() + 60)
    gevent.sleep(0.02)
    release()

callers = [gevent.spawn(fetch) for _ in range(500)]
gevent.sleep(0.01)
print("busy", flush=True)
gevent.joinall(callers)
"""


def test_a_long_queue_in_one_process_does_not_starve_another(tmp_path: Path, semaphore: ProcessSemaphore) -> None:
    """Three slots are acquired while the other process has hundreds of callers waiting."""
    command = [sys.executable, "-c", BUSY_PROCESS, str(tmp_path / "places")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        for _ in range(3):
            with slot(new_limiter(semaphore), "a", 2, max_wait=2):
                gevent.sleep(0.02)
        process.kill()
