"""Which images lack content that they need to be run or copied.

An image is incomplete if its target is absent, if a present manifest of it lacks its config or a layer, or if its index
has no manifest at all. An image that lacks whole platforms is sparse, which is complete: a mirror may have some
platforms only. Foreign (nondistributable) layers may be absent, as they are fetched from elsewhere.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from ocigc.digest import Digest
from ocigc.gc.images import Images
from ocigc.image import Descriptor, ImageRecord, Media
from ocigc.layout.manifests import Child, Documents
from ocigc.layout.snapshot import Snapshot
from ocigc.native import NO_NODE, Role, Store
from ocigc.values import frozen

_CONTENT = (Role.CONFIG, Role.LAYER, Role.BLOB)
_FOREIGN = (".foreign.", ".nondistributable.")
_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig."


@frozen
class Incomplete:
    """What an image lacks for one platform. `platform` is empty where it is unknown. `layout` is the path of the
    layout in a tree.
    """

    image: ImageRecord
    platform: str
    missing: Sequence[Descriptor]
    layout: str = ""

    @property
    def size(self) -> int:
        """Bytes, as the descriptors state them."""
        return sum(max(each.size, 0) for each in self.missing)


def incomplete_images(snapshot: Snapshot) -> list[Incomplete]:
    """The incomplete images of a layout, by name, one for each of their platforms."""
    store, images = snapshot.store, snapshot.images
    search = _Search(store)
    # Few images are incomplete. For the others, no record is made.
    targets = images.targets(store)
    doubtful = store.visiting(images.walks(store), search.needed) if search.needed else bytes(len(targets))
    found = (p for p, node, doubt in zip(images.positions, targets, doubtful, strict=True) if doubt or node == NO_NODE)
    embedded = frozenset(snapshot.index.entries.sound_data())
    return list(_incomplete(images.picked(found).in_order(), store, search, embedded))


def _incomplete(images: Images, store: Store, search: _Search, embedded: Container[int]) -> Iterator[Incomplete]:
    """The incomplete ones of some images. The entries at the positions `embedded` have the target embedded."""
    for image, target in zip(images, images.targets(store), strict=True):
        if target == NO_NODE and image.position in embedded:
            absent = [Digest(each) for each in image.references if store.find(each) is None]
            if absent:
                yield Incomplete(image, "", [Descriptor("", each, -1, Media.NONE) for each in absent])
        elif target == NO_NODE:
            yield Incomplete(image, "", (image.target,))
        else:
            for platform, missing in search.of(image):
                yield Incomplete(image, platform, missing)


class _Search:
    """Searches a store for what images lack."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents = Documents(store)
        found = {node: self._absent(node) for node in store.incomplete()}
        self.needed: Mapping[int, Sequence[Child]] = {node: absent for node, absent in found.items() if absent}
        """By node, what a manifest needs and lacks, or which manifests an index lacks."""

    def _absent(self, node: int) -> Sequence[Child]:
        return [
            child
            for child in self._documents.children(node)
            if child.role in (*_CONTENT, Role.MANIFEST)
            and not child.embedded
            and not any(mark in child.descriptor.media_type for mark in _FOREIGN)
            and self._store.find(child.descriptor.digest) is None
        ]

    def of(self, image: ImageRecord) -> Iterator[tuple[str, Sequence[Descriptor]]]:
        """What an image lacks, by platform."""
        walk = self._store.walk(image.target)
        lacking = [node for node, _ in walk if node in self.needed]
        if not lacking:
            return
        listed = [child for node, media in walk if media == Media.INDEX for child in self._documents.children(node)]
        platforms = {child.descriptor.digest: child.platform for child in listed}
        manifests: list[Descriptor] = []
        for node in lacking:
            content = [each.descriptor for each in self.needed[node] if _is_content(each)]
            manifests += [each.descriptor for each in self.needed[node] if not _is_content(each)]
            if content:
                yield platforms.get(self._store.digest(node)) or self._own_platform(node), _once(content)
        described = {child.descriptor.digest for child in listed if child.attestation}
        present = {self._store.digest(node) for node, media in walk if media == Media.MANIFEST}
        if manifests and not present - described:
            yield "", _once(manifests)

    def _own_platform(self, manifest: int) -> str:
        """The platform that the config of a manifest states."""
        for child in self._documents.children(manifest):
            if child.role == Role.CONFIG and (node := self._store.find(child.descriptor.digest)) is not None:
                return self._documents.platform(node)
        return ""


def _is_content(child: Child) -> bool:
    """Whether it is not a manifest: BuildKit's caches list layers and their config as the manifests of an index."""
    media_type = child.descriptor.media_type
    return child.role in _CONTENT or child.descriptor.media == Media.UNKNOWN or _CACHE_CONFIG in media_type


def _once(descriptors: Iterable[Descriptor]) -> Sequence[Descriptor]:
    return list({each.digest: each for each in descriptors}.values())
