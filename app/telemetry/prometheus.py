"""The metrics: what is on the board, over all workers, as Prometheus reads it. docs/metrics.md says what each means."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.concurrency.clock import Clock
from app.domain.records import CacheStatus, Outcome
from app.domain.version import VERSION
from app.telemetry import counters
from app.telemetry.shared_counters import Key, SharedCounters

#: What the text is.
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_COUNTERS: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    (counters.CALLS, "covers_calls", "Calls answered, by fault code; no code: without a fault.", ("method", "fault")),
    (counters.LOOKUPS, "covers_lookups", "Items asked for and what callers were told.", ("source", "outcome", "cache")),
    (counters.FETCHES, "covers_fetches", "Pages that origins were asked for.", ("source", "outcome")),
    (counters.FLIGHTS_JOINED, "covers_flights_shared", "Callers who joined a flight that was under way.", ()),
    (counters.STORE_FAILURES, "covers_store_failures", "Failures of the store.", ()),
    (counters.WORKERS_DIED, "covers_workers_died", "Workers that were killed, or were stuck and replaced.", ()),
)
_HISTOGRAMS: Final = (
    (counters.CALL_SECONDS, "covers_call_seconds", "Calls that were no remembered answers.", ("method",)),
    (counters.FETCH_SECONDS, "covers_fetch_seconds", "Pages of origins, without the wait for one's turn.", ("source",)),
)
_SUMS: Final = (
    (counters.FLIGHTS, "covers_flights", "Flights under way."),
    (counters.WAITERS, "covers_waiting", "Callers who wait for a flight."),
    (counters.MEMORY_ENTRIES, "covers_memory_entries", "Entries in the memories of all workers."),
)
_HOSTS: Final = (
    (counters.CIRCUIT_OPEN_UNTIL, "covers_circuit_open", "Whether a host is left alone because it fails."),
    (counters.THROTTLED_UNTIL, "covers_host_throttled", "Whether a host is left alone because it asked to wait."),
)


class PrometheusCollector(Collector):
    """Reads the board. ``monotonic`` is the clock by which workers tell times there."""

    def __init__(self, shared: SharedCounters, *, monotonic: Clock) -> None:
        self._board = shared
        self._monotonic = monotonic
        self._keys: defaultdict[str, list[Key]] = defaultdict(list)
        for key in shared.keys:
            self._keys[key[0]].append(key)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format, version 0.0.4."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Tell the metrics, one after the other."""
        counts = self._counts()
        for name, family, help_text, labels in _COUNTERS:
            metric = CounterMetricFamily(family, help_text, labels=labels)
            for key in self._keys[name]:
                metric.add_metric(key[1:], counts[key])
            yield metric
        for name, family, help_text, labels in _HISTOGRAMS:
            yield self._histogram(name, HistogramMetricFamily(family, help_text, labels=labels))
        yield from self._gauges()

    def _counts(self) -> dict[Key, float]:
        """Return all counts; an answer that was given once more is a call and a lookup from memory."""
        counts = {key: self._total(key) for name, *_ in _COUNTERS for key in self._keys[name]}
        for key in self._keys[counters.CACHED_RESPONSES]:
            _, source, method = key
            count = self._total(key)
            counts[counters.LOOKUPS, source, Outcome.FOUND, CacheStatus.MEMORY] += count
            if method:
                counts[counters.CALLS, method, ""] += count
        return counts

    def _histogram(self, name: str, metric: HistogramMetricFamily) -> HistogramMetricFamily:
        parts: defaultdict[Sequence[str], dict[str, float]] = defaultdict(dict)
        for key in self._keys[name]:
            parts[key[1:-1]][key[-1]] = self._total(key)
        for labels, numbers in parts.items():
            seconds = numbers.pop(counters.SUM)
            bounds = sorted(numbers, key=float)
            totals = accumulate(numbers[bound] for bound in bounds)
            metric.add_metric(labels, list(zip(bounds, totals, strict=True)), seconds)
        return metric

    def _gauges(self) -> Iterator[Metric]:
        """Tell what is so now in the workers that there are."""
        due = self._board.values((counters.NEXT_TICK,))
        rows = [row for row, time in enumerate(due) if time]

        def now(*key: str) -> list[float]:
            numbers = self._board.values(key)  # which may have more rows by now, not fewer
            return [numbers[row] for row in rows]

        for name, family, help_text in _SUMS:
            yield GaugeMetricFamily(family, help_text, sum(now(name)))
        passed_over = max(now(counters.STORE_BYPASSED), default=0)
        yield GaugeMetricFamily("covers_store_passed_over", "Whether a worker passes the store over.", passed_over)
        for name, family, help_text in _HOSTS:
            metric = GaugeMetricFamily(family, help_text, labels=("host",))
            for _, host in self._keys[name]:
                _, until = max(zip(now(counters.HOST_UPDATED_AT, host), now(name, host), strict=True), default=(0, 0))
                metric.add_metric((host,), until > self._monotonic())
            yield metric
        lag = max((*now(counters.HUB_LAG), *(self._monotonic() - due[row] for row in rows)), default=0)
        yield GaugeMetricFamily("covers_hub_lag_seconds", "How late the hub of a worker was at most of late.", lag)
        yield GaugeMetricFamily("covers_workers", "Workers that serve.", len(rows))
        build = GaugeMetricFamily("covers_build_info", "The version of the worker that says this.", labels=("version",))
        build.add_metric((VERSION,), 1)
        yield build

    def _total(self, key: Key) -> float:
        return sum(self._board.values(key))
