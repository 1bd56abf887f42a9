"""Carries out a restore, under its journal. Every step may be repeated, so a restore that was cut off is done again.

1. The journal is written and synced.
2. Blobs and their label files are verified and come back from the trash, which keeps its copies. They replace files
   that are not sound.
3. index.json and the list of `docker save` get their entries back, and configs the labels that the prune removed.
4. The trash remembers what has been restored, and the journal is removed.

Until step 3, the journal protects the blobs: a prune first finishes the restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.layout import docker_list, label_files
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import Index, parse
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import Layout
from ocigc.pruning import run_directory, trash
from ocigc.pruning.index_merge import add_entries, missing_entries
from ocigc.pruning.journal import RestoreJournal, naming_run
from ocigc.pruning.put_back import copy_back
from ocigc.pruning.run_directory import TRASH
from ocigc.reference import in_full
from ocigc.times import Duration


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """How many blobs and entries of index.json came back (those that were in place do not count), the digests of blobs
    without a sound copy, and the names that belong to another image by now. An image that had such a name came back
    without it.
    """

    blobs: int
    entries: int
    damaged: Sequence[Digest]
    moved_on: Sequence[str]


def carry_out_restore(layout: Layout, state: Dir, run: Dir, record: RestoreJournal, wait: Duration) -> BroughtBack:
    """Does what a restore's journal says, and removes the journal. Waits up to `wait` for BuildKit. Raises Refused and
    OSError; nothing is lost then.
    """
    run_directory.release_room(run)
    placed, damaged = _bring_blobs(layout, state, run, run_directory.to_restore(run), record.run)
    content = _index_of(entry for _, entry in record.entries)
    source = parse(content)
    added: list[bytes] = []
    moved_on: list[str] = []

    def lacking(index: Index) -> Sequence[bytes]:
        added[:], moved_on[:] = missing_entries(source, content, range(len(source.entries)), index)
        return added

    add_entries(layout, run, lacking, wait)
    for each in record.unlease:
        label_files.add_label(layout.dir, run, each.digest, each.label, each.value)
    if record.run in trash.names(state):
        with state.below(TRASH, record.run) as source_run:
            names = {in_full(name) for image in image_records(source.entries) for name in image.names}
            docker_list.bring_back(layout.dir, source_run, names)
        with naming_run(trash.path_of(record.run)):
            trash.note_restored(state, record.run, (position for position, _ in record.entries), record.started)
    run_directory.discard(state)
    return BroughtBack(len(placed), len(added), sorted(damaged), moved_on)


def _bring_blobs(
    layout: Layout, state: Dir, run: Dir, digests: Iterable[Digest], first: str
) -> tuple[set[Digest], set[Digest]]:
    """Brings blobs back from the run `first` in the trash, or else from the other runs. Gives those that were not in
    place, and those without a sound copy.
    """
    back: set[Digest] = set()
    placed: set[Digest] = set()
    damaged: set[Digest] = set()
    wanted = list(digests)
    with ExitStack() as stack:
        for source in _sources(state, first, stack):
            result = copy_back(layout, source, (digest for digest in wanted if digest not in back), run)
            back.update(result.back)
            placed.update(result.placed)
            damaged.update(result.damaged)
    return placed, damaged - back


def _sources(state: Dir, first: str, stack: ExitStack) -> Iterator[Dir]:
    for name in sorted(trash.names(state), key=lambda name: name != first):
        yield stack.enter_context(state.below(TRASH, name))


def _index_of(entries: Iterable[str]) -> bytes:
    return f'{{"schemaVersion": 2, "manifests": [{", ".join(entries)}]}}'.encode()
