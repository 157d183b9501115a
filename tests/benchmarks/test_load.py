"""The parser of wrk's output: a report, or an error if calls failed or the output is no report."""

import json
from typing import Any

import pytest

from benchmarks.load import LoadFailed, Report, parse_report

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
_REPORT = {
    "requests": 22_861,
    "seconds": 2.003,
    "p50": 0.0056,
    "p99": 0.0108,
    "faults": 0,
    "statuses": 0,
    "sockets": {"connect": 0, "read": 0, "write": 0, "timeout": 0},
}


def _output(**changes: Any) -> str:
    return f"{_TEXT}{json.dumps(_REPORT | changes)}\n"


def test_report() -> None:
    """The report is the last line, after the output of wrk itself."""
    assert parse_report(_output()) == Report(requests=22_861, seconds=2.003, p50=0.0056, p99=0.0108)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faults": 3}, "3 faults"),
        ({"statuses": 2}, "2 error statuses"),
        ({"sockets": {"connect": 1, "read": 7, "write": 0, "timeout": 0}}, "1 connect, 7 read$"),
        ({"requests": 0}, "there were no responses"),
    ],
)
def test_failed_calls(changes: dict[str, Any], message: str) -> None:
    """The error names the number of faults, error statuses and failed sockets, or that there were no responses."""
    with pytest.raises(LoadFailed, match=message):
        parse_report(_output(**changes))


@pytest.mark.parametrize("output", ["", _TEXT, "{}", '{"requests": 1}', "unable to connect", "[1]"])
def test_unexpected_output(output: str) -> None:
    """Output without a report is an error."""
    with pytest.raises(LoadFailed, match="unexpected output"):
        parse_report(output)
