"""What each image costs: the bytes that only it holds, and those that it shares."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ocigc.gc.graph import MeasuredGraph
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.protection import protect
from ocigc.gc.referrers import Relations
from ocigc.image import Descriptor, ImageRecord
from ocigc.labels import Lease
from ocigc.layout import lock
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.configs import with_created
from ocigc.layout.damage import load_noting
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.shared import is_hollow
from ocigc.layout.snapshot import Snapshot
from ocigc.progress import SILENT, Watcher
from ocigc.times import Duration


@dataclass(frozen=True, slots=True)
class Usage:
    """`size` counts each present blob of the image's walk once, in bytes; `shared` of it is in other images too, and
    `reclaimable` of it would go with all that is unused, where somebody asked for that. A `referrer` stays and goes
    with its subject, so it is never dangling; of one that is `orphaned`, the subject is absent. What is `missing`, and
    whether anything is `damaged`, is known where somebody has looked (`with_condition`).
    """

    image: ImageRecord
    size: int
    shared: int
    referrer: bool
    orphaned: bool
    in_use: bool
    leased: bool
    reclaimable: int
    missing: Sequence[Descriptor] = ()
    damaged: bool = False

    @property
    def dangling(self) -> bool:
        """Whether a prune without -a would take it."""
        return self.image.dangling and not self.referrer

    @property
    def unique(self) -> int:
        """Bytes that no other image of the layout has."""
        return self.size - self.shared


def usage(
    images: Images,
    relations: Relations,
    graph: MeasuredGraph,
    leases: Sequence[Lease],
    in_use: InUse,
    unused: Container[int] = frozenset(),
) -> list[Usage]:
    """The usage of each image, in the order given. Two names of one target share all of it; `leases` are active ones,
    and `unused` the nodes that would go.
    """
    records = list(images)
    walks: Mapping[str, list[int]] = {
        image.target.digest: [node for node, _ in graph.walk(image.target)] for image in records
    }
    marks = Counter(node for image in records for node in walks[image.target.digest])
    leased = {digest for lease in leases for digest in lease.resources}
    protection = protect(in_use, images, graph)
    found = []
    for image in records:
        nodes = walks[image.target.digest]
        found.append(
            Usage(
                image,
                size=sum(map(graph.size, nodes)),
                shared=sum(graph.size(node) for node in nodes if marks[node] > 1),
                referrer=image.position in relations.subjects,
                orphaned=image.position in relations.orphaned,
                in_use=(protection.name_user(image) or protection.content_user(image, graph)) is not None,
                leased=image.target.digest in leased,
                reclaimable=sum(graph.size(node) for node in nodes if node in unused),
            )
        )
    return found


def with_condition(found: Iterable[Usage], snapshot: Snapshot) -> list[Usage]:
    """The same, with what each image lacks, and whether anything of it is damaged: a manifest that cannot be read,
    verified or parsed, or a blob that has been cut off to nothing."""
    store = snapshot.store
    missing: dict[int, list[Descriptor]] = {}
    for each in incomplete_images(snapshot):
        missing.setdefault(each.image.position, []).extend(each.missing)
    faults = frozenset(node for node, _ in store.faults())
    damaged: dict[str, bool] = {}
    described = []
    for entry in found:
        digest = entry.image.target.digest
        if digest not in damaged:
            nodes = [node for node, _ in store.walk(entry.image.target)]
            damaged[digest] = not faults.isdisjoint(nodes) or any(is_hollow(store, node) for node in nodes)
        lacks = missing.get(entry.image.position, ())
        described.append(replace(entry, missing=lacks, damaged=damaged[digest]))
    return described


def images(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> list[Usage]:
    """The images by name, and what each costs. `repository` (normalised) owns bare tags; `wait` is for the lock.

    Raises UsageError where it is no layout, and Refused where it cannot be read.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        _note_pending(layout, watch)
        snapshot = with_created(load_noting(layout, repository, now, watch))
        with snapshot.store:
            snapshot.store.stat(report=watch("Reading sizes"))
            leases = [lease for lease in snapshot.leases if lease.active(now)]
            ordered = snapshot.images.in_order()
            used = InUse() if in_use is None else in_use
            return with_condition(usage(ordered, snapshot.relations, snapshot.store, leases, used), snapshot)


def _note_pending(layout: Layout, watch: Watcher) -> None:
    if layout.dir.exists(STATE):
        from ocigc.pruning import journal  # noqa: PLC0415

        journal.note_pending(layout, watch)
