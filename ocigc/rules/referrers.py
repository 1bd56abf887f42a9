"""Fallback tags: how cosign and the distribution spec name what refers to an image where nothing else can.

Source: distribution-spec 1.1 "Referrers Tag Schema"; cosign's `sha256-<hex>.sig`, `.att` and `.sbom`.
"""

from __future__ import annotations

import re

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
