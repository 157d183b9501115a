"""The host limiter: concurrent fetches of a host, and the delay between their starts."""

import itertools
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from app.concurrency.deadline import Deadline
from app.domain.errors import Overloaded, QueueTimeout
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.worker_limiter import WorkerLimiter
from tests.support.clock import ManualClock
from tests.support.service import ROOT


@pytest.fixture
def semaphore(tmp_path: Path) -> Iterator[ProcessSemaphore]:
    new_semaphore = ProcessSemaphore(tmp_path / "places")
    yield new_semaphore
    new_semaphore.close()


class Limiters(dict[str, HostLimiter]):
    """The limiters of the hosts of one worker, made when they are first used."""

    def __init__(
        self,
        semaphore: ProcessSemaphore,
        total: int = 100,
        max_waiting: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.clock = clock
        self.semaphore = semaphore
        self.max_waiting = max_waiting
        self.worker_limiter = WorkerLimiter(total)

    def __missing__(self, host: str) -> HostLimiter:
        self[host] = limiter = HostLimiter(
            host,
            worker_limiter=self.worker_limiter,
            semaphore=self.semaphore,
            max_waiting=self.max_waiting,
            clock=self.clock,
        )
        return limiter


@contextmanager
def slot(
    limiters: Limiters,
    host: str,
    concurrency: int = 1,
    *,
    delay: float = 0.0,
    max_wait: float = 9.0,
    check: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    deadline = Deadline(limiters.clock() + max_wait)
    release = limiters[host].acquire(concurrency=concurrency, delay=delay, deadline=deadline, check=check)
    try:
        yield
    finally:
        release()


@dataclass
class Callers:
    """Callers that each hold a slot until ``go`` is set. ``order`` lists their names in the order of their slots."""

    limiters: Limiters
    order: list[str] = field(default_factory=list)
    go: Event = field(default_factory=Event)
    greenlets: list["gevent.Greenlet[..., None]"] = field(default_factory=list)

    def start(
        self, name: str, host: str = "a", concurrency: int = 1, max_wait: float = 9.0
    ) -> "gevent.Greenlet[..., None]":
        """Start a caller and let it join the queue."""
        greenlet = gevent.spawn(self.hold, name, host, concurrency, max_wait)
        self.greenlets.append(greenlet)
        gevent.sleep(0)
        return greenlet

    def hold(self, name: str, host: str = "a", concurrency: int = 1, max_wait: float = 9.0) -> None:
        with slot(self.limiters, host, concurrency, max_wait=max_wait):
            self.order.append(name)
            self.go.wait()

    def finish(self) -> list[str]:
        """Let all callers have their slots, and return the order."""
        self.go.set()
        gevent.joinall(self.greenlets, raise_error=True)
        return self.order


def max_concurrency(limiters: Limiters, callers: list[tuple[str, int]]) -> int:
    """Have callers, each a host and its concurrency, hold a slot; return the most slots held at once."""
    held, most = 0, 0

    def hold_slot(host: str, concurrency: int) -> None:
        nonlocal held, most
        with slot(limiters, host, concurrency):
            held += 1
            most = max(most, held)
            gevent.sleep(0.001)
            held -= 1

    gevent.joinall([gevent.spawn(hold_slot, *caller) for caller in callers], raise_error=True)
    return most


def test_a_host_has_as_many_slots_as_its_concurrency(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(Limiters(semaphore), [("a", 3)] * 20) == 3


def test_each_host_has_its_own_slots(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(Limiters(semaphore), [("a", 3)] * 20 + [("b", 4)] * 20) == 7


def test_all_hosts_together_are_limited_to_the_total(semaphore: ProcessSemaphore) -> None:
    assert max_concurrency(Limiters(semaphore, total=5), [("a", 4)] * 20 + [("b", 4)] * 20) == 5


def test_waiting_for_one_host_does_not_block_others(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore, total=2)
    callers = Callers(limiters)
    for number in range(5):
        callers.start(f"slow {number}", "slow")
    with slot(limiters, "quick", max_wait=0):
        assert callers.order == ["slow 0"]
    callers.finish()


def test_a_wait_beyond_the_deadline_is_a_queue_timeout(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore)
    with (
        slot(limiters, "a"),
        pytest.raises(QueueTimeout, match=r"^too many requests are waiting for a: no slot became free in time$"),
        slot(limiters, "a", max_wait=0),
    ):
        pytest.fail("there was no free slot")


def test_the_error_says_whether_all_slots_of_the_worker_were_taken(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore, total=1)
    with (
        slot(limiters, "a"),
        pytest.raises(QueueTimeout, match=r"^too many requests are waiting for b: all slots of this worker are taken$"),
        slot(limiters, "b", max_wait=0),
    ):
        pytest.fail("there was no free slot")


def test_an_extended_deadline_counts_during_the_wait(semaphore: ProcessSemaphore) -> None:
    """For the first in the queue and for the others. Fails if the deadline is read only once, before the wait."""
    clock = ManualClock()
    limiters = Limiters(semaphore, clock=clock)
    held = semaphore.acquire("a", 1)
    assert held is not None
    deadlines = [Deadline(clock.now + 0.01), Deadline(clock.now + 0.01)]
    acquired = list[int]()

    def acquire(number: int) -> None:
        release = limiters["a"].acquire(concurrency=1, delay=0, deadline=deadlines[number])
        acquired.append(number)
        release()

    callers = [gevent.spawn(acquire, number) for number in range(2)]
    gevent.sleep(0)
    for deadline in deadlines:
        deadline.extend(clock.now + 9)
    clock.now += 1
    gevent.sleep(0.02)  # more than the original deadlines, so that each caller has looked at its deadline once more
    assert not any(caller.ready() for caller in callers)
    semaphore.release(held)
    gevent.joinall(callers, raise_error=True)
    assert acquired == [0, 1]


def test_a_full_queue_is_overload_at_once(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore, max_waiting=3)
    callers = Callers(limiters)
    for number in range(4):
        callers.start(str(number))
    with pytest.raises(Overloaded, match="3 requests are already waiting for a") as caught, slot(limiters, "a"):
        pytest.fail("there was no free slot")
    assert type(caught.value) is Overloaded
    with slot(limiters, "b", max_wait=0):
        assert callers.order == ["0"]
    assert callers.finish() == ["0", "1", "2", "3"]


def test_a_slot_is_released_after_an_exception(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore, total=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slot(limiters, "a", max_wait=0):
            raise ZeroDivisionError


@pytest.mark.parametrize("killed", [{1}, {2}, {4}, {1, 2, 3, 4}, {0}, {0, 1}], ids=str)
def test_a_killed_caller_releases_what_it_holds_and_leaves_the_queue(
    semaphore: ProcessSemaphore, killed: set[int]
) -> None:
    """The caller 0 holds the slot, the others wait. Fails if anything of a killed caller stays."""
    limiters = Limiters(semaphore, total=1)
    callers = Callers(limiters)
    greenlets = [callers.start(str(number)) for number in range(5)]
    for number in killed:
        greenlets[number].kill(block=False)
    assert callers.finish() == [str(number) for number in range(5) if number == 0 or number not in killed]
    assert limiters["a"].is_idle
    with slot(limiters, "a", max_wait=0):
        callers.order.append("afterwards")
    assert callers.order[-1] == "afterwards"


def test_a_caller_that_is_killed_while_the_delay_lasts_takes_no_turn(semaphore: ProcessSemaphore) -> None:
    """The next one waits only for the delay of the fetch before. Fails if a turn of a killed caller stays taken."""
    limiters = Limiters(semaphore)
    with slot(limiters, "a", delay=0.05):
        waiting = [gevent.spawn(slot(limiters, "a", 2, delay=60).__enter__) for _ in range(3)]
        gevent.sleep(0)
        assert len(limiters["a"]._callers) == 3
        gevent.killall(waiting)
    with slot(limiters, "a", delay=60, max_wait=30):
        assert semaphore.acquire("a begins", 1) is None


def test_callers_are_served_in_order_of_arrival(semaphore: ProcessSemaphore) -> None:
    limiters, order = Limiters(semaphore), list[int]()

    def hold_slot(number: int) -> None:
        with slot(limiters, "a"):
            order.append(number)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(hold_slot, number) for number in range(10)], raise_error=True)
    assert order == list(range(10))


def test_a_newcomer_at_the_moment_of_a_release_waits_behind_the_queue(semaphore: ProcessSemaphore) -> None:
    """The holder releases its slot and asks for another one before any other greenlet runs.

    Fails if a newcomer tries to acquire the free slot at once, before those who wait have run.
    """
    limiters = Limiters(semaphore)
    callers = Callers(limiters)

    def hold_then_return() -> None:
        with slot(limiters, "a"):
            callers.start("first")
            callers.start("second")
        callers.hold("newcomer")

    callers.go.set()
    gevent.spawn(hold_then_return).get()
    assert callers.order == ["first", "second", "newcomer"]


def test_a_newcomer_at_the_moment_that_a_caller_gets_its_slot_waits_behind_the_queue(
    semaphore: ProcessSemaphore,
) -> None:
    """The first in the queue gets one of two free slots, and asks for another one before any other greenlet runs.

    Fails if the queue is a semaphore that its holder releases, and that a newcomer may acquire before those who wait.
    """
    limiters = Limiters(semaphore)
    callers = Callers(limiters)
    held = [semaphore.acquire("a", 2), semaphore.acquire("a", 2)]

    def acquire_two() -> None:
        with slot(limiters, "a", 2):
            callers.order.append("first")
            callers.hold("newcomer", "a", 2)

    first = gevent.spawn(acquire_two)
    gevent.sleep(0)
    callers.start("second", "a", 2)
    for number in held:
        assert number is not None
        semaphore.release(number)
    callers.go.set()
    first.get()
    assert callers.order == ["first", "second", "newcomer"]


@pytest.mark.parametrize("end", ["timeout", "kill"])
def test_a_newcomer_at_the_moment_that_the_first_caller_gives_up_waits_behind_the_queue(
    semaphore: ProcessSemaphore, end: str
) -> None:
    """The first caller asks again, with a new deadline, before any other greenlet runs.

    Fails if a caller that leaves the queue lets a newcomer pass those who wait.
    """
    clock = ManualClock()
    limiters = Limiters(semaphore, clock=clock)
    callers = Callers(limiters)
    holder = callers.start("holder")

    def give_up_and_return() -> None:
        with pytest.raises((QueueTimeout, gevent.GreenletExit)), slot(limiters, "a", max_wait=5):
            pytest.fail("there was no free slot")
        callers.order.append("gave up")
        callers.hold("newcomer", max_wait=20)

    first = gevent.spawn(give_up_and_return)
    gevent.sleep(0)
    callers.start("second", max_wait=20)
    if end == "kill":
        first.kill(block=False)
    else:
        clock.now += 6
    while "gave up" not in callers.order:
        gevent.sleep(0.001)
    callers.go.set()
    gevent.joinall([holder, first, *callers.greenlets], raise_error=True)
    assert callers.order == ["holder", "gave up", "second", "newcomer"]


def test_a_newcomer_for_another_host_waits_behind_the_queue_of_the_worker(semaphore: ProcessSemaphore) -> None:
    """The holder of the worker's only slot releases it and asks for one of another host at once.

    Fails if the slots of the worker are not served in order of arrival.
    """
    limiters = Limiters(semaphore, total=1)
    callers = Callers(limiters)

    def hold_then_return() -> None:
        with slot(limiters, "a"):
            callers.start("b", "b")
            callers.start("c", "c")
        callers.hold("newcomer", "d")

    callers.go.set()
    gevent.spawn(hold_then_return).get()
    assert callers.order == ["b", "c", "newcomer"]


def test_a_queue_of_one_host_does_not_delay_the_slots_of_the_worker_for_others(semaphore: ProcessSemaphore) -> None:
    """Hosts take turns: of the queue of each host, only the first caller waits for a slot of the worker."""
    limiters = Limiters(semaphore, total=1)
    callers = Callers(limiters)
    callers.start("holder", "z")
    for number in range(3):
        callers.start(f"a{number}", "a", 8)
    callers.start("b0", "b", 8)
    assert callers.finish() == ["holder", "a0", "b0", "a1", "a2"]


@pytest.mark.parametrize("end", ["kill", "no slot of its host"])
def test_a_caller_that_does_not_take_its_turn_at_the_worker_passes_it_on(semaphore: ProcessSemaphore, end: str) -> None:
    """To the next in the queue, which does not poll. Fails if the slot of the worker stays free."""
    limiters = Limiters(semaphore, total=1)
    callers = Callers(limiters)
    with slot(limiters, "a"):
        first = callers.start("first", "b", max_wait=60)
        second = callers.start("second", "c", max_wait=5)
        if end == "kill":
            first.kill(block=False)
        else:
            assert semaphore.acquire("b", 1) is not None  # as another process would
    callers.go.set()
    second.get()
    assert callers.order == ["second"]
    first.kill()


def test_a_waiting_caller_holds_nothing(semaphore: ProcessSemaphore) -> None:
    """It waits for a slot of the worker; another process could acquire the slot of the host, and the turn of the delay.

    Fails if the slot of the host is acquired before the wait for the worker.
    """
    limiters = Limiters(semaphore, total=1)
    with slot(limiters, "a"):
        waiting = gevent.spawn(slot(limiters, "b", delay=60).__enter__)
        gevent.sleep(0)
        assert semaphore.acquire("b", 1) is not None
        assert semaphore.acquire("b begins", 1) is not None
    waiting.kill()


def test_a_caller_that_waits_for_its_host_does_not_take_a_slot_of_the_worker(semaphore: ProcessSemaphore) -> None:
    """Fails if the slot of the worker is acquired before the wait for the host."""
    limiters = Limiters(semaphore, total=2)
    callers = Callers(limiters)
    for number in range(5):
        callers.start(f"busy {number}", "busy")
    with slot(limiters, "quick", max_wait=0):
        assert callers.order == ["busy 0"]
    callers.finish()


def test_callers_of_one_worker_do_not_wait_for_a_poll(
    semaphore: ProcessSemaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker knows when it releases a slot, and when its own delay ends. Fails if only polling finds that out."""
    monkeypatch.setattr("app.fetch.host_limiter._MIN_POLL_INTERVAL", 60)
    monkeypatch.setattr("app.fetch.host_limiter._MAX_POLL_INTERVAL", 60)
    limiters, order = Limiters(semaphore), list[int]()

    def hold_slot(number: int) -> None:
        with slot(limiters, "a", delay=0.01, max_wait=100):
            order.append(number)
            gevent.sleep(0.02 * (number % 2))  # the delay ends before the slot is released, or after it

    with gevent.Timeout(30):
        gevent.joinall([gevent.spawn(hold_slot, number) for number in range(4)], raise_error=True)
    assert order == [0, 1, 2, 3]


def test_fetches_start_a_delay_apart(semaphore: ProcessSemaphore) -> None:
    """Whatever the concurrency, and in all workers together."""
    workers, started_at = [Limiters(semaphore), Limiters(semaphore)], list[float]()

    def hold_slot(limiters: Limiters) -> None:
        with slot(limiters, "a", 10, delay=0.03):
            started_at.append(gevent.get_hub().loop.now())

    gevent.joinall([gevent.spawn(hold_slot, workers[number % 2]) for number in range(6)], raise_error=True)
    # Timers use the time of the event loop, so by this clock no gap is shorter, however busy the machine is.
    assert min(later - earlier for earlier, later in itertools.pairwise(started_at)) > 0.0299


def test_a_delay_beyond_the_deadline_is_a_queue_timeout(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore)
    with slot(limiters, "a", 2, delay=60):
        pass
    with pytest.raises(QueueTimeout), slot(limiters, "a", 2, delay=60, max_wait=0.01):
        pytest.fail("the delay had not passed")


def test_a_caller_waits_for_a_slot_that_another_process_holds(semaphore: ProcessSemaphore) -> None:
    """The test plays the other process: it bypasses the limiter, which is not notified of the release."""
    held = semaphore.acquire("a", 1)
    assert held is not None
    callers = Callers(Limiters(semaphore))
    caller = callers.start("caller")
    gevent.sleep(0.02)  # some polls
    assert callers.order == []
    semaphore.release(held)
    callers.go.set()
    caller.get()
    assert callers.order == ["caller"]


def test_the_delay_applies_if_all_slots_of_the_worker_are_taken(semaphore: ProcessSemaphore) -> None:
    """The delay starts after the wait for a slot of the worker."""
    limiters, started_at = Limiters(semaphore, total=2), list[float]()

    def hold_slot() -> None:
        with slot(limiters, "a", 10, delay=0.05):
            started_at.append(time.monotonic())
            gevent.sleep(0.12)

    gevent.joinall([gevent.spawn(hold_slot) for _ in range(5)], raise_error=True)
    shortest_delay = min(later - earlier for earlier, later in itertools.pairwise(started_at))
    assert shortest_delay > 0.03  # with a tolerance for a busy machine
    assert started_at[-1] - started_at[0] > 4 * 0.05 - 0.01


def test_the_check_may_reject_the_first_in_the_queue(semaphore: ProcessSemaphore) -> None:
    """Before it acquires a slot, so that the rest of the queue is checked at once."""
    limiters, rejected = Limiters(semaphore), list[int]()

    def reject() -> None:
        raise ZeroDivisionError

    def hold_slot(number: int) -> None:
        with (
            pytest.raises(ZeroDivisionError),
            slot(limiters, "a", delay=60, check=reject),
        ):
            pytest.fail("the check did not raise")
        rejected.append(number)

    with slot(limiters, "a", 1), gevent.Timeout(5):
        gevent.joinall([gevent.spawn(hold_slot, number) for number in range(5)], raise_error=True)
    assert rejected == [0, 1, 2, 3, 4]


def test_the_check_comes_before_a_free_slot_is_acquired(semaphore: ProcessSemaphore) -> None:
    limiters = Limiters(semaphore)

    def reject() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), slot(limiters, "a", delay=60, check=reject):
        pytest.fail("the check did not raise")
    with slot(limiters, "a", delay=60, max_wait=0):
        assert semaphore.acquire("a begins", 1) is None


def test_the_check_may_reject_a_queue_that_waits_already(semaphore: ProcessSemaphore) -> None:
    """While all slots are taken. Fails if a caller is checked only once, when it becomes the first in the queue."""
    limiters, may_pass, rejected = Limiters(semaphore), [True], list[int]()

    def check() -> None:
        if not may_pass[0]:
            raise ZeroDivisionError

    def hold_slot(number: int) -> None:
        with pytest.raises(ZeroDivisionError), slot(limiters, "a", max_wait=60, check=check):
            pytest.fail("the slot is taken")
        rejected.append(number)

    with slot(limiters, "a"):
        callers = [gevent.spawn(hold_slot, number) for number in range(5)]
        gevent.sleep(0)
        may_pass[0] = False
        gevent.joinall(callers, timeout=30, raise_error=True)
        assert rejected == [0, 1, 2, 3, 4]


@dataclass
class Machine:
    """What the processes of a machine share: which of them holds each slot, and which of them waits for each key."""

    holders: dict[tuple[str, int], "WorkerSemaphore"] = field(default_factory=dict)
    waiting: defaultdict[str, set["WorkerSemaphore"]] = field(default_factory=lambda: defaultdict(set))


class WorkerSemaphore(ProcessSemaphore):
    """The semaphore of one of several workers, which the test runs in one process: locks are those of a process."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.slots: dict[int, tuple[str, int]] = {}
        self.tries = 0

    def acquire(self, key: str, count: int) -> int | None:
        self.tries += 1
        for number in range(count):
            if (
                self.machine.holders.setdefault((key, number), self) is self
                and (key, number) not in self.slots.values()
            ):
                handle = max(self.slots, default=0) + 1
                self.slots[handle] = key, number
                return handle
        return None

    def release(self, slot: int) -> None:
        del self.machine.holders[self.slots.pop(slot)]

    def start_waiting(self, key: str) -> None:
        self.machine.waiting[key].add(self)

    def stop_waiting(self, key: str) -> None:
        self.machine.waiting[key].discard(self)

    def is_awaited_elsewhere(self, key: str) -> bool:
        self.stop_waiting(key)
        return bool(self.machine.waiting[key])


def acquire_again_and_again(limiters: Limiters, concurrency: int, delay: float, fetches: list[float]) -> None:
    """Fetch page after page, each at the moment at which the page before it is done."""
    while True:
        with slot(limiters, "a", concurrency, delay=delay, max_wait=float("inf")):
            fetches.append(time.monotonic())
            gevent.sleep(0.03)


@pytest.mark.parametrize("callers", [2, 20], ids=["newcomers only", "a long queue"])
@pytest.mark.parametrize("delay", [0, 0.025], ids=["slots", "delay"])
def test_no_worker_starves_while_another_one_is_busy(callers: int, delay: float) -> None:
    """The busy worker has two slots taken at any time, and a caller for each that becomes free.

    While another worker waits, it takes eight slots at most, and then leaves the next one to that. Fails if it is
    always first because it learns of its own releases at once, or pauses only while all slots are taken.
    """
    machine, fetches = Machine(), list[float]()
    busy, other = Limiters(WorkerSemaphore(machine)), Limiters(WorkerSemaphore(machine))
    greenlets = [gevent.spawn(acquire_again_and_again, busy, 2, delay, fetches) for _ in range(callers)]
    gevent.sleep(0)
    for _ in range(5):
        before = len(fetches)
        with slot(other, "a", 2, delay=delay, max_wait=60):
            assert len(fetches) - before <= 8 + 2
    gevent.killall(greenlets)


def test_a_worker_does_not_starve_while_another_one_waits_for_ever() -> None:
    """Which takes nothing of what it is left. Fails if a pause does not end, or is followed by the next one at once."""
    machine = Machine()
    busy, other = Limiters(WorkerSemaphore(machine)), WorkerSemaphore(machine)
    other.start_waiting("a")
    with gevent.Timeout(30):
        assert max_concurrency(busy, [("a", 2)] * 30) == 2
    assert machine.waiting["a"] == {other}


@pytest.mark.parametrize("end", ["kill", "timeout", "slot"])
def test_a_worker_whose_callers_have_left_does_not_wait(end: str) -> None:
    """Other workers need not pause for it any more. Fails if it counts as waiting for ever."""
    machine, clock = Machine(), ManualClock()
    limiters, other = Limiters(WorkerSemaphore(machine), clock=clock), WorkerSemaphore(machine)
    held = other.acquire("a", 1)
    assert held is not None
    callers = Callers(limiters)
    callers.go.set()
    waiting = [callers.start(str(number), max_wait=5) for number in range(2)]
    assert other.is_awaited_elsewhere("a")
    if end == "kill":
        gevent.killall(waiting)
    elif end == "timeout":
        clock.now += 6
    else:
        other.release(held)
    gevent.joinall(waiting)
    assert not other.is_awaited_elsewhere("a")


def test_a_caller_that_waits_for_its_worker_does_not_poll() -> None:
    """Nor do other workers pause for it, once its host has a slot.

    Fails if each host with a queue takes processor time while it waits, or if the others pause for nothing.
    """
    machine = Machine()
    semaphore, other = WorkerSemaphore(machine), WorkerSemaphore(machine)
    held = other.acquire("b", 1)
    assert held is not None
    limiters = Limiters(semaphore, total=1)
    callers = Callers(limiters)
    callers.start("holder", "a")
    callers.start("waiting", "b")
    assert other.is_awaited_elsewhere("b")
    other.release(held)
    with gevent.Timeout(30):
        while other.is_awaited_elsewhere("b"):
            gevent.sleep(0.001)
    tries = semaphore.tries
    gevent.sleep(0.03)
    assert semaphore.tries == tries
    assert callers.finish() == ["holder", "waiting"]


def test_a_worker_does_not_pause_while_no_other_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after any number of slots."""
    monkeypatch.setattr("app.fetch.host_limiter._PAUSE", 60)
    limiters = Limiters(WorkerSemaphore(Machine()))
    with gevent.Timeout(30):
        assert max_concurrency(limiters, [("a", 2)] * 100) == 2


#: A process that fetches page after page, with as many callers as its argument says, for two slots of a host.
BUSY_PROCESS = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from pathlib import Path
from app.concurrency.deadline import Deadline
from app.fetch.host_limiter import HostLimiter
from app.fetch.process_semaphore import ProcessSemaphore
from app.fetch.worker_limiter import WorkerLimiter

limiter = HostLimiter("a", worker_limiter=WorkerLimiter(100), semaphore=ProcessSemaphore(Path(sys.argv[1])),
                      max_waiting=1000, clock=time.monotonic)

def fetch():
    while True:
        release = limiter.acquire(concurrency=2, delay=0, deadline=Deadline(float("inf")))
        gevent.sleep(0.02)
        release()

callers = [gevent.spawn(fetch) for _ in range(int(sys.argv[2]))]
gevent.sleep(0.01)
print("busy", flush=True)
gevent.joinall(callers)
"""


@pytest.mark.parametrize("callers", [2, 500], ids=["newcomers only", "a long queue"])
def test_a_busy_process_does_not_starve_another(tmp_path: Path, semaphore: ProcessSemaphore, callers: int) -> None:
    """Three slots are acquired while the other process has callers for all slots, all the time."""
    command = [sys.executable, "-c", BUSY_PROCESS, str(tmp_path / "places"), str(callers)]
    limiters, acquired = Limiters(semaphore), 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        for _ in range(3):
            with slot(limiters, "a", 2, max_wait=30):
                acquired += 1
                gevent.sleep(0.02)
        process.kill()
    assert acquired == 3
