"""A load: calls from many connections at once by wrk, and what came of them."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ids import FIRST_KNOWN, FIRST_NEW, KNOWN

_SCRIPT = Path(__file__).with_name("load.lua")

#: Longer than any call takes: what is still under way when wrk ends is no failure.
_TIMEOUT_SECONDS = 60

#: wrk ends by itself; if it has not so many seconds after it should have, it is ended.
_PATIENCE_SECONDS = 30


class LoadFailed(Exception):
    """A load whose numbers mean nothing, since some of its calls failed; the text says which."""


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of load: its name in ``load.lua``, what is asked for, and by how many callers at once."""

    name: str
    title: str
    callers: int


LOADS = (
    Load("hits", "ids that are known", 64),
    Load("respelled", "ids that are known, no two calls of the same bytes", 64),
    Load("mixed", "nine ids that are known to one that is new", 256),
    Load("cold", "ids that are new: a page of 50 kB after 50 ms each", 256),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What wrk saw: calls answered, in how many seconds, and in how many each of half and of 99 % of them was."""

    requests: int
    seconds: float
    p50: float
    p99: float


def is_installed() -> bool:
    """Tell whether wrk is."""
    return shutil.which("wrk") is not None


def put(load: Load, url: str, seconds: int) -> Report:
    """Put the load on a server for so many seconds, and report.

    Raises:
        LoadFailed: calls failed, or wrk did.

    """
    first_new = FIRST_NEW.get(load.name, 0)
    command = [
        *("wrk", "--threads", "1", "--connections", str(load.callers), "--duration", f"{seconds}s"),
        *("--timeout", f"{_TIMEOUT_SECONDS}s", "--script", str(_SCRIPT), url),
        *("--", load.name, str(FIRST_KNOWN), str(KNOWN), str(first_new)),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - a command line of ours, no shell
            command, capture_output=True, text=True, timeout=seconds + _PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"wrk did not end {_PATIENCE_SECONDS} seconds after it should have") from None
    if done.returncode != 0:
        raise LoadFailed(f"wrk ended with status {done.returncode}: {done.stderr.strip()}")
    return read_report(done.stdout)


def read_report(output: str) -> Report:
    """Return what the last line of wrk's output says, which ``load.lua`` wrote.

    Raises:
        LoadFailed: it says that calls failed, that there were none, or something else.

    """
    lines = output.strip().splitlines()
    try:
        seen = json.loads(lines[-1])
        failures = {"faults": seen["faults"], "statuses of 400 and more": seen["statuses"], **seen["sockets"]}
        report = Report(seen["requests"], seen["seconds"], seen["p50"], seen["p99"])
    except (ValueError, LookupError, TypeError):
        raise LoadFailed(f"wrk said something else: {output.strip()[-200:]!r}") from None
    if any(failures.values()):
        raise LoadFailed("calls failed: " + ", ".join(f"{count} {name}" for name, count in failures.items() if count))
    if report.requests == 0:
        raise LoadFailed("no call was answered")
    return report
