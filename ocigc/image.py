"""An image record: what an entry of index.json is to the rules (the seed's `images.Image`)."""

from __future__ import annotations

from dataclasses import dataclass

from ocigc.descriptor import Descriptor
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
