"""Single flight: concurrent callers that need the same key share one execution of a function.

Each flight runs in its own greenlet, so it continues when a caller is killed or reaches its timeout. If the function
fails, each waiter gets its own copy of the exception: one exception object that is raised in many greenlets would
collect the tracebacks of all of them.
"""

import copy
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from gevent.event import Event

from app.concurrency.greenlets import GreenletPool
from app.domain.errors import Overloaded
from app.domain.events import NULL_OBSERVER, Observer

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Idle greenlets that are kept for the next flights: as many as a worker fetches pages at once by default.
_MAX_IDLE = 256


class FlightAborted(Overloaded):
    """The flight's greenlet was killed before the function returned."""


class Flight(Generic[V]):
    """One execution of a function. Any number of greenlets may wait for its result.

    ``on_finished`` is called with the flight when the function has returned or raised, or its greenlet was killed.
    """

    def __init__(self, function: Callable[[], V], on_finished: "Callable[[Flight[V]], None]") -> None:
        self._function = function
        self._on_finished = on_finished
        self._finished = Event()
        self._value: V | None = None
        self._error: BaseException | None = FlightAborted("the lookup was aborted before it had a result")

    def run(self) -> None:
        """Call the function and keep its result, or the exception that it raises, for the waiters."""
        try:
            self._value = self._function()
            self._error = None
        except Exception as error:  # noqa: BLE001 - every exception is raised in the waiters
            self._error = error
        finally:
            self._on_finished(self)
            self._finished.set()

    def wait(self, timeout: float) -> V:
        """Return the function's result.

        Raises:
            TimeoutError: there is no result after ``timeout`` seconds. The flight continues.
            FlightAborted: the flight's greenlet was killed.
            Exception: a copy of what the function raised, with the original as its cause.

        """
        if not self._finished.wait(max(timeout, 0)):
            raise TimeoutError(f"no result within {timeout:.1f} seconds")
        if self._error is not None:
            raise _copy_exception(self._error) from self._error
        return self._value  # type: ignore[return-value]  # without an error, this is what the function returned


class SingleFlight(Generic[K, V]):
    """The flights in progress, by key; at most ``limit`` of them."""

    def __init__(self, limit: int, observer: Observer = NULL_OBSERVER) -> None:
        self._in_flight: dict[K, Flight[V]] = {}
        self._limit = limit
        self._observer = observer
        self._greenlets = GreenletPool(_MAX_IDLE)

    def __len__(self) -> int:
        return len(self._in_flight)

    def __contains__(self, key: K) -> bool:
        return key in self._in_flight

    def join(self, key: K, run: Callable[[], V]) -> Flight[V]:
        """Return the flight in progress for ``key``, or start one that calls ``run``.

        Raises:
            Overloaded: there is no flight for the key, and ``limit`` flights are in progress.

        """
        flight = self._in_flight.get(key)
        if flight is None:
            if len(self._in_flight) >= self._limit:
                raise Overloaded(f"{self._limit} lookups are in progress already")
            flight = self._in_flight[key] = Flight(run, partial(self._finish, key))
            self._observer.flights_changed(+1)
            self._greenlets.spawn(flight.run)
        else:
            self._observer.flight_joined()
        return flight

    def forget(self, key: K) -> None:
        """Let the next caller for ``key`` start a new flight. A flight in progress continues for its own waiters."""
        self._in_flight.pop(key, None)

    def _finish(self, key: K, flight: Flight[V]) -> None:
        self._observer.flights_changed(-1)
        # After forget, the key may have another flight.
        if self._in_flight.get(key) is flight:
            del self._in_flight[key]


def _copy_exception(error: BaseException) -> BaseException:
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - copying fails if the constructor takes other arguments than ``args`` holds
        return RuntimeError(f"{type(error).__name__}: {error}")
