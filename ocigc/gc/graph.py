"""What the rules ask of a store: which blobs there are and what reaches what. A node stands for a present blob."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ocigc.digest import Digest
from ocigc.image import Descriptor, Media

NO_NODE = 0xFFFFFFFF
"""The node of an absent blob."""
ABSENT = NO_NODE - 1
"""The node of a subject that is absent."""


@dataclass(frozen=True, slots=True)
class Group:
    """Roots that own what they reach: edges forward, subjects backward. If `flat`, only themselves and their referrers;
    if `forward`, over edges forward alone."""

    roots: Sequence[int]
    flat: bool = False
    forward: bool = False


class Marks(Protocol):
    """Who holds what, where the first group that reaches a node holds it."""

    def add(self, groups: Iterable[Group]) -> None:
        """Lets further groups, in turn, hold what they reach and nobody holds yet."""

    def owner(self, node: int) -> int | None:
        """The position of the group that holds a node, or None."""

    def owned(self, first: int, stop: int) -> Sequence[int]:
        """The nodes held by the groups at positions first .. stop-1, ascending."""

    def unreachable(self) -> Sequence[int]:
        """The nodes that no group holds, ascending."""


class Graph(Protocol):
    """A store's blobs and edges. Answers are of the moment it was read; nothing here reads a file."""

    def __len__(self) -> int:
        """How many nodes there are: 0 .. len - 1."""

    def find(self, digest: str) -> int | None:
        """The node of a digest, or None where the blob is absent."""

    def find_longer(self, beginning: str) -> int | None:
        """The first node whose digest is longer than this and begins with it, or None. Nodes are in the order of their
        algorithms' names, then of their digests."""

    def digest(self, node: int) -> Digest:
        """`alg:encoded`."""

    def sweepable(self, nodes: Sequence[int]) -> Sequence[int]:
        """Those that may ever be deleted: not under an unregistered algorithm."""

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest."""

    def subjects(self, nodes: Sequence[int]) -> Iterable[tuple[int, int]]:
        """Of those of the nodes (NO_NODE: none) that have a subject, their place and that, which may be ABSENT."""

    def walk(self, target: Descriptor) -> Sequence[tuple[int, Media]]:
        """Present blobs in preorder, each once, as moby's `walkPresentChildren` visits them."""

    def walk_from(self, node: int, media: Media) -> Sequence[tuple[int, Media]]:
        """The same from a node that is held to be of a media."""

    def mark(self, groups: Iterable[Group]) -> Marks:
        """Lets each group in turn hold what it reaches and nobody holds yet."""


class Status(Protocol):
    """The status of the files of blobs. The decision does not ask for it: its caller does, between its steps."""

    def size(self, node: int, /) -> int:
        """Bytes."""

    def newer(self, nodes: Sequence[int], instant: int, /) -> Sequence[int]:
        """Those whose mtime or ctime is after an instant."""

    def freed(self, nodes: Sequence[int], /) -> int:
        """The bytes that go with the nodes: those of a hard-linked file only with its last link."""


class MeasuredGraph(Graph, Status, Protocol):
    """A graph whose blobs have a status."""


def flags(numbers: Iterable[int], count: int) -> bytearray:
    """So many flags, those with these numbers set."""
    found = bytearray(count)
    for number in numbers:
        found[number] = True
    return found


def others(nodes: Iterable[int], graph: Graph) -> array[int]:
    """All nodes but these, ascending."""
    return array("I", (node for node, flag in enumerate(flags(nodes, len(graph))) if not flag))
