"""The tally: counts what happens in a worker, on the board that it shares with the others.

What it costs matters: an answer from memory takes a few microseconds. So each count is one addition to a number whose
place is known, with neither lock nor buffer between it and who reads it.
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

#: What is counted, and by what. Calls that are answered from memory once more are counted as repeats alone.
CALLS, CACHED_RESPONSES = "calls", "repeats"  # by method and fault; by source and method
LOOKUPS, FETCHES = "lookups", "fetches"  # by source, outcome and cache; by source and outcome
CALL_SECONDS, FETCH_SECONDS = "call seconds", "fetch seconds"  # by method, by source; and by bucket
FLIGHTS_JOINED, STORE_FAILURES = "shared", "store failures"
WORKERS_DIED = "died"  # workers that ended without leaving

#: What is so now, in the worker whose row it is.
FLIGHTS, WAITERS, MEMORY_ENTRIES, STORE_BYPASSED = "flights", "waiting", "entries", "passed over"
HOST_UPDATED_AT, CIRCUIT_OPEN_UNTIL, THROTTLED_UNTIL = (
    "heard at",
    "open until",
    "waits until",
)  # by host; by the machine's clock
HUB_LAG, NEXT_TICK = "lag", "beat due"  # seconds; when the hub's next beat is due by the same clock, 0 without a worker

#: The upper bounds of buckets, in seconds, and what of a histogram has a column.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SUM: Final = "sum"
_PARTS: Final = (*map(str, BUCKETS), "+Inf", SUM)

_STATES: Final = (FLIGHTS, WAITERS, MEMORY_ENTRIES, STORE_BYPASSED, HUB_LAG, NEXT_TICK)
_HOST_STATES: Final = (HOST_UPDATED_AT, CIRCUIT_OPEN_UNTIL, THROTTLED_UNTIL)


class LabelValues(msgspec.Struct, frozen=True, kw_only=True):
    """By what is counted: the methods that are published, the sources, the hosts that sources name.

    What callers or origins make up has no column of its own: there are as many as the configuration asks for.
    """

    methods: tuple[str, ...]
    sources: tuple[str, ...]
    hosts: tuple[str, ...]

    def columns(self) -> Iterator[Key]:
        """Tell the columns that are needed."""
        yield from ((name,) for name in (FLIGHTS_JOINED, STORE_FAILURES, WORKERS_DIED, *_STATES))
        for method in ("", *self.methods):
            yield from ((CALLS, method, fault) for fault in _FAULTS.values())
            yield from ((CALL_SECONDS, method, part) for part in _PARTS)
        for source in self.sources:
            yield from ((CACHED_RESPONSES, source, method) for method in ("", *self.methods))
            yield from ((LOOKUPS, source, outcome, cache) for outcome, cache in product(Outcome, CacheStatus))
            yield from ((LOOKUPS, source, outcome, "") for outcome in (Outcome.TOO_SLOW, OVERLOADED, INTERNAL_ERROR))
            yield from ((FETCHES, source, outcome) for outcome in (*Outcome, NOT_MODIFIED, OVERLOADED, INTERNAL_ERROR))
            yield from ((FETCH_SECONDS, source, part) for part in _PARTS)
        for host in self.hosts:
            yield from ((name, host) for name in _HOST_STATES)


class Counters(Observer):
    """Counts in its ``row`` of the board, whatever is told of ``labels``. ``monotonic`` is the machine's clock."""

    def __init__(self, shared: SharedCounters, slot: int, labels: LabelValues, *, monotonic: Clock) -> None:
        self._monotonic = monotonic
        shared.add(labels.columns())
        self._cells = {key: shared.cell(key, slot) for key in labels.columns()}
        self._calls = {
            method: {code: self._cells[CALLS, method, text] for code, text in _FAULTS.items()}
            for method in ("", *labels.methods)
        }
        self._call_seconds = {method: self._histogram(CALL_SECONDS, method) for method in ("", *labels.methods)}
        self._fetch_seconds = {source: self._histogram(FETCH_SECONDS, source) for source in labels.sources}
        self._repeats: dict[tuple[str, str], Callable[[], None]] = {}
        clear_gauges(shared, slot)

    def call_finished(self, method: str, fault: int | None, seconds: float) -> None:
        """Count the call."""
        by_fault = self._calls[method]
        numbers, place = by_fault.get(fault) or by_fault[0]
        numbers[place] += 1
        self._call_seconds[method](seconds)

    def cached_response_counter(self, source: str, method: str) -> Callable[[], None]:
        """Return what counts a call and a lookup in one."""
        count = self._repeats.get((source, method))
        if count is None:
            numbers, place = self._cells[CACHED_RESPONSES, source, method]

            def count() -> None:
                numbers[place] += 1

            self._repeats[source, method] = count
        return count

    def lookup_finished(self, source: str, outcome: str, cache: str) -> None:
        """Count the lookup; to have come to what no lookup comes to is an error of ours."""
        cell = self._cells.get((LOOKUPS, source, outcome, cache))
        numbers, place = cell or self._cells[LOOKUPS, source, INTERNAL_ERROR, ""]
        numbers[place] += 1

    def waiters_changed(self, change: int) -> None:
        """Count those who wait now."""
        self._add((WAITERS,), change)

    def flights_changed(self, change: int) -> None:
        """Count the flights under way now."""
        self._add((FLIGHTS,), change)

    def flight_joined(self) -> None:
        """Count who has joined a flight."""
        self._add((FLIGHTS_JOINED,))

    def page_fetched(self, source: str, outcome: str, seconds: float) -> None:
        """Count the page that was asked for."""
        self._add((FETCHES, source, outcome))
        self._fetch_seconds[source](seconds)

    def store_operation_failed(self) -> None:
        """Count the failure."""
        self._add((STORE_FAILURES,))

    def store_bypassed(self) -> None:
        """Set that it is."""
        self._set((STORE_BYPASSED,), 1)

    def store_recovered(self) -> None:
        """Set that it is not."""
        self._set((STORE_BYPASSED,), 0)

    def host_state_changed(self, host: str, open_for: float, waits_for: float) -> None:
        """Set it, for a host that a source names."""
        if (HOST_UPDATED_AT, host) in self._cells:
            now = self._monotonic()
            self._set((HOST_UPDATED_AT, host), now)
            self._set((CIRCUIT_OPEN_UNTIL, host), now + open_for)
            self._set((THROTTLED_UNTIL, host), now + waits_for)

    def record_hub_lag(self, *, lag: float, due: float, entries: int) -> None:
        """Set how late the hub was, when its next beat is due, and how many entries the memory has."""
        self._set((HUB_LAG,), lag)
        self._set((NEXT_TICK,), due)
        self._set((MEMORY_ENTRIES,), entries)

    def _add(self, key: Key, amount: int = 1) -> None:
        numbers, place = self._cells[key]
        numbers[place] += amount

    def _set(self, key: Key, value: float) -> None:
        numbers, place = self._cells[key]
        numbers[place] = value

    def _histogram(self, name: str, label: str) -> Callable[[float], None]:
        """Return what counts so many seconds."""
        buckets = [self._cells[name, label, part] for part in _PARTS[:-1]]
        sums, sum_place = self._cells[name, label, SUM]

        def observe(seconds: float) -> None:
            numbers, place = buckets[bisect_left(BUCKETS, seconds)]
            numbers[place] += 1
            sums[sum_place] += seconds

        return observe


def count_worker_exit(shared: SharedCounters, slot: int, *, was_stuck: bool) -> None:
    """Count a worker that has died, by its row: one that leaves has cleared its states, unless it was stuck before."""
    numbers, place = shared.cell((NEXT_TICK,), slot)
    if numbers[place] or was_stuck:
        numbers, place = shared.cell((WORKERS_DIED,), slot)
        numbers[place] += 1
    clear_gauges(shared, slot)


def clear_gauges(shared: SharedCounters, slot: int) -> None:
    """Set what is so in a worker to what it is where there is none; what it has counted stays."""
    for key in shared.keys:
        if key[0] in {*_STATES, *_HOST_STATES}:
            numbers, place = shared.cell(key, slot)
            numbers[place] = 0


def _codes(kind: type[ServiceError]) -> Iterator[int]:
    """Tell the fault codes of a domain error and of those below it."""
    if hasattr(kind, "fault_code"):
        yield kind.fault_code
    for below in kind.__subclasses__():
        yield from _codes(below)


_CODES: Final = {
    faults.PARSE_ERROR,
    faults.UNSUPPORTED_ENCODING,
    faults.INVALID_CHARACTER,
    faults.INVALID_REQUEST,
    faults.METHOD_NOT_FOUND,
    faults.INVALID_PARAMS,
    faults.INTERNAL_ERROR,
    *_codes(ServiceError),
}

#: The texts of fault codes; None is no fault. Those that are none of ours are one.
_FAULTS: Final[dict[int | None, str]] = {None: "", **{code: str(code) for code in sorted(_CODES)}, 0: "other"}
