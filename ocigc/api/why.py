"""Why a blob is there, and what would go with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ocigc.api.watch import SILENT, Watcher
from ocigc.container import InUse
from ocigc.descriptor import Media
from ocigc.errors import Refused
from ocigc.native import NO_NODE, Role, Store, parse_document
from ocigc.rules.chains import Chain, chains
from ocigc.rules.prune import Request, decide
from ocigc.rules.selection import only, select_blob
from ocigc.store import lock
from ocigc.store.contents import CONFIG_LIMIT, Loaded, labels_of, let_loose, load
from ocigc.store.layout import Layout

_ROLES = {
    Role.CONFIG: "config",
    Role.LAYER: "layer",
    Role.BLOB: "blob",
    Role.MANIFEST: "manifest",
    Role.SUBJECT: "referrer",
    Role.FOUND: "mentioned",
    Role.LABEL: "label",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a blob is there. `chains` is empty where nothing holds it; `touched` is then the instant at which somebody
    last did.

    `mentioned_by` are digests of manifests that refer to it where it is absent. `images` are the names that it has as
    an image, and `freed` the bytes and `blobs` the number of blobs that would go with the last of them.
    """

    digest: str
    present: bool
    size: int
    touched: int
    chains: Sequence[Chain]
    mentioned_by: Sequence[str]
    images: Sequence[str]
    blobs: int
    freed: int


def why(
    layout: Layout, reference: str, *, repository: str | None = None, wait: float = 0, watch: Watcher = SILENT
) -> Reason:
    """Why what a reference means is there: an image by its name, any blob by its digest or how that begins.

    Raises UsageError where there is no such thing, and Refused.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        loaded = load(layout, repository, now, watch)
        with loaded.store as store:
            digest = select_blob(loaded.images, store, reference)
            node = store.find(digest)
            names = [image.familiar for image in loaded.images if image.target.digest == digest]
            if node is None:
                return Reason(digest, False, 0, 0, (), _mentions(store, digest), names, 0, 0)
            found = list(_chains(loaded, node, now))
            blobs, freed = _untagged(loaded, digest, now) if names else (0, 0)
            return Reason(digest, True, store.size(node), store.stamp(node), found, (), names, blobs, freed)


def _chains(loaded: Loaded, node: int, now: int) -> list[Chain]:
    store = loaded.store
    following, roles = store.ascend(node)

    def step(at: int) -> tuple[str, int] | None:
        return None if following[at] == NO_NODE else (_ROLES[Role(roles[at])], following[at])

    active = [lease for lease in loaded.leases if lease.active(now)]
    images = list(loaded.images.in_order())
    return list(chains(node, step, images, active, store.label_roots(), store))


def _untagged(loaded: Loaded, digest: str, now: int) -> tuple[int, int]:
    named = [image for image in loaded.images if image.target.digest == digest]
    filters = only(named, loaded.images)
    let_loose(loaded, filters.loose)
    request = Request(filters, InUse(), now, grace=0, orphans=False)
    plan = decide(loaded.contents, request, labels_of(loaded))
    return plan.blob_count, plan.reclaimed


def _mentions(store: Store, digest: str) -> list[str]:
    found = []
    for node in store.lacking():
        try:
            content = store.read(node, CONFIG_LIMIT, verify=False)
            if any(each.digest == digest for each in parse_document(content, Media.JSON)):
                found.append(store.digest(node))
        except Refused:
            continue
    return found
