"""The pulse of the hub."""

import time
from collections.abc import Callable

import gevent
import pytest

from app.telemetry.hub_lag import WINDOW_TICKS, HubLagMonitor
from tests.support.clock import ManualClock


class Enough(Exception):
    """Ends the pulse."""


def beating(clock: ManualClock, lags: list[float]) -> tuple[HubLagMonitor, Callable[[], None]]:
    """Return a pulse, and a function that has it beat so late, one beat after the other."""
    pulse = HubLagMonitor(clock, interval=0)
    late = iter(lags)

    def tell() -> None:
        try:
            clock.now += next(late)
        except StopIteration:
            raise Enough from None

    def beat() -> None:
        with pytest.raises(Enough):
            pulse.run(tell)

    return pulse, beat


def test_before_its_first_beat_it_is_not_late() -> None:
    clock = ManualClock()
    pulse = HubLagMonitor(clock)
    clock.now += 100
    assert (pulse.current(), pulse.maximum()) == (0, 0)


def test_it_tells_how_late_the_last_beat_was_and_how_late_the_worst() -> None:
    pulse, beat = beating(ManualClock(), [0.5, 2, 0.25])
    beat()
    assert (pulse.current(), pulse.maximum()) == (0.25, 2)


def test_a_beat_that_is_due_and_does_not_come_is_late_by_now() -> None:
    clock = ManualClock()
    pulse, beat = beating(clock, [0.5])
    beat()
    clock.now += 3
    assert pulse.current() == 3


@pytest.mark.parametrize(("rounds", "worst"), [(1, 2), (2, 0)])
def test_the_worst_is_forgotten_after_two_rounds(rounds: int, worst: float) -> None:
    pulse, beat = beating(ManualClock(), [2, *[0] * (WINDOW_TICKS * rounds)])
    beat()
    assert pulse.maximum() == worst


def test_a_hub_that_has_no_time_for_others_is_late() -> None:
    """With the clock and the hub as they are."""
    pulse = HubLagMonitor(time.monotonic, interval=0.01)
    greenlet = gevent.spawn(pulse.run, lambda: None)
    gevent.sleep(0)
    busy_until = pulse.next_tick + 0.05
    while time.monotonic() < busy_until:
        pass
    with gevent.Timeout(10):
        while not pulse.maximum():
            gevent.sleep(0.001)
    greenlet.kill()
    assert pulse.maximum() >= 0.05
