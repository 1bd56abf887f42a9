"""Blobs that several layouts share: what one needs and has not, another has to keep."""

from __future__ import annotations

import hashlib

from ocigc.native import Store

_EMPTY = frozenset(f"{name}:{hashlib.new(name).hexdigest()}" for name in ("sha256", "sha512")) | {
    "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
}


def is_hollow(store: Store, node: int) -> bool:
    """Whether a file of 0 bytes stands for a blob that is not empty: what a sync or a killed copy leaves, and zot where
    it dedupes in an object store."""
    return store.size(node) == 0 and store.digest(node) not in _EMPTY
