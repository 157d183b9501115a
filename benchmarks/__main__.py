"""The benchmark of the service against its peers, in turns within one run. See ``python -m benchmarks --help``.

The server has one core for itself; the load and the origin use the others. In each round every server is restarted, a
client looks up the ids that are to be cached and checks the results, and then each load is run. The tables have the
medians of all rounds, and their ratios. A run of all servers writes ``benchmarks/results.json`` and the table in
``docs/benchmarks.md``, and draws ``docs/benchmarks.svg``.
"""

import argparse
import datetime as dt
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.clients import WrongResult
from benchmarks.load import LOADS, LoadFailed, is_wrk_installed
from benchmarks.pinned import pin
from benchmarks.processes import ROOT, ProgramFailed
from benchmarks.rounds import Bench, NotMeasured, measure_origin
from benchmarks.servers import OURS, SERVERS, Server

_PACKAGES = ("gevent", "gunicorn", "requests", "twisted", "aiohttp", "aiohttp-xmlrpc", "lxml", "uvloop")

_TITLES = {server.name: server.title for server in SERVERS}
_ROLES = tables.Roles(
    OURS, frozenset(server.name for server in SERVERS if server.name != OURS and not server.is_upper_bound)
)

_PAGE = ROOT / "docs" / "benchmarks.md"

#: The measurements of each round, by load and by server.
Rounds = dict[str, dict[str, list[dict[str, float]]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    options = _parse_options(arguments)
    if not is_wrk_installed():
        print("wrk, which makes the load, is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    # SIGTERM unwinds the stack like Ctrl-C, so that child processes are terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    servers = [server for server in SERVERS if not options.only or server.name in options.only]
    bench = _create_bench()
    try:
        results = _measure(bench, servers, options)
    except (LoadFailed, NotMeasured, ProgramFailed, WrongResult) as error:
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _print_tables(results)
    if not options.only:
        _write(results)
    return 0


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare the service with its peers.")
    parser.add_argument("--seconds", type=int, default=2, help="duration of a load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each server (default: %(default)s)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="NAME",
        help=f"run only these servers and write no files: {', '.join(names)}",
    )
    options = parser.parse_args(arguments)
    if min(options.seconds, options.rounds) < 1:
        parser.error("--seconds and --rounds: expected at least 1")
    return options


def _create_bench() -> Bench:
    """Divide the cores of the machine, and pin this process to those of the load."""
    *others, last = sorted(os.sched_getaffinity(0))
    if not others:
        print("This machine has one core: the server shares it with the load, which affects the numbers.")
    bench = Bench(server_cores=frozenset([last]), other_cores=frozenset(others or [last]))
    pin(bench.other_cores)
    return bench


def _measure(bench: Bench, servers: Sequence[Server], options: argparse.Namespace) -> dict[str, Any]:
    rounds: Rounds = {load.name: {server.name: [] for server in servers} for load in LOADS}
    memory: dict[str, dict[str, float]] = {}
    with bench.origin() as origin:
        origin_rate = measure_origin(origin, options.seconds)
        for number in range(1, options.rounds + 1):
            for server in servers:
                _show_progress(f"round {number} of {options.rounds}: {server.title}")
                with _add_server_note(server):
                    measured = bench.measure_loads(server, origin, options.seconds)
                for name, values in measured.items():
                    rounds[name][server.name].append(values)
        for server in servers:
            if server.can_wait_for_many_pages:
                _show_progress(f"memory of waiting calls: {server.title}")
                with _add_server_note(server):
                    memory[server.name] = bench.measure_memory(server, origin)
    _show_progress("")
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(bench.server_cores | bench.other_cores),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "seconds": options.seconds,
        "rounds": options.rounds,
        "origin_rate": origin_rate,
        "loads": {
            name: {server: tables.medians(measured) for server, measured in by_server.items() if measured}
            for name, by_server in rounds.items()
        },
        "memory": memory,
        "each": rounds,
    }


@contextmanager
def _add_server_note(server: Server) -> Iterator[None]:
    """Add the name of the server to an exception."""
    try:
        yield
    except Exception as error:
        error.add_note(f"server {server.name}: {server.title}")
        raise


def _show_progress(text: str) -> None:
    """Replace the progress line, if standard error is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _print_tables(results: Mapping[str, Any]) -> None:
    print(_describe_run(results))
    fastest = max((values["rate"] for values in results["loads"]["cold"].values()), default=0)
    print(f"The origin can serve {results['origin_rate']:,.0f} pages/s; the fastest server requested {fastest:,.0f}.")
    for load in LOADS:
        title = f"{load.name}: {load.title}; {load.connections} connections"
        _print_table(title, results["loads"][load.name], tables.SPEED)
    _print_table("memory: calls that wait for a page", results["memory"], tables.MEMORY)


def _print_table(title: str, measured: tables.Measurements, quantities: Sequence[tables.Quantity]) -> None:
    if measured:
        print(f"\n{title}\n{tables.to_text(tables.table(measured, quantities, _TITLES, _ROLES))}")


def _describe_run(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"{results['date']}: medians of {results['rounds']} rounds of {results['seconds']} s; "
        f"one core of {results['cores']} for the server\n"
        f"({results['cpu']}); Python {results['python']},\n{versions}."
    )


def _write(results: dict[str, Any]) -> None:
    from benchmarks import chart  # noqa: PLC0415 - matplotlib is slow to import, and needed here only

    chart.RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    chart.draw(results, chart.CHART)
    table = tables.to_markdown(tables.rate_summary(results["loads"], _TITLES, _ROLES))
    _PAGE.write_text(tables.replace_table(_PAGE.read_text(), f"{_describe_run(results)}\n\n{table}"))
    print(f"\nwritten: {chart.RESULTS}, {chart.CHART}, {_PAGE}")


if __name__ == "__main__":
    sys.exit(main())
