"""A directory of blobs that several layouts share: skopeo's `--dest-shared-blob-dir`. Such layouts have an index.json,
and some or none of the blobs that it needs.

A blob in the directory counts as a layout's own only if its entries, leases or manifest.json reach it, and the layout
itself lacks it.

Source: containers/image `oci/layout/oci_src.go` (`blobPath`): `<directory>/<algorithm>/<encoded>`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from ocigc.closing import Closing
from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, UsageError, printable
from ocigc.image import Media
from ocigc.layout import docker_list, leases
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import parse
from ocigc.layout.layout import INDEX, INDEX_LIMIT, Layout
from ocigc.layout.manifests import LIMIT
from ocigc.native import Role, parse_children

_BLOBS = "blobs"
_DOCUMENTS = (Media.MANIFEST, Media.INDEX, Media.JSON)


class SharedBlobs(Closing):
    """An open directory of blobs that layouts share."""

    def __init__(self, directory: Dir) -> None:
        """Takes ownership of the directory."""
        self.dir = directory

    @classmethod
    def at(cls, path: str) -> SharedBlobs:
        """Opens a directory of shared blobs, or of a layout. Raises UsageError."""
        try:
            directory = Dir.at(path)
            if not directory.exists(_BLOBS):
                return cls(directory)
            with directory:
                return cls(directory.below(_BLOBS))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            raise UsageError(f"{printable(path)}: {reason}: expected a directory of shared blobs") from None

    def again(self) -> SharedBlobs:
        """The same directory, opened once more."""
        return SharedBlobs(self.dir.below())

    @property
    def fd(self) -> int:
        """The descriptor of the directory."""
        return self.dir.fd

    def close(self) -> None:
        """Closes the directory."""
        self.dir.close()

    def wanted_by(self, layout: Layout) -> list[Digest]:
        """The digests of all that a layout needs and lacks, as far as manifests in the layout or in this directory
        tell. Raises UsageError and Refused.
        """
        found: dict[Digest, None] = {}
        seen: set[Digest] = set()
        remaining = [(digest, True) for digest in _roots(layout)]
        while remaining:
            digest, may_refer = remaining.pop()
            if digest in seen or Digest.parse_registered(digest) is None:
                continue
            algorithm, encoded = digest.parts
            own = _has(layout.dir, _BLOBS, algorithm, name=encoded)
            if not own:
                found[digest] = None
            if may_refer:
                seen.add(digest)
                parents = (layout.dir, _BLOBS, algorithm) if own else (self.dir, algorithm)
                remaining += _children(*parents, name=encoded)
        return list(found)


def lacks_all_blobs(directory: Dir) -> bool:
    """Whether a layout has entries, and no blobs at all. Raises OSError."""
    for algorithm in directory.names_below(_BLOBS):
        with directory.below(_BLOBS, algorithm) as below, os.scandir(below.fd) as files:
            if next(files, None) is not None:
                return False
    with suppress(MalformedError):
        return bool(parse(directory.read(INDEX, INDEX_LIMIT)).entries)
    return False


def _roots(layout: Layout) -> Iterator[Digest]:
    entries = layout.read_index().entries
    yield from (entry.descriptor.digest for entry in entries)
    named = chain.from_iterable(entries.references().values())
    yield from (Digest(each) for each in named if Digest.recognises(each))
    for lease in leases.load(layout.dir):
        yield from map(Digest, lease.resources)
    for listed in docker_list.read(layout.dir):
        yield from (*(() if listed.config is None else (listed.config,)), *listed.layers)


def _has(directory: Dir, *names: str, name: str) -> bool:
    with suppress(OSError), directory.below(*names) as parent:
        return parent.exists(name)
    return False


def _children(directory: Dir, *names: str, name: str) -> Iterator[tuple[Digest, bool]]:
    """What a document refers to, each with whether it may refer to more."""
    try:
        with directory.below(*names) as parent:
            content = parent.read(name, LIMIT)
    except (OSError, Refused):
        return
    for media in _DOCUMENTS:
        with suppress(MalformedError):
            for role, child, _ in list(parse_children(content, media)):
                if role != Role.SUBJECT:
                    yield child.digest, role == Role.MANIFEST or child.media in _DOCUMENTS
            return
