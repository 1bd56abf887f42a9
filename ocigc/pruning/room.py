"""Room on a full disk. A run writes its journal before it can free anything; where there is no room for that, what
needs no journal is freed first: orphans, which no image has, and whose loss at any moment changes nothing else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.plan import Plan
from ocigc.layout import label_files
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.pruning.roots import Roots

_BLOCK = 4096  # bytes
_DIRECTORIES = 16  # that a run makes
_LINE = 80  # bytes of a digest in the list of blobs to delete, and as much of a name in a directory
_FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoom(Refused):
    """The disk is full. `needed` is in bytes."""

    def __init__(self, layout: Layout, needed: int) -> None:
        super().__init__(
            f"{layout.path}/{STATE}: the disk is full: this needs {needed:,} bytes free there; nothing was changed"
        )
        self.needed = needed


def needed_after(blobs: int, labels: int) -> int:
    """Bytes that a run needs after its commit: for new directories and for label files."""
    return _BLOCK * (_DIRECTORIES + 2 * labels) + 2 * _LINE * blobs


def needed(snapshot: Snapshot, blobs: int, labels: int) -> int:
    """Bytes that a run needs in all, before it has freed any."""
    return 2 * (snapshot.index.size + _BLOCK) + _LINE * blobs + needed_after(blobs, labels) + _BLOCK


@contextmanager
def asking_for(layout: Layout, size: int) -> Iterator[None]:
    """Says of a full disk how many bytes are needed. Raises NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom(layout, size) from error
        raise


def free_orphans(snapshot: Snapshot, plan: Plan, roots: Roots, size: int) -> list[tuple[Digest, int]]:
    """Removes orphans of a plan for good, the largest first, until so many bytes are free; each digest with its bytes.
    Nothing goes if anything has changed since `roots` were read. Raises Refused and OSError."""
    layout, store = snapshot.layout, snapshot.store
    if roots.has_moved_on(layout, None, store):
        return []
    gone: list[tuple[Digest, int]] = []
    for node in sorted(plan.orphans, key=store.size, reverse=True):
        if sum(freed for _, freed in gone) >= size:
            break
        digest = store.digest(node)
        algorithm, encoded = digest.parts
        with layout.dir.below("blobs", algorithm) as directory:
            with suppress(FileNotFoundError):
                status = directory.stat(encoded)
                if status.st_size != store.size(node) or _stamp(status) != store.stamp(node):
                    continue
                # The label file first: without its blob nobody would look at it again.
                with suppress(FileNotFoundError), layout.dir.below(label_files.DIRECTORY, algorithm) as labels:
                    labels.remove(f"{encoded}{label_files.SUFFIX}")
                directory.remove(encoded)
                gone.append((digest, status.st_size if status.st_nlink == 1 else 0))
    return gone


def _stamp(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
