"""The benchmark: ours and its peers in the same run, taking turns. ``python -m benchmarks --help`` tells the flags.

A server has one core to itself; the load and the shop have the others. In each round every server is started anew, is
asked for ids by a real client until it knows them and its answers are seen to be right, and is put under each load.
The tables have the medians of the rounds, and their ratios. A run of all servers writes ``benchmarks/results.json`` and
draws ``docs/benchmarks.svg``.
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

from benchmarks import load, tables
from benchmarks.callers import WrongAnswer
from benchmarks.load import LOADS, LoadFailed
from benchmarks.pinned import pin
from benchmarks.processes import ROOT, ProgramFailed
from benchmarks.rounds import Bench, NotMeasured, shop_rate
from benchmarks.servers import OURS, SERVERS, Server

_PACKAGES = ("gevent", "gunicorn", "requests", "twisted", "aiohttp", "aiohttp-xmlrpc", "lxml", "uvloop")

_TITLES = {server.name: server.title for server in SERVERS}
_ROLES = tables.Roles(
    OURS, frozenset(server.name for server in SERVERS if server.name != OURS and not server.is_ceiling)
)

_PAGE = ROOT / "docs" / "benchmarks.md"

#: What a server was measured to have, in each round, by load or table and by server.
Rounds = dict[str, dict[str, list[dict[str, float]]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    flags = _flags(arguments)
    if not load.is_installed():
        print("wrk, which puts the load on, is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    # So that SIGTERM ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    servers = [server for server in SERVERS if not flags.only or server.name in flags.only]
    bench = _bench()
    try:
        results = _measure(bench, servers, flags)
    except (LoadFailed, NotMeasured, ProgramFailed, WrongAnswer) as error:
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _print_tables(results)
    if not flags.only:
        _write(results)
    return 0


def _flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours and its peers, taking turns.")
    parser.add_argument("--seconds", type=int, default=2, help="how long a load is put on (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how many turns a server has (default: %(default)s)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="NAME",
        help=f"these servers, nothing is written: {', '.join(names)}",
    )
    flags = parser.parse_args(arguments)
    if min(flags.seconds, flags.rounds) < 1:
        parser.error("--seconds and --rounds: expected at least 1")
    return flags


def _bench() -> Bench:
    """Return the machine, with this process on the load's side of it."""
    *others, last = sorted(os.sched_getaffinity(0))
    if not others:
        print("This machine has one core: servers share it with their load, and the numbers are those of both.")
    bench = Bench(server_cores=frozenset([last]), other_cores=frozenset(others or [last]))
    pin(bench.other_cores)
    return bench


def _measure(bench: Bench, servers: Sequence[Server], flags: argparse.Namespace) -> dict[str, Any]:
    rounds: Rounds = {one.name: {server.name: [] for server in servers} for one in LOADS}
    memory: dict[str, dict[str, float]] = {}
    with bench.shop() as shop:
        pages = shop_rate(shop, flags.seconds)
        for number in range(1, flags.rounds + 1):
            for server in servers:
                _say(f"round {number} of {flags.rounds}: {server.title}")
                with _named(server):
                    speeds = bench.speeds(server, shop, flags.seconds)
                for name, measured in speeds.items():
                    rounds[name][server.name].append(measured)
        for server in servers:
            if server.holds:
                _say(f"calls that wait: {server.title}")
                with _named(server):
                    memory[server.name] = bench.memory(server, shop)
    _say("")
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(bench.server_cores | bench.other_cores),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "seconds": flags.seconds,
        "rounds": flags.rounds,
        "shop": pages,
        "loads": {
            name: {server: tables.medians(measured) for server, measured in by_server.items() if measured}
            for name, by_server in rounds.items()
        },
        "memory": memory,
        "each": rounds,
    }


@contextmanager
def _named(server: Server) -> Iterator[None]:
    """Have what goes wrong say with which server."""
    try:
        yield
    except Exception as error:
        error.add_note(f"that was {server.name}: {server.title}")
        raise


def _say(text: str) -> None:
    """Show what is being done, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _print_tables(results: Mapping[str, Any]) -> None:
    print(_machine(results))
    fastest = max((values["rate"] for values in results["loads"]["cold"].values()), default=0)
    print(f"The shop can serve {results['shop']:,.0f} pages/s; the fastest server asked for {fastest:,.0f}.")
    for one in LOADS:
        _print_table(f"{one.name}: {one.title}; {one.callers} callers", results["loads"][one.name], tables.SPEED)
    _print_table("memory: calls that wait for a page", results["memory"], tables.MEMORY)


def _print_table(title: str, measured: tables.Measured, quantities: Sequence[tables.Quantity]) -> None:
    if measured:
        print(f"\n{title}\n{tables.as_text(tables.table(measured, quantities, _TITLES, _ROLES))}")


def _machine(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"{results['date']}: medians of {results['rounds']} rounds of {results['seconds']} s; "
        f"one core of {results['cores']} for the server\n"
        f"({results['cpu']}); Python {results['python']},\n{versions}."
    )


def _write(results: dict[str, Any]) -> None:
    from benchmarks import chart  # noqa: PLC0415 - it takes its time, and is not needed where nothing is drawn

    chart.RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    chart.draw(results, chart.CHART)
    table = tables.as_markdown(tables.summary(results["loads"], _TITLES, _ROLES))
    _PAGE.write_text(tables.refreshed(_PAGE.read_text(), f"{_machine(results)}\n\n{table}"))
    print(f"\nwritten: {chart.RESULTS}, {chart.CHART}, {_PAGE}")


if __name__ == "__main__":
    sys.exit(main())
