"""Hard links: a file with several names is freed where the last of them goes, in whatever layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a file that has several: `names` at the time it was seen; `size` in bytes."""

    device: int
    inode: int
    names: int
    size: int


class HardLinks:
    """Counts names that go, over many layouts."""

    def __init__(self) -> None:
        self._gone: Counter[tuple[int, int]] = Counter()
        self._names: dict[tuple[int, int], int] = {}

    def remove(self, names: Iterable[Name]) -> int:
        """The bytes that are freed where these names go too."""
        freed = 0
        for name in names:
            file = name.device, name.inode
            # Seen later, a file may have lost names already that are counted here.
            self._names[file] = max(name.names, self._names.get(file, 0))
            self._gone[file] += 1
            if self._gone[file] == self._names[file]:
                freed += name.size
        return freed
