"""Hard links. A file with several names is freed when the last of them goes, in whichever layout that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ocigc.values import frozen


@frozen
class HardLink:
    """One name of a file. `names` is how many it had when it was seen, and `size` is in bytes. `stamp` is the newer of
    mtime and ctime, `modified` the mtime alone.
    """

    device: int
    inode: int
    names: int
    size: int
    stamp: int
    modified: int


@frozen
class Files:
    """The files of some blobs of a layout: the bytes of those with one name, and the names of the others. All figures
    are bytes: `size` counts every name, `disk` counts every file once, and `freed` is what is freed if exactly these
    names go.
    """

    alone: int
    names: Sequence[HardLink]
    size: int
    disk: int
    freed: int


def on_disk(layouts: Iterable[Files]) -> int:
    """The bytes that the files take on disk. A file counts once, however many names it has."""
    known = list(layouts)
    if len(known) == 1:
        return known[0].disk
    alone = 0
    shared: dict[tuple[int, int], int] = {}
    for each in known:
        alone += each.alone
        shared.update({(name.device, name.inode): name.size for name in each.names})
    return alone + sum(shared.values())


def freed(layouts: Sequence[Files]) -> list[int]:
    """For each layout, the bytes that it frees if these files go after those of the layouts before it."""
    if len(layouts) == 1:
        return [layouts[0].freed]
    links = RemovedLinks()
    return [links.remove(each) for each in layouts]


class RemovedLinks:
    """Counts the names that a run removes from many layouts. With `trash`, names only move."""

    def __init__(self, *, trash: bool = False) -> None:
        self._gone: Counter[tuple[int, int]] = Counter()
        self._names: dict[tuple[int, int], int] = {}
        self._trash = trash
        # Files that lost names here: how many names are left, and when somebody else last touched the file.
        self._left: dict[tuple[int, int], tuple[int, int]] = {}

    def remove(self, files: Files) -> int:
        """Counts these files as removed, and returns the bytes that this frees."""
        freed = files.alone
        for name in files.names:
            file = name.device, name.inode
            # A file that is seen later may already have lost names that are counted here.
            self._names[file] = max(name.names, self._names.get(file, 0))
            self._gone[file] += 1
            self._left[file] = (name.names - (not self._trash), self.touched(name))
            if self._gone[file] == self._names[file]:
                freed += name.size
        return freed

    def touched(self, name: HardLink) -> int:
        """When somebody else last touched a file. Removing a name changes the ctime of the file too, so a change that
        this run explains does not count.
        """
        names, touched = self._left.get((name.device, name.inode), (0, 0))
        return touched if names == name.names and name.modified <= touched else name.stamp
