"""The plan for one layout, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ocigc.closing import Closing
from ocigc.digest import Digest
from ocigc.errors import Refused, Remedy
from ocigc.gc.plan import Plan
from ocigc.hard_links import RemovedLinks
from ocigc.labels import Unlease
from ocigc.layout.damage import misnamed, staying_damage
from ocigc.layout.dirfd import naming
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import Leftover, find_leftovers, removable
from ocigc.layout.snapshot import LoadTerms, OtherLayouts, Snapshot, Tolerated, corrupt_data, load
from ocigc.native import NEVER
from ocigc.progress import Watcher
from ocigc.pruning.planning import labels_to_take, make_plan
from ocigc.pruning.prune_options import PruneOptions
from ocigc.values import frozen

if TYPE_CHECKING:
    from ocigc.gc.explain import Explanation


@frozen
class Pruned(Closing):
    """A plan that was, or would be, carried out. It keeps the store open, to look up digests. Close it, or use it as a
    context manager.

    `reclaimed` and `trashed` are the bytes that are freed, and that the trash keeps. `stayed` are digests that were to
    go but stayed. `leftovers` are temporary files of other tools that go. `earlier` are blobs that went before the plan
    was made, because an interrupted run was finished, or to make room. `explained` is None unless it was asked for.
    """

    snapshot: Snapshot
    plan: Plan
    unleased: Sequence[Unlease]
    reclaimed: int
    trashed: int
    dry_run: bool
    stayed: frozenset[str] = frozenset()
    leftovers: Sequence[Leftover] = ()
    earlier: Sequence[Digest] = ()
    explained: Iterable[Explanation] | None = None

    def __repr__(self) -> str:
        kind = "would free" if self.dry_run else "freed"
        return f"Pruned({self.snapshot.layout.path!r}: {len(self.plan.pruned)} images, {kind} {self.reclaimed} bytes)"

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
        return self.plan.blob_count - len(self.stayed) + len(self.earlier)

    def count(self, nodes: Sequence[int]) -> int:
        """How many of these nodes go."""
        return sum(1 for _ in self.deleted(nodes)) if self.stayed else len(nodes)

    def deleted(self, nodes: Iterable[int]) -> Iterator[Digest]:
        """The digests of those of these nodes that go."""
        return (digest for digest in self.snapshot.store.digests(nodes) if digest not in self.stayed)


def plan_layout(
    layout: Layout,
    options: PruneOptions,
    watch: Watcher,
    taken: RemovedLinks | None,
    elsewhere: OtherLayouts | None,
) -> Pruned:
    """What would go, as a dry run shows it."""
    request = options.request
    in_grace_after = NEVER if request.in_grace_after is None else request.in_grace_after
    # A run that removes something reads statuses as late as it can.
    takes_most = options.dry_run and options.references is None and not request.filters.dangling_only
    terms = LoadTerms(
        Tolerated.DAMAGE, in_grace_after, accept_data=True, measure=takes_most, taken=taken, elsewhere=elsewhere
    )
    snapshot = load(layout, options.repository, request.now, watch, terms)
    _note_unknown_labels(snapshot, watch)
    try:
        snapshot, plan = make_plan(snapshot, options, watch, elsewhere)
        plan = _understood(snapshot, plan, options, watch)
        if plan.blob_count and elsewhere is not None and elsewhere.unknown:
            raise Refused(
                f"nobody knows what another layout needs of {layout.path}, so nothing was changed: {elsewhere.unknown}"
            )
        if plan.blob_count and options.references is None and (name := misnamed(snapshot)) is not None:
            raise Refused(
                f"{layout.path}: blobs/{name}: a digest in capitals, perhaps of a blob that an image lacks: rename the "
                "file; nothing was changed"
            )
        unleased = labels_to_take(snapshot, plan, options.driver)
        explained = _explained(snapshot, plan) if options.explain else None
        leftovers = [] if options.references is not None else _dead_leftovers(snapshot, request.now, request.grace)
    except BaseException:
        snapshot.store.close()
        raise
    freed, trashed = (plan.reclaimed, 0) if options.trash is None else (0, plan.reclaimed)
    freed += sum(each.size for each in leftovers)
    return Pruned(snapshot, plan, unleased, freed, trashed, dry_run=True, leftovers=leftovers, explained=explained)


def _explained(snapshot: Snapshot, plan: Plan) -> Iterable[Explanation]:
    from ocigc.gc.explain import Explanations

    return Explanations(plan, snapshot.relations, snapshot.store)


def _understood(snapshot: Snapshot, plan: Plan, options: PruneOptions, watch: Watcher) -> Plan:
    """The plan, if all manifests that stay can be read and verified. Otherwise a prune is refused, and a removal of
    images by name leaves all blobs in place, as they may belong to damaged images. Raises Refused.
    """
    going = frozenset((*plan.pruned.entries, *plan.parts.entries)).difference(plan.dangling.entries)
    data = corrupt_data(snapshot.index.entries, snapshot.targets)
    damage = [reason for position, reason in data if position not in going]
    damage += map(str, staying_damage(snapshot, plan.blobs))
    if not damage:
        return plan
    path, first = snapshot.layout.path, damage[0]
    more = f" (and {len(damage) - 1:,} more)" if len(damage) > 1 else ""
    if options.references is not None:
        if plan.blob_count:
            watch.note(f"{path}: all blobs stay until this is repaired, because they may belong to it: {first}{more}")
        return plan.keeping_blobs()
    raise Refused(
        f"{path}: {first}{more}; nobody knows what it refers to, so nothing was changed", Remedy.REPAIR_OR_REMOVE
    )


def _dead_leftovers(snapshot: Snapshot, now: int, grace: int) -> list[Leftover]:
    layout = snapshot.layout
    with naming(layout.path):
        found = find_leftovers(layout.dir, snapshot.store.foreign()[1])
        return removable(layout.dir, found, now, grace)


def _note_unknown_labels(snapshot: Snapshot, watch: Watcher) -> None:
    if unknown := snapshot.store.unknown_labels():
        node, key = unknown[0]
        blobs = len({node for node, _ in unknown})
        what = f"{blobs} blobs, {snapshot.store.digest(node).short} among them, stay" if blobs > 1 else "1 blob stays"
        watch.note(f"{snapshot.layout.path}: {what} because of a label that is not understood: {key}")
