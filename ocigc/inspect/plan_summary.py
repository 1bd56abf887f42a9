"""A plan in figures, for a decision: which images go, how old and how large they are, what each frees, and why it
goes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from sys import intern

from ocigc.digest import Digest
from ocigc.gc.graph import flags
from ocigc.gc.plan import Plan, Untagged
from ocigc.gc.referrers import Relations
from ocigc.hard_links import Files, freed, on_disk
from ocigc.image import ImageRecord
from ocigc.layout.configs import created
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.prune_options import PruneOptions
from ocigc.values import frozen, replace


@frozen
class Loss:
    """An image that goes, with its referrers.

    `name` is in its familiar form, empty if it has none; so is `repository`. `created` is an instant; None if it is
    unknown. `size` (bytes) is that of the image, and `frees` is what the disk gets back. `referrers` are how many, and
    what they free. `layout` is the path of its layout in a tree.
    """

    name: str
    digest: Digest
    repository: str
    created: int | None
    size: int
    frees: int
    why: str
    referrers: tuple[int, int] = (0, 0)
    layout: str = ""

    @property
    def total(self) -> int:
        """Bytes that it frees, with its referrers."""
        return self.frees + self.referrers[1]


MEASURED = 100_000
"""If more blobs stay than this, their sizes are not read only to say what share of the store the plan frees."""


@frozen
class PlanSummary:
    """A plan in figures. All sizes are in bytes.

    `losses` are the largest images that go, by repository. `count` images go in all, and `repositories` says how many
    go from each repository and what they free. `images` counts entries that go, including referrers; `unnamed` of these
    only lose their name. `staying` counts those that stay. `leaving` are the files that go, `files` all files of the
    layout. `orphans` are blobs that go and that neither an image that goes nor a referrer of one reached. `in_grace`
    counts the orphans in grace, `labels` the snapshot labels that are removed, and `renamed` the images that lose a
    name but keep others. `leftovers` are temporary files of other tools, relative to the layout.
    """

    losses: Sequence[Loss]
    count: int
    repositories: Mapping[str, tuple[int, int]]
    images: int
    unnamed: int
    staying: int
    leaving: Sequence[Files]
    files: Sequence[Files] | None
    orphans: int
    orphan_bytes: int
    in_grace: int
    labels: int
    renamed: int
    leftovers: Sequence[str]
    leftover_bytes: int

    @property
    def frees(self) -> int:
        """The bytes of blobs that the disk gets back. A file with several names goes with the last of them."""
        return sum(freed(self.leaving))

    @property
    def bytes(self) -> int:
        """What goes, where every name counts."""
        return sum(files.size for files in self.leaving)

    @property
    def disk(self) -> int | None:
        """What all blobs, and the leftovers, take on disk now; None where that was not measured."""
        return None if self.files is None else on_disk(self.files) + self.leftover_bytes

    @property
    def empty(self) -> bool:
        """Whether nothing goes."""
        return not (self.images or self.renamed or self.orphans or self.labels or self.leftovers)


def summarize(
    planned: Pruned,
    options: PruneOptions,
    *,
    most: int | None = None,
    layout: str = "",
    whole: bool = False,
    watch: Watcher = SILENT,
) -> PlanSummary:
    """Puts a plan in figures, with at most `most` losses; it reads the configs of those. For the `whole`, without a
    limit, or for a store that is not large, it reads the status of every file."""
    snapshot, plan = planned.snapshot, planned.plan
    store = snapshot.store
    # Each status that nothing else needs is a read of the disk, or a round trip over a network.
    measured = whole or most is None or len(store) - plan.blob_count <= MEASURED
    store.stat(None if measured else plan.blobs, report=watch("Reading sizes"))
    losses, count, repositories, orphans = _losses(snapshot, plan, options, most)
    return PlanSummary(
        losses=[replace(each, layout=layout) for each in losses],
        count=count,
        repositories=repositories,
        images=len(plan.pruned),
        unnamed=len(plan.dangling),
        staying=plan.staying,
        leaving=[store.files(plan.blobs)],
        files=[store.files(range(len(store)))] if measured else None,
        orphans=len(orphans),
        orphan_bytes=store.freed(orphans),
        in_grace=plan.in_grace,
        labels=len(plan.unlease),
        renamed=len(plan.renamed),
        leftovers=[file for each in planned.leftovers for file in each.files],
        leftover_bytes=sum(each.size for each in planned.leftovers),
    )


def together(parts: Sequence[PlanSummary], most: int | None = None) -> PlanSummary:
    """The plans of several layouts as one."""
    repositories: dict[str, tuple[int, int]] = {}
    for part in parts:
        for name, (images, frees) in part.repositories.items():
            before = repositories.get(name, (0, 0))
            repositories[name] = before[0] + images, before[1] + frees
    losses = [loss for part in parts for loss in part.losses]
    return PlanSummary(
        losses=_ordered(losses if most is None else nlargest(most, losses, key=lambda loss: loss.total)),
        count=sum(part.count for part in parts),
        repositories=repositories,
        images=sum(part.images for part in parts),
        unnamed=sum(part.unnamed for part in parts),
        staying=sum(part.staying for part in parts),
        leaving=[files for part in parts for files in part.leaving],
        files=None if any(part.files is None for part in parts) else [f for part in parts for f in part.files or ()],
        orphans=sum(part.orphans for part in parts),
        orphan_bytes=sum(part.orphan_bytes for part in parts),
        in_grace=sum(part.in_grace for part in parts),
        labels=sum(part.labels for part in parts),
        renamed=sum(part.renamed for part in parts),
        leftovers=[file for part in parts for file in part.leftovers],
        leftover_bytes=sum(part.leftover_bytes for part in parts),
    )


def _ordered(losses: Iterable[Loss]) -> list[Loss]:
    """By repository, the largest first."""
    return sorted(losses, key=lambda loss: (loss.layout, loss.repository, -loss.total, loss.name, loss.digest))


def _losses(
    snapshot: Snapshot, plan: Plan, options: PruneOptions, most: int | None
) -> tuple[list[Loss], int, dict[str, tuple[int, int]], Sequence[int]]:
    """The losses, how many there are in all, their sums by repository, and the blobs that belong to none of them."""
    store = snapshot.store
    subjects = _subjects(plan, snapshot.relations, store)
    # There may be a million: no record is made, and of each repository's name there is one.
    frees = store.freed_each(*plan.blobs_by_image())
    names = list(map(intern, plan.pruned.repositories(options.repository)))
    images: Counter[str] = Counter()
    by_repository: Counter[str] = Counter()
    for number, each in enumerate(frees):
        name = names[subjects.get(number, number)]
        images[name] += number not in subjects
        by_repository[name] += each
    referrers: dict[int, tuple[int, int]] = {}
    for number, subject in subjects.items():
        before = referrers.get(subject, (0, 0))
        referrers[subject] = before[0] + 1, before[1] + frees[number]
    totals = frees[:]
    for number, (_, each) in referrers.items():
        totals[number] += each
    alone = (number for number in range(len(totals)) if number not in subjects)
    listed = alone if most is None else sorted(nlargest(most, alone, key=totals.__getitem__))
    count = len(totals) - len(subjects)
    reason = _Reasons(plan, options, store)
    losses = [
        Loss(
            name="" if untagged.image.dangling else untagged.image.familiar,
            digest=untagged.image.target.digest,
            repository=names[number],
            created=untagged.image.created if untagged.image.created is not None else created(snapshot, untagged.image),
            size=_size(untagged.image, store),
            frees=frees[number],
            why=reason.of(untagged),
            referrers=referrers.get(number, (0, 0)),
        )
        for number, untagged in ((number, _at(plan, number)) for number in listed)
    ]
    return _ordered(losses), count, {name: (images[name], each) for name, each in by_repository.items()}, plan.orphans


def _size(image: ImageRecord, store: Store) -> int:
    nodes = array("I", (node for node, _ in store.walk(image.target)))
    store.stat(nodes)
    return sum(map(store.size, nodes))


def _at(plan: Plan, place: int) -> Untagged:
    """The image at a position in `plan.pruned`, without its blobs."""
    position = plan.pruned.positions[place]
    return Untagged(plan.pruned[position], (), by=plan.released.get(position, ""))


def _subjects(plan: Plan, relations: Relations, store: Store) -> dict[int, int]:
    """The positions of referrers in `plan.pruned`, each with that of the image that it goes with."""
    direct: dict[int, int] = {}
    positions, subjects = plan.pruned.positions, relations.subjects
    wanted = {node for position in positions for node in subjects.get(position, ())}
    places: dict[int, int] = {}
    for place, target in enumerate(plan.pruned.targets(store)):
        if target in wanted:
            places.setdefault(target, place)
    for place, position in enumerate(positions):
        found = (places.get(subject, place) for subject in subjects.get(position, ()))
        if (other := next(found, place)) != place:
            direct[place] = other
    tops: dict[int, int] = {}
    for place in direct:
        passed = {place}
        top = place
        while top in direct and direct[top] not in passed:
            top = direct[top]
            passed.add(top)
        if top not in direct:  # otherwise they refer to each other
            tops[place] = top
    return tops


class _Reasons:
    """Why images go, in a few words."""

    def __init__(self, plan: Plan, options: PruneOptions, store: Store) -> None:
        self._options = options
        self._store = store
        self._unnamed = frozenset(plan.dangling.positions)
        self._leaving = flags(plan.blobs, len(store))

    def of(self, untagged: Untagged) -> str:
        """Why this image goes."""
        if untagged.image.position in self._unnamed:
            return "in use: stays without its name"
        rule = untagged.by or self._rule(untagged.image)
        target = self._store.find(untagged.image.target.digest)
        if target is None:
            return f"{rule}; absent"
        return rule if self._leaving[target] else f"{rule}; shared"

    def _rule(self, image: ImageRecord) -> str:
        filters = self._options.request.filters
        if self._options.references is not None:
            return "named"
        if image.dangling:
            return "dangling"
        if self._options.keep_storage is not None:
            return "among the oldest"
        if filters.until or filters.labels:
            return "matches the filters"
        return "not in use" if self._options.request.in_use else "not known to be in use"
