"""Carrying out a plan. The order of the steps is the crash safety:

1. the journal is written and synced: from here on, a run that was cut off is finished or undone by the next;
2. index.json is replaced, if it is still the one that the plan was made for (the commit);
3. labels are taken off;
4. index.json and the leases are read again: what they have come to need since is spared;
5. the blobs are moved out of the layout;
6. index.json and the leases are read once more: what a writer came to need meanwhile is put back;
7. the journal is closed, and what was moved is removed.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from ocigc.errors import OcigcError, Refused
from ocigc.gc.plan import Plan
from ocigc.layout import label_files
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.index import IndexChange
from ocigc.layout.index_images import written_names
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Swept
from ocigc.progress import Watcher
from ocigc.pruning import journal, preflight
from ocigc.pruning.journal import Journal, Unlease
from ocigc.pruning.put_back import Roots, reload, sync_directories, take_out_sidecars


@dataclass(frozen=True, slots=True)
class Executed:
    """What the run of that id has done: the digests of the blobs that stayed after all, the nodes of those that went,
    and the bytes that these took."""

    run: str
    spared: frozenset[str]
    gone: Sequence[int]
    size: int


def execute(
    snapshot: Snapshot,
    plan: Plan,
    unlease: Sequence[Unlease],
    state: Dir,
    now: int,
    expires: int | None,
    watch: Watcher,
) -> Executed | None:
    """Carries out a plan under the exclusive lock; None where index.json has changed since, and nothing was done.

    What is removed is kept in the trash until the instant `expires`, if there is one. Raises Refused; what was begun
    then is finished by the next run.
    """
    store = snapshot.store
    change = _index_change(snapshot, plan)
    preflight.check(snapshot.layout, store, plan.blobs)
    wanted = Journal(
        id=os.urandom(4).hex(),
        started=now,
        expires=expires,
        before=snapshot.index.sha256,
        after="",
        removed=tuple(sorted(chain(plan.pruned.entries, plan.parts.entries))),
        unlease=tuple(unlease),
        renamed=tuple((position, tuple(names)) for position, names in change.renamed.items()),
    )
    with naming(f"{snapshot.layout.path}/{STATE}"):
        to_delete = array("I", plan.blobs)
        digests = store.digests(to_delete)
        record = journal.open_run(state, snapshot.layout, wanted, snapshot.index, change, digests)
        if record is None:
            journal.discard(state)
            return None
        with state.below(journal.RUN) as run:
            if not journal.commit(snapshot.layout, run, record):
                journal.discard(state)
                return None
            with _begun():
                return _finish(snapshot.layout, (snapshot, to_delete), record, state, run, now, watch)


def _index_change(snapshot: Snapshot, plan: Plan) -> IndexChange:
    nameless = frozenset(plan.dangling.positions)
    renamed = {
        entry: written_names(snapshot.index.entries, snapshot.repository, entry, names)
        for position, names in plan.renamed.items()
        for entry in plan.images[position].entries
    }
    return IndexChange(frozenset(chain(plan.pruned.entries, plan.parts.entries)) - nameless, nameless, renamed)


def recover(layout: Layout, state: Dir, now: int, watch: Watcher) -> str | None:
    """Finishes or undoes a run that was cut off; says what it did, or None where there was none. Raises Refused."""
    with naming(f"{layout.path}/{STATE}"):
        if not journal.pending(state):
            journal.discard(state)
            return None
        with naming(f"{layout.path}/{STATE}/{journal.RUN}"), state.below(journal.RUN) as run:
            record = journal.read(run)
            if journal.committed(run, record):
                with _begun():
                    _finish(layout, None, record, state, run, now, watch)
                return "finished an earlier prune that was interrupted"
        journal.discard(state)
        return "undid an earlier prune that was interrupted before it had changed anything"


@contextmanager
def _begun() -> Iterator[None]:
    """Says of a failure behind the commit what stands where."""
    try:
        yield
    except OcigcError as error:
        raise Refused(f"{error}; nothing is lost, and the next prune finishes what was begun") from error


def _finish(
    layout: Layout,
    planned: tuple[Snapshot, array[int]] | None,
    record: Journal,
    state: Dir,
    run: Dir,
    now: int,
    watch: Watcher,
) -> Executed:
    """The steps after the commit. `planned` is what the plan was made of, and the nodes to delete; None in a recovery,
    where all is read anew.
    """
    for unlease in record.unlease:
        label_files.remove_label(layout.dir, run, unlease.digest, unlease.label)
    known = None if planned is None else Roots(record.after, planned[0].leases)
    if planned is None or known != Roots.read(layout):
        snapshot, known = reload(layout, run, now, watch)
        to_delete = _unreachable(snapshot, run, record, now)
        gone = [digest for digest in journal.to_delete(run) if snapshot.store.find(digest) is None]
    else:
        (snapshot, to_delete), gone = planned, []
    store = snapshot.store
    fates = store.sweep(to_delete, run.fd, watch("Removing blobs"))
    # Behind the sweep, which has made the directories that they go to.
    take_out_sidecars(layout, run, gone)
    moved = _with_fate(to_delete, fates, Swept.MOVED)
    spared = set(store.digests(_with_fate(to_delete, fates, Swept.SKIPPED)))
    if known != Roots.read(layout):
        again, _ = reload(layout, run, now, watch)
        back = {node for node in moved if again.store.find(store.digest(node)) is not None}
        again.store.close()
        spared |= set(store.digests(back))
        moved = array("I", (node for node in moved if node not in back))
    outcome = Executed(record.id, frozenset(spared), moved, store.freed(moved))
    for top in ("blobs", "labels"):
        sync_directories(layout, top)
    journal.close(state, record)
    return outcome


def _unreachable(snapshot: Snapshot, run: Dir, record: Journal, now: int) -> array[int]:
    """The to_delete blobs that nothing holds now and that nobody has touched since the run began."""
    store = snapshot.store
    marks = store.mark(snapshot.roots(now))
    nodes = (store.find(digest) for digest in journal.to_delete(run))
    to_delete = [node for node in nodes if node is not None and marks.owner(node) is None]
    touched = set(store.newer(to_delete, record.started))
    return array("I", (node for node in to_delete if node not in touched))


def _with_fate(nodes: array[int], fates: bytearray, wanted: Swept) -> array[int]:
    if fates.count(wanted) == len(fates):
        return nodes
    return array("I", (node for node, fate in zip(nodes, fates, strict=True) if fate == wanted))
