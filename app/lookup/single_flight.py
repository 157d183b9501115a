"""Single flight: concurrent callers that need the same key share one execution of a function.

Each flight runs in its own greenlet. So a flight continues when a caller is killed or reaches its timeout, and it may
run without any waiter. If the function fails, each waiter gets its own copy of the exception, because a single
exception object that is raised in many greenlets would collect the tracebacks of all these greenlets.
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

#: Idle greenlets that are kept for later flights. The default of ``fetch_concurrency`` is the same number.
_MAX_IDLE = 256


class FlightAborted(Overloaded):
    """The flight's greenlet was killed before the function returned."""


class FlightResult(Generic[V]):
    """The result of a flight for all callers that join the flight before the result is set.

    It is a value or an exception.
    """

    def __init__(self) -> None:
        self._value_and_error: AsyncResult[tuple[V | None, ServiceError | None]] = AsyncResult()

    def set(self, value: V | None, error: ServiceError | None = None) -> None:
        """Set the value or the exception, and wake up the waiters."""
        self._value_and_error.set((value, error))

    def is_set(self) -> bool:
        """Return whether there is a value or an exception."""
        return self._value_and_error.ready()

    def wait(self, timeout: float) -> V:
        """Return the value.

        Raises:
            TimeoutError: there is no result after ``timeout`` seconds. The flight continues.
            FlightAborted: the flight's greenlet was killed.
            ServiceError: a copy of the exception that the function raised.

        """
        if not self._value_and_error.wait(max(timeout, 0)):
            raise TimeoutError(f"no result within {timeout:.1f} seconds")
        value, error = cast("tuple[V, ServiceError | None]", self._value_and_error.get(block=False))
        if error is not None:
            raise _copy_error(error)
        return value


class Flight(Generic[V]):
    """One execution of ``function``. Any number of greenlets may wait for the result.

    ``function`` is called with the flight as its argument, and raises ServiceErrors only. ``on_finished`` is called
    with the flight when ``function`` has returned or raised, or the greenlet was killed.

    ``deadline`` is the latest deadline of all callers that have joined. ``result`` is the result for callers that join
    now. ``is_current`` is false once the key has been forgotten. After that, no caller can join the flight.
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
        """Call the function, and give its result or the error that it raises to the waiters."""
        value: V | None = None
        error: ServiceError | None = FlightAborted("the lookup was aborted before it had a result")
        try:
            value, error = self._function(self), None
        except ServiceError as raised:
            # The copy has neither a traceback nor a cause. Those of the original refer to the frames of the fetch, and
            # through this frame to the flight. This cycle would keep a page in memory until the garbage collector runs.
            error = _copy_error(raised)
        finally:
            self._on_finished(self)
            self.result.set(value, error)

    def hand_out(self, value: V) -> None:
        """Give ``value`` to the present waiters. Callers that join later wait for the result of the function."""
        result, self.result = self.result, FlightResult()
        result.set(value)


class SingleFlight(Generic[K, V]):
    """The flights in progress, by key; at most ``limit`` of them."""

    def __init__(self, limit: int, observer: Observer = NULL_OBSERVER) -> None:
        #: The flights that callers can join. Flights that ``forget`` or ``close`` removed may still be in progress.
        self._joinable: dict[K, Flight[V]] = {}
        self._count = 0
        self._limit = limit
        self._observer = observer
        self._greenlets = GreenletPool(_MAX_IDLE)

    def __len__(self) -> int:
        """Return the number of flights in progress, including flights that callers cannot join."""
        return self._count

    def __iter__(self) -> Iterator[K]:
        """Return the keys that have a flight to join."""
        return iter(self._joinable)

    def __contains__(self, key: K) -> bool:
        """Return whether the key has a flight to join."""
        return key in self._joinable

    def join(self, key: K, function: Callable[[Flight[V]], V], deadline: float) -> Flight[V]:
        """Return the flight in progress for ``key``, or start one that calls ``function``.

        If ``deadline`` is later than the flight's deadline, the flight's deadline is extended to ``deadline``.

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
        """Let the next caller for ``key`` start a new flight. A flight in progress continues for its waiters."""
        flight = self._joinable.pop(key, None)
        if flight is not None:
            flight.is_current = False

    def close(self, key: K, flight: Flight[V]) -> None:
        """Let the next caller for ``key`` start a new flight instead of joining ``flight``."""
        if self._joinable.get(key) is flight:
            del self._joinable[key]

    def _finish(self, key: K, flight: Flight[V]) -> None:
        self._count -= 1
        self._observer.flights_changed(-1)
        self.close(key, flight)


def _copy_error(error: ServiceError) -> ServiceError:
    """Return a copy that has no traceback, no cause and no context."""
    return copy.copy(error)
