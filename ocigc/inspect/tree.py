"""An image as a tree: index, manifests, configs and layers, and what refers to them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ocigc.errors import Refused
from ocigc.gc.resolve import resolve_images
from ocigc.image import Descriptor, Media
from ocigc.layout import lock
from ocigc.layout.configs import CONFIG_LIMIT
from ocigc.layout.damage import load_noting
from ocigc.layout.layout import Layout
from ocigc.layout.manifests import Documents
from ocigc.layout.needs import is_hollow
from ocigc.layout.opening import accepts_path
from ocigc.native import Role, Store, media_of
from ocigc.progress import SILENT, Watcher
from ocigc.times import Duration

_ROLES = {
    Role.CONFIG: "config",
    Role.LAYER: "layer",
    Role.BLOB: "blob",
    Role.MANIFEST: "manifest",
    Role.FOUND: "mentioned",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One line of a tree. `depth` is 0 for the root; `platform` may be empty. A `repeated` line was shown before, and
    its children are not shown again. A `damaged` manifest cannot be read, verified or parsed, so its children are
    unknown.
    """

    depth: int
    role: str
    descriptor: Descriptor
    platform: str
    present: bool
    repeated: bool
    damaged: bool = False


@accepts_path
def tree(
    layout: Layout, reference: str, *, repository: str | None = None, wait: Duration = 0, watch: Watcher = SILENT
) -> list[Leaf]:
    """The tree below every target that a reference names, parents first. Raises UsageError and Refused."""
    with lock.shared(layout, wait):
        snapshot = load_noting(layout, repository, time.time_ns(), watch)
        with snapshot.store as store:
            targets = {image.target.digest: image.target for image in resolve_images(snapshot.entries, reference)}
            faults = frozenset(node for node, _ in store.faults())
            return [leaf for target in targets.values() for leaf in _grow(store, target, faults)]


def _grow(store: Store, target: Descriptor, faults: frozenset[int]) -> Iterator[Leaf]:
    seen: set[int] = set()
    waiting = [(0, "image", target, "")]
    while waiting:
        depth, role, descriptor, platform = waiting.pop()
        node = store.find(descriptor.digest)
        repeated = node in seen
        damaged = node is not None and (node in faults or is_hollow(store, node))
        yield Leaf(depth, role, descriptor, platform, node is not None, repeated, damaged)
        if node is None or repeated:
            continue
        children = [(depth + 1, *child) for child in _children(store, node, descriptor)]
        if children:
            seen.add(node)
        waiting += reversed(children)


def _children(store: Store, node: int, descriptor: Descriptor) -> Iterator[tuple[str, Descriptor, str]]:
    for child in Documents(store).children(node) if descriptor.media in (Media.MANIFEST, Media.INDEX) else ():
        if child.role in _ROLES:
            yield _ROLES[child.role], child.descriptor, child.platform
    for referrer in store.referrers(node):
        yield "referrer", _described(store, referrer), ""


def _described(store: Store, node: int) -> Descriptor:
    """A descriptor for a referrer that is found only through its subject."""
    try:
        document = json.loads(store.read(node, CONFIG_LIMIT))
        stated = document.get("mediaType") if isinstance(document, dict) else None
    except (Refused, ValueError, RecursionError):
        stated = None
    media_type = stated if isinstance(stated, str) else ""
    return Descriptor(media_type, store.digest(node), store.size(node), media_of(media_type))
