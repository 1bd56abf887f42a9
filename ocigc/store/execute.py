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

from ocigc.errors import OcigcError, Refused
from ocigc.lease import Lease
from ocigc.native import Fate, Store, digest_algorithm
from ocigc.rules.holding import holding
from ocigc.rules.plan import Plan
from ocigc.store import files, journal, leases, preflight, sidecars
from ocigc.store.contents import Loaded, Phase, load
from ocigc.store.journal import Journal, Unlease
from ocigc.store.layout import STATE, Layout


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the digests of the blobs that stayed after all, and the bytes that were freed."""

    spared: frozenset[str]
    reclaimed: int


def execute(
    loaded: Loaded, plan: Plan, unlease: Sequence[Unlease], state: int, now: int, expires: int | None, phase: Phase
) -> Outcome | None:
    """Carries out a plan under the exclusive lock; None where index.json has changed since, and nothing was done.

    What is removed is kept in the trash until the instant `expires`, if there is one. Raises Refused; what was begun
    then is finished by the next run.
    """
    nameless = set(plan.dangling.positions)
    store = loaded.store
    preflight.check(loaded.layout, store, plan.blobs)
    wanted = Journal(
        id=os.urandom(4).hex(),
        started=now,
        expires=expires,
        before=loaded.index.sha256,
        after="",
        removed=tuple(sorted(plan.pruned.entries)),
        unlease=tuple(unlease),
    )
    with files.naming(f"{loaded.layout.path}/{STATE}"):
        doomed = store.digests(plan.blobs)
        record = journal.open_run(state, loaded.layout, wanted, loaded.index, nameless, doomed)
        if record is None:
            journal.discard(state)
            return None
        with files.directory(state, journal.RUN) as run:
            if not journal.commit(loaded.layout, run, record):
                journal.discard(state)
                return None
            with _begun():
                return _finish(loaded.layout, loaded, record, state, run, now, phase)


def recover(layout: Layout, state: int, now: int, phase: Phase) -> str | None:
    """Finishes or undoes a run that was cut off; says what it did, or None where there was none. Raises Refused."""
    with files.naming(f"{layout.path}/{STATE}"):
        if not journal.pending(state):
            journal.discard(state)
            return None
        with files.naming(f"{layout.path}/{STATE}/{journal.RUN}"), files.directory(state, journal.RUN) as run:
            record = journal.read(run)
            if journal.committed(run, record):
                with _begun():
                    _finish(layout, None, record, state, run, now, phase)
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
    loaded: Loaded | None,
    record: Journal,
    state: int,
    run: int,
    now: int,
    phase: Phase,
) -> Outcome:
    """The steps behind the commit. `loaded` is what the plan was made of; None in a recovery, where all is read
    anew.
    """
    for unlease in record.unlease:
        sidecars.remove_label(layout.fd, run, unlease.digest, unlease.label)
    known = None if loaded is None else Roots(record.after, loaded.leases)
    if loaded is None or known != Roots.read(layout):
        loaded, known = reload(layout, run, now, phase)
        doomed = _unheld(loaded, run, record, now)
        gone = [digest for digest in journal.doomed(run) if loaded.store.find(digest) is None]
    else:
        doomed, gone = _present(loaded.store, journal.doomed(run)), []
    store = loaded.store
    fates = store.sweep(doomed, run, phase("Removing blobs"))
    # Behind the sweep, which has made the directories that they go to.
    journal.take_out_sidecars(layout, run, gone)
    moved = _with_fate(doomed, fates, Fate.MOVED)
    spared = set(store.digests(_with_fate(doomed, fates, Fate.SPARED)))
    if known != Roots.read(layout):
        again, _ = reload(layout, run, now, phase)
        back = {node for node in moved if again.store.find(store.digest(node)) is not None}
        again.store.close()
        spared |= set(store.digests(back))
        moved = array("I", (node for node in moved if node not in back))
    outcome = Outcome(frozenset(spared), store.freed(moved))
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


def reload(layout: Layout, run: int, now: int, phase: Phase) -> tuple[Loaded, Roots]:
    """Reads the layout anew and puts back all that it needs of what has been taken out."""
    while True:
        loaded = load(layout, None, now, phase, record=True)
        with loaded.store as store:
            named = set(chain.from_iterable(loaded.index.entries.references().values()))
            named |= {digest for lease in loaded.leases if lease.active(now) for digest in lease.resources}
            # A label may hold anything, but a path is made of digests only.
            named = {digest for digest in named if digest_algorithm(digest) is not None}
            missing = {digest for digest in named if store.find(digest) is None}
            missing |= loaded.absent | set(store.missing())
        # What comes back may be a manifest that needs more.
        if not journal.put_back(layout, run, missing):
            break
    loaded = load(layout, None, now, phase)
    return loaded, Roots(loaded.index.sha256, loaded.leases)


def _unheld(loaded: Loaded, run: int, record: Journal, now: int) -> array[int]:
    """The doomed blobs that nothing holds now and that nobody has touched since the run began."""
    store = loaded.store
    active = [lease for lease in loaded.leases if lease.active(now)]
    holders = store.holders(holding(loaded.images.roots(store), active, store.label_roots(), store))
    doomed = [node for node in _present(store, journal.doomed(run)) if holders.holder(node) is None]
    touched = set(store.newer(doomed, record.started))
    return array("I", (node for node in doomed if node not in touched))


def _present(store: Store, digests: Iterable[str]) -> array[int]:
    return array("I", (node for node in map(store.find, digests) if node is not None))


def _with_fate(nodes: array[int], fates: bytearray, wanted: Fate) -> array[int]:
    if fates.count(wanted) == len(fates):
        return nodes
    return array("I", (node for node, fate in zip(nodes, fates, strict=True) if fate == wanted))
