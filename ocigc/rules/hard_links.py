"""Hard links: a file with several names is freed where the last of them goes, in whatever layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a file that has several: `names` at the time it was seen; `size` in bytes."""

    device: int
    inode: int
    names: int
    size: int


@dataclass(frozen=True, slots=True)
class Files:
    """Files behind blobs: the bytes of those with one name, and the names of the others."""

    alone: int
    names: Sequence[Name]

    @property
    def size(self) -> int:
        """Bytes, where every name counts."""
        return self.alone + sum(name.size for name in self.names)


def on_disk(layouts: Iterable[Files]) -> int:
    """Bytes that the files take, each once, however many names it has."""
    alone = 0
    shared: dict[tuple[int, int], int] = {}
    for each in layouts:
        alone += each.alone
        shared.update({(name.device, name.inode): name.size for name in each.names})
    return alone + sum(shared.values())


class HardLinks:
    """Counts names that go, over many layouts."""

    def __init__(self) -> None:
        self._gone: Counter[tuple[int, int]] = Counter()
        self._names: dict[tuple[int, int], int] = {}

    def remove(self, files: Files) -> int:
        """The bytes that are freed where these files go too."""
        freed = files.alone
        for name in files.names:
            file = name.device, name.inode
            # Seen later, a file may have lost names already that are counted here.
            self._names[file] = max(name.names, self._names.get(file, 0))
            self._gone[file] += 1
            if self._gone[file] == self._names[file]:
                freed += name.size
        return freed
