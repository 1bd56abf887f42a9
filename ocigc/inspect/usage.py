"""What each image takes: the bytes that only it has, and those that it shares."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ocigc.gc.in_use import InUse
from ocigc.gc.protection import protect
from ocigc.image import Descriptor, ImageRecord
from ocigc.layout import lock
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.configs import with_created
from ocigc.layout.damage import load_noting
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.shared import hollow
from ocigc.layout.snapshot import Snapshot
from ocigc.progress import SILENT, Watcher
from ocigc.times import Duration
from ocigc.values import frozen


@frozen
class Usage:
    """`size` counts each present blob of the image's walk once, in bytes; `shared` of it is in other images too, and
    `reclaimable` of it would go with all that is unused, where somebody asked for that. A `referrer` stays and goes
    with its subject, so it is never dangling; of one that is `orphaned`, the subject is absent.
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
        """Whether a prune without -a would remove it."""
        return self.image.dangling and not self.referrer

    @property
    def unique(self) -> int:
        """Bytes that no other image of the layout has."""
        return self.size - self.shared


_UNUSED, _DAMAGED = 1, 2  # flags of nodes


def usage(snapshot: Snapshot, in_use: InUse, now: int, unused: Iterable[int] = ()) -> list[Usage]:
    """The usage of each image, in the given order. Two names of one target share all of it. `leases` are active ones;
    `unused` are the nodes that would go.
    """
    images, store, relations = snapshot.images.in_order(), snapshot.store, snapshot.relations
    missing: dict[int, list[Descriptor]] = {}
    for each in incomplete_images(snapshot):
        missing.setdefault(each.image.position, []).extend(each.missing)
    flags = bytearray(len(store))
    for node in unused:
        flags[node] = _UNUSED
    for node in (*(node for node, _ in store.faults()), *hollow(store)):
        flags[node] |= _DAMAGED
    leased = {digest for lease in snapshot.leases if lease.active(now) for digest in lease.resources}
    protection = protect(in_use, images, store)
    sizes = store.usage(images.targets(store), images.medias(), flags=flags)
    return [
        Usage(
            image,
            size,
            shared,
            referrer=image.position in relations.subjects,
            orphaned=image.position in relations.orphaned,
            in_use=bool(protection)
            and (protection.name_user(image) or protection.content_user(image, store)) is not None,
            leased=image.target.digest in leased,
            reclaimable=reclaimable,
            missing=missing.get(image.position, ()),
            damaged=bool(found & _DAMAGED),
        )
        for image, (size, shared, reclaimable, found) in zip(images, sizes, strict=True)
    ]


def images(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> list[Usage]:
    """The images by name, and what each costs. `repository` (normalised) owns bare tags; `wait` is for the lock.

    Raises UsageError where it is not a layout, and Refused where it cannot be read.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        _note_pending(layout, watch)
        snapshot = with_created(load_noting(layout, repository, now, watch))
        with snapshot.store:
            snapshot.store.stat(report=watch("Reading sizes"))
            return usage(snapshot, InUse() if in_use is None else in_use, now)


def _note_pending(layout: Layout, watch: Watcher) -> None:
    if layout.dir.exists(STATE):
        from ocigc.pruning import journal  # noqa: PLC0415

        journal.note_pending(layout, watch)
