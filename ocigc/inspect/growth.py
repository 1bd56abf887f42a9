"""How a store has grown, by its history, and when its disk would be full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from ocigc.layout.history import Run
from ocigc.times import SECOND

DAY = 86_400 * SECOND

_LEAST_POINTS = 5
_LEAST_SPAN = 3 * DAY
_RECENT = 90 * DAY
_FAR = 3650 * DAY


@dataclass(frozen=True, slots=True)
class Point:
    """The bytes of all blobs of a store at an instant, in all and by repository."""

    time: int
    size: int
    repositories: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """A line through `points` points since the instant `since`. `slope` is in bytes per day, and `size` is its value
    now. `full` is the instant at which the disk would be full; None where that is more than ten years away.
    """

    points: int
    since: int
    slope: float
    size: float
    full: int | None


def points_of(runs: list[Run]) -> list[Point]:
    """The size after each run that states it. A run that does not state it by repository gets the shares of the last
    run that did.
    """
    found = []
    shares: dict[str, int] = {}
    for run in runs:
        size, repositories = run.line.get("bytes"), run.line.get("repositories")
        if isinstance(repositories, dict):
            shares = {name: each for name, each in repositories.items() if _is_size(each)}
        if _is_size(size):
            found.append(Point(run.time, size, shares))
    return found


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def fit(points: Sequence[Point], now: int, free: int | None) -> Fit | None:
    """A linear estimate by least squares over the last 90 days; None where it would be a guess: fewer than five points,
    or less than three days. `free` is the free space of the disk, in bytes.
    """
    recent = [point for point in points if now - _RECENT <= point.time <= now]
    if len(recent) < _LEAST_POINTS or recent[-1].time - recent[0].time < _LEAST_SPAN:
        return None
    days = [(point.time - now) / DAY for point in recent]
    mean_day = sum(days) / len(days)
    mean_size = sum(point.size for point in recent) / len(recent)
    variance = sum((day - mean_day) ** 2 for day in days)
    covariance = sum((day - mean_day) * (point.size - mean_size) for day, point in zip(days, recent, strict=True))
    slope = covariance / variance
    full = None
    if free is not None and slope > 0 and free / slope * DAY < _FAR:
        full = now + round(free / slope * DAY)
    return Fit(len(recent), recent[0].time, slope, mean_size - slope * mean_day, full)


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points: the last one of each stretch of time."""
    if len(points) <= most:
        return list(points)
    first, span = points[0].time, points[-1].time - points[0].time + 1
    return list({(point.time - first) * most // span: point for point in points}.values())


def together(histories: Iterable[Sequence[Point]]) -> list[Point]:
    """The history of several stores as one: each point adds up the last known sizes of all of them."""
    events = sorted(
        ((point.time, number, point) for number, history in enumerate(histories) for point in history),
        key=lambda event: event[:2],
    )
    latest: dict[int, Point] = {}
    found = []
    for time, number, point in events:
        latest[number] = point
        repositories: Counter[str] = Counter()
        for each in latest.values():
            repositories.update(each.repositories)
        found.append(Point(time, sum(each.size for each in latest.values()), repositories))
    return found


def largest(points: Sequence[Point], most: int) -> list[str]:
    """The names of the repositories with the most bytes at the end, or, if they are gone by then, at any time."""
    last = points[-1].repositories if points else {}
    peak: Counter[str] = Counter()
    for point in points:
        for name, size in point.repositories.items():
            peak[name] = max(peak[name], size)
    return sorted(peak, key=lambda name: (-last.get(name, 0), -peak[name], name))[:most]
