"""Where each blob belongs: to one image, to several of one repository, to several repositories, or to no image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ocigc.gc.graph import Graph
from ocigc.image import ImageRecord, Media
from ocigc.inspect.disk_usage import repository_of


@dataclass(frozen=True, slots=True)
class Place:
    """`repository` is None for what several share, `target` for what several images of the repository do."""

    repository: str | None
    target: str | None

    def joined(self, other: Place) -> Place:
        """Where a blob belongs that belongs to both."""
        if self == other:
            return self
        return Place(self.repository if self.repository == other.repository else None, None)


@dataclass(frozen=True, slots=True)
class Shares:
    """Every node of a graph, once: by place those that an image's walk comes to, in the order of the walks; then the
    `others`. `media` is what the walks held the nodes to be.
    """

    places: Mapping[Place, Sequence[int]]
    others: Sequence[int]
    media: Mapping[int, Media]


def shares(images: Sequence[ImageRecord], graph: Graph) -> Shares:
    """Gives each node its place. Two names of one target are one image, of both their repositories."""
    owners: dict[str, Place] = {}
    targets = {}
    for image in images:
        digest = image.target.digest
        place = Place(repository_of(image), digest)
        owners[digest] = owners.get(digest, place).joined(place)
        targets[digest] = image.target
    found: dict[int, Place] = {}
    media: dict[int, Media] = {}
    for digest, target in targets.items():
        for node, kind in graph.walk(target):
            found[node] = found.get(node, owners[digest]).joined(owners[digest])
            media.setdefault(node, kind)
    places: dict[Place, list[int]] = {}
    for node, place in found.items():
        places.setdefault(place, []).append(node)
    return Shares(places, [node for node in range(len(graph)) if node not in found], media)
