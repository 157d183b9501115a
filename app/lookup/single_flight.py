"""Single flight: concurrent callers that need the same key share one execution of a function.

Each flight runs in its own greenlet, so it continues when a caller is killed or reaches its timeout, and it may run
without any waiter. If the function fails, each waiter gets its own copy of the exception: one exception object that is
raised in many greenlets would collect the tracebacks of all of them.
"""

import copy
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Generic, TypeVar, cast

from gevent.event import AsyncResult

from app.concurrency.deadline import Deadline
from app.concurrency.greenlets import GreenletPool
from app.domain.errors import Overloaded, ServiceError
from app.domain.events import NULL_OBSERVER, Observer

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Idle greenlets that are kept for the next flights: as many as a worker fetches pages at once by default.
_MAX_IDLE = 256


class FlightAborted(Overloaded):
    """The flight's greenlet was killed before the function returned."""


class FlightResult(Generic[V]):
    """What those get who joined a flight up to some moment: a value or an exception, once it is set."""

    def __init__(self) -> None:
        self._outcome: AsyncResult[tuple[V | None, ServiceError | None]] = AsyncResult()

    def set(self, value: V | None, error: ServiceError | None = None) -> None:
        """Wake up the waiters."""
        self._outcome.set((value, error))

    def is_set(self) -> bool:
        """Return whether there is a value or an exception."""
        return self._outcome.ready()

    def wait(self, timeout: float) -> V:
        """Return the value.

        Raises:
            TimeoutError: there is nothing after ``timeout`` seconds. The flight continues.
            FlightAborted: the flight's greenlet was killed.
            ServiceError: a copy of what the function raised.

        """
        if not self._outcome.wait(max(timeout, 0)):
            raise TimeoutError(f"no result within {timeout:.1f} seconds")
        value, error = cast("tuple[V, ServiceError | None]", self._outcome.get(block=False))
        if error is not None:
            raise _copy_error(error)
        return value


class Flight(Generic[V]):
    """One execution of a function, which is called with the flight. Any number of greenlets may wait for its result.

    The function raises ServiceErrors only. ``result`` is for those who join at present. ``deadline`` is the latest
    deadline of all who joined. ``is_current`` is false once the key has been forgotten: then the result is for those
    who have joined already, and for nobody else. ``on_finished`` is called with the flight when the function has
    returned or raised, or its greenlet was killed.
    """

    def __init__(
        self,
        function: "Callable[[Flight[V]], V]",
        deadline: float,
        on_finished: "Callable[[Flight[V]], None]",
    ) -> None:
        self.deadline = Deadline(deadline)
        self.is_current = True
        self.result = FlightResult[V]()
        self._function = function
        self._on_finished = on_finished

    def run(self) -> None:
        """Call the function and hand its result, or the error that it raises, to the waiters."""
        value: V | None = None
        error: ServiceError | None = FlightAborted("the lookup was aborted before it had a result")
        try:
            value, error = self._function(self), None
        except ServiceError as raised:
            # The copy has neither a traceback nor a cause: they refer to the frames of the fetch, and through this
            # frame to the flight. Such a cycle would keep a page in memory until the garbage collector runs.
            error = _copy_error(raised)
        finally:
            self._on_finished(self)
            self.result.set(value, error)

    def hand_out(self, value: V) -> None:
        """Give a result to all who have joined, before the function returns. Who joins later gets what it returns."""
        result, self.result = self.result, FlightResult()
        result.set(value)


class SingleFlight(Generic[K, V]):
    """The flights in progress, by key; at most ``limit`` of them."""

    def __init__(self, limit: int, observer: Observer = NULL_OBSERVER) -> None:
        #: The flights that can be joined. Others, which ``forget`` or ``close`` removed, may still be in progress.
        self._joinable: dict[K, Flight[V]] = {}
        self._count = 0
        self._limit = limit
        self._observer = observer
        self._greenlets = GreenletPool(_MAX_IDLE)

    def __len__(self) -> int:
        """Return the number of flights in progress, including those that cannot be joined."""
        return self._count

    def __iter__(self) -> Iterator[K]:
        """Return the keys that have a flight to join."""
        return iter(self._joinable)

    def __contains__(self, key: K) -> bool:
        """Return whether the key has a flight to join."""
        return key in self._joinable

    def join(self, key: K, function: Callable[[Flight[V]], V], deadline: float) -> Flight[V]:
        """Return the flight in progress for ``key``, or start one that calls ``function``.

        The flight's deadline becomes ``deadline``, if that is later.

        Raises:
            Overloaded: there is no flight for the key, and ``limit`` flights are in progress.

        """
        flight = self._joinable.get(key)
        if flight is None:
            if self._count >= self._limit:
                raise Overloaded(f"{self._limit} lookups are in progress already")
            flight = self._joinable[key] = Flight(function, deadline, partial(self._finish, key))
            self._count += 1
            self._observer.flights_changed(+1)
            self._greenlets.spawn(flight.run)
        else:
            flight.deadline.extend(deadline)
            self._observer.flight_joined()
        return flight

    def forget(self, key: K) -> None:
        """Let the next caller for ``key`` start a new flight. A flight in progress continues for its own waiters."""
        flight = self._joinable.pop(key, None)
        if flight is not None:
            flight.is_current = False

    def close(self, key: K, flight: Flight[V]) -> None:
        """Let the next caller for ``key`` start a new flight, if this one is the flight that it would join."""
        if self._joinable.get(key) is flight:
            del self._joinable[key]

    def _finish(self, key: K, flight: Flight[V]) -> None:
        self._count -= 1
        self._observer.flights_changed(-1)
        self.close(key, flight)


def _copy_error(error: ServiceError) -> ServiceError:
    """Return a copy without traceback, cause and context."""
    return copy.copy(error)
