"""Attestations of buildx: manifests in an index that describe a sibling, and are no image of a platform.

Source: moby `setupLabelFilter` at docker-v29.7.2; buildx "Attestation storage".
"""

from __future__ import annotations

from typing import Any

from ocigc.errors import MalformedError, Refused
from ocigc.image import Media
from ocigc.layout import strict_json
from ocigc.native import Store, media_of

ATTESTATION = "vnd.docker.reference.type"
"""The annotation of a descriptor that makes its manifest one."""

_LIMIT = 16 << 20  # bytes of an index


def configs_beside(store: Store, node: int, media: Media) -> list[int | None]:
    """The present configs below a node, but those of attestations; None for an index that cannot be read."""
    found: dict[int | None, None] = {}  # a set in the order of the walk
    seen: set[tuple[int, Media]] = set()
    pending = [(node, media)]
    while pending:
        node, media = pending.pop()
        if (node, media) in seen:
            continue
        seen.add((node, media))
        if media != Media.INDEX:
            found |= dict.fromkeys(child for child, kind in store.walk_from(node, media) if kind == Media.CONFIG)
            continue
        try:
            children = _children(store, node)
        except Refused:
            found[None] = None
            continue
        pending += reversed(children)
    return list(found)


def _children(store: Store, node: int) -> list[tuple[int, Media]]:
    """What an index lists, is present and is not an attestation. Raises Refused."""
    name = store.digest(node)
    document = strict_json.loads(store.read(node, _LIMIT), name)
    if not isinstance(document, dict) or not isinstance(listed := document.get("manifests") or [], list):
        raise MalformedError(f"{name}: not an image index")
    children = []
    for each in listed:
        if not isinstance(each, dict) or not isinstance(each.get("digest"), str):
            raise MalformedError(f"{name}: an entry of manifests is not a descriptor")
        media = media_of(each["mediaType"]) if isinstance(each.get("mediaType"), str) else Media.UNKNOWN
        annotations: Any = each.get("annotations")
        attests = isinstance(annotations, dict) and ATTESTATION in annotations
        child = store.find(each["digest"])
        if child is not None and not (attests and media == Media.MANIFEST):
            children.append((child, media))
    return children
