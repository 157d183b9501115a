"""The timer of the requests for one page."""

import gevent
import pytest
import requests

from app.domain.errors import TooSlow
from app.fetch.request_timer import RequestTimer
from tests.support.clock import ManualClock


def take(
    timer: RequestTimer, clock: ManualClock, host: str, seconds: float, error: type[Exception] | None = None
) -> None:
    """Make a request that takes so long, and may fail."""

    def request() -> None:
        clock.now += seconds
        if error is not None:
            raise error

    timer.call(host, request)


def test_only_the_time_of_requests_counts() -> None:
    """Failed requests included. Fails if the time between two requests counts."""
    clock = ManualClock()
    timer = RequestTimer(5, clock)
    take(timer, clock, "a", 1)
    clock.now += 100
    with pytest.raises(ZeroDivisionError):
        take(timer, clock, "b", 2, ZeroDivisionError)
    assert timer.seconds_left == 2
    assert timer.slowest_host == "b"


def test_no_timeout_is_pending_between_requests() -> None:
    """Fails if the time in queues can end the fetch."""
    timer = RequestTimer(0.01)
    assert timer.call("a", abs, -42) == 42
    gevent.sleep(0.03)
    assert timer.seconds_left > 0


def test_a_request_that_takes_too_long_is_too_slow() -> None:
    timer = RequestTimer(0.01)
    with pytest.raises(TooSlow, match=r"^a took longer than 0\.01 seconds$"):
        timer.call("a", gevent.sleep, 60)
    assert timer.seconds_left <= 0


@pytest.mark.parametrize("error", [requests.ConnectTimeout, requests.ReadTimeout])
def test_a_timeout_of_requests_is_too_slow(error: type[Exception]) -> None:
    with pytest.raises(TooSlow, match=r"^a took longer than 5 seconds$"):
        take(RequestTimer(5), ManualClock(), "a", 0, error)


def test_another_timeout_is_not_too_slow() -> None:
    """It is that of the caller."""
    callers_timeout = gevent.Timeout(0.01)
    with pytest.raises(gevent.Timeout) as caught, callers_timeout:
        RequestTimer(60).call("a", gevent.sleep, 60)
    assert caught.value is callers_timeout


def test_the_error_names_the_host_that_took_the_most_time() -> None:
    """Over all its requests. Fails if it names the host of the request that was in progress at the end."""
    clock = ManualClock()
    timer = RequestTimer(5, clock)
    take(timer, clock, "a", 1.5)
    take(timer, clock, "b", 2)
    take(timer, clock, "a", 1)
    with pytest.raises(TooSlow, match=r"^a took 2\.5 of the 5 seconds that the page may take$"):
        take(timer, clock, "c", 0.5, requests.ReadTimeout)
    assert timer.slowest_host == "a"


def test_requests_of_one_host_share_the_time() -> None:
    """The text has the whole time, not what was left for the last request."""
    clock = ManualClock()
    timer = RequestTimer(5, clock)
    take(timer, clock, "a", 4)
    with pytest.raises(TooSlow, match=r"^a took longer than 5 seconds$"):
        take(timer, clock, "a", 1, requests.ReadTimeout)
