"""What counting costs: the board that workers share, against prometheus_client's own way to count over processes.

Run by ``python -m benchmarks.counting``. Both count the same for sixteen workers; lines are as in ``benchmarks.wire``.
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
from benchmarks.wire import least

_WORKERS = 16

#: Their types are not told.
_values_of: Any = MultiProcessValue
_collector: Any = MultiProcessCollector


def main() -> None:
    """Print the table."""
    labels = label_values(load_settings({}))
    with tempfile.TemporaryDirectory() as folder:
        our_count, our_text = _ours(labels)
        their_count, their_text = _theirs(labels, folder)
        print(f"{'':28}{'ours, us':>12}{'theirs, us':>12}{'ratio':>8}")
        for name, ours, theirs, rounds, calls in (
            ("count an event", our_count, their_count, 2000, 20),
            (f"scrape {_WORKERS} workers", our_text, their_text, 20, 1),
        ):
            mine, other = least(ours, theirs, rounds=rounds, calls=calls)
            print(f"{name:28}{mine:12.2f}{other:12.2f}{mine / other:8.2f}")
        print(f"{'files left by a worker':28}{0:12}{len(list(Path(folder).iterdir())) // _WORKERS:12}")


def _ours(labels: LabelValues) -> tuple[Callable[[], None], Callable[[], bytes]]:
    """Return what counts an event in one of the workers, and what scrapes all of them."""
    board = SharedCounters.create(_WORKERS)
    board.add(labels.counter_keys())
    for row in range(_WORKERS):
        tally = Counters(board, board.free_slot(range(row)), labels, monotonic=time.monotonic)
        tally.record_hub_lag(lag=0, due=time.monotonic(), entries=0)
    return tally.cached_response_counter("ozon", "get_cover"), PrometheusCollector(
        board, monotonic=time.monotonic
    ).exposition


def _theirs(labels: LabelValues, folder: str) -> tuple[Callable[[], None], Callable[[], bytes]]:
    """Return the same by files in this folder, as if of so many processes."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    for worker in range(_WORKERS):
        kind = _values_of(lambda worker=worker: worker)
        values = [
            kind("counter", key[0].replace(" ", "_"), key[0], ("labels",), ("/".join(key[1:]),), "help")
            for key in labels.counter_keys()
        ]
    return lambda: values[0].inc(1), lambda: generate_latest(_collector(None, folder))


if __name__ == "__main__":
    main()
