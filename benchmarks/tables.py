"""Tables as text: for each server what was measured, and its ratio to ours and to the best peer."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Between these lines of a page stands what the last run has written.
BEGIN, END = "<!-- begin: written by python -m benchmarks -->", "<!-- end -->"

OURS, BEST_PEER = "to ours", "to best peer"


_SMALL = 0.1


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something measured: its key in the results, its heading, how many times as large it is shown, in which format.

    ``is_compared``: its ratios are shown too, and ``more_is_better`` says which peer is the best one.
    """

    key: str
    heading: str
    times: float = 1.0
    form: str = ",.0f"
    is_compared: bool = True
    more_is_better: bool = True


SPEED = (
    Quantity("rate", "calls/s"),
    Quantity("p50", "p50 ms", times=1e3, form=",.1f", is_compared=False),
    Quantity("p99", "p99 ms", times=1e3, form=",.1f", is_compared=False),
    Quantity("cpu", "CPU us/call", times=1e6, more_is_better=False),
)
MEMORY = (
    Quantity("held", "MB per 1,000 calls", times=1e-6, form=",.1f", more_is_better=False),
    Quantity("rest", "MB at rest", times=1e-6, form=",.1f", is_compared=False),
)

#: What was measured of each server, by its name: the values of quantities by their keys.
Measured = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Roles:
    """Which server is ours, and which ones the best peer is chosen from."""

    ours: str
    peers: frozenset[str]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each value over all rounds, which have the same keys."""
    return {key: statistics.median(values[key] for values in rounds) for key in rounds[0]}


def best_peer(measured: Measured, quantity: Quantity, roles: Roles) -> float | None:
    """Return the best value that a peer has, or None where no peer was measured."""
    values = [values[quantity.key] for name, values in measured.items() if name in roles.peers]
    if not values:
        return None
    return max(values) if quantity.more_is_better else min(values)


def ratios(measured: Measured, quantity: Quantity, roles: Roles) -> dict[str, tuple[float | None, float | None]]:
    """Return for each server its value's ratio to ours and to the best peer's; None where that was not measured."""
    ours = measured[roles.ours][quantity.key] if roles.ours in measured else None
    best = best_peer(measured, quantity, roles)
    return {
        name: (_ratio(values[quantity.key], ours), _ratio(values[quantity.key], best))
        for name, values in measured.items()
    }


def _ratio(value: float, to: float | None) -> float | None:
    return value / to if to else None


def table(
    measured: Measured, quantities: Sequence[Quantity], titles: Mapping[str, str], roles: Roles
) -> list[list[str]]:
    """Return a table as rows of cells: a heading, then a row for each server."""
    heading = ["server"]
    for quantity in quantities:
        heading += [quantity.heading, OURS, BEST_PEER] if quantity.is_compared else [quantity.heading]
    compared = {quantity.key: ratios(measured, quantity, roles) for quantity in quantities}
    rows = [heading]
    for name, values in measured.items():
        row = [titles[name]]
        for quantity in quantities:
            row.append(f"{values[quantity.key] * quantity.times:{quantity.form}}")
            if quantity.is_compared:
                row += ["-" if ratio is None else shown(ratio) for ratio in compared[quantity.key][name]]
        rows.append(row)
    return rows


def shown(ratio: float) -> str:
    """Return a ratio as text, a small one with a digit more."""
    return f"{ratio:.2f}" if ratio >= _SMALL else f"{ratio:.3f}"


def summary(loads: Mapping[str, Measured], titles: Mapping[str, str], roles: Roles) -> list[list[str]]:
    """Return one table of the rates under all loads: ratios to ours, which must be there, and the rates themselves."""
    rows = [["server", *loads]]
    for name, title in titles.items():
        row = [title]
        for measured in loads.values():
            rate, ours = measured.get(name, {}).get("rate"), measured[roles.ours]["rate"]
            row.append("" if rate is None else f"{shown(rate / ours)} ({rate:,.0f}/s)")
        rows.append(row)
    return rows


def refreshed(page: str, text: str) -> str:
    """Return a page of Markdown with this text between ``BEGIN`` and ``END``, which it has once each."""
    before, rest = page.split(BEGIN)
    _, behind = rest.split(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{behind}"


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, the numbers to the right."""
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])
