"""What repositories cost: as `usage`, for all images of a repository together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from ocigc.image import ImageRecord
from ocigc.reference import InvalidReference, parse_normalized
from ocigc.rules.graph import Graph


@dataclass(frozen=True, slots=True)
class Repository:
    """`name` is in its familiar form; empty for images whose name tells none. `size` counts each present blob of its
    images' walks once, in bytes; `shared` of it is in other repositories too, and `reclaimable` of it would go with all
    that is unused.
    """

    name: str
    images: int
    size: int
    shared: int
    reclaimable: int

    @property
    def unique(self) -> int:
        """Bytes that no other repository has."""
        return self.size - self.shared


def repository_of(image: ImageRecord, own: str | None = None) -> str:
    """The familiar name of the repository that an image's name tells, or of the layout's `own`; "" where it is none."""
    name = own if image.dangling else image.name
    if name is None or image.bare_tag:
        return ""
    try:
        reference = parse_normalized(name)
    except InvalidReference:
        return ""
    return type(reference)(reference.domain, reference.path).familiar()


def repositories(
    images: Sequence[ImageRecord], graph: Graph, unused: Container[int], own: str | None = None
) -> list[Repository]:
    """The repositories by name; `unused` are the nodes that would go. What has no name is in the layout's `own`."""
    nodes: dict[str, set[int]] = {}
    count: Counter[str] = Counter()
    for image in images:
        name = repository_of(image, own)
        count[name] += 1
        nodes.setdefault(name, set()).update(node for node, _ in graph.walk(image.target))
    holders = Counter(node for held in nodes.values() for node in held)
    return [
        Repository(
            name,
            count[name],
            size=sum(map(graph.size, held)),
            shared=sum(graph.size(node) for node in held if holders[node] > 1),
            reclaimable=sum(graph.size(node) for node in held if node in unused),
        )
        for name, held in sorted(nodes.items())
    ]
