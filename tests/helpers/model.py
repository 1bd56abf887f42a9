"""A second, plain implementation of the rules' graph, for tests: dictionaries and recursion over parsed JSON."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ocigc.gc.graph import ABSENT, NO_NODE, Group, Groups, Owned, Walks
from ocigc.image import Descriptor, Media

MEDIA = {
    "application/vnd.oci.image.manifest.v1+json": Media.MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json": Media.MANIFEST,
    "application/vnd.oci.image.index.v1+json": Media.INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json": Media.INDEX,
    "application/vnd.oci.image.config.v1+json": Media.CONFIG,
    "application/vnd.docker.container.image.v1+json": Media.CONFIG,
}


def media_of(media_type: str) -> Media:
    return MEDIA.get(media_type, Media.JSON if media_type.endswith("+json") else Media.UNKNOWN)


@dataclass(frozen=True)
class Blob:
    data: bytes
    labels: Mapping[str, str] = field(default_factory=dict)
    stamp: int = 0


class ModelHolders:
    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._owners: dict[int, int] = {}
        self._open: set[int] = set()  # held flat, but not walked yet
        self._groups = 0

    def add(self, groups: Iterable[Group]) -> None:
        for group in groups:
            for root in group.roots:
                if not group.flat:
                    self._hold(root, forward=group.forward)
                elif root not in self._owners:
                    self._owners[root] = self._groups
                    self._open.add(root)
                    for referrer in self._graph.referrers(root):
                        self._hold(referrer)
            self._groups += 1

    def add_each(self, groups: Groups) -> None:
        self.add(groups)

    def owned_on_walks(self, walks: Walks, groups: Sequence[int], among: bytearray) -> Owned:
        found = Owned(array("I"), bytearray(), array("I"))
        for node, media, group in zip(walks.nodes, walks.medias, groups, strict=True):
            for each, kind in self._graph.visited(node, media):
                if among[each] and self.owner(each) == group:
                    found.nodes.append(each)
                    found.medias.append(kind)
            found.ends.append(len(found.nodes))
        return found

    def _hold(self, node: int, *, forward: bool = False) -> None:
        if node in self._owners and node not in self._open:
            return
        self._owners.setdefault(node, self._groups)
        self._open.discard(node)
        for near in [*self._graph.children(node), *([] if forward else self._graph.referrers(node))]:
            self._hold(near, forward=forward)

    def owner(self, node: int) -> int | None:
        return self._owners.get(node)

    def owned(self, first: int, stop: int) -> list[int]:
        return [node for node in range(len(self._graph)) if first <= self._owners.get(node, -1) < stop]

    def unreachable(self) -> list[int]:
        return [node for node in range(len(self._graph)) if node not in self._owners]


CONTENT_LABEL = "containerd.io/gc.ref.content"


def content_references(labels: Mapping[str, str]) -> Iterator[str]:
    """What the labels' `gc.ref.content`, alone or followed by `.` or `/`, refer to."""
    for key, value in labels.items():
        if key.startswith(CONTENT_LABEL) and key[len(CONTENT_LABEL) :][:1] in ("", ".", "/"):
            yield value


class ModelGraph:
    """Implements `ocigc.rules.graph.Graph`. Nodes are positions in the sorted list of digests."""

    def __init__(self, blobs: Mapping[str, Blob]) -> None:
        self.names = sorted(blobs)
        self.blobs = [blobs[digest] for digest in self.names]
        self._nodes = {digest: node for node, digest in enumerate(self.names)}
        self._documents = [self._parse(blob.data) for blob in self.blobs]
        self._referrers: dict[int, list[int]] = {}
        for node in range(len(self.names)):
            if (subject := self.subject(node)) is not None:
                self._referrers.setdefault(subject, []).append(node)

    @staticmethod
    def _parse(data: bytes) -> dict[str, Any]:
        try:
            document = json.loads(data)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, digest: str) -> int | None:
        return self._nodes.get(digest)

    def find_longer(self, beginning: str) -> int | None:
        longer = [digest for digest in self._nodes if digest.startswith(beginning) and digest != beginning]
        return self._nodes[min(longer)] if longer else None

    def digests(self, nodes: Iterable[int]) -> Iterator[str]:
        return map(self.digest, nodes)

    def digest(self, node: int) -> str:
        return self.names[node]

    def size(self, node: int) -> int:
        return len(self.blobs[node].data)

    def sweepable(self, nodes: Sequence[int]) -> list[int]:
        return [node for node in nodes if self.names[node].startswith(("sha256:", "sha512:", "blake3:"))]

    def newer(self, nodes: Sequence[int], instant: int) -> list[int]:
        return [node for node in nodes if self.blobs[node].stamp > instant]

    def subject(self, node: int) -> int | None:
        subject = self._documents[node].get("subject")
        return self.find(subject["digest"]) if isinstance(subject, dict) else None

    def subjects(self, nodes: Sequence[int]) -> Iterator[tuple[int, int]]:
        for place, node in enumerate(nodes):
            if node != NO_NODE and "subject" in self._documents[node]:
                subject = self.subject(node)
                yield place, ABSENT if subject is None else subject

    def _descriptors(self, node: int) -> Iterator[dict[str, Any]]:
        document = self._documents[node]
        if "config" in document and "digest" in document["config"]:
            yield document["config"]
        for key in ("layers", "blobs", "manifests"):
            yield from document.get(key) or ()

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        node = self.find(target.digest)
        return [] if node is None else self.walk_from(node, target.media)

    def walk_from(self, start: int, held: Media) -> list[tuple[int, Media]]:
        visited: dict[int, Media] = {}

        def visit(digest: str, media: Media) -> None:
            node = self.find(digest)
            if node is None or node in visited:
                return
            visited[node] = media
            if media in (Media.MANIFEST, Media.INDEX):
                for child in self._descriptors(node):
                    visit(child["digest"], media_of(child.get("mediaType", "")))

        visit(self.names[start], held)
        return list(visited.items())

    def visited(self, node: int, media: int) -> list[tuple[int, Media]]:
        return [] if node == NO_NODE else self.walk_from(node, Media(media))

    def walked_as(self, walks: Walks, media: Media) -> bytearray:
        each = (self.visited(*start) for start in zip(walks.nodes, walks.medias, strict=True))
        found = {node for walk in each for node, kind in walk if kind == media}
        return bytearray(node in found for node in range(len(self)))

    def visiting(self, walks: Walks, wanted: Iterable[int]) -> bytearray:
        found = frozenset(wanted)
        each = (self.visited(*start) for start in zip(walks.nodes, walks.medias, strict=True))
        return bytearray(not found.isdisjoint(node for node, _ in walk) for walk in each)

    def referred(self, nodes: Sequence[int]) -> list[int]:
        everywhere = range(len(self))
        found = {near for node in everywhere for near in (*self.children(node), *self.referrers(node))}
        return [node for node in nodes if node in found]

    def configs(self, target: Descriptor, *, skip_attestations: bool) -> list[int]:
        """The present configs of an image, or but those of attestations."""
        found: dict[int, None] = {}

        def visit(digest: str, media: Media) -> None:
            node = self.find(digest)
            if node is None:
                return
            if media == Media.CONFIG:
                found[node] = None
            for child in self._descriptors(node) if media in (Media.MANIFEST, Media.INDEX) else ():
                kind = media_of(child.get("mediaType", ""))
                attests = kind == Media.MANIFEST and "vnd.docker.reference.type" in (child.get("annotations") or {})
                if not (attests and skip_attestations):
                    visit(child["digest"], kind)

        visit(target.digest, target.media)
        return list(found)

    def children(self, node: int) -> list[int]:
        digests = [child["digest"] for child in self._descriptors(node)]
        digests += content_references(self.blobs[node].labels)
        return [child for child in map(self.find, digests) if child is not None]

    def referrers(self, node: int) -> Sequence[int]:
        return self._referrers.get(node, ())

    def add_referrer(self, subject: int, referrer: int) -> None:
        referrers = self._referrers.setdefault(subject, [])
        if referrer not in referrers:
            referrers.append(referrer)

    def remove_referrer(self, subject: int, referrer: int) -> None:
        self._referrers[subject].remove(referrer)

    def mark(self, groups: Iterable[Group]) -> ModelHolders:
        marks = ModelHolders(self)
        marks.add(groups)
        return marks

    def read_meanwhile(self, nodes: Sequence[int]) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def freed(self, nodes: Sequence[int]) -> int:
        return sum(len(self.blobs[node].data) for node in set(nodes))
