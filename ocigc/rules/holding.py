"""What holds blobs at all: images, leases and labels, with what they refer to."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

from ocigc.lease import Lease
from ocigc.rules.graph import Graph, Group


def holding(images: Sequence[int], leases: Sequence[Lease], label_roots: Sequence[int], graph: Graph) -> list[Group]:
    """What holds blobs: images (the nodes that they hold directly), `gc.root` labels and leases with all that they
    refer to, then the flat leases."""
    roots = array("I", chain(label_roots, images, lease_roots(leases, graph, flat=False)))
    return [Group(roots), Group(lease_roots(leases, graph, flat=True), flat=True)]


def lease_roots(leases: Iterable[Lease], graph: Graph, *, flat: bool) -> list[int]:
    """The nodes that leases hold directly: of the flat ones, or of the others."""
    nodes = (graph.find(digest) for lease in leases if lease.flat == flat for digest in lease.resources)
    return [node for node in nodes if node is not None]
