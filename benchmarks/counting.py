"""The cost of metrics: counters in shared memory against the multiprocess mode of prometheus_client.

Run by ``python -m benchmarks.counting``. Both have the same counters for sixteen workers. The rows are as in
``benchmarks.wire``.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

from app.config.loading import load_settings
from app.main import label_values
from app.telemetry.counters import Counters, LabelValues
from app.telemetry.prometheus import PrometheusCollector
from app.telemetry.shared_counters import SharedCounters
from benchmarks.wire import min_times

_WORKERS = 16

# Both are untyped.
_value_class: Any = MultiProcessValue
_collector_class: Any = MultiProcessCollector


def main() -> None:
    """Print the table."""
    labels = label_values(load_settings({}))
    with tempfile.TemporaryDirectory() as folder:
        our_count, our_scrape = _ours(labels)
        their_count, their_scrape = _theirs(labels, folder)
        print(f"{'':28}{'covers us':>12}{'prometheus_client us':>22}{'ratio':>8}")
        for name, ours, theirs, rounds, calls in (
            ("count an event", our_count, their_count, 2000, 20),
            (f"scrape {_WORKERS} workers", our_scrape, their_scrape, 20, 1),
        ):
            our_time, their_time = min_times(ours, theirs, rounds=rounds, calls=calls)
            print(f"{name:28}{our_time:12.2f}{their_time:22.2f}{our_time / their_time:8.2f}")
        print(f"{'files left per worker':28}{0:12}{len(list(Path(folder).iterdir())) // _WORKERS:22}")


def _ours(labels: LabelValues) -> tuple[Callable[[], None], Callable[[], bytes]]:
    """Return a function that counts an event in one worker, and one that scrapes all workers."""
    shared = SharedCounters.create(_WORKERS)
    shared.add(labels.counter_keys())
    for worker in range(_WORKERS):
        counters = Counters(shared, shared.free_slot(range(worker)), labels, monotonic=time.monotonic)
        counters.record_hub_lag(lag=0, due=time.monotonic(), entries=0)
    scrape = PrometheusCollector(shared, monotonic=time.monotonic).exposition
    return counters.cached_response_counter("ozon", "get_cover"), scrape


def _theirs(labels: LabelValues, folder: str) -> tuple[Callable[[], None], Callable[[], bytes]]:
    """Return the same for prometheus_client, with the files of all workers in this folder."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    for worker in range(_WORKERS):
        create_value = _value_class(lambda worker=worker: worker)
        values = [
            create_value("counter", key[0].replace(" ", "_"), key[0], ("labels",), ("/".join(key[1:]),), "help")
            for key in labels.counter_keys()
        ]
    return lambda: values[0].inc(1), lambda: generate_latest(_collector_class(None, folder))


if __name__ == "__main__":
    main()
