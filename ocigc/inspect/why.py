"""Why a blob is there, and what would go with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.decide import Request
from ocigc.gc.graph import Graph
from ocigc.gc.in_use import InUse
from ocigc.gc.resolve import filters_for, resolve_blob
from ocigc.image import ImageRecord, Media
from ocigc.labels import Lease
from ocigc.layout import lock
from ocigc.layout.configs import CONFIG_LIMIT, labels_of
from ocigc.layout.damage import load_noting
from ocigc.layout.layout import Layout
from ocigc.layout.opening import accepts_path
from ocigc.layout.relations import detach
from ocigc.layout.snapshot import Snapshot
from ocigc.native import NO_NODE, Role, Store, parse_document
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import decide
from ocigc.times import Duration

_ROLES = {
    Role.CONFIG: "config",
    Role.LAYER: "layer",
    Role.BLOB: "blob",
    Role.MANIFEST: "manifest",
    Role.SUBJECT: "referrer",
    Role.FOUND: "mentioned",
    Role.LABEL: "label",
    Role.BACK: "back reference",
    Role.EMBEDDED: "embedded",
}


@dataclass(frozen=True, slots=True)
class RetainingPaths:
    """What keeps a blob. `chains` is empty if no root reaches it; `touched` is then the instant at which somebody last
    touched its file. If it is absent, `mentioned_by` are the digests of the manifests that refer to it. `images` are
    its names as an image; `freed` (bytes) and `blobs` (a number) would go with the last of them.
    """

    digest: Digest
    present: bool
    size: int
    touched: int
    chains: Sequence[Chain]
    mentioned_by: Sequence[str]
    images: Sequence[str]
    blobs: int
    freed: int


@accepts_path
def why(
    layout: Layout, reference: str, *, repository: str | None = None, wait: Duration = 0, watch: Watcher = SILENT
) -> RetainingPaths:
    """What keeps a blob, or an image. `reference` is the name of an image, or a digest or the beginning of one. Raises
    UsageError where it names nothing, and Refused.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        snapshot = load_noting(layout, repository, now, watch)
        with snapshot.store as store:
            digest = resolve_blob(snapshot.images, store, reference)
            node = store.find(digest)
            names = [image.familiar for image in snapshot.images if image.target.digest == digest]
            if node is None:
                return RetainingPaths(digest, False, 0, 0, (), _mentions(store, digest), names, 0, 0)
            found = list(_chains(snapshot, node, now))
            blobs, freed = _untagged(snapshot, digest, now) if names else (0, 0)
            return RetainingPaths(digest, True, store.size(node), store.stamp(node), found, (), names, blobs, freed)


def _chains(snapshot: Snapshot, node: int, now: int) -> list[Chain]:
    store = snapshot.store
    following, roles = store.paths_to(node)

    def step(at: int) -> tuple[str, int] | None:
        return None if following[at] == NO_NODE else (_ROLES[Role(roles[at])], following[at])

    active = [lease for lease in snapshot.leases if lease.active(now)]
    images = list(snapshot.images.in_order())
    return list(chains(node, step, images, active, store.label_roots(), store.added_roots(), store))


def _untagged(snapshot: Snapshot, digest: Digest, now: int) -> tuple[int, int]:
    named = [image.position for image in snapshot.images if image.target.digest == digest]
    filters = filters_for(named, snapshot.images)
    detach(snapshot.images, snapshot.relations, filters.detached, snapshot.store)
    request = Request(filters, InUse(), now, grace=0, orphans=False)
    plan = decide(snapshot.inputs, request, labels_of(snapshot, request.rules), snapshot.store)
    return plan.blob_count, plan.reclaimed


def _mentions(store: Store, digest: Digest) -> list[Digest]:
    found = []
    for node in store.incomplete():
        try:
            content = store.read(node, CONFIG_LIMIT, verify=False)
            if any(each.digest == digest for each in parse_document(content, Media.JSON)):
                found.append(store.digest(node))
        except Refused:
            continue
    return found


NextStep = Callable[[int], tuple[str, int] | None]
"""For a node that reaches the blob: the role of the edge, and the next node on the way down; None for any
other node.
"""


@dataclass(frozen=True, slots=True)
class Link:
    """One blob of a chain, and its role in the blob above."""

    role: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Chain:
    """The path from a root down to a blob. `root` is the kind of the root: "image", "lease", "label" or "list"; `name`
    says which one.
    """

    root: str
    name: str
    links: Sequence[Link]


def chains(
    node: int,
    step: NextStep,
    images: Sequence[ImageRecord],
    leases: Sequence[Lease],
    label_roots: Sequence[int],
    listed: Sequence[int],
    graph: Graph,
) -> Iterator[Chain]:
    """For every root that reaches a node, one chain: the shortest, or nearly so. `leases` are the active ones; `listed`
    are the nodes that the list of `docker save` keeps by itself.
    """
    for image in images:
        for role, digest in (("target", image.target.digest), *(("label", each) for each in image.references)):
            yield from _chain("image", image.familiar, role, graph.find(digest), node, step, graph)
    for lease in leases:
        for digest in lease.resources:
            found = graph.find(digest)
            if not lease.flat or found == node:
                yield from _chain("lease", lease.id, "resource", found, node, step, graph)
    for root in label_roots:
        yield from _chain("label", "containerd.io/gc.root", "root", root, node, step, graph)
    for root in listed:
        yield from _chain("list", "manifest.json", "entry", root, node, step, graph)


def _chain(
    root: str, name: str, role: str, start: int | None, end: int, step: NextStep, graph: Graph
) -> Iterator[Chain]:
    if start is None or (start != end and step(start) is None):
        return
    links = [Link(role, graph.digest(start))]
    while start != end:
        following = step(start)
        if following is None:
            return
        role, start = following
        links.append(Link(role, graph.digest(start)))
    yield Chain(root, name, links)
