"""Chains: from what is held for its own sake (an image, a lease, a label) down to a blob."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ocigc.image import ImageRecord
from ocigc.lease import Lease
from ocigc.rules.graph import Graph

NextStep = Callable[[int], tuple[str, int] | None]
"""Of a node that holds the blob: by what role it does, and the next node on the way down; None of any other node."""


@dataclass(frozen=True, slots=True)
class Link:
    """One blob of a chain, and what it is to the one above."""

    role: str
    digest: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`root` says what holds the first link: "image", "lease" or "label"; `name` which of them."""

    root: str
    name: str
    links: Sequence[Link]


def chains(
    node: int,
    step: NextStep,
    images: Sequence[ImageRecord],
    leases: Sequence[Lease],
    label_roots: Sequence[int],
    graph: Graph,
) -> Iterator[Chain]:
    """One chain, a shortest or nearly so, from every root that holds a node. `leases` are active ones."""
    for image in images:
        for role, digest in (("target", image.target.digest), *(("label", each) for each in image.references)):
            yield from _chain("image", image.familiar, role, graph.find(digest), node, step, graph)
    for lease in leases:
        for digest in lease.resources:
            found = graph.find(digest)
            if not lease.flat or found == node:
                yield from _chain("lease", lease.id, "resource", found, node, step, graph)
    for root in label_roots:
        yield from _chain("label", "containerd.io/gc.root", "root", root, node, step, graph)


def _chain(
    root: str, name: str, role: str, start: int | None, end: int, step: NextStep, graph: Graph
) -> Iterator[Chain]:
    if start is None or (start != end and step(start) is None):
        return
    links = [Link(role, graph.digest(start))]
    while start != end:
        following = step(start)
        if following is None:
            return
        role, start = following
        links.append(Link(role, graph.digest(start)))
    yield Chain(root, name, links)
