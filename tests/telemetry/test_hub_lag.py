"""The hub lag monitor."""

import time
from collections.abc import Callable

import gevent
import pytest

from app.telemetry.hub_lag import WINDOW_TICKS, HubLagMonitor
from tests.support.clock import ManualClock


class NoMoreTicks(Exception):
    """Ends the monitor's loop."""


def monitor_with_lags(clock: ManualClock, lags: list[float]) -> tuple[HubLagMonitor, Callable[[], None]]:
    """Return a monitor, and a function that runs it for as many ticks as there are lags (in seconds)."""
    monitor = HubLagMonitor(clock, interval=0)
    remaining = iter(lags)

    def on_tick() -> None:
        try:
            clock.now += next(remaining)
        except StopIteration:
            raise NoMoreTicks from None

    def run() -> None:
        with pytest.raises(NoMoreTicks):
            monitor.run(on_tick)

    return monitor, run


def test_the_lag_is_zero_before_the_first_tick() -> None:
    clock = ManualClock()
    monitor = HubLagMonitor(clock)
    clock.now += 100
    assert (monitor.current(), monitor.maximum()) == (0, 0)


def test_current_is_the_lag_of_the_last_tick_and_maximum_is_the_largest_lag() -> None:
    monitor, run = monitor_with_lags(ManualClock(), [0.5, 2, 0.25])
    run()
    assert (monitor.current(), monitor.maximum()) == (0.25, 2)


def test_the_current_lag_includes_an_overdue_tick() -> None:
    clock = ManualClock()
    monitor, run = monitor_with_lags(clock, [0.5])
    run()
    clock.now += 3
    assert monitor.current() == 3


@pytest.mark.parametrize(("windows", "maximum"), [(1, 2), (2, 0)])
def test_the_maximum_covers_the_current_and_the_previous_window(windows: int, maximum: float) -> None:
    monitor, run = monitor_with_lags(ManualClock(), [2, *[0] * (WINDOW_TICKS * windows)])
    run()
    assert monitor.maximum() == maximum


def test_a_greenlet_that_does_not_yield_causes_lag() -> None:
    """The lag is measured with the real clock and the real hub."""
    monitor = HubLagMonitor(time.monotonic, interval=0.01)
    greenlet = gevent.spawn(monitor.run, lambda: None)
    gevent.sleep(0)
    busy_until = monitor.next_tick + 0.05
    while time.monotonic() < busy_until:
        pass
    with gevent.Timeout(10):
        while not monitor.maximum():
            gevent.sleep(0.001)
    greenlet.kill()
    assert monitor.maximum() >= 0.05
