"""What there is in a layout after a prune, for its history."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from itertools import chain

from ocigc.gc.graph import others
from ocigc.gc.plan import Plan
from ocigc.image import repository_of
from ocigc.layout.snapshot import Snapshot

_BLOBS = 200_000
"""In a store with more blobs, to ask for all their sizes could take longer than the prune itself."""

_IMAGES = 2_000
_REPOSITORIES = 500


def sizes_by_repository(snapshot: Snapshot, plan: Plan) -> Mapping[str, int]:
    """Bytes of the blobs that the images of each repository have once the plan has been carried out, of the largest
    repositories; none where that would take long to find out."""
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
    """Bytes of all blobs but those (nodes); None where that would take long to find out."""
    if len(snapshot.store) > _BLOBS:
        return None
    return snapshot.store.files(others(gone, snapshot.store)).size
