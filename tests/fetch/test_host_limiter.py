"""How many pages are under way at once, and how long after each other they are begun."""

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
def places(tmp_path: Path) -> Iterator[ProcessSemaphore]:
    opened = ProcessSemaphore(tmp_path / "places")
    yield opened
    opened.close()


def gate_of(places: ProcessSemaphore, total: int = 100, most_waiting: int = 100) -> HostLimiter:
    return HostLimiter(total, semaphore=places, max_waiting=most_waiting, clock=time.monotonic)


@contextmanager
def place(
    gate: HostLimiter,
    host: str,
    concurrency: int = 1,
    *,
    delay: float = 0.0,
    patience: float = 9.0,
    may_go: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    until = time.monotonic() + patience
    leave = gate.acquire(host, concurrency=concurrency, delay=delay, deadline=until, check=may_go)
    try:
        yield
    finally:
        leave()


def most_inside(gate: HostLimiter, callers: list[tuple[str, int]]) -> int:
    """Let callers, each a host and its concurrency, through the gate; return how many were inside at once."""
    inside, most = 0, 0

    def pass_through(host: str, concurrency: int) -> None:
        nonlocal inside, most
        with place(gate, host, concurrency):
            inside += 1
            most = max(most, inside)
            gevent.sleep(0.001)
            inside -= 1

    gevent.joinall([gevent.spawn(pass_through, *caller) for caller in callers], raise_error=True)
    return most


def test_a_host_has_as_many_places_as_its_source_says(places: ProcessSemaphore) -> None:
    assert most_inside(gate_of(places), [("a", 3)] * 20) == 3


def test_hosts_have_places_of_their_own(places: ProcessSemaphore) -> None:
    assert most_inside(gate_of(places), [("a", 3)] * 20 + [("b", 4)] * 20) == 7


def test_all_hosts_together_have_the_total(places: ProcessSemaphore) -> None:
    assert most_inside(gate_of(places, total=5), [("a", 4)] * 20 + [("b", 4)] * 20) == 5


def test_who_waits_for_a_full_host_does_not_hold_the_others_up(places: ProcessSemaphore) -> None:
    gate, go = gate_of(places, total=2), Event()

    def stay() -> None:
        with place(gate, "slow"):
            go.wait()

    slow = [gevent.spawn(stay) for _ in range(5)]
    gevent.sleep(0)
    with place(gate, "quick", patience=0):
        go.set()
    gevent.joinall(slow, raise_error=True)


def test_patience_that_ends_is_overload(places: ProcessSemaphore) -> None:
    gate = gate_of(places)
    with (
        place(gate, "a"),
        pytest.raises(Overloaded, match="too many requests are waiting for a"),
        place(gate, "a", patience=0),
    ):
        pytest.fail("there was no place")


def test_a_line_that_is_too_long_is_overload_at_once(places: ProcessSemaphore) -> None:
    gate, go = gate_of(places, most_waiting=3), Event()

    def stay() -> None:
        with place(gate, "a"):
            go.wait()

    callers = [gevent.spawn(stay) for _ in range(4)]
    gevent.sleep(0)
    with pytest.raises(Overloaded, match="3 requests are already waiting for a"), place(gate, "a"):
        pytest.fail("there was no place")
    with place(gate, "b"):
        go.set()
    gevent.joinall(callers, raise_error=True)


def test_a_place_comes_back_after_a_failure(places: ProcessSemaphore) -> None:
    gate = gate_of(places, total=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), place(gate, "a", patience=0):
            raise ZeroDivisionError


def test_a_place_comes_back_from_who_was_ended_while_waiting(places: ProcessSemaphore) -> None:
    gate = gate_of(places)
    with place(gate, "a", delay=0.05):
        waiting = [gevent.spawn(lambda: place(gate, "a", delay=0.05).__enter__()) for _ in range(3)]
        gevent.sleep(0)
        gevent.killall(waiting)
    with place(gate, "a", patience=1):
        pass


def test_first_come_first_served(places: ProcessSemaphore) -> None:
    gate, order = gate_of(places), list[int]()

    def pass_through(number: int) -> None:
        with place(gate, "a"):
            order.append(number)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(pass_through, number) for number in range(10)], raise_error=True)
    assert order == list(range(10))


def test_pages_are_begun_a_delay_apart(places: ProcessSemaphore) -> None:
    """However many may be under way, in however many workers."""
    gates, begun = [gate_of(places), gate_of(places)], list[float]()

    def pass_through(gate: HostLimiter) -> None:
        with place(gate, "a", 10, delay=0.03):
            begun.append(time.monotonic())

    gevent.joinall([gevent.spawn(pass_through, gates[number % 2]) for number in range(6)], raise_error=True)
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) > 0.02
    assert begun[-1] - begun[0] > 5 * 0.03 - 0.01  # one that is late is followed too soon, but all together are not


def test_a_delay_that_patience_does_not_last_for_is_overload(places: ProcessSemaphore) -> None:
    gate = gate_of(places)
    with place(gate, "a", 2, delay=60):
        pass
    with pytest.raises(Overloaded), place(gate, "a", 2, delay=60, patience=0.01):
        pytest.fail("it was too early")


def test_a_place_that_another_process_holds_is_waited_for(places: ProcessSemaphore) -> None:
    """Played by somebody who takes it beside the gate, and gives it back without telling."""
    taken = places.acquire("a", 1)
    assert taken is not None
    gate = gate_of(places)
    gevent.spawn_later(0.02, places.release, taken)
    with place(gate, "a", patience=5):
        pass


def test_lines_of_hosts_that_nobody_asks_do_not_pile_up(places: ProcessSemaphore) -> None:
    gate = gate_of(places)
    for number in range(3000):
        with place(gate, f"host{number}"):
            pass
    assert len(gate._queues) <= 1024 + 1


def test_a_delay_holds_where_the_worker_itself_is_full(places: ProcessSemaphore) -> None:
    """What is waited for last is the beginning of the page."""
    gate, begun = gate_of(places, total=2), list[float]()

    def pass_through() -> None:
        with place(gate, "a", 10, delay=0.05):
            begun.append(time.monotonic())
            gevent.sleep(0.12)

    gevent.joinall([gevent.spawn(pass_through) for _ in range(5)], raise_error=True)
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) > 0.03  # less what a busy machine takes
    assert begun[-1] - begun[0] > 4 * 0.05 - 0.01


def test_whose_turn_has_come_may_be_told_to_leave(places: ProcessSemaphore) -> None:
    """Before anything is taken, so those behind are told as soon."""
    gate, left = gate_of(places), list[int]()

    def refuse() -> None:
        raise ZeroDivisionError

    def pass_through(number: int) -> None:
        with (
            pytest.raises(ZeroDivisionError),
            place(gate, "a", delay=60, may_go=refuse),
        ):
            pytest.fail("it was told to leave")
        left.append(number)

    with place(gate, "a", 1), gevent.Timeout(5):
        gevent.joinall([gevent.spawn(pass_through, number) for number in range(5)], raise_error=True)
    assert left == [0, 1, 2, 3, 4]


#: A process with many pages of a host to fetch, one of 20 ms after the other at each of two places.
BUSY = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from pathlib import Path
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore

gate = HostLimiter(100, semaphore=ProcessSemaphore(Path(sys.argv[1])), max_waiting=1000, clock=time.monotonic)

def fetch():
    leave = gate.acquire("a", concurrency=2, delay=0, deadline=time.monotonic() + 60)
    gevent.sleep(0.02)
    leave()

callers = [gevent.spawn(fetch) for _ in range(500)]
gevent.sleep(0.01)
print("busy", flush=True)
gevent.joinall(callers)
"""


def test_a_long_line_in_one_process_does_not_keep_another_one_out(tmp_path: Path, places: ProcessSemaphore) -> None:
    """The one gets along with some of the places while the other has hundreds to fetch."""
    command = [sys.executable, "-c", BUSY, str(tmp_path / "places")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        for _ in range(3):
            with place(gate_of(places), "a", 2, patience=2):
                gevent.sleep(0.02)
        process.kill()
