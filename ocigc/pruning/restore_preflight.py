"""Finds out, before a restore changes anything, what would stop it halfway: directories that files cannot be moved
into, and a full disk.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import product

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.layout import label_files
from ocigc.layout.blob_check import has_blob
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import INDEX, STATE, Layout
from ocigc.pruning import trash
from ocigc.pruning.journal import JOURNAL, RestoreJournal, naming_run
from ocigc.pruning.preflight import (
    BLOCK,
    JOURNAL_SIZE,
    LONG_LINE,
    UNLEASE_SIZE,
    in_blocks,
    list_size,
    on_one_mount,
    refusing,
    there_and_back,
    try_to_remove,
)
from ocigc.pruning.run_directory import TRASH

_REASONS = {
    errno.EPERM: "no file can be put there: not yours, or immutable or append-only (see lsattr)",
    errno.EACCES: "no permission to write",
    errno.EXDEV: f"files cannot be moved from {STATE} to there: another device, mount or quota",
}
_ELSEWHERE = "files cannot be moved from there to the layout: another device or mount"
_DIRECTORIES = 8  # that a restore makes
_FILES = 16  # and directories that a restore makes, besides label files
_RESTORED = 24  # bytes of an entry in the list of what was restored


def arriving(layout: Layout, state: Dir, digests: Iterable[Digest]) -> tuple[list[tuple[str, str]], int]:
    """The directories (`blobs` or `labels`, and the algorithm) that files come back to if these blobs come out of the
    trash; and how many label files come, at most. Raises OSError and Refused.
    """
    absent = set()
    for digest in digests:
        with naming(f"{layout.path}/blobs/{digest.algorithm}"):
            if digest.registered and not has_blob(layout.dir, digest):
                absent.add(digest.parts)
    places: Counter[tuple[str, str]] = Counter()
    runs = trash.names(state)
    for run in runs if absent else ():
        path = trash.path_of(run)
        with naming_run(path), state.below(TRASH, run) as directory:
            here = Counter(_files_of(directory, absent))
            movable = not here or on_one_mount(directory, state)
        if not movable:
            raise Refused(f"{layout.path}/{path}: {_ELSEWHERE}; nothing was changed")
        places += here
    return sorted(places), sum(number for (top, _), number in places.items() if top == label_files.DIRECTORY)


def _files_of(run: Dir, digests: Collection[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """For each blob and label file that a run in the trash has of these, where it comes back to."""
    for place in product(("blobs", label_files.DIRECTORY), {algorithm for algorithm, _ in digests}):
        for name in run.names_below(*place):
            if (place[1], name.removesuffix(label_files.SUFFIX)) in digests:
                yield place


def check(layout: Layout, state: Dir, record: RestoreJournal, places: Iterable[tuple[str, str]]) -> None:
    """Raises Refused where files cannot be moved into one of the directories, or the trash cannot remember what has
    been restored. Raises OSError on a full disk.
    """
    path = trash.path_of(record.run)
    with refusing(f"{layout.path}/{path}", _REASONS), state.below(TRASH, record.run) as run:
        try_to_remove(run, JOURNAL)
        trash.check_note(run, path)
    for top, algorithm in places:
        with refusing(f"{layout.path}/{top}/{algorithm}", _REASONS), suppress(FileNotFoundError):
            with layout.dir.below(top, algorithm) as directory:
                there_and_back(state, directory)


def needed_later(layout: Layout, record: RestoreJournal, labels: int) -> int:
    """Bytes that a restore with that many label files needs after its journal is written. Raises OSError."""
    entries = _entries_size(record)
    files = (layout.dir.stat(INDEX).st_size + entries, 2 * list_size(layout), _RESTORED * len(record.entries))
    return sum(map(in_blocks, files)) + BLOCK * (_DIRECTORIES + labels + len(record.unlease))


def needed_in_all(record: RestoreJournal, digests: Sequence[Digest], later: int) -> int:
    """Bytes that a restore needs in all."""
    journal = JOURNAL_SIZE + 2 * _entries_size(record) + UNLEASE_SIZE * len(record.unlease)
    return in_blocks(journal) + in_blocks(LONG_LINE * len(digests)) + later + 2 * BLOCK


def needed_files(labels: int) -> int:
    """Inodes that a restore needs."""
    return _FILES + labels


def _entries_size(record: RestoreJournal) -> int:
    return sum(len(entry.encode()) + 2 for _, entry in record.entries)
