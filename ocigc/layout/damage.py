"""Damage: manifests and indexes that are here, but cannot be read, verified or parsed.

What such a manifest refers to is unknown. Whoever only looks at a layout goes on and says so; whoever removes something
must not, unless the damaged image goes too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError
from ocigc.gc.graph import flags
from ocigc.gc.images import Images
from ocigc.layout.layout import Layout
from ocigc.layout.shared import Elsewhere
from ocigc.layout.snapshot import Snapshot, load
from ocigc.native import NEVER, NO_NODE, Store
from ocigc.progress import Watcher

_SHOWN = 5
_ASCENTS = 100  # of nodes that no image's own walk visits, each a look at the whole graph


@dataclass(frozen=True, slots=True)
class Damaged:
    """A damaged manifest, what is wrong with it, and the images that lead to it, by name or digest."""

    node: int
    digest: Digest
    reason: str
    images: Sequence[str]

    def __str__(self) -> str:
        names = _some(self.images)
        return f"{self.reason} (image {names})" if names else self.reason


def load_noting(
    layout: Layout,
    repository: str | None,
    now: int,
    watch: Watcher,
    *,
    in_grace_after: int = NEVER,
    elsewhere: Elsewhere | None = None,
) -> Snapshot:
    """Reads a layout, as `load` does, for one who only looks: damaged manifests do not stop it, but the first of them
    are noted. Raises Refused."""
    reading = partial(load, layout, repository, now, watch, in_grace_after=in_grace_after, elsewhere=elsewhere)
    try:
        snapshot = reading(record_damage=True)
    except (CorruptError, MalformedError):  # in what index.json embeds, or the list of docker save
        snapshot = reading(record=True)
    found = find_damage(snapshot)
    for each in found[:_SHOWN]:
        watch.note(f"{layout.path}: {each}; what it refers to is unknown")
    if len(found) > _SHOWN:
        watch.note(f"{layout.path}: {len(found) - _SHOWN:,} more manifests are damaged")
    return snapshot


def find_damage(snapshot: Snapshot) -> list[Damaged]:
    """The damaged manifests of a layout, by digest."""
    store = snapshot.store
    faults = dict(store.faults())
    names = image_names(snapshot.images, store, faults.keys())
    return [Damaged(node, store.digest(node), str(error), names[node]) for node, error in sorted(faults.items())]


def staying_damage(snapshot: Snapshot, going: Iterable[int]) -> list[Damaged]:
    """The damaged manifests that stay when the nodes `going` go; they may refer to any of those."""
    if not snapshot.store.faults():
        return []
    leaving = flags(going, len(snapshot.store))
    return [each for each in find_damage(snapshot) if not leaving[each.node]]


def image_names(images: Images, store: Store, nodes: Collection[int]) -> dict[int, Sequence[str]]:
    """By node the images that it belongs to, in their order; of what no image's walk visits those that reach it
    otherwise."""
    wanted = frozenset(nodes)
    names: dict[int, list[str]] = {node: [] for node in wanted}
    if not wanted:
        return {}
    ordered = images.in_order()
    for image in ordered:
        for node, _ in store.walk(image.target):
            if node in wanted:
                names[node].append(image.familiar)
    unowned = [node for node, owners in names.items() if not owners]
    for node in unowned[:_ASCENTS]:
        names[node] += _reaching(ordered, store, node)
    return dict(names)


def _reaching(images: Images, store: Store, node: int) -> Iterator[str]:
    following, _ = store.paths_to(node)
    for image, target in zip(images, images.targets(store), strict=True):
        if target != NO_NODE and following[target] != NO_NODE:
            yield image.familiar


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
