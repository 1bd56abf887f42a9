"""What each image takes: the bytes that only it has, and those that it shares."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.protection import protect
from ocigc.image import Descriptor, ImageRecord
from ocigc.layout import lock
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.configs import measured
from ocigc.layout.damage import load_noting
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.needs import hollow
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import Snapshot
from ocigc.native import NO_NODE
from ocigc.progress import SILENT, Watcher
from ocigc.sequences import Lazy
from ocigc.times import Duration
from ocigc.values import frozen


@frozen
class Usage:
    """`size` counts each present blob of the image's walk once, in bytes. `shared` of these are in other images too,
    and `reclaimable` would go if all that is unused went, if the caller asked for that. A `referrer` stays and goes
    with its subject, so it is never dangling; if it is `orphaned`, the subject is absent.
    """

    image: ImageRecord
    size: int
    shared: int
    referrer: bool
    orphaned: bool
    in_use: bool
    leased: bool
    reclaimable: int
    missing: Sequence[Descriptor] = ()
    damaged: bool = False

    @property
    def dangling(self) -> bool:
        """Whether a prune without -a would remove it."""
        return self.image.dangling and not self.referrer

    @property
    def unique(self) -> int:
        """Bytes that no other image of the layout has."""
        return self.size - self.shared


class Usages(Lazy[Usage]):
    """The usage of each of some images, made when it is asked for: there may be a million."""

    def __init__(
        self,
        images: Images,
        amounts: Sequence[tuple[int, ...]],
        states: bytes | bytearray,
        missing: Mapping[int, Sequence[Descriptor]],
    ) -> None:
        """For each image, the amounts of `Store.usage` and the sum of its states; `missing` is by position."""
        self._images = images
        self._amounts = amounts
        self._states = states
        self._missing = missing

    def __len__(self) -> int:
        return len(self._states)

    def sizes(self) -> array[int]:
        """The size of each image, in bytes."""
        return array("Q", (size for size, *_ in self._amounts))

    def _make(self, place: int) -> Usage:
        return self._made(self._images[self._images.positions[place]], self._amounts[place], self._states[place])

    def __iter__(self) -> Iterator[Usage]:
        return map(self._made, self._images, self._amounts, self._states)

    def _made(self, image: ImageRecord, amounts: tuple[int, ...], states: int) -> Usage:
        size, shared, reclaimable, found = amounts
        return Usage(
            image,
            size,
            shared,
            bool(states & _REFERRER),
            bool(states & _ORPHANED),
            bool(states & _IN_USE),
            bool(states & _LEASED),
            reclaimable,
            self._missing.get(image.position, ()),
            bool(found & _DAMAGED),
        )


_UNUSED, _DAMAGED = 1, 2  # flags of nodes
_REFERRER, _ORPHANED, _IN_USE, _LEASED = 1, 2, 4, 8  # states of images


def usage(snapshot: Snapshot, in_use: InUse, now: int, unused: Iterable[int] = ()) -> Usages:
    """The usage of each image, by name. Two names of one target share all of it. Leases that are active at the instant
    `now` count; `unused` are the nodes that would go.
    """
    images, store = snapshot.images.in_order(), snapshot.store
    missing: dict[int, list[Descriptor]] = {}
    for each in incomplete_images(snapshot):
        missing.setdefault(each.image.position, []).extend(each.missing)
    flags = bytearray(len(store))
    for node in unused:
        flags[node] = _UNUSED
    for node in (*(node for node, _ in store.faults()), *hollow(store)):
        flags[node] |= _DAMAGED
    amounts = store.usage(images.targets(store), images.medias(), flags=flags)
    return Usages(images, amounts, _states(snapshot, images, in_use, now), missing)


def _states(snapshot: Snapshot, images: Images, in_use: InUse, now: int) -> bytearray:
    """For each image, the sum of its states."""
    store, relations = snapshot.store, snapshot.relations
    found = bytearray(len(images))
    leased = {digest for lease in snapshot.leases if lease.active(now) for digest in lease.resources}
    nodes = frozenset(map(store.find, leased)) - {None}
    for place, (position, target) in enumerate(zip(images.positions, images.targets(store), strict=True)):
        state = 0
        if position in relations.subjects:
            state |= _REFERRER
        if position in relations.orphaned:
            state |= _ORPHANED
        if target in nodes or (target == NO_NODE and leased and images[position].target.digest in leased):
            state |= _LEASED
        if state:
            found[place] = state
    if protection := protect(in_use, images, store):
        for place, image in enumerate(images):
            if (protection.name_user(image) or protection.content_user(image, store)) is not None:
                found[place] |= _IN_USE
    return found


@accepts_path
def images(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Usages:
    """The images by name, and what each costs. `repository` (normalised) owns bare tags; `wait` is for the lock.

    Raises UsageError where it is not a layout, and Refused where it cannot be read.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        _note_pending(layout, watch)
        snapshot = load_noting(layout, repository, now, watch, measure=True)
        with snapshot.store:
            return usage(measured(snapshot, watch), InUse() if in_use is None else in_use, now)


def _note_pending(layout: Layout, watch: Watcher) -> None:
    if layout.dir.exists(STATE):
        from ocigc.pruning import run_directory

        run_directory.note_pending(layout, watch)
