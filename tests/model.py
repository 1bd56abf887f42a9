"""A second, plain implementation of the rules' graph, for tests: dictionaries and recursion over parsed JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ocigc.descriptor import Descriptor, Media
from ocigc.labels import content_references
from ocigc.rules.graph import Group

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
    def __init__(self, owners: dict[int, int], count: int) -> None:
        self._owners = owners
        self._count = count

    def holder(self, node: int) -> int | None:
        return self._owners.get(node)

    def held(self, first: int, stop: int) -> list[int]:
        return [node for node in range(self._count) if first <= self._owners.get(node, -1) < stop]

    def unheld(self) -> list[int]:
        return [node for node in range(self._count) if node not in self._owners]


class ModelGraph:
    """Implements `ocigc.rules.graph.Graph`. Nodes are positions in the sorted list of digests."""

    def __init__(self, blobs: Mapping[str, Blob], fallbacks: Iterable[tuple[str, str]] = ()) -> None:
        self.digests = sorted(blobs)
        self.blobs = [blobs[digest] for digest in self.digests]
        self._nodes = {digest: node for node, digest in enumerate(self.digests)}
        self._documents = [self._parse(blob.data) for blob in self.blobs]
        self._referrers: dict[int, list[int]] = {}
        for node, document in enumerate(self._documents):
            subject = self.find(document.get("subject", {}).get("digest", ""))
            if subject is not None:
                self._referrers.setdefault(subject, []).append(node)
        for subject_digest, target in fallbacks:
            self._referrers.setdefault(self._nodes[subject_digest], []).append(self._nodes[target])

    @staticmethod
    def _parse(data: bytes) -> dict[str, Any]:
        try:
            document = json.loads(data)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def find(self, digest: str) -> int | None:
        return self._nodes.get(digest)

    def find_longer(self, beginning: str) -> int | None:
        longer = [digest for digest in self._nodes if digest.startswith(beginning) and digest != beginning]
        return self._nodes[min(longer)] if longer else None

    def digest(self, node: int) -> str:
        return self.digests[node]

    def size(self, node: int) -> int:
        return len(self.blobs[node].data)

    def sweepable(self, nodes: Sequence[int]) -> list[int]:
        return [node for node in nodes if self.digests[node].startswith(("sha256:", "sha512:", "blake3:"))]

    def newer(self, nodes: Sequence[int], instant: int) -> list[int]:
        return [node for node in nodes if self.blobs[node].stamp > instant]

    def subject(self, node: int) -> int | None:
        return self.find(self._documents[node].get("subject", {}).get("digest", ""))

    def _descriptors(self, node: int) -> Iterator[dict[str, Any]]:
        document = self._documents[node]
        if "config" in document and "digest" in document["config"]:
            yield document["config"]
        for key in ("layers", "blobs", "manifests"):
            yield from document.get(key) or ()

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        visited: dict[int, Media] = {}

        def visit(digest: str, media: Media) -> None:
            node = self.find(digest)
            if node is None or node in visited:
                return
            visited[node] = media
            if media in (Media.MANIFEST, Media.INDEX):
                for child in self._descriptors(node):
                    visit(child["digest"], media_of(child.get("mediaType", "")))

        visit(target.digest, target.media)
        return list(visited.items())

    def holders(self, groups: Sequence[Group]) -> ModelHolders:
        owners: dict[int, int] = {}
        open_nodes: set[int] = set()  # held flat, but not walked yet

        def hold(node: int, holder: int) -> None:
            if node in owners and node not in open_nodes:
                return
            owners.setdefault(node, holder)
            open_nodes.discard(node)
            children = [child["digest"] for child in self._descriptors(node)]
            children += content_references(self.blobs[node].labels)
            for child in map(self.find, children):
                if child is not None:
                    hold(child, holder)
            for referrer in self._referrers.get(node, ()):
                hold(referrer, holder)

        for position, group in enumerate(groups):
            for root in group.roots:
                if not group.flat:
                    hold(root, position)
                elif root not in owners:
                    owners[root] = position
                    open_nodes.add(root)
                    for referrer in self._referrers.get(root, ()):
                        hold(referrer, position)
        return ModelHolders(owners, len(self.digests))

    def freed(self, nodes: Sequence[int]) -> int:
        return sum(len(self.blobs[node].data) for node in set(nodes))
