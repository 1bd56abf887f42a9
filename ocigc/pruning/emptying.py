"""Runs that would empty a layout: many tools write layouts whose only image has no name, and a pool of blobs for other
layouts names none at all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from ocigc.gc.graph import NO_NODE
from ocigc.gc.images import Images
from ocigc.gc.plan import Plan
from ocigc.image import ImageRecord
from ocigc.layout.snapshot import Snapshot


def emptied(snapshot: Snapshot, plan: Plan, *, in_tree: bool = False) -> str:
    """What a plan would empty a layout of; nothing where it would not.

    An image whose content is absent does not count as one that is left. A layout in a tree may lose its last dangling
    images.
    """
    if not snapshot.index.entries:
        return _without_blobs(snapshot, plan)
    store = snapshot.store
    going_named = any(not image.dangling for image in plan.pruned)
    if not plan.pruned or (in_tree and not going_named):
        return ""
    if in_tree:
        if plan.dangling or any(not image.dangling for image in _left(snapshot, plan)):
            return ""
        return "this would leave no image with a name where there are some"
    goes_present = any(target != NO_NODE for target in plan.pruned.targets(store))
    if plan.staying and (not goes_present or any(True for _ in _left(snapshot, plan))):
        return ""
    return "this would leave no image where there are some"


def _left(snapshot: Snapshot, plan: Plan) -> Iterator[ImageRecord]:
    """The images that stay and whose content is here."""
    judged = plan.images.picked(plan.judged.positions)
    return chain(*(_present(images, snapshot) for images in (plan.named, judged, plan.dangling)))


def _present(images: Images, snapshot: Snapshot) -> Iterator[ImageRecord]:
    targets = images.targets(snapshot.store)
    return (image for image, target in zip(images, targets, strict=True) if target != NO_NODE)


def _without_blobs(snapshot: Snapshot, plan: Plan) -> str:
    """A layout without any entry may hold blobs for others: it is not to lose all that are old enough."""
    store = snapshot.store
    if plan.blob_count and plan.blob_count + plan.spared >= len(store.sweepable(range(len(store)))):
        return "it has no image, and this would delete every blob: other layouts may need them"
    return ""
