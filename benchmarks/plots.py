"""Draws what benchmarks have written: `plots.py RESULTS.json... --to DIRECTORY`.

Each figure becomes `<key>-light.svg` and `<key>-dark.svg`. A bar or a marker is the median of the rounds, the line
through it their range, and a mark across is what is to be reached at most.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import results
from results import Figure, Series

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

LIMIT = "at most"
COLOURS = {"light": ("#2f6fde", "#b0752a", "#12856a", "#8a4fd0", "#cc3d3d", "#6e7781"),
           "dark": ("#6ea8ff", "#e0a458", "#4cc9a0", "#c39bff", "#ff8080", "#9198a1")}  # fmt: skip
MARKERS = "osD^vP"
PAPER = {"light": ("#ffffff", "#24292f", "#d0d7de"), "dark": ("#0d1117", "#e6edf3", "#3d444d")}


def style(theme: str) -> dict[str, Any]:
    paper, ink, grid = PAPER[theme]
    return {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), paper),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink),
        "grid.color": grid,
        "font.family": "sans-serif",
        "font.size": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "ocigc",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }


def spread(rounds: list[float]) -> tuple[float, float, float]:
    """The median, and how far below and above it the rounds reach."""
    middle = statistics.median(rounds)
    return middle, middle - min(rounds), max(rounds) - middle


def draw(figure: Figure, where: str, theme: str, target: Path) -> None:
    with mpl.rc_context(style(theme)):
        drawn = curves(figure, theme) if figure.numeric else bars(figure, theme)
        drawn.axes[0].set_title(f"{figure.title}\n", loc="left", fontsize=11)
        drawn.text(0.01, 0.005, where, fontsize=8, alpha=0.8)
        drawn.savefig(target, metadata={"Date": None}, bbox_inches="tight")
        plt.close(drawn)


def measured(figure: Figure) -> Iterator[tuple[int, Series]]:
    yield from enumerate(series for series in figure.series if series.name != LIMIT)


def bars(figure: Figure, theme: str) -> Any:
    """A group of horizontal bars for each thing, over a logarithmic axis."""
    places = list(dict.fromkeys(x for series in figure.series for x in series.points))
    shown = len(list(measured(figure)))
    height = 0.8 / max(shown, 1)
    drawn, axes = plt.subplots(figsize=(9, 1.6 + 0.42 * len(places) * max(1, shown * 0.7)))
    for number, series in measured(figure):
        found = [(place, spread(series.points[x])) for place, x in enumerate(places) if series.points.get(x)]
        offset = (number - (shown - 1) / 2) * height
        axes.barh(
            [place + offset for place, _ in found],
            [middle for _, (middle, _, _) in found],
            height * 0.9,
            xerr=[[low for _, (_, low, _) in found], [high for _, (_, _, high) in found]],
            color=COLOURS[theme][number],
            ecolor=PAPER[theme][1],
            capsize=3,
            label=series.name,
        )
        for place, (middle, _, high) in found:
            axes.annotate(
                f"{middle:.3g}", (middle + high, place + offset), (5, 0), textcoords="offset points", va="center"
            )
    limits = next((series for series in figure.series if series.name == LIMIT), None)
    if limits is not None:
        known = [(limits.points[x][0], place) for place, x in enumerate(places) if x in limits.points]
        axes.plot(*zip(*known, strict=True), "|", markersize=18, mew=2.5, color=COLOURS[theme][4], label=LIMIT)
    axes.set_xscale("log")
    axes.set_yticks(range(len(places)), places)
    axes.invert_yaxis()
    axes.set_xlabel(figure.unit)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(x=0.12)
    axes.grid(axis="x", alpha=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    return drawn


def curves(figure: Figure, theme: str) -> Any:
    """A line for each series, with a marker and the range at each point."""
    drawn, axes = plt.subplots(figsize=(8, 4.6))
    for number, series in measured(figure):
        points = sorted((float(x), spread(rounds)) for x, rounds in series.points.items())
        axes.errorbar(
            [x for x, _ in points],
            [middle for _, (middle, _, _) in points],
            yerr=[[low for _, (_, low, _) in points], [high for _, (_, _, high) in points]],
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[theme][number % len(COLOURS[theme])],
            capsize=3,
            label=series.name,
        )
    if figure.target is not None:
        axes.axhline(figure.target, color=COLOURS[theme][4], linestyle="--", label="target")
    xs = sorted({float(x) for series in figure.series for x in series.points})
    if xs and xs[-1] / max(xs[0], 1e-9) >= 10:
        axes.set_xscale("log")
    axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(figure.x)
    axes.set_ylabel(figure.unit)
    axes.grid(alpha=0.6)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    for file in args.files:
        where, figures = results.load(file)
        for figure in figures:
            for theme in PAPER:
                draw(figure, where, theme, args.to / f"{figure.key}-{theme}.svg")


if __name__ == "__main__":
    main()
