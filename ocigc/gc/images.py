"""Image records, and what the rules ask of many at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import chain

from ocigc.gc.graph import Graph, Group
from ocigc.gc.referrers import fallback_subject, subject_of
from ocigc.image import DANGLING_PREFIX, ImageRecord, Media


class NameKind(IntEnum):
    """What the name of an image says of it."""

    NAMELESS = 0
    """It has none."""
    DANGLING = 1
    """It has one that looks as if it had none."""
    NAMED = 2
    """It stands for itself."""
    FALLBACK = 3
    """It is named as what follows a subject."""


def name_kind(names: Sequence[str]) -> NameKind:
    """What the full names of an image say; there is at least one."""
    if names[0].startswith(DANGLING_PREFIX):
        return NameKind.DANGLING
    return NameKind.NAMED if any(fallback_subject(name) is None for name in names) else NameKind.FALLBACK


class Images(Iterable[ImageRecord]):
    """Images of a layout in some order, each known by its position. What a store has too many of to hold each as a
    record, it gives as a subclass.
    """

    def __init__(self, records: Iterable[ImageRecord] = ()) -> None:
        self._records = {record.position: record for record in records}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self._records.values())

    def __getitem__(self, position: int) -> ImageRecord:
        return self._records[position]

    @property
    def positions(self) -> Sequence[int]:
        """The position of each."""
        return array("I", self._records)

    @property
    def entries(self) -> Iterator[int]:
        """The positions of all entries that make them up."""
        return chain.from_iterable(record.entries for record in self)

    def picked(self, positions: Iterable[int]) -> Images:
        """Those at these positions, in their order."""
        return Images(map(self.__getitem__, positions))

    def of_kind(self, *kinds: NameKind) -> Images:
        """Those of which their names say so."""
        return Images(
            image for image in self if (NameKind.NAMELESS if image.nameless else name_kind(image.names)) in kinds
        )

    def in_order(self) -> Images:
        """The same in the order of pruning: by `sort_key`."""
        return Images(sorted(self, key=lambda image: image.sort_key))

    def dated(self, created: Callable[[ImageRecord], int | None]) -> Images:
        """The same, created at those instants."""
        return Images(replace(image, created=created(image)) for image in self)

    def targets(self, graph: Graph) -> Iterable[int | None]:
        """The node of each one's target, None where that is absent."""
        return (graph.find(image.target.digest) for image in self)

    def subjects(self, graph: Graph) -> Iterable[int | None]:
        """The node whose fate each shares, None of an image that stands for itself."""
        targets = zip(self, self.targets(graph), strict=True)
        return (subject_of(image, target, graph) for image, target in targets)

    def groups(self, graph: Graph) -> Iterator[Group]:
        """What each of them holds."""
        for image in self:
            found = map(graph.find, (image.target.digest, *image.references))
            yield Group([node for node in found if node is not None])

    def roots(self, graph: Graph) -> array[int]:
        """The nodes that they hold directly: their targets, and what their labels refer to."""
        return array("I", chain.from_iterable(group.roots for group in self.groups(graph)))

    def walks(self, graph: Graph) -> Iterator[Sequence[tuple[int, Media]]]:
        """The walk of each."""
        return (graph.walk(image.target) for image in self)
