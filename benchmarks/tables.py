"""Tables as text: what was measured of each server, and its ratios to our service and to the best peer."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The table of the last run is between these lines of the page.
BEGIN, END = "<!-- begin: written by python -m benchmarks -->", "<!-- end -->"

RATIO_TO_OURS, RATIO_TO_BEST_PEER = "vs. covers", "vs. best peer"

#: Smaller ratios are shown with one more digit.
_SMALL_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured quantity: its key in the results, its column heading, and the scale and format in which it is shown.

    ``is_compared``: its ratios are shown too. ``more_is_better``: the best peer is the one with the highest value.
    """

    key: str
    heading: str
    scale: float = 1.0
    format_spec: str = ",.0f"
    is_compared: bool = True
    more_is_better: bool = True


SPEED = (
    Quantity("rate", "calls/s"),
    Quantity("p50", "p50 ms", scale=1e3, format_spec=",.1f", is_compared=False),
    Quantity("p99", "p99 ms", scale=1e3, format_spec=",.1f", is_compared=False),
    Quantity("cpu", "CPU us/call", scale=1e6, more_is_better=False),
)
MEMORY = (
    Quantity("held", "MB per 1,000 waiting calls", scale=1e-6, format_spec=",.1f", more_is_better=False),
    Quantity("rest", "MB idle", scale=1e-6, format_spec=",.1f", is_compared=False),
)

#: By server name, the values of its quantities by their keys.
Measurements = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Roles:
    """The name of our service among the servers, and the names of the peers."""

    ours: str
    peers: frozenset[str]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each value over all rounds, which have the same keys."""
    return {key: statistics.median(values[key] for values in rounds) for key in rounds[0]}


def best_peer(measured: Measurements, quantity: Quantity, roles: Roles) -> float | None:
    """Return the best value among the peers, or None if no peer was measured."""
    values = [values[quantity.key] for name, values in measured.items() if name in roles.peers]
    if not values:
        return None
    return max(values) if quantity.more_is_better else min(values)


def ratios(measured: Measurements, quantity: Quantity, roles: Roles) -> dict[str, tuple[float | None, float | None]]:
    """Return each server's ratios to our value and to the best peer's. A ratio is None if that was not measured."""
    ours = measured[roles.ours][quantity.key] if roles.ours in measured else None
    best = best_peer(measured, quantity, roles)
    return {
        name: (_ratio(values[quantity.key], ours), _ratio(values[quantity.key], best))
        for name, values in measured.items()
    }


def _ratio(value: float, reference: float | None) -> float | None:
    return value / reference if reference else None


def table(
    measured: Measurements, quantities: Sequence[Quantity], titles: Mapping[str, str], roles: Roles
) -> list[list[str]]:
    """Return a table as rows of cells: the headings, then a row for each server."""
    headings = ["server"]
    for quantity in quantities:
        headings.append(quantity.heading)
        if quantity.is_compared:
            headings += [RATIO_TO_OURS, RATIO_TO_BEST_PEER]
    compared = {quantity.key: ratios(measured, quantity, roles) for quantity in quantities}
    rows = [headings]
    for name, values in measured.items():
        row = [titles[name]]
        for quantity in quantities:
            row.append(f"{values[quantity.key] * quantity.scale:{quantity.format_spec}}")
            if quantity.is_compared:
                row += ["-" if ratio is None else format_ratio(ratio) for ratio in compared[quantity.key][name]]
        rows.append(row)
    return rows


def format_ratio(ratio: float) -> str:
    """Return a ratio as text with two decimals, or three if it is small."""
    return f"{ratio:.2f}" if ratio >= _SMALL_RATIO else f"{ratio:.3f}"


def rate_summary(loads: Mapping[str, Measurements], titles: Mapping[str, str], roles: Roles) -> list[list[str]]:
    """Return one table of the rates in all loads, as ratios to our rate with the rates beside them.

    Every load has to include a measurement of our service.
    """
    rows = [["server", *loads]]
    for name, title in titles.items():
        row = [title]
        for measured in loads.values():
            rate, ours = measured.get(name, {}).get("rate"), measured[roles.ours]["rate"]
            row.append("" if rate is None else f"{format_ratio(rate / ours)} ({rate:,.0f}/s)")
        rows.append(row)
    return rows


def replace_table(page: str, text: str) -> str:
    """Return a Markdown page with ``text`` between ``BEGIN`` and ``END``, each of which it contains once."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def to_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in columns, the first aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, with all columns but the first aligned right."""
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])
