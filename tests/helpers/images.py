"""Images as plain records, for tests of the rules."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from ocigc.gc.graph import NO_NODE, Graph, Groups, Walks
from ocigc.gc.images import NameKind, name_kind
from ocigc.image import ImageRecord, repository_of


class RecordImages:
    """Implements `ocigc.gc.images.Images`."""

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
        return array("I", self._records)

    @property
    def entries(self) -> Iterator[int]:
        return chain.from_iterable(record.entries for record in self)

    def picked(self, positions: Iterable[int]) -> RecordImages:
        return RecordImages(map(self.__getitem__, positions))

    def of_kind(self, *kinds: NameKind) -> RecordImages:
        def kind(image: ImageRecord) -> NameKind:
            return NameKind.NAMELESS if image.nameless else name_kind(image.names)

        return RecordImages(image for image in self if kind(image) in kinds)

    def in_order(self) -> RecordImages:
        return RecordImages(sorted(self, key=lambda image: image.sort_key))

    def entries_of(self, position: int) -> Sequence[int]:
        return self._records[position].entries

    def dated(self, created: Callable[[int], int | None]) -> RecordImages:
        return RecordImages(replace(image, created=created(image.position)) for image in self)

    def unnamed(self) -> RecordImages:
        return self

    def targets(self, graph: Graph) -> array[int]:
        found = (graph.find(image.target.digest) for image in self)
        return array("I", (NO_NODE if node is None else node for node in found))

    def groups(self, graph: Graph, *, forward: bool = False) -> Groups:
        roots, ends = array("I"), array("I")
        for image in self:
            found = map(graph.find, (image.target.digest, *image.references))
            roots.extend(node for node in found if node is not None)
            ends.append(len(roots))
        return Groups(roots, ends, forward)

    def roots(self, graph: Graph) -> array[int]:
        return self.groups(graph).roots

    def medias(self) -> bytes:
        return bytes(image.target.media for image in self)

    def walks(self, graph: Graph) -> Walks:
        return Walks(self.targets(graph), self.medias())

    def repositories(self, own: str | None) -> Iterator[str]:
        return (repository_of(image, own) for image in self)
