"""Which entries belong together, as parts or referrers, in a layout that lacks their blobs. The manifests in other
layouts tell. Such layouts have their blobs in a pool, as skopeo's `--dest-shared-blob-dir` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress

from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.gc.images import NameKind
from ocigc.image import Media
from ocigc.layout.blob_check import has_blob
from ocigc.layout.index_images import IndexImages
from ocigc.layout.layout import Layout
from ocigc.native import Role, parse_children

ReadContent = Callable[[Digest], bytes | None]
"""Gives the verified content of a blob of another layout; None if none has it."""

Belonging = Mapping[Digest, frozenset[Digest]]
"""By the target of an entry, the targets of the entries that reach it, or to which it refers as its subject."""

_DOCUMENTS = (Media.MANIFEST, Media.INDEX)


def belonging(wanted: Collection[Digest], entries: Collection[Digest], read: ReadContent) -> Belonging:
    """For each of the targets `wanted`, the targets among those of all `entries` that it belongs to, as far as other
    layouts tell.
    """
    known: dict[Digest, list[tuple[Role, Digest]]] = {}

    def children(digest: Digest) -> list[tuple[Role, Digest]]:
        if digest not in known:
            content = read(digest)
            known[digest] = [] if content is None else list(_children(content))
        return known[digest]

    found = {
        digest: {child for role, child in children(digest) if role == Role.SUBJECT and child in entries}
        for digest in wanted
    }
    for entry in entries:
        reached: set[Digest] = set()
        remaining = [entry]
        while remaining:
            for role, child in children(remaining.pop()):
                if role == Role.MANIFEST and child not in reached:
                    reached.add(child)
                    remaining.append(child)
        for digest in reached.intersection(wanted) - {entry}:
            found[digest].add(entry)
    return {digest: frozenset(each) for digest, each in found.items() if each}


def _children(content: bytes) -> Iterator[tuple[Role, Digest]]:
    for media in _DOCUMENTS:
        with suppress(MalformedError):
            yield from [(role, child.digest) for role, child, _ in parse_children(content, media)]
            return


def belonging_in(layout: Layout, read: ReadContent) -> Belonging:
    """The same for all entries without a name whose targets a layout lacks. Raises UsageError and Refused."""
    images = IndexImages.of(layout.read_index().entries, None)
    nameless = {image.target.digest for image in images.of_kind(NameKind.NAMELESS)}
    wanted = [digest for digest in nameless if not has_blob(layout.dir, digest)]
    return belonging(wanted, {image.target.digest for image in images}, read) if wanted else {}
