"""The newest images of each repository: of all images, or one for each day, week, month or year.

An image that is as new as the last one that is kept is kept too, as either may have been meant. An image whose content
is absent does not count, but is kept if it would be among the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest

from ocigc.gc.policy import Period

Repository = tuple[str, bool]
"""Images that are compared: those of a repository that have a name, or those that have none (True)."""

Order = tuple[object, ...]
"""A version or a time of creation: a higher one is newer."""

_SPARE = 100  # how many more targets and periods are remembered than may be kept, before the rest is dropped


class NewestTargets:
    """The `count` newest targets of each repository. Two names of one target count once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._best: dict[Repository, dict[str, Order]] = {}
        self._least: dict[Repository, Order | None] = {}

    def add(self, group: Repository, digest: str, order: Order) -> None:
        """Counts an image."""
        targets = self._best.setdefault(group, {})
        targets[digest] = max(targets.get(digest, order), order)
        if len(targets) > 2 * self._count + _SPARE:
            least = self._last(targets)
            self._best[group] = {each: own for each, own in targets.items() if least is not None and own >= least}

    def keeps(self, group: Repository, digest: str, order: Order) -> bool:
        """Whether an image is at least as new as the last of the newest. Call it after all images have been counted."""
        if self._count == 0:
            return False
        if group not in self._least:
            self._least[group] = self._last(self._best.get(group, {}))
        least = self._least[group]
        return least is None or max(order, self._best.get(group, {}).get(digest, order)) >= least

    def _last(self, targets: Mapping[str, Order]) -> Order | None:
        """The last of the newest; None where there are fewer."""
        newest = nlargest(self._count, targets.values())
        return newest[-1] if newest and len(newest) == self._count else None


class NewestOfPeriods:
    """The newest targets of each of the last `count` periods in which a repository has any."""

    def __init__(self, period: Period, count: int) -> None:
        self._period = period
        self._count = count
        self._newest: dict[Repository, dict[int, int]] = {}
        self._last: dict[Repository, list[int]] = {}

    def add(self, group: Repository, created: int) -> None:
        """Counts an image."""
        newest = self._newest.setdefault(group, {})
        number = self._period.of(created)
        newest[number] = max(newest.get(number, created), created)
        if len(newest) > 2 * self._count + _SPARE:
            self._newest[group] = {each: newest[each] for each in nlargest(self._count, newest)}

    def keeps(self, group: Repository, created: int) -> bool:
        """Whether an image is the newest of one of those periods. Call it after all images have been counted."""
        newest = self._newest.get(group, {})
        if group not in self._last:
            self._last[group] = nlargest(self._count, newest)
        last = self._last[group]
        number = self._period.of(created)
        if number in last:
            return created >= newest[number]
        return bool(self._count) and (len(last) < self._count or number > last[-1])
