"""The trash: what prunes have taken out of a layout and keep for a while.

A restore takes nothing out of it. A run stays until its time is over, or until a later command, an hour or more after a
restore, finds that the restored entries are still in index.json. So a restore can be repeated if a writer puts back an
old index.json.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ocigc.digest import ENCODED_LENGTHS, Digest
from ocigc.errors import MalformedError, Refused, Remedy, printable
from ocigc.image import ImageRecord
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.index import Index, parse
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import Layout
from ocigc.native import NEVER
from ocigc.pruning import journal, run_directory
from ocigc.pruning.index_merge import missing_entries
from ocigc.pruning.journal import Journal, naming_run, without
from ocigc.pruning.put_back import blobs_in, is_back
from ocigc.pruning.run_directory import TRASH, TRASH_PLACE
from ocigc.strict_json import parse_json
from ocigc.times import SECOND

MANIFEST_LIMIT = 16 << 20  # bytes
_MOST_RUNS = 10_000
_RESTORED = "restored"
_RESTORED_LIMIT = 16 << 20  # bytes
_STAYED = 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Trashed:
    """A run in the trash: the images that it removed, and its blobs. `size` is in bytes. The trash keeps it until the
    instant `kept_until`. `restored` are the positions, in the index before, of the entries that came back at the
    instant `restored_at`.
    """

    journal: Journal
    kept_until: int | None
    images: Sequence[ImageRecord]
    blobs: int
    size: int
    restored: frozenset[int] = frozenset()
    restored_at: int | None = None

    @property
    def id(self) -> str:
        """The run's identity."""
        return self.journal.id

    @property
    def is_restored(self) -> bool:
        """Whether all of it has come back once."""
        return self.restored_at is not None and self.restored.issuperset(_positions(self.journal))


def _positions(record: Journal) -> set[int]:
    """The positions of the entries, in the index before, that the run changed."""
    return {*record.removed, *(position for position, _ in record.renamed)}


def path_of(identity: str) -> str:
    """The directory of a run in the trash, relative to the layout."""
    return f"{TRASH_PLACE}/{identity}"


def names(state: Dir) -> list[str]:
    """The ids of the runs in the trash. Raises Refused where the trash has anything else in it."""
    with naming(TRASH_PLACE):
        found = [name for name in state.names_below(TRASH) if name != run_directory.DISCARDED]
    if len(found) > _MOST_RUNS:
        raise Refused(f"{TRASH_PLACE}: more than {_MOST_RUNS:,} runs", Remedy.EMPTY_TRASH)
    for name in found:
        if not journal.is_id(name):
            raise MalformedError(f"{TRASH_PLACE}/{printable(name)}: not a run of ocigc; move it away")
    return found


def journals(state: Dir) -> Iterator[tuple[Dir, Journal]]:
    """Every run in the trash, open, with its journal. Raises Refused."""
    for name in names(state):
        path = path_of(name)
        with naming(path), state.below(TRASH, name) as run:
            record = journal.read_prune(run, path)
            if record.id != name:
                raise MalformedError(f"{path}: has the journal of another run; {without(path)}")
            yield run, record


def runs(state: Dir) -> list[Trashed]:
    """What is in the trash, the oldest run first. Raises Refused."""
    found = [_trashed(run, record) for run, record in journals(state)]
    return sorted(found, key=lambda trashed: (trashed.journal.started, trashed.id))


def _trashed(run: Dir, record: Journal) -> Trashed:
    changed = _positions(record)
    before = parse(read_before(run, record)) if changed else None
    images = () if before is None else image_records(before.entries)
    sizes = [status.st_size for _, status in _blobs(run, record.id)]
    restored, at = _restored(run)
    removed = [image for image in images if changed.intersection(image.entries)]
    return Trashed(record, _kept_until(run, record), removed, len(sizes), sum(sizes), restored, at)


def read_before(run: Dir, record: Journal) -> bytes:
    """index.json as it was before a run in the trash. Raises MalformedError if the file has changed since, Refused and
    OSError.
    """
    return run_directory.read_before(run, record, path_of(record.id))


def _blobs(run: Dir, identity: str) -> Iterator[tuple[Digest, os.stat_result]]:
    """The blobs of a run. Raises MalformedError for anything that is not one, and Refused."""
    return blobs_in(run, path_of(identity))


def _restored(run: Dir) -> tuple[frozenset[int], int | None]:
    try:
        document = parse_json(run.read(_RESTORED, _RESTORED_LIMIT), _RESTORED)
        positions, at = document["positions"], document["at"]
        if not all(isinstance(each, int) for each in (*positions, at)) or not -NEVER <= at <= NEVER:
            raise MalformedError(_RESTORED)
    except (OSError, Refused, KeyError, TypeError):
        return frozenset(), None
    return frozenset(positions), at


def check_note(run: Dir, path: str) -> None:
    """Raises Refused where a directory is in the way of the file of `note_restored`; `path` is that of the run."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(run.stat(_RESTORED).st_mode):
            raise Refused(f"{path}/{_RESTORED}: a directory, not a plain file; move it away; nothing was changed")


def note_restored(state: Dir, identity: str, positions: Iterable[int], now: int) -> None:
    """Records that entries of a run, by position, came back at the instant `now`. Raises OSError."""
    with state.below(TRASH, identity) as run:
        before, _ = _restored(run)
        document = {"at": now, "positions": sorted(before.union(positions))}
        run.replace(_RESTORED, json.dumps(document).encode(), run.stat(journal.JOURNAL))


def _kept_until(run: Dir, record: Journal) -> int | None:
    """Until when the trash keeps a run: its time is counted from when the last blob came into it. Raises Refused."""
    if record.expires is None:
        return None
    return min(record.expires + max(0, _filled(run, record) - record.started), NEVER)


def _filled(run: Dir, record: Journal) -> int:
    """When the last blob came into the directory of a run, or when the run started."""
    times = (os.fstat(directory.fd).st_mtime_ns for directory in _blob_directories(run, record))
    return max([record.started, *times])


def _blob_directories(run: Dir, record: Journal) -> Iterator[Dir]:
    with naming_run(path_of(record.id)):
        for algorithm in ENCODED_LENGTHS:
            with suppress(FileNotFoundError, NotADirectoryError), run.below("blobs", algorithm) as directory:
                yield directory


def is_over(run: Dir, record: Journal, now: int) -> bool:
    """Whether the time of a run in the trash is over at the instant `now`. Raises Refused."""
    return _has_ended(run, record, now) and not _clock_was_behind(run, record, now)


def _has_ended(run: Dir, record: Journal, now: int) -> bool:
    until = _kept_until(run, record)
    return until is not None and until < now


def _clock_was_behind(run: Dir, record: Journal, now: int) -> bool:
    """Whether a blob is younger than its removal. Then nobody knows how long the run has been in the trash. A blob of
    the future proves nothing.
    """
    filled = _filled(run, record)
    with naming_run(path_of(record.id)):
        return any(
            filled < directory.stat(name).st_mtime_ns <= now
            for directory in _blob_directories(run, record)
            for name in directory.names()
        )


def _count_from(run: Dir, record: Journal, now: int) -> None:
    """Lets the time of a run in the trash begin at the instant `now`."""
    with naming(path_of(record.id)):
        for directory in _blob_directories(run, record):
            os.utime(directory.fd, ns=(now, now))


def remove_old(layout: Layout, state: Dir, now: int) -> None:
    """Removes the runs whose time is over at the instant `now`, and those that have been restored and have stayed. If
    the clock was behind when a run was made, its time begins at `now`. Raises Refused.
    """
    index: Index | None = None
    over = []
    for run, record in journals(state):
        if _has_ended(run, record, now):
            if not _clock_was_behind(run, record, now):
                over.append(record.id)
                continue
            _count_from(run, record, now)
        restored, at = _restored(run)
        if at is not None and at + _STAYED < now and restored.issuperset(_positions(record)):
            index = index or layout.read_index()
            if _has_stayed(layout, run, record, index):
                over.append(record.id)
    for identity in over:
        remove(state, identity)


def _has_stayed(layout: Layout, run: Dir, record: Journal, index: Index) -> bool:
    """Whether index.json has every entry that the run took out of it, and the layout every blob, sound."""
    content = read_before(run, record)
    if missing_entries(parse(content), content, _positions(record), index)[0]:
        return False
    return all(is_back(layout, run, digest) for digest, _ in _blobs(run, record.id))


def remove(state: Dir, identity: str) -> None:
    """Removes a run from the trash for good. Raises Refused."""
    with naming(path_of(identity)):
        run_directory.forget(state, identity)
