"""Loads: calls over many connections at once, made by wrk."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ids import CACHED_COUNT, FIRST_CACHED, FIRST_NEW

_SCRIPT = Path(__file__).with_name("load.lua")

#: Longer than any call takes: wrk must not count calls as failed that are in flight when it ends.
_CALL_TIMEOUT_SECONDS = 60

#: How long after its scheduled end wrk is killed.
_EXIT_TIMEOUT_SECONDS = 30


class LoadFailed(Exception):
    """Calls of a load failed, so that its numbers mean nothing. The text says which ones."""


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of load: its name in ``load.lua``, a description, and the number of connections."""

    name: str
    title: str
    connections: int


LOADS = (
    Load("hits", "cached ids", 64),
    Load("unique", "cached ids, every request body different", 64),
    Load("mixed", "nine cached ids to one new id", 256),
    Load("cold", "new ids: each needs a page of 50 kB, which the origin sends after 50 ms", 256),
)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a load: the number of responses, its duration, and percentiles of the response time, in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


def is_wrk_installed() -> bool:
    """Return whether wrk is on the PATH."""
    return shutil.which("wrk") is not None


def run_load(load: Load, url: str, seconds: int) -> Report:
    """Run the load against a server for ``seconds``.

    Raises:
        LoadFailed: calls failed, or wrk did.

    """
    first_new = FIRST_NEW.get(load.name, 0)
    command = [
        *("wrk", "--threads", "1", "--connections", str(load.connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{_CALL_TIMEOUT_SECONDS}s", "--script", str(_SCRIPT), url),
        *("--", load.name, str(FIRST_CACHED), str(CACHED_COUNT), str(first_new)),
    ]
    try:
        process = subprocess.run(  # noqa: S603 - a fixed command line, no shell
            command, capture_output=True, text=True, timeout=seconds + _EXIT_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"wrk was still running {_EXIT_TIMEOUT_SECONDS} seconds after its scheduled end") from None
    if process.returncode != 0:
        raise LoadFailed(f"wrk ended with status {process.returncode}: {process.stderr.strip()}")
    return parse_report(process.stdout)


def parse_report(output: str) -> Report:
    """Parse the last line of wrk's output, which ``load.lua`` prints.

    Raises:
        LoadFailed: calls failed, there were no responses, or the line is no report.

    """
    lines = output.strip().splitlines()
    try:
        fields = json.loads(lines[-1])
        failures = {"faults": fields["faults"], "error statuses": fields["statuses"], **fields["sockets"]}
        report = Report(fields["requests"], fields["seconds"], fields["p50"], fields["p99"])
    except (ValueError, LookupError, TypeError):
        raise LoadFailed(f"unexpected output of wrk: {output.strip()[-200:]!r}") from None
    if any(failures.values()):
        raise LoadFailed("calls failed: " + ", ".join(f"{count} {name}" for name, count in failures.items() if count))
    if report.requests == 0:
        raise LoadFailed("there were no responses")
    return report
