"""A layout to be looked at: its images, where its bytes are, and what a prune would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.gc.graph import flags
from ocigc.gc.plan import Plan
from ocigc.gc.protection import InUse
from ocigc.image import Media
from ocigc.inspect.disk_usage import repository_of
from ocigc.inspect.shares import Place, shares
from ocigc.inspect.usage import Usage, usage
from ocigc.layout import lock
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import load, with_created
from ocigc.native import Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import forecast, request

MOST = 40
"""How many blobs of one place are told by themselves."""


@dataclass(frozen=True, slots=True)
class WouldGo:
    """What a prune would do: one of the dangling images, or one of all that nothing uses."""

    prune: bool
    prune_all: bool


@dataclass(frozen=True, slots=True)
class Blob:
    """`size` is in bytes; `media` is None for what no image leads to."""

    digest: Digest
    size: int
    media: Media | None
    fate: WouldGo


@dataclass(frozen=True, slots=True)
class Bundle:
    """Blobs of one place: the largest, and of the others by fate how many they are and their bytes."""

    largest: Sequence[Blob]
    rest: Mapping[WouldGo, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One image. `repository` is empty where its name tells none."""

    usage: Usage
    repository: str
    fate: WouldGo


@dataclass(frozen=True, slots=True)
class Freed:
    """What a prune would remove; `bytes` are those that the disk gets back."""

    images: int
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`size` is the bytes of all blobs, of which each is in one of `places`, or among the `others`, that no image
    leads to.
    """

    images: Sequence[ImageSummary]
    blobs: int
    size: int
    places: Mapping[Place, Bundle]
    others: Bundle
    prune: Freed
    prune_all: Freed


def overview(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    wait: float = 0,
    watch: Watcher = SILENT,
) -> Overview:
    """Looks at a layout. Raises UsageError where it is none, and Refused where it cannot be read."""
    default = request(in_use=in_use)
    everything = request(prune_all=True, in_use=in_use)
    with lock.shared(layout, wait):
        snapshot = with_created(
            load(layout, repository, default.now, watch, in_grace_after=default.now - default.grace)
        )
        with snapshot.store as store:
            store.stat(report=watch("Reading sizes"))
            leases = [lease for lease in snapshot.leases if lease.active(default.now)]
            ordered = list(snapshot.images.in_order())
            plans = forecast(snapshot, (default, everything), repository, None, watch)
            gone = [set(plan.pruned.positions) for plan in plans]
            found = shares(ordered, store)
            fates = _fates(store, plans)
            return Overview(
                images=[
                    ImageSummary(
                        each, repository_of(each.image), WouldGo(*(each.image.position in those for those in gone))
                    )
                    for each in usage(ordered, store, leases, default.in_use)
                ],
                blobs=len(store),
                size=sum(map(store.size, range(len(store)))),
                places={place: _bundle(store, nodes, found.media, fates) for place, nodes in found.places.items()},
                others=_bundle(store, found.others, found.media, fates),
                prune=_freed(plans[0]),
                prune_all=_freed(plans[1]),
            )


def _fates(store: Store, plans: Sequence[Plan]) -> Sequence[WouldGo]:
    leaving = [flags(plan.blobs, len(store)) for plan in plans]
    kinds = {(one, both): WouldGo(one, both) for one in (False, True) for both in (False, True)}
    return [kinds[bool(one), bool(both)] for one, both in zip(*leaving, strict=True)]


def _freed(plan: Plan) -> Freed:
    return Freed(len(plan.pruned), plan.blob_count, plan.reclaimed)


def _bundle(store: Store, nodes: Sequence[int], media: Mapping[int, Media], fates: Sequence[WouldGo]) -> Bundle:
    ordered = sorted(nodes, key=store.size, reverse=True)
    count: Counter[WouldGo] = Counter()
    size: Counter[WouldGo] = Counter()
    for node in ordered[MOST:]:
        count[fates[node]] += 1
        size[fates[node]] += store.size(node)
    return Bundle(
        [Blob(store.digest(node), store.size(node), media.get(node), fates[node]) for node in ordered[:MOST]],
        {fate: (count[fate], size[fate]) for fate in count},
    )
