"""Which images are affected by blobs that are corrupt, missing or otherwise not what they have to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ocigc.layout.damage import image_names
from ocigc.layout.documents import Documents
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store


@dataclass(frozen=True, slots=True)
class Affected:
    """A blob, what is wrong with it, and the names of the images of a layout (by its path) that it belongs to; an image
    without a name by its digest."""

    layout: str
    digest: str
    state: str
    images: Sequence[str]


def affected(snapshot: Snapshot, states: Mapping[str, Iterable[str]], missing: Collection[str]) -> list[Affected]:
    """What is wrong with a layout, by image: digests by what is wrong with them, and those that are `missing`."""
    store = snapshot.store
    found = [(digest, state, store.find(digest)) for state, digests in states.items() for digest in digests]
    parents = _parents(store, missing) if missing else {}
    nodes = {node for _, _, node in found if node is not None} | {node for each in parents.values() for node in each}
    if not nodes and not missing:
        return []
    names = image_names(snapshot.images, store, nodes)
    wanted = set(missing)
    targets: dict[str, list[str]] = {}
    for image in snapshot.images if wanted else ():
        if image.target.digest in wanted:
            targets.setdefault(image.target.digest, []).append(image.familiar)
    path = snapshot.layout.path
    lines = [
        Affected(path, digest, state, names.get(node, ()) if node is not None else ()) for digest, state, node in found
    ]
    for digest in sorted(wanted):
        owners = {name for node in parents.get(digest, ()) for name in names.get(node, ())}
        lines.append(Affected(path, digest, "missing", sorted(owners.union(targets.get(digest, ())))))
    return lines


def _parents(store: Store, missing: Collection[str]) -> dict[str, list[int]]:
    """By missing digest the manifests and indexes that refer to it."""
    wanted = frozenset(missing)
    documents = Documents(store)
    parents: dict[str, list[int]] = {}
    for node in store.incomplete():
        for child in documents.children(node):
            if child.descriptor.digest in wanted:
                parents.setdefault(child.descriptor.digest, []).append(node)
    return parents
