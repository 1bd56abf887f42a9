"""An image record: how the rules see an entry of index.json (moby's `images.Image`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import IntEnum

from ocigc.digest import Digest
from ocigc.reference import InvalidReference, familiar_name, is_bare_tag, parse_normalized
from ocigc.values import frozen, replace

DANGLING_PREFIX = "moby-dangling@"
REFERENCE_NAME = "org.opencontainers.image.ref.name"
NAME_ANNOTATIONS = (
    "io.containerd.image.name",
    REFERENCE_NAME,
    "org.opencontainers.image.base.name",
)
"""Annotations that tools write an image's name into. The first that is present and not empty counts. zarf uses the
third."""
CREATED_ANNOTATION = "org.opencontainers.image.created"


def dangling_name(digest: str) -> str:
    """The name under which moby keeps an image that has lost its last name (moby `danglingImageName`)."""
    return DANGLING_PREFIX + digest


@frozen
class ImageRecord:
    """One image: the entries of index.json that have the same name and target.

    `name` is the full name, or that of a dangling image; `aliases` are other names of the same entries. `bare_tag` is
    set where the layout gives only a tag and the repository is unknown. A `nameless` image has no name at all, not even
    that of a dangling image. `references` are the digests that its labels refer to. `created` is an instant; it is None
    if it is unknown or has not been looked up. `entries` are positions in `manifests` of index.json.
    """

    name: str
    target: Descriptor
    references: tuple[str, ...]
    entries: tuple[int, ...]
    created: int | None = None
    bare_tag: bool = False
    aliases: tuple[str, ...] = ()
    nameless: bool = False

    @property
    def position(self) -> int:
        """The position of its first entry. No other image of the layout has the same."""
        return self.entries[0]

    @property
    def dangling(self) -> bool:
        """Source: moby `isDanglingImage`."""
        return self.name.startswith(DANGLING_PREFIX) and self.name == dangling_name(self.target.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """All its names, in full."""
        return (self.name, *self.aliases)

    @property
    def familiar_names(self) -> tuple[str, ...]:
        """The names as moby shows them in a report (`imageFamiliarName`)."""
        return (self.target.digest,) if self.dangling else tuple(map(familiar_name, self.names))

    @property
    def familiar(self) -> str:
        """The same, as one text for people."""
        return ", ".join(self.familiar_names)

    def is_called(self, name: str) -> bool:
        """Whether this is one of its names, in full or in the familiar form."""
        return not self.dangling and (name in self.names or name in self.familiar_names)

    def by_name(self) -> Iterator[ImageRecord]:
        """One image for each of its names, which has only that name."""
        if not self.aliases:
            yield self
            return
        for name in self.names:
            yield replace(self, name=name, aliases=(), bare_tag=is_bare_tag(name))

    def called(self, names: Collection[str]) -> ImageRecord:
        """The image with only some of its names."""
        first, *others = (name for name in self.names if name in names)
        return replace(self, name=first, aliases=tuple(others), bare_tag=self.bare_tag and is_bare_tag(first))

    @property
    def age(self) -> tuple[bool, int]:
        """Sorts the oldest images first, and those of unknown age last."""
        return self.created is None, self.created or 0

    @property
    def sort_key(self) -> tuple[tuple[str, ...], str, bool]:
        """The order of pruning: by names, bytewise, then by digest. UTF-8 keeps the order of characters."""
        return self.names, self.target.digest, self.nameless


class Media(IntEnum):
    """What a blob is read as. The numbers are those of the native core's `enum ocigc_media`."""

    UNKNOWN = 0
    """A leaf: a layer, or a type that does not tell the form."""
    MANIFEST = 1
    INDEX = 2
    CONFIG = 3
    JSON = 4
    """An unknown type that ends in `+json`. Such a blob is parsed, and descriptors in it are edges."""
    NONE = 5
    """Named by digest alone, as in a label or a lease."""


@frozen
class Descriptor:
    """`size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    media: Media


@frozen
class Entry:
    """An entry of `manifests`: its position in the bytes of the file, its descriptor, the image's name, the time of
    creation that it states (or None), and the digests that its labels refer to.
    """

    start: int
    end: int
    descriptor: Descriptor
    name: str | None
    created: str | None
    references: tuple[str, ...]


def repository_of(image: ImageRecord, own: str | None = None) -> str:
    """The familiar name of the repository in an image's name, or else the layout's `own`; "" where neither is known."""
    name = own if image.dangling else image.name
    if name is None or image.bare_tag:
        return ""
    try:
        reference = parse_normalized(name)
    except InvalidReference:
        return ""
    return type(reference)(reference.domain, reference.path).familiar()
