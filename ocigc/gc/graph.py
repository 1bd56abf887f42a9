"""What the rules ask a store: which blobs are present, and what reaches what. A node stands for a present blob."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, pairwise
from typing import Protocol

from ocigc.digest import Digest
from ocigc.image import Descriptor, Media
from ocigc.values import frozen

NO_NODE = 0xFFFFFFFF
"""The node of a blob that is absent."""
ABSENT = NO_NODE - 1
"""The node of a subject that is absent."""


@frozen
class Group:
    """Roots that are marked together. They reach forward over edges, and backward from subjects to referrers. A `flat`
    group reaches only its roots, and their referrers with all that these reach. A `forward` group reaches only forward.
    """

    roots: Sequence[int]
    flat: bool = False
    forward: bool = False


@frozen
class Groups:
    """Many groups as columns: group n has the `roots` from where the group before it ended up to ends[n]."""

    roots: array[int]
    ends: array[int]
    forward: bool = False

    def __iter__(self) -> Iterator[Group]:
        for start, end in pairwise(chain((0,), self.ends)):
            yield Group(self.roots[start:end], forward=self.forward)


@frozen
class Walks:
    """Many walks as columns: each begins at a node, read as a Media (a byte); at NO_NODE, it visits nothing."""

    nodes: array[int]
    medias: bytes


@frozen
class Owned:
    """The nodes on many walks that each walk's group owns: `nodes`, visited as `medias` (a Media in a byte). Those of
    walk n end before ends[n].
    """

    nodes: array[int]
    medias: bytearray
    ends: array[int]


class Marks(Protocol):
    """The owner of each node: the group that reached it first."""

    def add(self, groups: Iterable[Group]) -> None:
        """Marks the groups one after another. Each owns what it reaches and no group before it has reached."""

    def add_each(self, groups: Groups) -> None:
        """The same, for groups that are given as columns."""

    def owner(self, node: int) -> int | None:
        """The number of the group that owns a node, from 0; None if no group reaches the node."""

    def owned(self, first: int, stop: int) -> Sequence[int]:
        """The nodes that the groups from `first` up to `stop` own, ascending."""

    def unreachable(self) -> Sequence[int]:
        """The nodes that no group reaches, ascending."""

    def owned_on_walks(self, walks: Walks, groups: Sequence[int], among: bytearray) -> Owned:
        """For each walk, in its order, the nodes that its group owns and that have a flag in `among` (a byte per node).
        No two walks have the same group.
        """


class Graph(Protocol):
    """The blobs of a store as nodes, and the edges between them, as read at one moment. No method reads a file."""

    def __len__(self) -> int:
        """How many nodes there are. They are numbered from 0."""

    def find(self, digest: str) -> int | None:
        """The node of a digest; None if the blob is absent."""

    def find_longer(self, beginning: str) -> int | None:
        """The first node whose digest is longer than this one and begins with it; None if there is none. Nodes are
        sorted by the name of the algorithm, then by digest.
        """

    def digest(self, node: int) -> Digest:
        """`alg:encoded`."""

    def digests(self, nodes: Iterable[int]) -> Iterator[Digest]:
        """The same of many."""

    def sweepable(self, nodes: Sequence[int]) -> Sequence[int]:
        """The nodes that may be deleted: blobs of a registered algorithm."""

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest; None if it has none."""

    def subjects(self, nodes: Sequence[int]) -> Iterable[tuple[int, int]]:
        """The subjects of some nodes, each with the index of its node in the list; ABSENT for a subject that is absent.
        A node may be NO_NODE, which has no subject.
        """

    def walk(self, target: Descriptor) -> Sequence[tuple[int, Media]]:
        """Present blobs in preorder, each once, as moby's `walkPresentChildren` visits them."""

    def walk_from(self, node: int, media: Media) -> Sequence[tuple[int, Media]]:
        """The same, from a node that is read as this media."""

    def walked_as(self, walks: Walks, media: Media) -> bytearray:
        """The nodes that some walks visit as this media: a flag per node."""

    def visiting(self, walks: Walks, wanted: Iterable[int]) -> bytearray:
        """Which walks visit a wanted node: a flag per walk. NO_NODE walks nowhere."""

    def referred(self, nodes: array[int]) -> Sequence[int]:
        """Those of the nodes that another node refers to, or that have another node as their subject. NO_NODE never
        counts.
        """

    def mark(self, groups: Iterable[Group]) -> Marks:
        """The same from the start: earlier marks no longer count."""


class Status(Protocol):
    """The status of the files of blobs. The decision never asks for it; its caller does, between the steps."""

    def size(self, node: int, /) -> int:
        """Bytes."""

    def newer(self, nodes: Sequence[int], instant: int, /) -> Sequence[int]:
        """The nodes whose mtime or ctime is after an instant."""

    def read_meanwhile(self, nodes: Sequence[int], /) -> AbstractContextManager[None]:
        """Reads statuses while a `with` block runs, which asks for none. What cannot be read then is read again when it
        is asked for.
        """

    def freed(self, nodes: Sequence[int], /) -> int:
        """The bytes that go with the nodes. A hard-linked file counts only with its last link."""


def flags(numbers: Iterable[int], count: int) -> bytearray:
    """A byte per number below `count`: 1 for the given numbers."""
    found = bytearray(count)
    for number in numbers:
        found[number] = True
    return found


def all_but(nodes: Iterable[int], graph: Graph) -> array[int]:
    """All nodes but the given ones, ascending."""
    return array("I", (node for node, flag in enumerate(flags(nodes, len(graph))) if not flag))
