"""What each of two layouts has that the other lacks: images, and the bytes that would have to be copied."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from ocigc.digest import Digest
from ocigc.image import ImageRecord
from ocigc.layout import lock
from ocigc.layout.damage import load_noting
from ocigc.layout.opening import LayoutOrPath, opened
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store
from ocigc.progress import SILENT, Watcher
from ocigc.times import Duration
from ocigc.values import frozen


@frozen
class Side:
    """An image as one of two layouts has it. `size` counts each present blob of it once, in bytes."""

    digest: Digest
    size: int


@frozen
class DifferentImage:
    """An image that only one of two layouts has, or that has different content in the two. `name` is in its familiar
    form, or a digest if it has none. `first` and `second` are what the layouts have under that name: several if several
    entries have it, empty if none has.
    """

    name: str
    dangling: bool
    first: Sequence[Side]
    second: Sequence[Side]


@frozen
class Carry:
    """The blobs that one layout needs and the other lacks, by digest, and their bytes. A blob of a different size
    counts as lacking.
    """

    digests: Sequence[Digest]
    size: int


@frozen
class Difference:
    """The images that differ, by name; how many are the same; and what the second and the first layout lack."""

    images: Sequence[DifferentImage]
    same: int
    to_second: Carry
    to_first: Carry

    @property
    def none(self) -> bool:
        """Whether neither layout has anything that the other lacks."""
        return not (self.images or self.to_second.digests or self.to_first.digests)


def diff(
    first: LayoutOrPath,
    second: LayoutOrPath,
    *,
    repository: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Difference:
    """Compares two layouts by their names and descriptors. Only manifests are hashed. Bare tags of both belong to
    `repository` (normalised); `wait` is for the locks.

    Raises UsageError where one is not a layout, and Refused where it cannot be read.
    """
    now = time.time_ns()
    with ExitStack() as stack:
        snapshots = []
        for layout in map(stack.enter_context, (opened(first), opened(second))):
            stack.enter_context(lock.shared(layout, wait))
            snapshot = load_noting(layout, repository, now, watch, measure=True)
            stack.enter_context(snapshot.store)
            snapshot.store.stat(report=watch("Reading sizes"))
            snapshots.append(snapshot)
        one, other = snapshots
        images, same = _compared(_sides(one), _sides(other))
        return Difference(images, same, _carry(one, other.store, now), _carry(other, one.store, now))


Sides = Mapping[tuple[str, bool], Mapping[Digest, Side]]
"""What has each name; the key is an image's name and whether it is dangling."""


def _sides(snapshot: Snapshot) -> Sides:
    found: dict[tuple[str, bool], dict[Digest, Side]] = {}
    sizes: dict[Digest, int] = {}
    for image in snapshot.images:
        digest = image.target.digest
        if digest not in sizes:
            sizes[digest] = sum(snapshot.store.size(node) for node, _ in snapshot.store.walk(image.target))
        for name in _names(image):
            found.setdefault((name, image.dangling), {})[digest] = Side(digest, sizes[digest])
    return found


def _names(image: ImageRecord) -> Iterable[str]:
    return [each.familiar for each in image.by_name()]


def _compared(first: Sides, second: Sides) -> tuple[list[DifferentImage], int]:
    different = [
        DifferentImage(*key, _in_order(first.get(key, {})), _in_order(second.get(key, {})))
        for key in sorted(first.keys() | second.keys())
        if first.get(key, {}).keys() != second.get(key, {}).keys()
    ]
    return different, len(first.keys() | second.keys()) - len(different)


def _in_order(sides: Mapping[Digest, Side]) -> list[Side]:
    return [sides[digest] for digest in sorted(sides)]


def _carry(snapshot: Snapshot, there: Store, now: int) -> Carry:
    """The blobs that are reachable in this snapshot and absent from the other store. Orphans need not be copied."""
    store = snapshot.store
    groups = snapshot.roots(now)
    nodes = store.mark(groups).owned(0, len(groups))
    digests, size = [], 0
    for node, digest in zip(nodes, store.digests(nodes), strict=True):
        found = there.find(digest)
        if found is None or there.size(found) != store.size(node):
            digests.append(digest)
            size += store.size(node)
    return Carry(digests, size)
