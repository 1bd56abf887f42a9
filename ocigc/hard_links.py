"""Hard links: a file with several names is freed where the last of them goes, in whatever layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a file: of how many `names` at the time it was seen; `size` in bytes. `stamp` is the newest of mtime
    and ctime, `modified` the mtime alone.
    """

    device: int
    inode: int
    names: int
    size: int
    stamp: int
    modified: int


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
    """Counts names that go, over many layouts; with `trash` they only go elsewhere."""

    def __init__(self, *, trash: bool = False) -> None:
        self._gone: Counter[tuple[int, int]] = Counter()
        self._names: dict[tuple[int, int], int] = {}
        self._trash = trash
        # Of files that lost names here: how many are left, and when somebody else had last touched them.
        self._left: dict[tuple[int, int], tuple[int, int]] = {}

    def remove(self, files: Files) -> int:
        """The bytes that are freed where these files go too."""
        freed = files.alone
        for name in files.names:
            file = name.device, name.inode
            # Seen later, a file may have lost names already that are counted here.
            self._names[file] = max(name.names, self._names.get(file, 0))
            self._gone[file] += 1
            self._left[file] = (name.names - (not self._trash), self.touched(name))
            if self._gone[file] == self._names[file]:
                freed += name.size
        return freed

    def touched(self, name: Name) -> int:
        """When somebody else last touched a file: the ctime moves with each name that goes here. If that does not
        explain what is seen, it was somebody else.
        """
        names, touched = self._left.get((name.device, name.inode), (0, 0))
        return touched if names == name.names and name.modified <= touched else name.stamp
