"""A real run: finishes what was begun, plans, confirms and executes. If index.json has changed meanwhile, it
plans again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import Refused, Remedy
from ocigc.gc.graph import all_but
from ocigc.gc.plan import Plan
from ocigc.hard_links import RemovedLinks
from ocigc.image import repository_of
from ocigc.layout import history
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import Leftover, remove_leftovers
from ocigc.layout.snapshot import OtherLayouts, Snapshot
from ocigc.native import NEVER
from ocigc.progress import Watcher
from ocigc.pruning import journal, trash
from ocigc.pruning.after_commit import Executed, RunTerms
from ocigc.pruning.execute import execute
from ocigc.pruning.layout_plan import Pruned, plan_layout
from ocigc.pruning.limits import would_empty
from ocigc.pruning.preflight import BLOCK, NoRoom, free_orphans
from ocigc.pruning.prune_options import PruneOptions
from ocigc.pruning.recover import Recovered, recover
from ocigc.pruning.roots import Roots
from ocigc.pruning.what_goes import WhatGoes, what_goes
from ocigc.times import nanoseconds

_ATTEMPTS = 5
_BLOBS = 200_000
"""In a store with more blobs than this, reading all their sizes could take longer than the prune itself."""
_IMAGES = 2_000
_REPOSITORIES = 500


def prune_locked(
    layout: Layout,
    options: PruneOptions,
    confirm: Callable[[Pruned], None] | None,
    review: Callable[[Pruned], None] | None,
    watch: Watcher,
    taken: RemovedLinks | None,
    elsewhere: OtherLayouts | None,
    state: Dir,
) -> Pruned:
    """Prunes a layout that is locked. Parameters are those of `prune`; `state` is the layout's state directory. Raises
    Refused.
    """
    request = options.request
    now = request.now
    in_grace_after = now if request.in_grace_after is None else request.in_grace_after
    expires = None if options.trash is None else min(now + nanoseconds(options.trash), NEVER)
    terms = RunTerms(now, in_grace_after, expires, options.wait, elsewhere)
    earlier, made = _GoneBefore.of(_recover(layout, state, terms, watch)), _GoneBefore()
    trash.remove_old(layout, state, now)
    for _ in range(_ATTEMPTS):
        roots = Roots.read(layout)
        planned = plan_layout(layout, options, watch, taken, elsewhere)
        try:
            if review is not None:
                review(planned)
            what = would_empty(planned.snapshot, planned.plan, in_tree=options.in_tree)
            if what and not options.allow_empty:
                raise Refused(f"{layout.path}: {what}; nothing was changed", Remedy.ALLOW_EMPTY)
            if confirm is not None and not (planned.plan.empty and not planned.leftovers):
                confirm(planned)
            if planned.plan.empty:
                return earlier.added_to(_without_a_plan(layout, state, planned, watch))
            repositories = sizes_by_repository(planned.snapshot, planned.plan)
            if planned.explained is None:
                planned.snapshot.store.clear_graph()  # the plan has everything that is to be done
            outcome = execute(planned.snapshot, planned.plan, planned.unleased, roots, state, terms, watch)
        except NoRoom as full:
            with planned:
                if confirm is not None:
                    confirm = _only(what_goes(planned))
                for_good = expires is None and not (elsewhere is not None and elsewhere.changed())
                room = _make_room(planned, roots, full, made, orphans=for_good)
            earlier, made = earlier.and_room(room), made.and_room(room)
            continue
        except BaseException:
            planned.close()
            raise
        if outcome is not None:
            freed, trashed = (outcome.size, 0) if expires is None else (0, outcome.size)
            done = replace(planned, dry_run=False, reclaimed=freed, trashed=trashed, stayed=outcome.stayed)
            done = earlier.added_to(_cleared(layout, done, watch))
            _record(layout, state, options, done, outcome, repositories, watch)
            return done
        planned.close()
        if confirm is not None:
            raise Refused(f"{layout.path}: index.json has changed since the plan was shown; run it again")
    raise Refused(
        f"{layout.path}: index.json keeps changing; nothing was changed; run it again when nothing writes to it"
    )


def _without_a_plan(layout: Layout, state: Dir, planned: Pruned, watch: Watcher) -> Pruned:
    """Ends a run of which only leftovers go."""
    done = _cleared(layout, replace(planned, dry_run=False, reclaimed=0, trashed=0), watch)
    if done.leftovers:
        history.append(layout, state, journal.new_id(), "prune", {"freed": done.reclaimed, "trashed": 0}, watch)
    return done


def _only(shown: WhatGoes) -> Callable[[Pruned], None]:
    """Confirms what is left of a plan that was shown, and nothing else."""

    def confirm(planned: Pruned) -> None:
        if not what_goes(planned).within(shown):
            raise Refused(f"{planned.snapshot.layout.path}: it has changed since the plan was shown; run it again")

    return confirm


@dataclass(frozen=True, slots=True)
class _GoneBefore:
    """What went before the plan was made: blobs, and bytes that were freed or are in the trash."""

    gone: tuple[Digest, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    freed: int = 0
    trashed: int = 0

    @classmethod
    def of(cls, recovered: Recovered | None) -> _GoneBefore:
        if recovered is None:
            return cls()
        return cls(tuple(recovered.gone), (), recovered.freed, recovered.trashed)

    def __str__(self) -> str:
        what = [f"{len(self.gone):,} orphans"] if self.gone else []
        what += [f"{len(self.leftovers):,} leftovers"] if self.leftovers else []
        return f"{' and '.join(what)}, {self.freed:,} bytes, were removed to make room"

    def and_room(self, room: _GoneBefore) -> _GoneBefore:
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


def _recover(layout: Layout, state: Dir, terms: RunTerms, watch: Watcher) -> Recovered | None:
    recovered = recover(layout, state, terms, watch)
    if recovered is not None:
        watch.note(f"{layout.path}: {recovered.message}")
        if recovered.gone:
            figures = {"freed": recovered.freed, "trashed": recovered.trashed}
            history.append(layout, state, recovered.run, "prune", figures, watch)
    return recovered


def _make_room(planned: Pruned, roots: Roots, full: NoRoom, made: _GoneBefore, *, orphans: bool) -> _GoneBefore:
    """Makes room by freeing what needs no journal: leftovers and, where they may go for good, orphans. `made` is what
    was freed for this before. Raises Refused where that is not enough.
    """
    layout, store, plan = planned.snapshot.layout, planned.snapshot.store, planned.plan
    removable = plan.orphans if orphans else ()
    needs_journal = bool(plan.pruned or plan.renamed or plan.parts or plan.unlease or not orphans)
    if full.files:
        most = len(planned.leftovers) + len(removable)
    else:
        most = sum(map(_on_disk, chain((each.size for each in planned.leftovers), map(store.size, removable))))
    leftovers: tuple[Leftover, ...] = ()
    gone: list[tuple[Digest, int]] = []
    if most and (most >= full.short or not needs_journal):
        leftovers = tuple(remove_leftovers(layout.dir, planned.leftovers)[0])
        size = full.needed - sum(each.size for each in leftovers)
        files = full.files - len(leftovers)
        if orphans and (size > 0 or files > 0):
            with naming(layout.path):
                gone = free_orphans(planned.snapshot, planned.plan, roots, size, files)
    if not leftovers and not gone:
        raise full if made == _GoneBefore() else Refused(f"{full.what}; {made}, but nothing else was changed")
    freed = sum(each.size for each in leftovers) + sum(size for _, size in gone)
    return _GoneBefore(tuple(digest for digest, _ in gone), leftovers, freed)


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _cleared(layout: Layout, done: Pruned, watch: Watcher) -> Pruned:
    """The run, after removing the leftovers too. They go last, because they cannot be brought back."""
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
    """Adds the run to the history."""
    figures: dict[str, object] = {"images": done.plan.staying, "blobs": len(done.snapshot.store) - len(outcome.gone)}
    if (size := size_without(done.snapshot, outcome.gone)) is not None:
        figures["bytes"] = size
    figures |= {"freed": done.reclaimed, "trashed": done.trashed}
    if repositories:
        figures["repositories"] = dict(repositories)
    command = "prune" if options.references is None else "rm"
    history.append(layout, state, outcome.run, command, figures, watch)


def sizes_by_repository(snapshot: Snapshot, plan: Plan) -> Mapping[str, int]:
    """Bytes of the blobs that the images of each repository have after the plan, for the largest repositories; empty
    where it would take long to compute.
    """
    store = snapshot.store
    if len(store) > _BLOBS or plan.staying > _IMAGES:
        return {}
    staying = chain((each.position for each in plan.kept), plan.dangling.positions)
    nodes: dict[str, set[int]] = {}
    for image in plan.images.picked(staying):
        found = nodes.setdefault(repository_of(image, snapshot.repository), set())
        found.update(node for node, _ in store.walk(image.target))
    nodes.pop("", None)
    sizes = {name: store.files(array("I", found)).size for name, found in nodes.items()}
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_REPOSITORIES]
    return {name: sizes[name] for name in sorted(largest)}


def size_without(snapshot: Snapshot, gone: Iterable[int]) -> int | None:
    """Bytes of all blobs except these nodes; None where it would take long to compute."""
    if len(snapshot.store) > _BLOBS:
        return None
    return snapshot.store.files(all_but(gone, snapshot.store)).size
