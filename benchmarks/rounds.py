"""What is measured of a server in each round: every load, and the memory of calls that wait.

All numbers are in seconds, bytes and calls per second.
"""

import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clients import check_covers, waiting_calls
from benchmarks.ids import CACHED_COUNT, FIRST_CACHED, FIRST_UNANSWERED
from benchmarks.load import Load, LoadFailed, run_load
from benchmarks.processes import Program, running
from benchmarks.servers import Server

_PAGE_DELAY_SECONDS = 0.05

#: Pages that a server may fetch at once: as many as there are connections in the loads with new ids.
_MAX_FETCHES = 256

#: The number of waiting calls while memory is measured. All have to request their pages before the timeout; memory is
#: measured some time after the last one has.
_WAITING_CALLS = 1_000
_WAITING_TIMEOUT_SECONDS, _WAITING_SETTLE_SECONDS = 4.0, 0.5

#: The pause between two loads, in which a server finishes the fetches of the one before.
_PAUSE_SECONDS = 0.5

#: Calls before the first memory measurement, so that everything a call needs is loaded.
_WARM_UP_CALLS = 64

#: With so many connections the rate of the origin is not limited by the delay of its pages.
_ORIGIN_LOAD = Load("origin", "pages, directly from the origin", 2_000)

# An opener that ignores the proxy settings of the machine.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class NotMeasured(Exception):
    """The server did not do what was to be measured."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The cores of the machine: those for the server, and the others for the load and the origin."""

    server_cores: frozenset[int]
    other_cores: frozenset[int]

    @contextmanager
    def origin(self) -> Iterator[Program]:
        """Run the origin until the block ends."""

        def command(descriptor: int) -> Sequence[str]:
            return [sys.executable, "-m", "benchmarks.origin", str(descriptor), str(_PAGE_DELAY_SECONDS)]

        with _temporary_folder() as folder, running(command, cores=self.other_cores, folder=folder) as program:
            program.wait_until(lambda: _page_requests(program) == 0)
            yield program

    def measure_loads(self, server: Server, origin: Program, seconds: int) -> dict[str, dict[str, float]]:
        """Start a server, let it cache the cached ids, and run each of its loads.

        Returns ``rate``, ``p50``, ``p99`` and ``cpu`` of each load, by its name.

        Raises:
            LoadFailed: calls failed.
            WrongResult: a result was not the cover.
            NotMeasured: the server did not request the page of each new id.

        """
        loads = server.loads()
        if not server.has_cache:
            # It is restarted for each load: unfinished fetches of the load before would slow down the next one.
            return {load.name: self._measure_loads(server, origin, [load], seconds)[load.name] for load in loads}
        return self._measure_loads(server, origin, loads, seconds)

    def _measure_loads(
        self, server: Server, origin: Program, loads: Sequence[Load], seconds: int
    ) -> dict[str, dict[str, float]]:
        measured = {}
        with self._serving(server, origin) as program:
            if server.has_cache and not server.is_upper_bound:
                check_covers(program.address, origin.address, range(FIRST_CACHED, FIRST_CACHED + CACHED_COUNT))
            for load in loads:
                time.sleep(_PAUSE_SECONDS)
                measured[load.name] = _measure_load(program, origin, load, seconds)
        return measured

    def measure_memory(self, server: Server, origin: Program) -> dict[str, float]:
        """Return the memory of an idle server as ``rest``, and as ``held`` how much 1,000 waiting calls add, in bytes.

        Raises:
            NotMeasured: not all of the calls have requested their pages.

        """
        with self._serving(server, origin, max_fetches=_WAITING_CALLS) as program:
            check_covers(program.address, origin.address, range(FIRST_CACHED, FIRST_CACHED + _WARM_UP_CALLS))
            time.sleep(_PAUSE_SECONDS)
            page_requests, idle = _page_requests(origin), program.memory()
            with waiting_calls(program.port, range(FIRST_UNANSWERED, FIRST_UNANSWERED + _WAITING_CALLS)):
                deadline = time.monotonic() + _WAITING_TIMEOUT_SECONDS
                while (started := _page_requests(origin) - page_requests) < _WAITING_CALLS:
                    if time.monotonic() > deadline:
                        raise NotMeasured(f"only {started} of {_WAITING_CALLS} waiting calls requested their pages")
                    time.sleep(0.1)
                time.sleep(_WAITING_SETTLE_SECONDS)
                return {"rest": idle, "held": (program.memory() - idle) * 1_000 / _WAITING_CALLS}

    @contextmanager
    def _serving(self, server: Server, origin: Program, *, max_fetches: int = _MAX_FETCHES) -> Iterator[Program]:
        """Run a server until the block ends. The block starts once a first call has the right result."""

        def is_ready() -> bool:
            check_covers(program.address, origin.address, [FIRST_CACHED])
            return True

        with (
            _temporary_folder() as folder,
            server.serving(origin.address, max_fetches=max_fetches, cores=self.server_cores, folder=folder) as program,
        ):
            program.wait_until(is_ready)
            yield program


def measure_origin(origin: Program, seconds: int) -> float:
    """Return how many pages per second the origin can serve, sharing its cores with the load."""
    return run_load(_ORIGIN_LOAD, f"{origin.address}/", seconds).requests / seconds


def _measure_load(program: Program, origin: Program, load: Load, seconds: int) -> dict[str, float]:
    page_requests, cpu = _page_requests(origin), program.cpu_seconds()
    try:
        report = run_load(load, f"{program.address}/RPC2", seconds)
    except LoadFailed as error:
        error.add_note(f"in the load {load.name}")
        raise
    cpu, page_requests = program.cpu_seconds() - cpu, _page_requests(origin) - page_requests
    if load.name == "cold" and page_requests < report.requests:
        raise NotMeasured(f"{report.requests} new ids, but only {page_requests} page requests")
    return {
        "rate": report.requests / report.seconds,
        "p50": report.p50,
        "p99": report.p99,
        "cpu": cpu / report.requests,
    }


def _page_requests(origin: Program) -> int:
    """Return how many page requests the origin has received so far."""
    with _open(f"{origin.address}/page-requests", timeout=10) as response:
        return int(response.read())


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="covers-bench-") as name:
        yield Path(name)
