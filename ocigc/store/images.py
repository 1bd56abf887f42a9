"""Image records out of the entries of index.json."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

from ocigc.errors import UsageError
from ocigc.image import DANGLING_PREFIX, ImageRecord, dangling_name
from ocigc.native import NO_NODE, Entries
from ocigc.reference import InvalidReference, is_bare_tag, parse_normalized
from ocigc.rules.graph import Graph
from ocigc.rules.images import Images, Standing, standing


def repository_name(text: str) -> str:
    """The normalised name of a repository. Raises UsageError."""
    try:
        reference = parse_normalized(text)
    except InvalidReference as error:
        raise UsageError(f"--repository {text!r}: {error}") from None
    if reference.tag is not None or reference.digest is not None:
        raise UsageError(f"--repository {text!r}: expected a repository without a tag or digest")
    return reference.name


class IndexImages(Images):
    """The images of an index, each made when it is asked for. Entries of one name and target are one image."""

    def __init__(
        self,
        entries: Entries,
        repository: str | None,
        first: Sequence[int],
        again: Mapping[int, Sequence[int]],
        standings: bytes,
        targets: Sequence[int] = (),
    ) -> None:
        """`first` are the positions of the entries that stand for images, `again` the further ones of an image by its
        first; `standings` has a Standing an image. `targets` are the nodes of all entries' targets, NO_NODE for what is
        absent.
        """
        self._entries = entries
        self._repository = repository
        self._first = first
        self._again = again
        self._standings = standings
        self._targets = targets

    @classmethod
    def of(cls, entries: Entries, repository: str | None) -> IndexImages:
        """All images of an index; `repository` (normalised) owns bare tags."""
        first = array("I")
        again: dict[int, list[int]] = {}
        standings = bytearray()
        known: dict[tuple[str | None, bytes], int] = {}
        for position, (name, target) in enumerate(entries.names()):
            full = None if name is None else _full_name(name, repository)[0]
            if full is not None and full.startswith(DANGLING_PREFIX):
                digest = entries[position].descriptor.digest
                full = None if full == dangling_name(digest) else full
            before = known.setdefault((full, target), position)
            if before != position:
                again.setdefault(before, []).append(position)
                continue
            first.append(position)
            standings.append(Standing.DANGLING if full is None else standing(full))
        return cls(entries, repository, first, again, bytes(standings))

    def at(self, targets: Sequence[int]) -> IndexImages:
        """The same in a store, where their entries' targets are these nodes."""
        return IndexImages(self._entries, self._repository, self._first, self._again, self._standings, targets)

    def __len__(self) -> int:
        return len(self._first)

    def __iter__(self) -> Iterator[ImageRecord]:
        return map(self._record, self._first)

    def those(self, *standings: Standing) -> Images:
        chosen = [each in standings for each in self._standings]
        first = array("I", compress(self._first, chosen))
        kept = bytes(compress(self._standings, chosen))
        return IndexImages(self._entries, self._repository, first, self._again, kept, self._targets)

    def roots(self, graph: Graph) -> array[int]:
        nodes = array("I", (node for node in map(self._targets.__getitem__, self._first) if node != NO_NODE))
        if self._entries.references():
            digests = (digest for first in self._first for digest in self._references(first))
            nodes.extend(node for node in map(graph.find, digests) if node is not None)
        return nodes

    def _references(self, first: int) -> tuple[str, ...]:
        """An image holds what any of its entries does."""
        references = self._entries.references()
        positions = (first, *self._again.get(first, ()))
        return tuple(digest for position in positions for digest in references.get(position, ()))

    def _record(self, first: int) -> ImageRecord:
        target, name = self._entries.target(first)
        full, bare_tag = (dangling_name(target.digest), False) if name is None else _full_name(name, self._repository)
        references = self._references(first) if self._entries.references() else ()
        return ImageRecord(full, target, references, (first, *self._again.get(first, ())), bare_tag=bare_tag)


def _full_name(name: str, repository: str | None) -> tuple[str, bool]:
    """A name in an index with its repository, if that is known; and whether it is a tag whose repository is not."""
    if not is_bare_tag(name):
        return name, False
    return (name, True) if repository is None else (f"{repository}:{name}", False)


def image_records(entries: Entries, repository: str | None = None) -> list[ImageRecord]:
    """The images of an index whose blobs do not matter."""
    return list(IndexImages.of(entries, repository))
