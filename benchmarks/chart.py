"""The chart: the rate of each server in each load as a ratio to our service, as grouped bars.

Run ``python -m benchmarks.chart`` to draw it again from ``benchmarks/results.json``.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.processes import ROOT
from benchmarks.servers import OURS, SERVERS
from benchmarks.tables import format_ratio

RESULTS = ROOT / "benchmarks" / "results.json"
CHART = ROOT / "docs" / "benchmarks.svg"

#: These are readable on white and on black, and the colours are distinguishable with colour blindness.
_GREY = "#808080"
_COLOURS = {"hits": "#1f9bcf", "mixed": "#e0902f", "cold": "#9b6fd1"}
_LEGENDS = {"hits": "hits", "mixed": "mixed: 90 % hits", "cold": "cold: a page for each call"}
_BAR_HEIGHT = 0.27


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the chart of ``results``, which have the form of ``benchmarks/results.json``."""
    loads: dict[str, dict[str, dict[str, float]]] = results["loads"]
    servers = [server for server in SERVERS if any(server.name in loads[load] for load in _COLOURS)]
    mpl.rcParams.update({"svg.hashsalt": "covers", "font.size": 9})
    figure = Figure(figsize=(8, 0.62 * len(servers) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    for position, (load, colour) in enumerate(_COLOURS.items()):
        ours = loads[load][OURS]["rate"]
        rows = [row for row, server in enumerate(servers) if server.name in loads[load]]
        rates = [loads[load][servers[row].name]["rate"] for row in rows]
        bars = axes.barh(
            [row + (position - 1) * _BAR_HEIGHT for row in rows],
            [rate / ours for rate in rates],
            _BAR_HEIGHT,
            color=colour,
            label=_LEGENDS[load],
        )
        labels = [f"{format_ratio(rate / ours)}   {rate:,.0f}/s" for rate in rates]
        axes.bar_label(bars, labels, padding=3, color=_GREY, fontsize=7)
    axes.set_yticks(range(len(servers)), [server.title for server in servers])
    axes.set_ylim(len(servers) - 0.5, -0.5)
    axes.set_xlabel("calls per second on one core, as a ratio to covers", color=_GREY)
    axes.axvline(1, color=_GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.margins(x=0.2)
    axes.tick_params(colors=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.legend(frameon=False, labelcolor=_GREY, loc="upper right")
    figure.savefig(path, transparent=True, metadata={"Date": None})


def main() -> None:
    """Draw the chart from the stored results."""
    draw(json.loads(RESULTS.read_text()), CHART)


if __name__ == "__main__":
    main()
