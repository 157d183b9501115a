"""The metrics of all workers in Prometheus's text format. docs/metrics.md describes each metric."""

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

#: The media type of the exposition.
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

#: For each counter: its name in shared memory, its metric, the help text, the labels.
_COUNTERS: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    (
        counters.CALLS,
        "covers_calls",
        "Calls completed, by method and fault code; an empty code means no fault.",
        ("method", "fault"),
    ),
    (
        counters.LOOKUPS,
        "covers_lookups",
        "Lookups completed, by source, outcome and cache status.",
        ("source", "outcome", "cache"),
    ),
    (counters.FETCHES, "covers_fetches", "Page requests to origins, by source and outcome.", ("source", "outcome")),
    (counters.FLIGHTS_JOINED, "covers_flights_shared", "Callers that joined a flight already in progress.", ()),
    (counters.STORE_FAILURES, "covers_store_failures", "Failed store operations.", ()),
    (counters.STORE_OVERLOADS, "covers_store_overloads", "Store operations that did not start in time.", ()),
    (counters.WORKERS_DIED, "covers_workers_died", "Workers that were killed, or were stuck and replaced.", ()),
)
_HISTOGRAMS: Final = (
    (
        counters.CALL_SECONDS,
        "covers_call_seconds",
        "Duration of calls in seconds, without calls answered by a cached response.",
        ("method",),
    ),
    (
        counters.FETCH_SECONDS,
        "covers_fetch_seconds",
        "Duration of page requests to origins in seconds, without the wait for a slot.",
        ("source",),
    ),
)
_SUMMED_GAUGES: Final = (
    (counters.FLIGHTS, "covers_flights", "Flights in progress."),
    (counters.WAITERS, "covers_waiting", "Callers waiting for a flight."),
    (counters.MEMORY_ENTRIES, "covers_memory_entries", "Entries in the memory caches of all workers."),
)
_HOST_GAUGES: Final = (
    (
        counters.CIRCUIT_OPEN_UNTIL,
        "covers_circuit_open",
        "Whether requests to a host are suspended because it failed repeatedly.",
    ),
    (
        counters.THROTTLED_UNTIL,
        "covers_host_throttled",
        "Whether requests to a host are suspended because it asked clients to wait.",
    ),
)


class PrometheusCollector(Collector):
    """Reads the shared counters. ``monotonic`` must be the clock with which the workers record times."""

    def __init__(self, shared: SharedCounters, *, monotonic: Clock) -> None:
        self._shared = shared
        self._monotonic = monotonic
        self._keys: defaultdict[str, list[Key]] = defaultdict(list)
        for key in shared.keys:
            self._keys[key[0]].append(key)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format, version 0.0.4."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        counts = self._counts()
        for name, metric_name, help_text, labels in _COUNTERS:
            metric = CounterMetricFamily(metric_name, help_text, labels=labels)
            for key in self._keys[name]:
                metric.add_metric(key[1:], counts[key])
            yield metric
        for name, metric_name, help_text, labels in _HISTOGRAMS:
            yield self._histogram(name, HistogramMetricFamily(metric_name, help_text, labels=labels))
        yield from self._gauges()

    def _counts(self) -> dict[Key, float]:
        """Return the values of all counters. A cached response is added to the calls and to the lookups from memory."""
        counts = {key: self._total(key) for name, *_ in _COUNTERS for key in self._keys[name]}
        for key in self._keys[counters.CACHED_RESPONSES]:
            _, source, method = key
            count = self._total(key)
            counts[counters.LOOKUPS, source, Outcome.FOUND, CacheStatus.MEMORY] += count
            if method:
                counts[counters.CALLS, method, ""] += count
        return counts

    def _histogram(self, name: str, metric: HistogramMetricFamily) -> HistogramMetricFamily:
        """Return ``metric`` with its samples. Prometheus expects cumulative buckets, in the order of their bounds."""
        parts_by_labels: defaultdict[Sequence[str], dict[str, float]] = defaultdict(dict)
        for key in self._keys[name]:
            parts_by_labels[key[1:-1]][key[-1]] = self._total(key)
        for labels, parts in parts_by_labels.items():
            seconds = parts.pop(counters.SUM)
            bounds = sorted(parts, key=float)
            cumulative = accumulate(parts[bound] for bound in bounds)
            metric.add_metric(labels, list(zip(bounds, cumulative, strict=True)), seconds)
        return metric

    def _gauges(self) -> Iterator[Metric]:
        """Yield the gauges, computed over the workers that are running."""
        next_ticks = self._shared.values((counters.NEXT_TICK,))
        slots = [slot for slot, next_tick in enumerate(next_ticks) if next_tick]

        def values(*key: str) -> list[float]:
            all_values = self._shared.values(key)  # by now it may have more slots than next_ticks, but not fewer
            return [all_values[slot] for slot in slots]

        for name, metric_name, help_text in _SUMMED_GAUGES:
            yield GaugeMetricFamily(metric_name, help_text, sum(values(name)))
        bypassed = max(values(counters.STORE_BYPASSED), default=0)
        yield GaugeMetricFamily(
            "covers_store_passed_over", "Whether a worker bypasses the store, for reads or writes.", bypassed
        )
        for name, metric_name, help_text in _HOST_GAUGES:
            metric = GaugeMetricFamily(metric_name, help_text, labels=("host",))
            for _, host in self._keys[name]:
                # The state that any worker recorded last.
                updates = zip(values(counters.HOST_UPDATED_AT, host), values(name, host), strict=True)
                _, deadline = max(updates, default=(0, 0))
                metric.add_metric((host,), deadline > self._monotonic())
            yield metric
        # A stuck worker records no lag, but its next tick is overdue.
        overdue = (self._monotonic() - next_ticks[slot] for slot in slots)
        lag = max((*values(counters.HUB_LAG), *overdue), default=0)
        yield GaugeMetricFamily(
            "covers_hub_lag_seconds", "Largest hub lag of any worker in the last 15 to 30 seconds.", lag
        )
        yield GaugeMetricFamily("covers_workers", "Workers that are serving.", len(slots))
        build_info = GaugeMetricFamily(
            "covers_build_info", "Version of the worker that served this scrape.", labels=("version",)
        )
        build_info.add_metric((VERSION,), 1)
        yield build_info

    def _total(self, key: Key) -> float:
        return sum(self._shared.values(key))
