"""Compares what is in use with the images of layouts, by their index.json and the names of their blobs only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from ocigc.digest import Digest
from ocigc.errors import OcigcError
from ocigc.gc.in_use import InUse
from ocigc.gc.unmatched import Matching
from ocigc.layout.blob_check import has_blob
from ocigc.layout.discover import Found, Tree
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import Layout


def match_layouts(in_use: InUse, layouts: Iterable[tuple[Layout, str | None]]) -> Matching:
    """Compares with open layouts, each with the repository (normalised) that owns its bare tags. Raises UsageError and
    Refused where an index.json cannot be read."""
    matching = Matching(in_use)
    for layout, repository in layouts:
        _see(matching, layout, repository)
    return matching


def match_tree(in_use: InUse, tree: Tree, repository: Callable[[Found], str | None]) -> Matching:
    """Compares with all layouts of a tree that can be read."""
    matching = Matching(in_use)
    for found in tree.found:
        if found.trouble is not None:
            continue
        try:
            with tree.open(found) as layout:
                _see(matching, layout, repository(found))
        except (OcigcError, OSError):
            continue  # the command that works on it will report it
    return matching


def _see(matching: Matching, layout: Layout, repository: str | None) -> None:
    matching.see(image_records(layout.read_index().entries, repository), lambda digest: _has(layout, digest))


def _has(layout: Layout, digest: str) -> bool:
    """Whether a blob is present."""
    with suppress(OSError):
        return Digest.recognises(digest) and has_blob(layout.dir, Digest(digest))
    return False
