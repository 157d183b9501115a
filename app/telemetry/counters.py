"""The observer that turns events into counters and gauges, in the shared counters of all workers.

A cached response takes a few microseconds, so counting must be cheap: each count is one addition to a number whose
location is looked up beforehand, without a lock or a buffer.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import product
from typing import Final

import msgspec

from app.concurrency.clock import Clock
from app.domain.errors import ServiceError
from app.domain.events import Observer
from app.domain.records import INTERNAL_ERROR, NOT_MODIFIED, OVERLOADED, CacheStatus, Outcome
from app.rpc import faults
from app.telemetry.shared_counters import Key, SharedCounters

#: Counters; each comment lists the labels. CACHED_RESPONSES counts calls that are in neither CALLS nor LOOKUPS.
CALLS = "calls"  # method, fault
CACHED_RESPONSES = "cached responses"  # source, method
LOOKUPS = "lookups"  # source, outcome, cache
FETCHES = "fetches"  # source, outcome
CALL_SECONDS = "call seconds"  # method, part of the histogram
FETCH_SECONDS = "fetch seconds"  # source, part of the histogram
FLIGHTS_JOINED = "flights joined"
STORE_FAILURES, STORE_OVERLOADS = "store failures", "store overloads"
WORKERS_DIED = "workers died"  # killed, or stuck and replaced

#: Gauges of a worker.
FLIGHTS = "flights"
WAITERS = "waiters"
MEMORY_ENTRIES = "memory entries"
STORE_BYPASSED = "store bypassed"
HUB_LAG = "hub lag"  # seconds
NEXT_TICK = "next tick"  # monotonic time at which the hub's next tick is due; 0 if no worker uses the slot

#: Gauges of a worker for each host, in monotonic time.
HOST_UPDATED_AT = "host updated at"
CIRCUIT_OPEN_UNTIL = "circuit open until"
THROTTLED_UNTIL = "throttled until"

#: The upper bounds of a histogram's buckets, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The part of a histogram that holds the sum of all observed values. The other parts are buckets.
SUM: Final = "sum"
_HISTOGRAM_PARTS: Final = (*map(str, BUCKETS), "+Inf", SUM)

_WORKER_GAUGES: Final = (FLIGHTS, WAITERS, MEMORY_ENTRIES, STORE_BYPASSED, HUB_LAG, NEXT_TICK)
_HOST_GAUGES: Final = (HOST_UPDATED_AT, CIRCUIT_OPEN_UNTIL, THROTTLED_UNTIL)


class LabelValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the labels: published methods, sources, and hosts that the URLs of sources name.

    All come from the code and the configuration. Clients and origins cannot add values, so the memory is bounded.
    """

    methods: tuple[str, ...]
    sources: tuple[str, ...]
    hosts: tuple[str, ...]

    def counter_keys(self) -> Iterator[Key]:
        """Yield the keys of all counters and gauges with these labels."""
        yield from (
            (name,) for name in (FLIGHTS_JOINED, STORE_FAILURES, STORE_OVERLOADS, WORKERS_DIED, *_WORKER_GAUGES)
        )
        for method in ("", *self.methods):
            yield from ((CALLS, method, fault) for fault in _FAULT_LABELS.values())
            yield from ((CALL_SECONDS, method, part) for part in _HISTOGRAM_PARTS)
        for source in self.sources:
            yield from ((CACHED_RESPONSES, source, method) for method in ("", *self.methods))
            yield from ((LOOKUPS, source, outcome, cache) for outcome, cache in product(Outcome, CacheStatus))
            yield from ((LOOKUPS, source, outcome, "") for outcome in (Outcome.TOO_SLOW, OVERLOADED, INTERNAL_ERROR))
            yield from ((FETCHES, source, outcome) for outcome in (*Outcome, NOT_MODIFIED, OVERLOADED, INTERNAL_ERROR))
            yield from ((FETCH_SECONDS, source, part) for part in _HISTOGRAM_PARTS)
        for host in self.hosts:
            yield from ((name, host) for name in _HOST_GAUGES)


class Counters(Observer):
    """Counts the events of one worker in its ``slot`` of the shared counters.

    ``monotonic`` is a clock that all workers share: they compare each other's times.
    """

    def __init__(self, shared: SharedCounters, slot: int, labels: LabelValues, *, monotonic: Clock) -> None:
        self._monotonic = monotonic
        shared.add(labels.counter_keys())
        self._locations = {key: shared.locate(key, slot) for key in labels.counter_keys()}
        self._calls = {
            method: {code: self._locations[CALLS, method, label] for code, label in _FAULT_LABELS.items()}
            for method in ("", *labels.methods)
        }
        self._observe_call = {method: self._histogram(CALL_SECONDS, method) for method in ("", *labels.methods)}
        self._observe_fetch = {source: self._histogram(FETCH_SECONDS, source) for source in labels.sources}
        self._cached_response_counters: dict[tuple[str, str], Callable[[], None]] = {}
        clear_gauges(shared, slot)

    def call_finished(self, method: str, fault: int | None, seconds: float) -> None:
        """Count a call and its duration. Unknown fault codes are counted together."""
        by_fault = self._calls[method]
        array, index = by_fault.get(fault) or by_fault[_OTHER_FAULT]
        array[index] += 1
        self._observe_call[method](seconds)

    def cached_response_counter(self, source: str, method: str) -> Callable[[], None]:
        """Return a function that counts a call and a lookup with one addition."""
        count = self._cached_response_counters.get((source, method))
        if count is None:
            array, index = self._locations[CACHED_RESPONSES, source, method]

            def count() -> None:
                array[index] += 1

            self._cached_response_counters[source, method] = count
        return count

    def lookup_finished(self, source: str, outcome: str, cache: str) -> None:
        """Count a lookup. A combination of outcome and cache that cannot occur is counted as an internal error."""
        location = self._locations.get((LOOKUPS, source, outcome, cache))
        array, index = location or self._locations[LOOKUPS, source, INTERNAL_ERROR, ""]
        array[index] += 1

    def waiters_changed(self, change: int) -> None:
        """Update the number of callers that wait for a flight."""
        self._add((WAITERS,), change)

    def flights_changed(self, change: int) -> None:
        """Update the number of flights in progress."""
        self._add((FLIGHTS,), change)

    def flight_joined(self) -> None:
        """Count a caller that joined a flight in progress."""
        self._add((FLIGHTS_JOINED,))

    def page_fetched(self, source: str, outcome: str, seconds: float) -> None:
        """Count a page request and its duration."""
        self._add((FETCHES, source, outcome))
        self._observe_fetch[source](seconds)

    def store_operation_failed(self) -> None:
        """Count a failed store operation."""
        self._add((STORE_FAILURES,))

    def store_overloaded(self) -> None:
        """Count a store operation that did not start in time."""
        self._add((STORE_OVERLOADS,))

    def store_bypassed(self) -> None:
        """Record that the worker bypasses the store."""
        self._set((STORE_BYPASSED,), 1)

    def store_recovered(self) -> None:
        """Record that the worker uses the store again."""
        self._set((STORE_BYPASSED,), 0)

    def host_state_changed(self, host: str, open_for: float, throttled_for: float) -> None:
        """Record the state of a host and the time of this event. Hosts that no source names are ignored."""
        if (HOST_UPDATED_AT, host) in self._locations:
            now = self._monotonic()
            self._set((HOST_UPDATED_AT, host), now)
            self._set((CIRCUIT_OPEN_UNTIL, host), now + open_for)
            self._set((THROTTLED_UNTIL, host), now + throttled_for)

    def record_hub_lag(self, *, lag: float, due: float, entries: int) -> None:
        """Record the hub lag in seconds, the monotonic time of the next tick, and the entries in the memory cache."""
        self._set((HUB_LAG,), lag)
        self._set((NEXT_TICK,), due)
        self._set((MEMORY_ENTRIES,), entries)

    def _add(self, key: Key, amount: int = 1) -> None:
        array, index = self._locations[key]
        array[index] += amount

    def _set(self, key: Key, value: float) -> None:
        array, index = self._locations[key]
        array[index] = value

    def _histogram(self, name: str, label: str) -> Callable[[float], None]:
        """Return a function that adds a duration in seconds to a histogram."""
        buckets = [self._locations[name, label, part] for part in _HISTOGRAM_PARTS[:-1]]
        sum_array, sum_index = self._locations[name, label, SUM]

        def observe(seconds: float) -> None:
            array, index = buckets[bisect_left(BUCKETS, seconds)]
            array[index] += 1
            sum_array[sum_index] += seconds

        return observe


def count_worker_exit(shared: SharedCounters, slot: int, *, was_stuck: bool) -> None:
    """Release the slot of a worker that has exited, and count the worker as died unless it shut down by itself.

    A worker that shuts down clears its gauges first, NEXT_TICK among them. So does one that the master aborts because
    it is stuck; ``was_stuck`` tells it apart.
    """
    array, index = shared.locate((NEXT_TICK,), slot)
    if array[index] or was_stuck:
        array, index = shared.locate((WORKERS_DIED,), slot)
        array[index] += 1
    clear_gauges(shared, slot)


def clear_gauges(shared: SharedCounters, slot: int) -> None:
    """Set the gauges in a slot to 0, as in a slot without a worker. The counters keep their values."""
    for key in shared.keys:
        if key[0] in {*_WORKER_GAUGES, *_HOST_GAUGES}:
            array, index = shared.locate(key, slot)
            array[index] = 0


def _fault_codes(error: type[ServiceError]) -> Iterator[int]:
    """Yield the fault codes of an exception class and its subclasses."""
    if hasattr(error, "fault_code"):
        yield error.fault_code
    for subclass in error.__subclasses__():
        yield from _fault_codes(subclass)


_FAULT_CODES: Final = {
    faults.PARSE_ERROR,
    faults.UNSUPPORTED_ENCODING,
    faults.INVALID_CHARACTER,
    faults.INVALID_REQUEST,
    faults.METHOD_NOT_FOUND,
    faults.INVALID_PARAMS,
    faults.INTERNAL_ERROR,
    *_fault_codes(ServiceError),
}

#: Stands for every fault code that the service does not define.
_OTHER_FAULT: Final = 0

#: The values of the label ``fault``, by fault code; None means that there is no fault.
_FAULT_LABELS: Final[dict[int | None, str]] = {
    None: "",
    **{code: str(code) for code in sorted(_FAULT_CODES)},
    _OTHER_FAULT: "other",
}
