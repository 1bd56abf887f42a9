"""The commit of a run: index.json changes, and may have to change back.

`before` is the index.json that the plan was made for, `after` the one that the run writes. Any other content is another
program's, and none of its entries is ever lost: they are in the file that stays, or are added to it.
"""

from __future__ import annotations

from enum import Enum

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.layout import docker_list, label_files
from ocigc.layout.blob_check import has_blob
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import parse
from ocigc.layout.layout import INDEX, Layout
from ocigc.pruning import run_directory
from ocigc.pruning.index_exchange import aside_digest, end_exchange, index_digest, put_in_place
from ocigc.pruning.index_merge import (
    add_entries,
    add_others,
    has_begun,
    is_theirs,
    missing_entries,
    their_files,
    whole,
)
from ocigc.pruning.journal import Journal
from ocigc.pruning.put_back import blobs_in, put_back
from ocigc.pruning.run_directory import UNLEASED, read_before
from ocigc.times import Duration

_ATTEMPTS = 20


class RunState(Enum):
    """How far a run has come."""

    OPEN = "index.json is not changed"
    COMMITTED = "index.json is changed"
    CONTESTED = "another program has written index.json while it was changed"


def run_state(layout: Layout, run: Dir, record: Journal) -> RunState:
    """How far a run has come, as the files in place show. Raises OSError and Refused."""
    end_exchange(run)
    current, aside = index_digest(layout.dir), aside_digest(run)
    if their_files(run) or is_theirs(run, record, aside):
        return RunState.CONTESTED
    if record.before == record.after:
        return RunState.COMMITTED
    if current == record.before or (aside == record.after and current != record.after):
        return RunState.OPEN
    return RunState.CONTESTED if has_begun(run) else RunState.COMMITTED


def commit(layout: Layout, run: Dir, record: Journal, wait: Duration) -> bool:
    """Replaces index.json, if it is still the one that the plan was made for. Otherwise nothing changes. Waits up to
    `wait` for BuildKit. Raises Refused and OSError.
    """
    if record.before == record.after:
        return index_digest(layout.dir) == record.before
    if put_in_place(layout, run, record.before, record.after, wait):
        return True
    add_others(layout, run, wait, record)
    return False


def undo(layout: Layout, run: Dir, record: Journal, wait: Duration) -> None:
    """Restores index.json as it was before the run. If another program has written it since, that version stays, and
    gets the entries that the run has taken out. May be repeated. Raises Refused and OSError.
    """
    for _ in range(_ATTEMPTS):
        state = run_state(layout, run, record)
        current, aside = index_digest(layout.dir), aside_digest(run)
        if record.before == record.after or state is RunState.OPEN:
            return
        if current != record.after or their_files(run):
            _add_missing(layout, run, record, wait)
            return
        if is_theirs(run, record, aside):
            new = whole(run, INDEX)[0].sha256
        else:
            new = record.before
            if aside != new:
                run.replace(INDEX, read_before(run, record), layout.dir.stat(INDEX))
        if put_in_place(layout, run, record.after, new, wait):
            return
    raise Refused(f"{layout.path}/{INDEX} keeps changing; run it again when nothing writes to it")


def _add_missing(layout: Layout, run: Dir, record: Journal, wait: Duration) -> None:
    """Adds to another program's index.json what the run has taken out of the earlier one, and what yet another program
    has written.
    """
    content = read_before(run, record)
    before = parse(content)
    positions = (*record.removed, *(position for position, _ in record.renamed))
    add_entries(layout, run, lambda index: missing_entries(before, content, positions, index)[0], wait, record)


def roll_back(layout: Layout, state: Dir, run: Dir, record: Journal, wait: Duration) -> list[Digest]:
    """Undoes a run whose blobs are not freed yet, and removes its journal. Gives the digests of the blobs that came
    back.

    index.json comes last, so that a run whose undo was interrupted can still be finished or undone. Waits up to `wait`
    for BuildKit. Raises Refused and OSError; nothing is lost then.
    """
    taken = [digest for digest, _ in blobs_in(run)]
    put_back(layout, run, [*taken, *_labelled(run)])
    with run.ensure(UNLEASED) as kept:
        for unlease in record.unlease:
            label_files.return_label(layout.dir, kept, unlease.digest, unlease.label, unlease.value)
    docker_list.undo(layout.dir, run)
    undo(layout, run, record, wait)
    for digest in taken:
        if not has_blob(layout.dir, digest):
            raise Refused(f"blobs/{digest.path}: did not come back")
    run_directory.discard(state)
    return taken


def _labelled(run: Dir) -> list[Digest]:
    """The digests whose label files a run has taken out."""
    found = []
    for algorithm in run.names_below(label_files.DIRECTORY):
        for name in run.names_below(label_files.DIRECTORY, algorithm):
            digest = Digest.parse_registered(f"{algorithm}:{name.removesuffix(label_files.SUFFIX)}")
            if digest is not None:
                found.append(digest)
    return found
