"""Carries out a plan. The order of the steps makes it safe against crashes:

1. the directories are probed, and the journal is written and synced: from here on, if this run is cut off, the next
   one finishes or undoes it;
2. index.json is replaced, if it is still the one that the plan was made for (the commit), and then the list of
   `docker save`, if entries of it go;
3. labels are removed from configs;
4. index.json, the leases, the label files and the blobs are read again: what they have come to need stays;
5. the blobs are moved out of the layout, durably;
6. the displaced index.json is read: another program may have had it open;
7. everything is read again until nothing has changed: what a writer came to need meanwhile is put back;
8. the journal is closed, and what was moved is removed.

Until step 8, a signal or a failure rolls the run back. Steps 3 to 8 are in `after_commit`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import Interrupted, Remedy
from ocigc.gc.plan import Plan
from ocigc.interrupts import interrupts_deferred
from ocigc.labels import Unlease
from ocigc.layout import docker_list
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.index import IndexChange
from ocigc.layout.index_images import written_names
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store
from ocigc.progress import Watcher
from ocigc.pruning import journal, preflight, run_directory
from ocigc.pruning.after_commit import Executed, Finished, OpenRun, RunTerms
from ocigc.pruning.commit import commit
from ocigc.pruning.journal import Journal
from ocigc.pruning.preflight import asking_for, needed, needed_after, needed_files
from ocigc.pruning.roots import Roots
from ocigc.reference import in_full


def execute(
    snapshot: Snapshot,
    plan: Plan,
    unlease: Sequence[Unlease],
    roots: Roots,
    state: Dir,
    terms: RunTerms,
    watch: Watcher,
) -> Executed | None:
    """Carries out a plan under the exclusive lock. Gives None, and does nothing, if index.json has changed since the
    plan was made. `roots` were read before the snapshot.

    Raises Refused and Interrupted; the message says what state the layout is in: nothing was changed, or the next run
    finishes what was begun.
    """
    layout, store = snapshot.layout, snapshot.store
    to_delete = plan.blobs
    change = index_change(snapshot, plan)
    wanted = Journal(
        id=journal.new_id(),
        started=terms.now,
        in_grace_after=terms.in_grace_after,
        expires=terms.expires,
        before=snapshot.index.sha256,
        after="",
        removed=tuple(sorted(chain(plan.pruned.entries, plan.parts.entries))),
        renamed=tuple((position, tuple(names)) for position, names in sorted(change.renamed.items())),
        unlease=tuple(unlease),
        shared=terms.elsewhere is not None,
    )
    room = needed_after(len(to_delete), len(unlease))

    with interrupts_deferred() as check, naming(f"{layout.path}/{STATE}"):
        check()
        entries = len(wanted.removed) + len(wanted.renamed)
        size = needed(snapshot, entries, len(to_delete), len(unlease))
        with asking_for(layout, size, needed_files(len(unlease))):
            preflight.check_state(layout, state)
            if wanted.removed or wanted.renamed:
                preflight.check_index(layout, state)
            if terms.expires is not None:
                preflight.check_trash(layout, state)
            preflight.check(layout, state, store, to_delete)
            digests = store.digests(to_delete)
            going = docker_list.Going(partial(_blobs_going, store, to_delete), partial(_names_going, plan))
            prepare = partial(docker_list.prepare, layout.dir, going=going)
            record = run_directory.open_run(state, layout, wanted, snapshot.index, change, digests, room, prepare)
        if record is None:
            return None
        with state.below(journal.RUN) as run:
            started = OpenRun(layout, state, run, record, terms, watch, check)
            with started.undone_on_failure():
                if commit(layout, run, record, terms.wait):
                    return started.carry_out(snapshot, to_delete, roots.with_index(record.after))
                run_directory.discard(state)
                return None


def _blobs_going(store: Store, nodes: Iterable[int], digests: Collection[Digest]) -> list[Digest]:
    """Those of the digests whose nodes go."""
    wanted = {store.find(digest): digest for digest in digests}
    return [wanted[node] for node in nodes if node in wanted]


def _names_going(plan: Plan, names: Collection[str]) -> list[str]:
    """Those of the names, in any form, that an image has before the plan and no image has after it."""
    asked = {in_full(name) for name in names}
    gone = {name for untagged in plan.untagged for name in map(in_full, untagged.image.names) if name in asked}
    for image in (plan.images[kept.position] for kept in plan.kept) if gone else ():
        taken = plan.renamed.get(image.position, ())
        gone.difference_update(in_full(name) for name in image.names if name not in taken)
    return [name for name in names if in_full(name) in gone]


def finish(layout: Layout, state: Dir, run: Dir, record: Journal, terms: RunTerms, watch: Watcher) -> Finished | None:
    """Finishes a committed run that was cut off. Gives None if another program wrote index.json in the middle of it, so
    that the run was undone. Raises Refused, Interrupted and OSError; the run has still to be finished or undone then.
    """
    with interrupts_deferred() as check:
        started = OpenRun(layout, state, run, record, terms, watch, check)
        try:
            return started.finish()
        except KeyboardInterrupt:
            raise Interrupted(
                f"{layout.path}: interrupted while an earlier prune was being finished; nothing is lost, and the next "
                "one goes on with it",
                Remedy.UNDO_RUN,
            ) from None


def index_change(snapshot: Snapshot, plan: Plan) -> IndexChange:
    """How a plan changes the entries of index.json."""
    nameless = frozenset(plan.dangling.positions)
    renamed = {
        entry: written_names(snapshot.index.entries, snapshot.repository, entry, names)
        for position, names in plan.renamed.items()
        for entry in plan.images[position].entries
    }
    return IndexChange(frozenset(chain(plan.pruned.entries, plan.parts.entries)) - nameless, nameless, renamed)
