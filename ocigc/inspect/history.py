"""What `.ocigc/history.jsonl` says: a line for each run that changed or verified the layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeGuard

from ocigc.errors import Refused
from ocigc.inspect.growth import Point
from ocigc.layout.history import LIMIT, NAME
from ocigc.layout.layout import STATE, Layout
from ocigc.times import parse_rfc3339

_LIMIT = 2 * LIMIT


@dataclass(frozen=True, slots=True)
class Run:
    """One run: when it ended (an instant), its command, and the line as it stands."""

    time: int
    command: str
    line: Mapping[str, Any]


def read(layout: Layout) -> list[Run]:
    """All runs, the oldest first. A line that is damaged or says no time is passed over, as is a file that cannot be
    read: the history is never a reason to stop.
    """
    with suppress(OSError, Refused):
        with layout.dir.below(STATE) as state:
            content = state.read(NAME, _LIMIT)
        return sorted(_runs(content), key=lambda run: run.time)
    return []


def _runs(content: bytes) -> Iterator[Run]:
    for line in content.splitlines():
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            record = json.loads(line)
            yield Run(parse_rfc3339(record["time"]), str(record["command"]), record)


def points(runs: list[Run]) -> list[Point]:
    """How much there was after each run that says so. One that does not say it by repository has the shares of the last
    that did."""
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
