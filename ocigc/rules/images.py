"""Image records, and what the rules ask of many at once."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from enum import IntEnum

from ocigc.image import DANGLING_PREFIX, ImageRecord
from ocigc.rules.graph import Graph
from ocigc.rules.referrers import fallback_subject


class Standing(IntEnum):
    """What the name of an image says of it."""

    DANGLING = 0
    """It has none, or one that looks as if it had none."""
    ALONE = 1
    """It stands for itself."""
    FALLBACK = 2
    """It is named as what follows a subject."""


def standing(name: str) -> Standing:
    """What the full name of an image, or that of a dangling one, says."""
    if name.startswith(DANGLING_PREFIX):
        return Standing.DANGLING
    return Standing.ALONE if fallback_subject(name) is None else Standing.FALLBACK


def image_roots(images: Iterable[ImageRecord], graph: Graph) -> array[int]:
    """The nodes that image records hold directly: their targets, and what their labels refer to."""
    digests = (digest for image in images for digest in (image.target.digest, *image.references))
    return array("I", (node for node in map(graph.find, digests) if node is not None))


class Images(Collection[ImageRecord]):
    """Images of a layout. What a store has too many of to hold each as a record, it gives as a subclass."""

    def __init__(self, records: Iterable[ImageRecord] = ()) -> None:
        self._records = tuple(records)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self._records)

    def __contains__(self, image: object) -> bool:
        return any(image == record for record in self)

    def those(self, *standings: Standing) -> Images:
        """Those of which their names say so."""
        return Images(image for image in self if standing(image.name) in standings)

    def roots(self, graph: Graph) -> array[int]:
        """The nodes that they hold directly."""
        return image_roots(self, graph)
