"""Protection: what containers use is not pruned.

Source: moby `pruneUnused` (the loop over containers), with the digested references of moby e4c2eb9d8a.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ocigc.container import Container, InUse
from ocigc.image import ImageRecord, dangling_name
from ocigc.reference import InvalidReference, Reference, parse_normalized, with_default_tag

WalkDigests = Callable[[ImageRecord], Collection[str]]
"""The digests of an image's walk."""


@dataclass(frozen=True, slots=True)
class Protection:
    """`names` are protected as they are, `tags` protect bare tags of an unknown repository; `digests` are in use."""

    names: frozenset[str]
    tags: frozenset[str]
    digests: frozenset[str]
    contents: frozenset[str]
    """Digests that protect whatever image has them as target, manifest or config."""

    def protects_name(self, image: ImageRecord) -> bool:
        """Whether the image is protected by the name that somebody uses."""
        if image.name in self.names or (image.bare_tag and image.name in self.tags):
            return True
        return not image.dangling and _normal_name(image.name) in self.names

    def uses(self, image: ImageRecord, walk_digests: WalkDigests) -> bool:
        """Whether the image's content is in use under some digest: it must keep a record, whatever its name."""
        if image.target.digest in self.digests or image.target.digest in self.contents:
            return True
        return bool(self.contents) and not self.contents.isdisjoint(walk_digests(image))


def _normal_name(name: str) -> str:
    reference = _parse(name)
    return name if reference is None else str(reference)


def _used_by_digest(container: Container) -> bool:
    """Whether the user named the image by a whole or shortened ID."""
    return container.image_id.startswith("sha256:" + container.image.removeprefix("sha256:"))


def _parse(reference: str) -> Reference | None:
    try:
        return with_default_tag(parse_normalized(reference))
    except InvalidReference:
        return None


def protect(in_use: InUse) -> Protection:
    """What all that is in use protects."""
    names: set[str] = set()
    tags: set[str] = set()
    digests: set[str] = set()
    contents = set(in_use.digests)

    def add(reference: Reference) -> None:
        names.add(str(reference))
        if reference.tag is not None and reference.digest is None:
            tags.add(reference.tag)

    for container in in_use.containers:
        # A container whose image lost its name keeps the dangling one.
        names.add(dangling_name(container.image_id))
        if _used_by_digest(container):
            digests.add(container.image_id)
            continue
        if container.image_id and container.image.endswith("@" + container.image_id):
            digests.add(container.image_id)
        if (named := _parse(container.image)) is not None:
            add(named)
    for text in in_use.references:
        if (named := _parse(text)) is not None:
            add(named)
            if named.digest is not None:
                # Not moby's: whoever says repo:tag@digest means both, so both stay.
                contents.add(named.digest)
                if named.tag is not None:
                    add(replace(named, digest=None))
    return Protection(frozenset(names), frozenset(tags), frozenset(digests), frozenset(contents))
