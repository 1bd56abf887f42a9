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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused
from ocigc.gc.mark import root_groups
from ocigc.gc.plan import Plan
from ocigc.labels import Lease
from ocigc.layout import dirfd, label_files, leases
from ocigc.layout.index import IndexChange
from ocigc.layout.index_images import written_names
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import Snapshot, load
from ocigc.native import Store, Swept
from ocigc.progress import Watcher
from ocigc.pruning import journal, preflight
from ocigc.pruning.journal import Journal, Unlease


@dataclass(frozen=True, slots=True)
class Executed:
    """What was done: the digests of the blobs that stayed after all, and the bytes that were freed."""

    spared: frozenset[str]
    reclaimed: int


def execute(
    snapshot: Snapshot,
    plan: Plan,
    unlease: Sequence[Unlease],
    state: int,
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
        removed=tuple(sorted(plan.pruned.entries)),
        unlease=tuple(unlease),
        renamed=tuple((position, tuple(names)) for position, names in change.renamed.items()),
    )
    with dirfd.naming(f"{snapshot.layout.path}/{STATE}"):
        to_delete = store.digests(plan.blobs)
        record = journal.open_run(state, snapshot.layout, wanted, snapshot.index, change, to_delete)
        if record is None:
            journal.discard(state)
            return None
        with dirfd.directory(state, journal.RUN) as run:
            if not journal.commit(snapshot.layout, run, record):
                journal.discard(state)
                return None
            with _begun():
                return _finish(snapshot.layout, snapshot, record, state, run, now, watch)


def _index_change(snapshot: Snapshot, plan: Plan) -> IndexChange:
    nameless = frozenset(plan.dangling.positions)
    renamed = {
        entry: written_names(snapshot.index.entries, snapshot.repository, entry, names)
        for position, names in plan.renamed.items()
        for entry in plan.images[position].entries
    }
    return IndexChange(frozenset(plan.pruned.entries) - nameless, nameless, renamed)


def recover(layout: Layout, state: int, now: int, watch: Watcher) -> str | None:
    """Finishes or undoes a run that was cut off; says what it did, or None where there was none. Raises Refused."""
    with dirfd.naming(f"{layout.path}/{STATE}"):
        if not journal.pending(state):
            journal.discard(state)
            return None
        with dirfd.naming(f"{layout.path}/{STATE}/{journal.RUN}"), dirfd.directory(state, journal.RUN) as run:
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
    snapshot: Snapshot | None,
    record: Journal,
    state: int,
    run: int,
    now: int,
    watch: Watcher,
) -> Executed:
    """The steps behind the commit. `loaded` is what the plan was made of; None in a recovery, where all is read
    anew.
    """
    for unlease in record.unlease:
        label_files.remove_label(layout.fd, run, unlease.digest, unlease.label)
    known = None if snapshot is None else Roots(record.after, snapshot.leases)
    if snapshot is None or known != Roots.read(layout):
        snapshot, known = reload(layout, run, now, watch)
        to_delete = _unheld(snapshot, run, record, now)
        gone = [digest for digest in journal.to_delete(run) if snapshot.store.find(digest) is None]
    else:
        to_delete, gone = _present(snapshot.store, journal.to_delete(run)), []
    store = snapshot.store
    fates = store.sweep(to_delete, run, watch("Removing blobs"))
    # Behind the sweep, which has made the directories that they go to.
    journal.take_out_sidecars(layout, run, gone)
    moved = _with_fate(to_delete, fates, Swept.MOVED)
    spared = set(store.digests(_with_fate(to_delete, fates, Swept.SKIPPED)))
    if known != Roots.read(layout):
        again, _ = reload(layout, run, now, watch)
        back = {node for node in moved if again.store.find(store.digest(node)) is not None}
        again.store.close()
        spared |= set(store.digests(back))
        moved = array("I", (node for node in moved if node not in back))
    outcome = Executed(frozenset(spared), store.freed(moved))
    for top in ("blobs", "labels"):
        journal.sync_directories(layout, top)
    journal.close(state, record)
    return outcome


@dataclass(frozen=True, slots=True)
class Roots:
    """What other tools may change to hold blobs while we run: index.json (its SHA-256) and the leases."""

    index: str
    leases: Sequence[Lease]

    @classmethod
    def read(cls, layout: Layout) -> Roots:
        return cls(journal.index_digest(layout.fd), leases.load(layout.fd))


def reload(layout: Layout, run: int, now: int, watch: Watcher) -> tuple[Snapshot, Roots]:
    """Reads the layout anew and puts back all that it needs of what has been taken out."""
    while True:
        snapshot = load(layout, None, now, watch, record=True)
        with snapshot.store as store:
            named = set(chain.from_iterable(snapshot.index.entries.references().values()))
            named |= {digest for lease in snapshot.leases if lease.active(now) for digest in lease.resources}
            # A label may hold anything, but a path is made of digests only.
            digests = {Digest(each) for each in named if Digest.recognises(each)}
            missing = {digest for digest in digests if store.find(digest) is None}
            missing |= snapshot.absent | set(store.missing())
        # What comes back may be a manifest that needs more.
        if not journal.put_back(layout, run, missing):
            break
    snapshot = load(layout, None, now, watch)
    return snapshot, Roots(snapshot.index.sha256, snapshot.leases)


def _unheld(snapshot: Snapshot, run: int, record: Journal, now: int) -> array[int]:
    """The to_delete blobs that nothing holds now and that nobody has touched since the run began."""
    store = snapshot.store
    active = [lease for lease in snapshot.leases if lease.active(now)]
    marks = store.mark(root_groups(snapshot.images.roots(store), active, store.label_roots(), store))
    to_delete = [node for node in _present(store, journal.to_delete(run)) if marks.owner(node) is None]
    touched = set(store.newer(to_delete, record.started))
    return array("I", (node for node in to_delete if node not in touched))


def _present(store: Store, digests: Iterable[str]) -> array[int]:
    return array("I", (node for node in map(store.find, digests) if node is not None))


def _with_fate(nodes: array[int], fates: bytearray, wanted: Swept) -> array[int]:
    if fates.count(wanted) == len(fates):
        return nodes
    return array("I", (node for node, fate in zip(nodes, fates, strict=True) if fate == wanted))
