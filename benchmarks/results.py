"""What a benchmark found, as JSON: the figures of every round, the machine, and when. `plots.py` draws such files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from measure import processor


@dataclass
class Series:
    """What one `name` took or did at each `x`: the rounds of it, in the unit of the figure."""

    name: str
    points: dict[str, list[float]] = field(default_factory=dict)

    def add(self, x: object, value: float) -> None:
        """Adds a round."""
        self.points.setdefault(str(x), []).append(value)


@dataclass
class Figure:
    """A figure: bars where `x` is a kind of thing, curves where it is a number. `target` is what is to be reached."""

    key: str
    title: str
    x: str
    unit: str
    series: list[Series] = field(default_factory=list)
    numeric: bool = False
    target: float | None = None

    def of(self, name: str) -> Series:
        """The series of that name, which is made where there is none."""
        found = next((each for each in self.series if each.name == name), None)
        if found is None:
            found = Series(name)
            self.series.append(found)
        return found


def table(figure: Figure) -> str:
    """The medians and ranges of a figure, as a table in Markdown."""
    places = list(dict.fromkeys(x for series in figure.series for x in series.points))
    head = " | ".join([figure.x, *(series.name for series in figure.series)])
    lines = [f"{figure.title} ({figure.unit})", "", f"| {head} |"]
    lines.append("| --- " * (1 + len(figure.series)) + "|")
    for x in places:
        cells = [_cell(series.points.get(x, [])) for series in figure.series]
        lines.append("| " + " | ".join([x, *cells]) + " |")
    return "\n".join([*lines, ""])


def _cell(rounds: list[float]) -> str:
    if not rounds:
        return ""
    middle = f"{statistics.median(rounds):.3g}"
    return middle if len(rounds) == 1 else f"{middle} ({min(rounds):.3g} to {max(rounds):.3g})"


def options(parser: argparse.ArgumentParser) -> None:
    """--json: where to write the figures."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def save(figures: list[Figure], path: Path | None) -> None:
    """Prints the tables, and writes the file."""
    for figure in figures:
        print(table(figure), flush=True)
    if path is None:
        return
    machine = {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}
    document = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "figures": [asdict(each) for each in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def load(path: Path) -> tuple[str, list[Figure]]:
    """What a file says: when and on what machine that was, and the figures."""
    document = json.loads(path.read_text())
    machine = document["machine"]
    where = f"{document['date']}, {machine['cores']} cores of {machine['processor']}"
    figures = [
        Figure(**{**each, "series": [Series(**series) for series in each["series"]]}) for each in document["figures"]
    ]
    return where, figures
