"""What the rules ask about many images at once, and what can be told from the name of an image."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Protocol

from ocigc.gc.graph import Graph, Groups, Walks
from ocigc.image import DANGLING_PREFIX, ImageRecord

_SHORTEST = 34  # an algorithm of one character, a dash, and the fewest possible digits
_FALLBACK = re.compile(r"(?P<algorithm>[a-z0-9]+)-(?P<encoded>[0-9a-f]{32,})(?:\..+)?")


class NameKind(IntEnum):
    """What kind of names an image has."""

    NAMELESS = 0
    """It has no name."""
    DANGLING = 1
    """It has the name of a dangling image."""
    NAMED = 2
    """It has a name of its own."""
    FALLBACK = 3
    """It has only fallback tags, as referrers have."""


def name_kind(names: Sequence[str]) -> NameKind:
    """The kind of an image's full names, of which there is at least one."""
    if names[0].startswith(DANGLING_PREFIX):
        return NameKind.DANGLING
    return NameKind.NAMED if any(fallback_subject(name) is None for name in names) else NameKind.FALLBACK


def fallback_subject(name: str) -> str | None:
    """The digest in a fallback tag `<alg>-<hex>` or `<alg>-<hex>.<suffix>`; None for any other name. The tag may have
    only the beginning of a long digest. `name` is a bare tag, or a reference that ends in a tag.

    Source: distribution-spec 1.1 "Referrers Tag Schema"; cosign's `sha256-<hex>.sig`, `.att` and `.sbom`.
    """
    if len(name) < _SHORTEST or "@" in name:
        return None
    tag = name.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    match = _FALLBACK.fullmatch(tag)
    return f"{match['algorithm']}:{match['encoded']}" if match else None


class Images(Protocol):
    """Images of a layout in some order. An image is known by its position: that of its first entry in index.json."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ImageRecord]: ...

    def __getitem__(self, position: int, /) -> ImageRecord: ...

    @property
    def positions(self) -> Sequence[int]:
        """The position of each image."""

    @property
    def entries(self) -> Iterable[int]:
        """The positions of all entries of the images."""

    def picked(self, positions: Iterable[int], /) -> Images:
        """The images at these positions, in the same order."""

    def of_kind(self, *kinds: NameKind) -> Images:
        """The images whose names are of these kinds."""

    def in_order(self) -> Images:
        """The same images in the order of pruning: by `sort_key`."""

    def entries_of(self, position: int, /) -> Sequence[int]:
        """The positions of the entries that make up the image at a position."""

    def dated(self, created: Callable[[int], int | None], /) -> Images:
        """The same images, with these times of creation by position."""

    def unnamed(self) -> Images:
        """The same images, without the blobs that stay only with their names."""

    def targets(self, graph: Graph, /) -> array[int]:
        """The node of each target, NO_NODE if it is absent."""

    def groups(self, graph: Graph, /, *, forward: bool = False) -> Groups:
        """The roots of each image: its target, and what its labels refer to."""

    def roots(self, graph: Graph, /) -> array[int]:
        """The roots of all images."""

    def medias(self) -> bytes:
        """What the target of each image is read as: a Media in a byte."""

    def walks(self, graph: Graph, /) -> Walks:
        """The walk of each image."""

    def repositories(self, own: str | None, /) -> Iterator[str]:
        """The repository of each image, as `repository_of` gives it."""
