"""What wrk reports is read as it is, and a load with failed calls is no measurement."""

import json
from typing import Any

import pytest

from benchmarks.load import LoadFailed, Report, read_report

_TEXT = """\
Running 2s test @ http://127.0.0.1:8080/RPC2
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.59ms    1.21ms  20.42ms   88.24%
    Req/Sec    11.4k     401.55    12.1k    70.00%
  22861 requests in 2.00s, 8.96MB read
Requests/sec:  11412.33
Transfer/sec:      4.47MB
"""
_SEEN = {
    "requests": 22_861,
    "seconds": 2.003,
    "p50": 0.0056,
    "p99": 0.0108,
    "faults": 0,
    "statuses": 0,
    "sockets": {"connect": 0, "read": 0, "write": 0, "timeout": 0},
}


def _output(**changes: Any) -> str:
    return f"{_TEXT}{json.dumps(_SEEN | changes)}\n"


def test_report() -> None:
    """The last line is the report; what wrk itself prints stands before it."""
    assert read_report(_output()) == Report(requests=22_861, seconds=2.003, p50=0.0056, p99=0.0108)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"faults": 3}, "3 faults"),
        ({"statuses": 2}, "2 statuses of 400 and more"),
        ({"sockets": {"connect": 1, "read": 7, "write": 0, "timeout": 0}}, "1 connect, 7 read$"),
        ({"requests": 0}, "no call was answered"),
    ],
)
def test_failed_calls(changes: dict[str, Any], said: str) -> None:
    """Faults, statuses and sockets that failed are told, and so is silence."""
    with pytest.raises(LoadFailed, match=said):
        read_report(_output(**changes))


@pytest.mark.parametrize("output", ["", _TEXT, "{}", '{"requests": 1}', "unable to connect", "[1]"])
def test_something_else(output: str) -> None:
    """What is no report is not taken for one."""
    with pytest.raises(LoadFailed, match="something else"):
        read_report(output)
