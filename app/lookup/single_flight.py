"""One fetch per key: whoever asks for what is being fetched already shares that flight.

A flight runs in a greenlet of its own, so a caller that goes away or runs out of time does not end it. Its failure
reaches each waiter as an exception of the waiter's own: one object that is raised in many greenlets would collect the
tracebacks of all of them.
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

#: So many greenlets wait for their next flight: as many pages as a worker fetches at once by default.
_MOST_IDLE = 256


class FlightAborted(Overloaded):
    """The flight's greenlet was killed before it came to a result."""


class Flight(Generic[V]):
    """One run of a function that any number of greenlets may wait for; at its end, whichever, ``land`` is called."""

    def __init__(self, run: Callable[[], V], land: "Callable[[Flight[V]], None]") -> None:
        self._run = run
        self._land = land
        self._landed = Event()
        self._value: V | None = None
        self._error: BaseException | None = FlightAborted("the lookup was ended before it came to a result")

    def run(self) -> None:
        """Run the function; what it raises is the waiters'."""
        try:
            self._value = self._run()
            self._error = None
        except Exception as error:  # noqa: BLE001 - it is the waiters' to tell what it means
            self._error = error
        finally:
            self._land(self)
            self._landed.set()

    def wait(self, timeout: float) -> V:
        """Return what the flight came to.

        Raises:
            TimeoutError: it is still under way after ``timeout`` seconds; it goes on.
            FlightLost: it was killed.
            Exception: what its function raised, as a copy.

        """
        if not self._landed.wait(max(timeout, 0)):
            raise TimeoutError(f"not there after {timeout:.1f} seconds")
        if self._error is not None:
            raise _copy_of(self._error) from self._error
        return self._value  # type: ignore[return-value]  # no error, so it is what the function returned


class SingleFlight(Generic[K, V]):
    """The flights under way by key, at most ``limit`` of them."""

    def __init__(self, limit: int, observer: Observer = NULL_OBSERVER) -> None:
        self._under_way: dict[K, Flight[V]] = {}
        self._limit = limit
        self._observer = observer
        self._runners = GreenletPool(_MOST_IDLE)

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: K) -> bool:
        return key in self._under_way

    def join(self, key: K, run: Callable[[], V]) -> Flight[V]:
        """Return the flight that is under way for ``key``, or start one that calls ``run``.

        Raises:
            Overloaded: one would have to be started, and ``limit`` are under way.

        """
        flight = self._under_way.get(key)
        if flight is None:
            if len(self._under_way) >= self._limit:
                raise Overloaded(f"{self._limit} lookups are waiting already")
            flight = self._under_way[key] = Flight(run, partial(self._land, key))
            self._observer.flights_changed(+1)
            self._runners.spawn(flight.run)
        else:
            self._observer.flight_joined()
        return flight

    def forget(self, key: K) -> None:
        """Let nobody join the flight that is under way for ``key``, if there is one; it goes on for its waiters."""
        self._under_way.pop(key, None)

    def _land(self, key: K, flight: Flight[V]) -> None:
        self._observer.flights_changed(-1)
        if self._under_way.get(key) is flight:
            del self._under_way[key]


def _copy_of(error: BaseException) -> BaseException:
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - a class whose constructor takes other arguments than it keeps
        return RuntimeError(f"{type(error).__name__}: {error}")
