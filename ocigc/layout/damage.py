"""Damage: manifests and indexes that are present but cannot be read, verified or parsed, and the images that bad or
missing blobs belong to.

It is unknown what a damaged manifest refers to. A command that only reads says so and goes on. A command that removes
something must stop, unless the damaged image goes too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError, printable
from ocigc.gc.graph import flags
from ocigc.gc.images import Images
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import LoadTerms, OtherLayouts, Snapshot, Tolerated, load
from ocigc.native import NEVER, NO_NODE, Role, Store
from ocigc.progress import Watcher
from ocigc.values import frozen, replace

_SHOWN = 5
_ASCENTS = 100  # nodes that no image's own walk visits; for each, the whole graph is searched


@frozen
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
    measure: bool = False,
    identify: bool = False,
    elsewhere: OtherLayouts | None = None,
) -> Snapshot:
    """Reads a layout as `load` does, for a command that changes nothing. Damaged manifests do not stop it; the first
    few are noted. Raises Refused.
    """
    terms = LoadTerms(Tolerated.DAMAGE, in_grace_after, measure=measure, identify=identify, elsewhere=elsewhere)
    try:
        snapshot = load(layout, repository, now, watch, terms)
    except (CorruptError, MalformedError):  # in what index.json embeds, or in the list of docker save
        snapshot = load(layout, repository, now, watch, replace(terms, tolerated=Tolerated.ALL))
    found = find_damage(snapshot)
    for each in found[:_SHOWN]:
        watch.note(f"{layout.path}: {each}; nobody knows what it refers to")
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
    """The damaged manifests that stay when the nodes `going` go. They may refer to any of these nodes."""
    if not snapshot.store.faults():
        return []
    leaving = flags(going, len(snapshot.store))
    return [each for each in find_damage(snapshot) if not leaving[each.node]]


def misnamed(snapshot: Snapshot) -> str | None:
    """The name of a file below blobs/ that may be a missing blob: it would be a digest if it were in lower case. None
    if there is none, or if no image lacks anything.
    """
    store = snapshot.store
    for name in store.foreign()[1]:
        digest = Digest.parse_registered(name.lower().replace("/", ":", 1))
        if digest is not None and store.find(digest) is None:
            return printable(name) if NO_NODE in snapshot.targets or store.incomplete() else None
    return None


def image_names(images: Images, store: Store, nodes: Collection[int]) -> dict[int, Sequence[str]]:
    """By node, the images that it belongs to, in the order of images. A node that no image's walk visits belongs to the
    images that reach it in another way.
    """
    wanted = frozenset(nodes)
    names: dict[int, list[str]] = {node: [] for node in wanted}
    if not wanted:
        return {}
    visiting = store.visiting(images.walks(store), wanted)
    for image in images.picked(p for p, flag in zip(images.positions, visiting, strict=True) if flag).in_order():
        for node, _ in store.walk(image.target):
            if node in wanted:
                names[node].append(image.familiar)
    unowned = [node for node, owners in names.items() if not owners]
    for node in unowned[:_ASCENTS]:
        names[node] += _reaching(images.in_order(), store, node)
    return dict(names)


def _reaching(images: Images, store: Store, node: int) -> Iterator[str]:
    following, _ = store.paths_to(node)
    for image, target in zip(images, images.targets(store), strict=True):
        if target != NO_NODE and following[target] != NO_NODE:
            yield image.familiar


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more


@frozen
class Affected:
    """A blob, what is wrong with it, and the names of the images that it belongs to. `layout` is the path of the
    layout. An image without a name is named by its digest.
    """

    layout: str
    digest: str
    state: str
    images: Sequence[str]


def affected(snapshot: Snapshot, states: Mapping[str, Iterable[str]], missing: Collection[str]) -> list[Affected]:
    """What is wrong with a layout, by image. `states` has digests by what is wrong with them; `missing` are those that
    are absent.
    """
    store = snapshot.store
    found = [(digest, state, store.find(digest)) for state, digests in states.items() for digest in digests]
    parents = _parents(store, missing) if missing else {}
    nodes = {node for _, _, node in found if node is not None} | {node for each in parents.values() for node in each}
    if not nodes and not missing:
        return []
    names = image_names(snapshot.images, store, nodes)
    wanted = set(missing)
    targets: dict[str, list[str]] = {}
    for image in _lacking_target(snapshot.images, store):
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


def _lacking_target(images: Images, store: Store) -> Images:
    targets = images.targets(store)
    return images.picked(p for p, node in zip(images.positions, targets, strict=True) if node == NO_NODE)


def _parents(store: Store, missing: Collection[str]) -> dict[str, list[int]]:
    """By missing digest, the blobs that refer to it, other than by labels."""
    wanted = frozenset(missing)
    parents: dict[str, list[int]] = {}
    for each in store.missing_descriptors():
        if each.digest in wanted and each.role not in (Role.LABEL, Role.BACK):
            parents.setdefault(each.digest, []).append(each.node)
    return parents
