"""Referrers: images that share the fate of what they refer to. Some say so in their manifest; where nothing else can,
cosign and the distribution spec say it by a fallback tag.

Source: distribution-spec 1.1 "Referrers Tag Schema"; cosign's `sha256-<hex>.sig`, `.att` and `.sbom`.
"""

from __future__ import annotations

import re

from ocigc.gc.graph import Graph
from ocigc.image import ImageRecord

TRUNCATED_LENGTH = 64
"""The distribution spec cuts what stands for the digest's encoded part to so many characters; a sha512 has more."""

_SHORTEST = 34  # an algorithm of one character, a dash, and as few digits as may be
_FALLBACK = re.compile(r"(?P<algorithm>[a-z0-9]+)-(?P<encoded>[0-9a-f]{32,})(?:\..+)?")


def fallback_subject(name: str) -> str | None:
    """The digest that a fallback tag `<alg>-<hex>` or `<alg>-<hex>.<suffix>` speaks of; None for any other name.
    It may be the mere beginning of one: see TRUNCATED_LENGTH.

    `name` is a bare tag or a reference that ends in a tag.
    """
    if len(name) < _SHORTEST or "@" in name:
        return None
    tag = name.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    match = _FALLBACK.fullmatch(tag)
    return f"{match['algorithm']}:{match['encoded']}" if match else None


def subject_of(image: ImageRecord, target: int | None, graph: Graph) -> int | None:
    """The present blob whose fate the record shares, or None for an image that stands for itself. `target` is the node
    of the image's target.

    That is the `subject` of a manifest without a name, or what a fallback tag speaks of.
    """
    if image.dangling:
        return None if target is None else graph.subject(target)
    for digest in map(fallback_subject, image.names):
        if digest is None:
            return None
        if (subject := _find_fallback(digest, graph)) not in (None, target):
            return subject
    return None


def _find_fallback(digest: str, graph: Graph) -> int | None:
    found = graph.find(digest)
    if found is None and len(digest.partition(":")[2]) == TRUNCATED_LENGTH:
        return graph.find_longer(digest)
    return found
