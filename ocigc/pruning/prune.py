"""Pruning one layout: plan, confirm, carry out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Self

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.explain import Explanation, Explanations
from ocigc.gc.plan import Plan
from ocigc.hard_links import HardLinks
from ocigc.labels import SNAPSHOT_LABEL
from ocigc.layout import history, label_files, lock
from ocigc.layout.damage import staying_damage
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import Leftover, find_leftovers, removable, remove_leftovers
from ocigc.layout.shared import Elsewhere
from ocigc.layout.snapshot import Snapshot, load
from ocigc.native import NEVER
from ocigc.progress import SILENT, Watcher
from ocigc.pruning import journal, trash
from ocigc.pruning.emptying import emptied
from ocigc.pruning.execute import Executed, Terms, execute
from ocigc.pruning.figures import size_without, sizes_by_repository
from ocigc.pruning.journal import Unlease
from ocigc.pruning.peers import SharedWith
from ocigc.pruning.planning import PruneOptions, make_plan
from ocigc.pruning.recover import Recovered, recover
from ocigc.pruning.room import NoRoom, free_orphans
from ocigc.pruning.roots import Roots
from ocigc.times import nanoseconds

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Pruned:
    """A plan as it was, or would be, carried out. Holds the store, as digests are looked up in it: close it, or use it
    as a context manager.

    `reclaimed` and `trashed` are in bytes: what is freed, and what the trash keeps; `spared` are digests that stayed
    after all; `leftovers` are temporary files of other tools that go; `earlier` are blobs that went before the plan was
    made, with an interrupted run that was finished, or to make room. `explained` is None where nobody asked.
    """

    snapshot: Snapshot
    plan: Plan
    unleased: Sequence[Unlease]
    reclaimed: int
    trashed: int
    dry_run: bool
    spared: frozenset[str] = frozenset()
    leftovers: Sequence[Leftover] = ()
    earlier: Sequence[Digest] = ()
    explained: Iterable[Explanation] | None = None

    def __repr__(self) -> str:
        kind = "would free" if self.dry_run else "freed"
        return f"Pruned({self.snapshot.layout.path!r}: {len(self.plan.pruned)} images, {kind} {self.reclaimed} bytes)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the store."""
        self.snapshot.store.close()

    def items(self) -> Iterator[tuple[str, str]]:
        """moby's `ImagesDeleted`: Untagged and Deleted, in order."""
        for untagged in self.plan.untagged:
            for name in untagged.image.familiar_names:
                yield "Untagged", name
            for digest in self.deleted(untagged.deleted):
                yield "Deleted", digest

    def orphans(self) -> Iterator[Digest]:
        """The digests of all other blobs that go."""
        return chain(self.earlier, self.deleted(self.plan.orphans))

    @property
    def removed(self) -> int:
        """How many blobs go."""
        return self.plan.blob_count - len(self.spared) + len(self.earlier)

    def count(self, nodes: Sequence[int]) -> int:
        """How many of those nodes go."""
        return sum(1 for _ in self.deleted(nodes)) if self.spared else len(nodes)

    def deleted(self, nodes: Iterable[int]) -> Iterator[Digest]:
        """The digests of those nodes that go."""
        return (digest for digest in self.snapshot.store.digests(nodes) if digest not in self.spared)


def prune(
    layout: Layout,
    options: PruneOptions | None = None,
    *,
    confirm: Callable[[Pruned], None] | None = None,
    look: Callable[[Pruned], None] | None = None,
    watch: Watcher = SILENT,
    taken: HardLinks | None = None,
    elsewhere: Elsewhere | None = None,
) -> Pruned:
    """Prunes a layout, or says what would go; without options as the command does without any: dangling images, and
    what nothing reaches. `look` sees every plan that is made, also one that is made anew as index.json has changed;
    then `confirm` sees what is to go, and raises Refused to keep it. `taken` is what the caller has removed from other
    layouts: an orphan whose file lost names by that is no younger for it. What other layouts need stays, as `elsewhere`
    tells, else those of the options.

    Raises UsageError where it is no layout, and Refused where nothing may be changed or a step failed; nothing is lost
    then, and the next prune finishes what was begun.
    """
    options = PruneOptions() if options is None else options
    if elsewhere is None and options.shared_with:
        elsewhere = SharedWith(options.shared_with, options.request.now)
    if options.dry_run:
        with lock.shared(layout, options.wait):
            planned = _dry_run(layout, options, watch, elsewhere)
            if look is not None:
                look(planned)
            return planned
    with lock.exclusive(layout, options.wait) as state:
        return _real_run(layout, options, confirm, look, watch, taken, elsewhere, state)


def _dry_run(layout: Layout, options: PruneOptions, watch: Watcher, elsewhere: Elsewhere | None) -> Pruned:
    journal.note_pending(layout, watch)
    planned = _plan(layout, options, watch, None, elsewhere)
    if not options.allow_empty and (what := emptied(planned.snapshot, planned.plan, in_tree=options.in_tree)):
        watch.note(f"{layout.path}: {what}; a real run is refused without --allow-empty")
    return planned


def _real_run(
    layout: Layout,
    options: PruneOptions,
    confirm: Callable[[Pruned], None] | None,
    look: Callable[[Pruned], None] | None,
    watch: Watcher,
    taken: HardLinks | None,
    elsewhere: Elsewhere | None,
    state: Dir,
) -> Pruned:
    request = options.request
    now = request.now
    in_grace_after = now if request.in_grace_after is None else request.in_grace_after
    expires = None if options.trash is None else now + nanoseconds(options.trash)
    terms = Terms(now, in_grace_after, expires, options.wait, elsewhere)
    earlier = _Earlier.of(_recover(layout, state, terms, watch))
    trash.remove_old(layout, state, now)
    for _ in range(_ATTEMPTS):
        roots = Roots.read(layout)
        planned = _plan(layout, options, watch, taken, elsewhere)
        try:
            if look is not None:
                look(planned)
            what = emptied(planned.snapshot, planned.plan, in_tree=options.in_tree)
            if what and not options.allow_empty:
                raise Refused(f"{layout.path}: {what}; nothing was changed; give --allow-empty if that is meant")
            if confirm is not None and not (planned.plan.empty and not planned.leftovers):
                confirm(planned)
            if planned.plan.empty:
                return earlier.added_to(
                    _cleared(layout, replace(planned, dry_run=False, reclaimed=0, trashed=0), watch)
                )
            repositories = sizes_by_repository(planned.snapshot, planned.plan)
            if planned.explained is None:
                planned.snapshot.store.clear_graph()  # the plan has all that is to be done
            outcome = execute(planned.snapshot, planned.plan, planned.unleased, roots, state, terms, watch)
        except NoRoom as full:
            with planned:
                earlier = earlier.and_room(_make_room(planned, roots, full, options.trash is None))
            confirm = None  # what is left of the plan was shown
            continue
        except BaseException:
            planned.close()
            raise
        if outcome is not None:
            freed, trashed = (outcome.size, 0) if expires is None else (0, outcome.size)
            done = replace(planned, dry_run=False, reclaimed=freed, trashed=trashed, spared=outcome.spared)
            done = earlier.added_to(_cleared(layout, done, watch))
            _record(layout, state, options, done, outcome, repositories, watch)
            return done
        planned.close()
        if confirm is not None:
            raise Refused(f"{layout.path}: index.json has changed since the plan was shown; run it again")
    raise Refused(f"{layout.path}: index.json keeps changing; nothing was changed; run it when writers rest")


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What went before the plan that is carried out was made: blobs, and bytes that were freed or are in the trash."""

    gone: tuple[Digest, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    freed: int = 0
    trashed: int = 0

    @classmethod
    def of(cls, recovered: Recovered | None) -> _Earlier:
        if recovered is None:
            return cls()
        return cls(tuple(recovered.gone), (), recovered.freed, recovered.trashed)

    def and_room(self, room: _Earlier) -> _Earlier:
        return replace(
            self,
            gone=(*self.gone, *room.gone),
            leftovers=(*self.leftovers, *room.leftovers),
            freed=self.freed + room.freed,
        )

    def added_to(self, done: Pruned) -> Pruned:
        return replace(
            done,
            earlier=self.gone,
            leftovers=(*self.leftovers, *done.leftovers),
            reclaimed=done.reclaimed + self.freed,
            trashed=done.trashed + self.trashed,
        )


def _recover(layout: Layout, state: Dir, terms: Terms, watch: Watcher) -> Recovered | None:
    recovered = recover(layout, state, terms, watch)
    if recovered is not None:
        watch.note(f"{layout.path}: {recovered.message}")
        if recovered.gone:
            figures = {"freed": recovered.freed, "trashed": recovered.trashed}
            history.append(layout, state, recovered.run, "prune", figures, watch)
    return recovered


def _make_room(planned: Pruned, roots: Roots, full: NoRoom, for_good: bool) -> _Earlier:
    """Frees what needs no journal: leftovers and, unless they are to be kept in the trash, orphans. Raises NoRoom where
    there is nothing of the kind."""
    layout = planned.snapshot.layout
    leftovers = tuple(remove_leftovers(layout.dir, planned.leftovers)[0])
    freed = sum(each.size for each in leftovers)
    orphans = []
    if for_good and freed < full.needed:
        with naming(layout.path):
            orphans = free_orphans(planned.snapshot, planned.plan, roots, full.needed - freed)
    freed += sum(size for _, size in orphans)
    if not freed:
        raise full
    return _Earlier(tuple(digest for digest, _ in orphans), leftovers, freed)


def _plan(
    layout: Layout,
    options: PruneOptions,
    watch: Watcher,
    taken: HardLinks | None,
    elsewhere: Elsewhere | None,
) -> Pruned:
    """What would go, as a dry run says it."""
    request = options.request
    in_grace_after = NEVER if request.in_grace_after is None else request.in_grace_after
    snapshot = load(
        layout,
        options.repository,
        request.now,
        watch,
        in_grace_after=in_grace_after,
        record_damage=True,
        taken=taken,
        elsewhere=elsewhere,
    )
    _note_unknown_labels(snapshot, watch)
    try:
        snapshot, plan = make_plan(snapshot, options, watch)
        plan = _understood(snapshot, plan, options, watch)
        if plan.blob_count and elsewhere is not None and elsewhere.unknown:
            raise Refused(
                f"what another layout needs of {layout.path} is unknown, so nothing was changed: {elsewhere.unknown}"
            )
        label = SNAPSHOT_LABEL + options.driver
        unleased = []
        for digest in snapshot.store.digests(plan.unlease):
            name = label_files.read(layout.dir, digest).get(label)
            if name is not None:
                unleased.append(Unlease(digest, label, name))
        explained = Explanations(plan, snapshot.relations, snapshot.store) if options.explain else None
        leftovers = [] if options.references is not None else _dead_leftovers(snapshot, request.now, request.grace)
    except BaseException:
        snapshot.store.close()
        raise
    freed, trashed = (plan.reclaimed, 0) if options.trash is None else (0, plan.reclaimed)
    freed += sum(each.size for each in leftovers)
    return Pruned(snapshot, plan, unleased, freed, trashed, dry_run=True, leftovers=leftovers, explained=explained)


def _understood(snapshot: Snapshot, plan: Plan, options: PruneOptions, watch: Watcher) -> Plan:
    """The plan, if all manifests that stay are understood. Otherwise a prune is refused, and a removal of images by
    name leaves all blobs where they are: they may belong to the damaged ones. Raises Refused."""
    damage = staying_damage(snapshot, plan.blobs)
    if not damage:
        return plan
    path, first = snapshot.layout.path, damage[0]
    more = f" (and {len(damage) - 1:,} more)" if len(damage) > 1 else ""
    if options.references is not None:
        if plan.blob_count:
            watch.note(f"{path}: all blobs stay until this is mended, as they may belong to it: {first}{more}")
        return plan.keeping_blobs()
    raise Refused(
        f"{path}: {first}{more}; what it refers to is unknown, so nothing was changed: mend it from another layout "
        "with `ocigc verify --repair-from`, or remove the image with `ocigc rm`"
    )


def _dead_leftovers(snapshot: Snapshot, now: int, grace: int) -> list[Leftover]:
    layout = snapshot.layout
    with naming(layout.path):
        found = find_leftovers(layout.dir, snapshot.store.foreign()[1])
        return removable(layout.dir, found, now, grace)


def _cleared(layout: Layout, done: Pruned, watch: Watcher) -> Pruned:
    """The run, after the leftovers are gone too: last of all, as no way leads back to them."""
    if not done.leftovers:
        return done
    removed, troubles = remove_leftovers(layout.dir, done.leftovers)
    for trouble in troubles:
        watch.note(f"{layout.path}/{trouble}")
    return replace(done, leftovers=removed, reclaimed=done.reclaimed + sum(each.size for each in removed))


def _record(
    layout: Layout,
    state: Dir,
    options: PruneOptions,
    done: Pruned,
    outcome: Executed,
    repositories: Mapping[str, int],
    watch: Watcher,
) -> None:
    """Writes the run into the history."""
    figures: dict[str, object] = {"images": done.plan.staying, "blobs": len(done.snapshot.store) - len(outcome.gone)}
    if (size := size_without(done.snapshot, outcome.gone)) is not None:
        figures["bytes"] = size
    figures |= {"freed": done.reclaimed, "trashed": done.trashed}
    if repositories:
        figures["repositories"] = dict(repositories)
    command = "prune" if options.references is None else "rm"
    history.append(layout, state, outcome.run, command, figures, watch)


def _note_unknown_labels(snapshot: Snapshot, watch: Watcher) -> None:
    if unknown := snapshot.store.unknown_labels():
        node, key = unknown[0]
        blobs = len({node for node, _ in unknown})
        what = f"{blobs} blobs, {snapshot.store.digest(node).short} among them, stay" if blobs > 1 else "1 blob stays"
        watch.note(f"{snapshot.layout.path}: {what} because of a label that is not understood: {key}")
