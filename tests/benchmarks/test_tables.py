"""Tables: medians of rounds, ratios to ours and to the best peer, text."""

import pytest

from benchmarks.tables import (
    BEGIN,
    END,
    MEMORY,
    SPEED,
    Quantity,
    Roles,
    as_markdown,
    as_text,
    best_peer,
    medians,
    ratios,
    refreshed,
    shown,
    summary,
    table,
)

_RATE = Quantity("rate", "calls/s")
_CPU = Quantity("cpu", "CPU us/call", times=1e6, more_is_better=False)
_ROLES = Roles("ours", frozenset({"slow", "quick"}))
_MEASURED = {
    "slow": {"rate": 20.0, "cpu": 0.002},
    "quick": {"rate": 500.0, "cpu": 0.001},
    "ours": {"rate": 1_000.0, "cpu": 0.0005},
    "ceiling": {"rate": 4_000.0, "cpu": 0.0001},
}


def test_medians() -> None:
    """Each value's median is its own: one bad round spoils nothing."""
    rounds = [{"rate": 10.0, "p99": 1.0}, {"rate": 12.0, "p99": 9.0}, {"rate": 2.0, "p99": 2.0}]
    assert medians(rounds) == {"rate": 10.0, "p99": 2.0}


def test_best_peer() -> None:
    """The best peer is neither ours nor the ceiling: the most calls, the least processor time."""
    assert best_peer(_MEASURED, _RATE, _ROLES) == 500.0
    assert best_peer(_MEASURED, _CPU, _ROLES) == 0.001


def test_ratios() -> None:
    """Ours is 1 to ours, the best peer is 1 to the best peer."""
    assert ratios(_MEASURED, _RATE, _ROLES) == {
        "slow": (0.02, 0.04),
        "quick": (0.5, 1.0),
        "ours": (1.0, 2.0),
        "ceiling": (4.0, 8.0),
    }
    assert ratios(_MEASURED, _CPU, _ROLES)["slow"] == (4.0, 2.0)


@pytest.mark.parametrize(("left_out", "expected"), [("ours", (None, 1.0)), ("quick", None)])
def test_absent(left_out: str, expected: tuple[float | None, float] | None) -> None:
    """Without ours, or without a peer, there are no ratios to it."""
    measured = {name: values for name, values in _MEASURED.items() if name not in {"slow", left_out}}
    if expected is not None:
        assert ratios(measured, _RATE, _ROLES)["quick"] == expected
    else:
        assert ratios(measured, _RATE, _ROLES) == {"ours": (1.0, None), "ceiling": (4.0, None)}


def test_table() -> None:
    """A row for each server, in the order in which they were measured; ratios beside what they are of."""
    titles = {"quick": "Quick one", "ours": "covers"}
    measured = {name: _MEASURED[name] for name in titles}
    assert table(measured, [_RATE, _CPU], titles, _ROLES) == [
        ["server", "calls/s", "to ours", "to best peer", "CPU us/call", "to ours", "to best peer"],
        ["Quick one", "500", "0.50", "1.00", "1,000", "2.00", "1.00"],
        ["covers", "1,000", "1.00", "2.00", "500", "1.00", "0.50"],
    ]


def test_table_without_comparison() -> None:
    """A quantity that is not compared has one column; where there is nothing to compare with, no ratio is made up."""
    measured = {"quick": {"held": 20e6, "rest": 30e6}}
    assert table(measured, MEMORY, {"quick": "Quick one"}, Roles("ours", frozenset())) == [
        ["server", "MB per 1,000 calls", "to ours", "to best peer", "MB at rest"],
        ["Quick one", "20.0", "-", "-", "30.0"],
    ]
    assert [quantity.is_compared for quantity in SPEED] == [True, False, False, True]


def test_shown() -> None:
    """A small ratio has a digit more."""
    assert [shown(ratio) for ratio in (0.0021, 0.5, 12.0)] == ["0.002", "0.50", "12.00"]


def test_summary() -> None:
    """A server's line has its ratio to ours in each load; nothing stands where it was not put under one."""
    loads = {
        "hits": {"ours": {"rate": 1_000.0}, "ceiling": {"rate": 4_000.0}},
        "cold": {"ours": {"rate": 50.0}},
    }
    titles = {"ours": "covers", "ceiling": "The ceiling"}
    assert summary(loads, titles, _ROLES) == [
        ["server", "hits", "cold"],
        ["covers", "1.00 (1,000/s)", "1.00 (50/s)"],
        ["The ceiling", "4.00 (4,000/s)", ""],
    ]


def test_refreshed() -> None:
    """A page has the new table in the place of the old one, and all else as it was."""
    page = f"# Numbers\n\n{BEGIN}\nold\n{END}\n\nThe end.\n"
    assert refreshed(page, "new") == f"# Numbers\n\n{BEGIN}\n\nnew\n\n{END}\n\nThe end.\n"


def test_text() -> None:
    """Names stand to the left, numbers to the right."""
    assert as_text([["server", "calls/s"], ["covers", "9"]]) == "server  calls/s\ncovers        9"


def test_markdown() -> None:
    """The same as a table in Markdown."""
    assert as_markdown([["server", "calls/s"], ["covers", "9"]]) == (
        "| server | calls/s |\n| --- | ---: |\n| covers | 9 |"
    )
