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
    """Roots that are marked together. They reach over edges forward and subjects backward; if `flat`, the roots alone
    and their referrers, with all that these reach; if `forward`, over edges forward alone.
    """

    roots: Sequence[int]
    flat: bool = False
    forward: bool = False


class Marks(Protocol):
    """The owner of each node: the group that reached it first."""

    def add(self, groups: Iterable[Group]) -> None:
        """Marks, group after group, what each reaches and no group before it has reached."""

    def owner(self, node: int) -> int | None:
        """The number of the group that owns a node, from 0; None if no group reaches it."""

    def owned(self, first: int, stop: int) -> Sequence[int]:
        """The nodes that the groups first .. stop-1 own, ascending."""

    def unreachable(self) -> Sequence[int]:
        """The nodes that no group reaches, ascending."""


class Graph(Protocol):
    """The blobs of a store, as nodes, and the edges between them, as they were read at one moment. No method reads a
    file.
    """

    def __len__(self) -> int:
        """How many nodes there are: 0 .. len - 1."""

    def find(self, digest: str) -> int | None:
        """The node of a digest; None if the blob is absent."""

    def find_longer(self, beginning: str) -> int | None:
        """The first node whose digest begins with this and is longer; None if there is none. Nodes are in the order of
        their algorithms' names, then of their digests.
        """

    def digest(self, node: int) -> Digest:
        """`alg:encoded`."""

    def sweepable(self, nodes: Sequence[int]) -> Sequence[int]:
        """Those that may be deleted: blobs of a registered algorithm."""

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest; None if it has none."""

    def subjects(self, nodes: Sequence[int]) -> Iterable[tuple[int, int]]:
        """The subjects of nodes, each with the place of the node that has it; ABSENT for one that is absent. A node may
        be NO_NODE, and have none.
        """

    def walk(self, target: Descriptor) -> Sequence[tuple[int, Media]]:
        """Present blobs in preorder, each once, as moby's `walkPresentChildren` visits them."""

    def walk_from(self, node: int, media: Media) -> Sequence[tuple[int, Media]]:
        """The same from a node that is read as a media."""

    def mark(self, groups: Iterable[Group]) -> Marks:
        """Marks, group after group, what each reaches and no group before it has reached."""


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
