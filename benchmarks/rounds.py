"""What is measured of a server in its turn: its speed under each load, and what calls take that wait.

All numbers are plain: seconds, bytes, calls a second.
"""

import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load
from benchmarks.callers import check, waiting
from benchmarks.ids import FIRST_HELD, FIRST_KNOWN, KNOWN
from benchmarks.load import Load, LoadFailed
from benchmarks.processes import Program, running
from benchmarks.servers import Server

_PAGE_SECONDS = 0.05

#: Pages that a server may fetch at once: as many as there are callers who ask for new ids.
_FETCHES = 256

#: Calls that wait while memory is looked at. They have got as far as to ask for their pages within so many seconds,
#: and are looked at so many seconds later.
_HELD = 1_000
_HELD_WITHIN, _HELD_FOR = 4.0, 0.5

#: What a load leaves behind is done after so many seconds.
_REST_SECONDS = 0.5

#: Answered before memory is looked at for the first time, so that everything a call needs has been used.
_FIRST_CALLS = 64

#: At so many connections the pages' delay is no bound for the shop.
_SHOP_LOAD = Load("shop", "pages, from the shop itself", 2_000)

# Past the HTTP proxy that the machine may be set to use.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class NotMeasured(Exception):
    """What was to be measured did not happen."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The machine: the cores for the server, and those for load and shop."""

    server_cores: frozenset[int]
    other_cores: frozenset[int]

    @contextmanager
    def shop(self) -> Iterator[Program]:
        """Run the shop until the block ends."""

        def command(descriptor: int) -> Sequence[str]:
            return [sys.executable, "-m", "benchmarks.origin", str(descriptor), str(_PAGE_SECONDS)]

        with _folder() as folder, running(command, cores=self.other_cores, folder=folder) as program:
            program.wait_till(lambda: _asked(program) == 0)
            yield program

    def speeds(self, server: Server, shop: Program, seconds: int) -> dict[str, dict[str, float]]:
        """Put a server under each of its loads; return ``rate``, ``p50``, ``p99`` and ``cpu`` of each, by name.

        It is started for that, and knows the known ids when it begins.

        Raises:
            LoadFailed: calls failed.
            WrongAnswer: an answer was not the cover.
            NotMeasured: what should be new was not asked for at the shop.

        """
        loads = server.loads()
        if not server.remembers:
            # What is left to do of one load, when its callers have gone, would be in the way of the next.
            return {one.name: self._speeds(server, shop, [one], seconds)[one.name] for one in loads}
        return self._speeds(server, shop, loads, seconds)

    def _speeds(
        self, server: Server, shop: Program, loads: Sequence[Load], seconds: int
    ) -> dict[str, dict[str, float]]:
        measured = {}
        with self._serving(server, shop) as program:
            if server.remembers and not server.is_ceiling:
                check(program.address, shop.address, range(FIRST_KNOWN, FIRST_KNOWN + KNOWN))
            for one in loads:
                time.sleep(_REST_SECONDS)
                measured[one.name] = _speed(program, shop, one, seconds)
        return measured

    def memory(self, server: Server, shop: Program) -> dict[str, float]:
        """Return what a server takes at ``rest``, and what ``held`` calls take more, a thousand of them, in bytes.

        Raises:
            NotMeasured: not all of them got as far as to ask for their pages.

        """
        with self._serving(server, shop, fetches=_HELD) as program:
            check(program.address, shop.address, range(FIRST_KNOWN, FIRST_KNOWN + _FIRST_CALLS))
            time.sleep(_REST_SECONDS)
            before, rest = _asked(shop), program.memory()
            with waiting(program.port, range(FIRST_HELD, FIRST_HELD + _HELD)):
                until = time.monotonic() + _HELD_WITHIN
                while _asked(shop) < before + _HELD:
                    if time.monotonic() > until:
                        raise NotMeasured(f"of {_HELD} calls that wait, {_asked(shop) - before} asked for their pages")
                    time.sleep(0.1)
                time.sleep(_HELD_FOR)
                return {"rest": rest, "held": (program.memory() - rest) * 1_000 / _HELD}

    @contextmanager
    def _serving(self, server: Server, shop: Program, *, fetches: int = _FETCHES) -> Iterator[Program]:
        """Run a server that has answered a first call rightly until the block ends."""

        def is_right() -> bool:
            check(program.address, shop.address, [FIRST_KNOWN])
            return True

        with (
            _folder() as folder,
            server.serving(shop.address, fetches=fetches, cores=self.server_cores, folder=folder) as program,
        ):
            program.wait_till(is_right)
            yield program


def shop_rate(shop: Program, seconds: int) -> float:
    """Return how many pages the shop can serve in a second, beside the load that asks for them."""
    return load.put(_SHOP_LOAD, f"{shop.address}/", seconds).requests / seconds


def _speed(program: Program, shop: Program, one: Load, seconds: int) -> dict[str, float]:
    asked, cpu = _asked(shop), program.cpu_seconds()
    try:
        report = load.put(one, f"{program.address}/RPC2", seconds)
    except LoadFailed as failed:
        failed.add_note(f"under {one.name}")
        raise
    cpu, asked = program.cpu_seconds() - cpu, _asked(shop) - asked
    if one.name == "cold" and asked < report.requests:
        raise NotMeasured(f"{report.requests} new ids, and {asked} pages asked for")
    return {
        "rate": report.requests / report.seconds,
        "p50": report.p50,
        "p99": report.p99,
        "cpu": cpu / report.requests,
    }


def _asked(shop: Program) -> int:
    """Return how many pages the shop was asked for."""
    with _open(f"{shop.address}/asked", timeout=10) as answer:
        return int(answer.read())


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="covers-bench-") as name:
        yield Path(name)
