"""The observer that records events as counters and gauges, in memory that all workers share.

A cached response takes a few microseconds, so counting must be cheap. A count is an addition to a number at a known
location. It needs no lock and no buffer.
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

#: Names of the counters, each with a comment that lists its labels. A response from the response cache is counted in
#: CACHED_RESPONSES only, not in CALLS or LOOKUPS. A flight is a lookup in progress that several callers may
#: share (single flight).
CALLS = "calls"  # method, fault
CACHED_RESPONSES = "cached responses"  # source, method
LOOKUPS = "lookups"  # source, outcome, cache
FETCHES = "fetches"  # source, outcome
CALL_SECONDS = "call seconds"  # method, upper bound of a bucket or "sum"
FETCH_SECONDS = "fetch seconds"  # source, upper bound of a bucket or "sum"
FLIGHTS_JOINED = "flights joined"
STORE_FAILURES, STORE_OVERLOADS = "store failures", "store overloads"
WORKERS_DIED = "workers died"  # killed, or stuck and replaced

#: Names of the gauges of a worker.
FLIGHTS = "flights"  # flights in progress
WAITERS = "waiters"  # callers that wait for a flight
MEMORY_ENTRIES = "memory entries"
STORE_BYPASSED = "store bypassed"
HUB_LAG = "hub lag"  # seconds
#: The monotonic time at which the next measurement of the hub lag is due; 0 if no running worker has the slot.
NEXT_TICK = "next tick"

#: Names of the gauges of a worker for each host. Their values are monotonic times.
HOST_UPDATED_AT = "host updated at"
CIRCUIT_OPEN_UNTIL = "circuit open until"
THROTTLED_UNTIL = "throttled until"

#: The upper bounds of the buckets of all histograms, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The label of the sum of all values in a histogram. The other numbers of a histogram are labelled by upper bounds.
SUM: Final = "sum"
_HISTOGRAM_PARTS: Final = (*map(str, BUCKETS), "+Inf", SUM)

_WORKER_GAUGES: Final = (FLIGHTS, WAITERS, MEMORY_ENTRIES, STORE_BYPASSED, HUB_LAG, NEXT_TICK)
_HOST_GAUGES: Final = (HOST_UPDATED_AT, CIRCUIT_OPEN_UNTIL, THROTTLED_UNTIL)


class LabelValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the labels: published methods, sources, and hosts in the URLs of the sources.

    All values come from the code and the configuration. Clients and origins cannot add any, so the memory is bounded.

    Some labels may also be empty. In CALLS and CALL_SECONDS, the method "" stands for requests that name no published
    method; in CACHED_RESPONSES, for plain HTTP requests. In LOOKUPS, the cache "" stands for lookups without a result.
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

    All workers must use the same ``monotonic`` clock, because the times that they record are compared.
    """

    def __init__(self, shared: SharedCounters, slot: int, labels: LabelValues, *, monotonic: Clock) -> None:
        self._monotonic = monotonic
        shared.add(labels.counter_keys())
        self._locations = {key: shared.locate(key, slot) for key in labels.counter_keys()}
        self._call_locations = {
            method: {code: self._locations[CALLS, method, label] for code, label in _FAULT_LABELS.items()}
            for method in ("", *labels.methods)
        }
        self._observe_call = {method: self._histogram(CALL_SECONDS, method) for method in ("", *labels.methods)}
        self._observe_fetch = {source: self._histogram(FETCH_SECONDS, source) for source in labels.sources}
        self._cached_response_counters: dict[tuple[str, str], Callable[[], None]] = {}
        clear_gauges(shared, slot)

    def call_finished(self, method: str, fault: int | None, seconds: float) -> None:
        """Count a call and its duration. All unknown fault codes are counted as one."""
        locations = self._call_locations[method]
        array, index = locations.get(fault) or locations[_OTHER_FAULT]
        array[index] += 1
        self._observe_call[method](seconds)

    def cached_response_counter(self, source: str, method: str) -> Callable[[], None]:
        """Return a function that counts a cached response.

        The Prometheus export adds cached responses to the calls and to the lookups.
        """
        count = self._cached_response_counters.get((source, method))
        if count is None:
            array, index = self._locations[CACHED_RESPONSES, source, method]

            def count() -> None:
                array[index] += 1

            self._cached_response_counters[source, method] = count
        return count

    def lookup_finished(self, source: str, outcome: str, cache: str) -> None:
        """Count a lookup. An unknown combination of outcome and cache is counted as an internal error."""
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

    def host_state_changed(self, host: str, circuit_open_for: float, throttled_for: float) -> None:
        """Record the state of a host and the current time. A host without counters is ignored."""
        if (HOST_UPDATED_AT, host) in self._locations:
            now = self._monotonic()
            self._set((HOST_UPDATED_AT, host), now)
            self._set((CIRCUIT_OPEN_UNTIL, host), now + circuit_open_for)
            self._set((THROTTLED_UNTIL, host), now + throttled_for)

    def record_tick(self, *, lag: float, next_tick: float, memory_entries: int) -> None:
        """Record the hub lag in seconds, the monotonic time of the next tick, and the entries in the memory cache."""
        self._set((HUB_LAG,), lag)
        self._set((NEXT_TICK,), next_tick)
        self._set((MEMORY_ENTRIES,), memory_entries)

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
    """Release the slot of a worker that has exited. Count the worker as died if it was killed or stuck.

    A worker that shuts down sets its gauges to 0. If NEXT_TICK is not 0, the worker was killed. A stuck worker that the
    master aborts also sets its gauges to 0, so the caller reports it by ``was_stuck``.
    """
    array, index = shared.locate((NEXT_TICK,), slot)
    if array[index] or was_stuck:
        array, index = shared.locate((WORKERS_DIED,), slot)
        array[index] += 1
    clear_gauges(shared, slot)


def clear_gauges(shared: SharedCounters, slot: int) -> None:
    """Set the gauges in a slot to 0, which marks the slot as unused. The counters keep their values."""
    for key in shared.keys:
        if key[0] in {*_WORKER_GAUGES, *_HOST_GAUGES}:
            array, index = shared.locate(key, slot)
            array[index] = 0


def _fault_codes(error: type[ServiceError]) -> Iterator[int]:
    """Yield the fault codes of an exception class and of its subclasses."""
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

#: Used in place of every fault code that the service does not define.
_OTHER_FAULT: Final = 0

#: The values of the label ``fault`` by fault code. The key None is for calls without a fault.
_FAULT_LABELS: Final[dict[int | None, str]] = {
    None: "",
    **{code: str(code) for code in sorted(_FAULT_CODES)},
    _OTHER_FAULT: "other",
}
