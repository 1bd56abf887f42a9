"""What the rules ask of a store: which blobs there are and what reaches what. A node stands for a present blob."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ocigc.digest import Digest
from ocigc.image import Descriptor, Media


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that one holder holds, with all they reach; with `flat` only themselves and their referrers."""

    roots: Sequence[int]
    flat: bool = False


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

    def size(self, node: int) -> int:
        """Bytes."""

    def sweepable(self, nodes: Sequence[int]) -> Sequence[int]:
        """Those that may ever be deleted: not under an unregistered algorithm."""

    def newer(self, nodes: Sequence[int], instant: int) -> Sequence[int]:
        """Those whose mtime or ctime lies behind the instant."""

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest."""

    def walk(self, target: Descriptor) -> Sequence[tuple[int, Media]]:
        """Present blobs in preorder, each once, as moby's `walkPresentChildren` visits them."""

    def walk_from(self, node: int, media: Media) -> Sequence[tuple[int, Media]]:
        """The same from a node that is held to be of a media."""

    def mark(self, groups: Iterable[Group]) -> Marks:
        """Lets each group in turn hold what it reaches and nobody holds yet."""

    def freed(self, nodes: Sequence[int]) -> int:
        """Bytes that go with the nodes; hard-linked ones only with their last link."""


def flags(numbers: Iterable[int], count: int) -> bytearray:
    """So many flags, those with these numbers set."""
    found = bytearray(count)
    for number in numbers:
        found[number] = True
    return found


def others(nodes: Iterable[int], graph: Graph) -> array[int]:
    """All nodes but these, ascending."""
    return array("I", (node for node, flag in enumerate(flags(nodes, len(graph))) if not flag))
