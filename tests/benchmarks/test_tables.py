"""The tables of the benchmarks: medians of rounds, ratios to our service and to the best peer, formats."""

import pytest

from benchmarks.tables import (
    BEGIN,
    END,
    MEMORY,
    SPEED,
    Quantity,
    Roles,
    best_peer,
    format_ratio,
    medians,
    rate_summary,
    ratios,
    replace_table,
    table,
    to_markdown,
    to_text,
)

_RATE = Quantity("rate", "calls/s")
_CPU = Quantity("cpu", "CPU us/call", scale=1e6, more_is_better=False)
_ROLES = Roles("ours", frozenset({"slow", "quick"}))
_MEASURED = {
    "slow": {"rate": 20.0, "cpu": 0.002},
    "quick": {"rate": 500.0, "cpu": 0.001},
    "ours": {"rate": 1_000.0, "cpu": 0.0005},
    "bound": {"rate": 4_000.0, "cpu": 0.0001},
}


def test_medians() -> None:
    """Each value has its own median, so one bad round has no effect."""
    rounds = [{"rate": 10.0, "p99": 1.0}, {"rate": 12.0, "p99": 9.0}, {"rate": 2.0, "p99": 2.0}]
    assert medians(rounds) == {"rate": 10.0, "p99": 2.0}


def test_best_peer() -> None:
    """The best peer has the most calls or the least processor time; our service and the upper bound are no peers."""
    assert best_peer(_MEASURED, _RATE, _ROLES) == 500.0
    assert best_peer(_MEASURED, _CPU, _ROLES) == 0.001


def test_ratios() -> None:
    """Our service has the ratio 1 to itself, and so has the best peer."""
    assert ratios(_MEASURED, _RATE, _ROLES) == {
        "slow": (0.02, 0.04),
        "quick": (0.5, 1.0),
        "ours": (1.0, 2.0),
        "bound": (4.0, 8.0),
    }
    assert ratios(_MEASURED, _CPU, _ROLES)["slow"] == (4.0, 2.0)


@pytest.mark.parametrize(("omitted", "expected"), [("ours", (None, 1.0)), ("quick", None)])
def test_ratios_without_a_reference(omitted: str, expected: tuple[float | None, float] | None) -> None:
    """There is no ratio to our service or to a peer that was not measured."""
    measured = {name: values for name, values in _MEASURED.items() if name not in {"slow", omitted}}
    if expected is not None:
        assert ratios(measured, _RATE, _ROLES)["quick"] == expected
    else:
        assert ratios(measured, _RATE, _ROLES) == {"ours": (1.0, None), "bound": (4.0, None)}


def test_table() -> None:
    """There is a row for each server, in the order of the measurements, with ratios after each value."""
    titles = {"quick": "Quick one", "ours": "covers"}
    measured = {name: _MEASURED[name] for name in titles}
    ratio_headings = ["vs. covers", "vs. best peer"]
    assert table(measured, [_RATE, _CPU], titles, _ROLES) == [
        ["server", "calls/s", *ratio_headings, "CPU us/call", *ratio_headings],
        ["Quick one", "500", "0.50", "1.00", "1,000", "2.00", "1.00"],
        ["covers", "1,000", "1.00", "2.00", "500", "1.00", "0.50"],
    ]


def test_table_without_comparison() -> None:
    """A quantity that is not compared has one column, and a ratio without a reference is a dash."""
    measured = {"quick": {"held": 20e6, "rest": 30e6}}
    assert table(measured, MEMORY, {"quick": "Quick one"}, Roles("ours", frozenset())) == [
        ["server", "MB per 1,000 waiting calls", "vs. covers", "vs. best peer", "MB idle"],
        ["Quick one", "20.0", "-", "-", "30.0"],
    ]
    assert [quantity.is_compared for quantity in SPEED] == [True, False, False, True]


def test_format_ratio() -> None:
    """A small ratio has one more digit."""
    assert [format_ratio(ratio) for ratio in (0.0021, 0.5, 12.0)] == ["0.002", "0.50", "12.00"]


def test_rate_summary() -> None:
    """A server's row has its ratio to our service in each load, and an empty cell for a load that it did not have."""
    loads = {
        "hits": {"ours": {"rate": 1_000.0}, "bound": {"rate": 4_000.0}},
        "cold": {"ours": {"rate": 50.0}},
    }
    titles = {"ours": "covers", "bound": "The upper bound"}
    assert rate_summary(loads, titles, _ROLES) == [
        ["server", "hits", "cold"],
        ["covers", "1.00 (1,000/s)", "1.00 (50/s)"],
        ["The upper bound", "4.00 (4,000/s)", ""],
    ]


def test_replace_table() -> None:
    """The new table replaces the old one, and the rest of the page is unchanged."""
    page = f"# Numbers\n\n{BEGIN}\nold\n{END}\n\nThe end.\n"
    assert replace_table(page, "new") == f"# Numbers\n\n{BEGIN}\n\nnew\n\n{END}\n\nThe end.\n"


def test_text() -> None:
    """Names are aligned left, numbers right."""
    assert to_text([["server", "calls/s"], ["covers", "9"]]) == "server  calls/s\ncovers        9"


def test_markdown() -> None:
    """The table in Markdown has the same alignment."""
    assert to_markdown([["server", "calls/s"], ["covers", "9"]]) == (
        "| server | calls/s |\n| --- | ---: |\n| covers | 9 |"
    )
