"""The chart of growth, as `static/growth.js` reads it."""

from __future__ import annotations

from ocigc.cli.output.html.headline import shown
from ocigc.inspect.growth import Fit, Point, largest, thinned
from ocigc.inspect.overview_values import Overview
from ocigc.times import SECOND

_POINTS = 300
_SERIES = 8


def growth_chart(overview: Overview, fit: Fit | None, now: int) -> dict[str, object]:
    """The chart as JSON: at most 300 points, the eight largest repositories, and the rest as one series. Bytes that
    several repositories share count for none of them.
    """
    points = history_until(overview, now)
    names = largest(points, _SERIES)
    series = [[0] * len(points) for _ in names]
    for number, point in enumerate(points):
        sizes = [point.repositories.get(name, 0) for name in names]
        # Each repository's bytes include blobs that it shares, so the parts are scaled to fit the whole.
        scale = min(1.0, point.size / max(sum(point.repositories.values()), 1))
        for row, size in zip(series, sizes, strict=True):
            row[number] = round(size * scale)
    rest = [point.size - sum(row[number] for row in series) for number, point in enumerate(points)]
    if any(rest):
        names, series = [*names, "all else"], [*series, rest]
    return {
        "times": [point.time // SECOND for point in points],
        "total": [point.size for point in points],
        "names": [shown(name) for name in names],
        "series": series,
        "capacity": None if overview.disk is None else overview.size + overview.disk.free,
        "fit": fit
        and {
            "since": fit.since // SECOND,
            "slope": fit.slope,
            "bytes": fit.size,
            "full": None if fit.full is None else fit.full // SECOND,
        },
    }


def history_until(overview: Overview, now: int) -> list[Point]:
    """What the page draws of the history, with the store as it is now."""
    points = [point for point in overview.history if point.time < now]
    sizes = {each.name: each.size for each in overview.repositories if each.name}
    return thinned([*points, Point(now, overview.size, sizes)], _POINTS) if points else []
