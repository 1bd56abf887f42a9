"""An image record: what an entry of index.json is to the rules (the seed's `images.Image`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ocigc.digest import Digest
from ocigc.reference import familiar_name

DANGLING_PREFIX = "moby-dangling@"
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def dangling_name(digest: str) -> str:
    """The name under which moby keeps an image that has lost its last one (moby `danglingImageName`)."""
    return DANGLING_PREFIX + digest


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image: the entries of index.json that share a name and a target.

    `name` is the full name, or that of a dangling image. `bare_tag` is set where the layout gives the tag alone and
    nobody said of which repository. `references` are the digests that its labels hold besides the target. `created` is
    an instant, None until somebody needed it and it was found. `entries` are positions in index.json's `manifests`.
    """

    name: str
    target: Descriptor
    references: tuple[str, ...]
    entries: tuple[int, ...]
    created: int | None = None
    bare_tag: bool = False

    @property
    def position(self) -> int:
        """That of its first entry: what tells it from all other images of the layout."""
        return self.entries[0]

    @property
    def dangling(self) -> bool:
        """Source: moby `isDanglingImage`."""
        return self.name.startswith(DANGLING_PREFIX) and self.name == dangling_name(self.target.digest)

    @property
    def familiar(self) -> str:
        """How moby names it in a report: `imageFamiliarName`."""
        return self.target.digest if self.dangling else familiar_name(self.name)

    @property
    def age(self) -> tuple[bool, int]:
        """The oldest come first; those of whom nobody knows it, last."""
        return self.created is None, self.created or 0

    @property
    def sort_key(self) -> tuple[str, str]:
        """The order of pruning: by name, bytewise, then by digest. UTF-8 keeps the order of characters."""
        return self.name, self.target.digest


class Media(IntEnum):
    """What a blob is held to be. The numbers are those of the native core's `enum ocigc_media`."""

    UNKNOWN = 0
    """A leaf: a layer, or a type that says nothing of its form."""
    MANIFEST = 1
    INDEX = 2
    CONFIG = 3
    JSON = 4
    """An unknown type that ends in `+json`: looked into."""
    NONE = 5
    """Named by digest alone, as in a label or a lease."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    media: Media


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `manifests`: its place in the file's bytes, its descriptor, the image's name and when that was
    made, as it says (None: it does not), and the digests that its labels refer to besides."""

    start: int
    end: int
    descriptor: Descriptor
    name: str | None
    created: str | None
    references: tuple[str, ...]
