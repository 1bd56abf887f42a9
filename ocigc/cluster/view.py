"""What a host sees of a layout. Hosts with the same mount see the same; a copy has other times, and a stale mount has
another index.json.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import chain

from ocigc.errors import OcigcError, printable
from ocigc.layout.dirfd import Dir
from ocigc.layout.label_files import DIRECTORY as LABELS
from ocigc.layout.layout import INDEX, INDEX_LIMIT
from ocigc.layout.leases import DIRECTORY as LEASES
from ocigc.native import sha256

_DIGITS = 64


@dataclass(frozen=True, slots=True)
class View:
    """`index` is the SHA-256 of index.json, or why that cannot be read; `times` says when it was written and touched.
    `directories` does so for the directories of blobs, labels and leases, as a SHA-256.
    """

    index: str
    times: tuple[int, ...]
    directories: str

    def difference(self, other: View) -> str:
        """What is different about the index.json that another host sees; empty if nothing is."""
        if other.index != self.index:
            return "another index.json" if len(other.index) == _DIGITS else printable(other.index)
        return "" if other.times == self.times else "an index.json of another time, as a copy has it"


def view(root: Dir, path: str) -> View:
    """What this host sees of a layout below an open directory."""
    try:
        with root.below(*path.split("/")) as layout:
            index = sha256(layout.read(INDEX, INDEX_LIMIT))
            return View(index, _times(layout.stat(INDEX)), sha256(_directories(layout).encode()))
    except (OSError, OcigcError) as error:
        return View(printable(f"{path}/{INDEX}: {getattr(error, 'strerror', None) or error}"), (), "")


def _directories(layout: Dir) -> str:
    below = [(first, second) for first in ("blobs", LABELS) for second in _names(layout, first)]
    return "\n".join(_line(layout, *names) for names in chain([("blobs",), (LABELS,), (LEASES,)], below))


def _names(layout: Dir, directory: str) -> list[str]:
    try:
        return layout.names_below(directory)
    except OSError:
        return []


def _line(layout: Dir, *names: str) -> str:
    try:
        with layout.below(*names) as directory:
            found = str(_times(os.fstat(directory.fd)))
    except OSError as error:
        found = str(error.strerror)
    return f"{'/'.join(names)!r} {found}"


def _times(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns
