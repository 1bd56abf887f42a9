"""Runs that would empty a layout: many tools write layouts whose only image has no name, and a pool of blobs for other
layouts names none at all."""

from __future__ import annotations

from ocigc.gc.graph import NO_NODE
from ocigc.gc.images import Images, NameKind
from ocigc.gc.plan import Plan
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store

_NAMED = (NameKind.NAMED, NameKind.FALLBACK)


def emptied(snapshot: Snapshot, plan: Plan, *, in_tree: bool = False) -> str:
    """What a plan would empty a layout of; nothing where it would not.

    An image whose content is absent does not count as one that is left. A layout in a tree may lose its last dangling
    images.
    """
    if not snapshot.index.entries:
        return _without_blobs(snapshot, plan)
    return _without_names(snapshot.store, plan) if in_tree else _without_images(snapshot.store, plan)


def _left(plan: Plan) -> list[Images]:
    return [plan.named, plan.images.picked(plan.judged.positions), plan.dangling]


def _without_images(store: Store, plan: Plan) -> str:
    if not plan.pruned or any(_have_content(images, store) for images in _left(plan)):
        return ""
    if plan.staying and not _have_content(plan.pruned, store):
        return ""
    return "this would leave no image where there are some"


def _without_names(store: Store, plan: Plan) -> str:
    if plan.dangling or not plan.pruned.of_kind(*_NAMED):
        return ""
    if any(_have_content(images.of_kind(*_NAMED), store) for images in _left(plan)):
        return ""
    return "this would leave no image with a name where there are some"


def _have_content(images: Images, store: Store) -> bool:
    """Whether the content of any of them is here."""
    return any(target != NO_NODE for target in images.targets(store))


def _without_blobs(snapshot: Snapshot, plan: Plan) -> str:
    """A layout without any entry may hold blobs for others: it is not to lose all that are old enough."""
    store = snapshot.store
    if plan.blob_count and plan.blob_count + plan.in_grace >= len(store.sweepable(range(len(store)))):
        return "it has no image, and this would delete every blob: other layouts may need them"
    return ""
