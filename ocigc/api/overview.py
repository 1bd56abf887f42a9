"""A layout to be looked at: its images, where its bytes are, and what a prune would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ocigc.api.planning import forecast
from ocigc.api.prune import request
from ocigc.api.watch import SILENT, Watcher
from ocigc.container import InUse
from ocigc.descriptor import Media
from ocigc.native import Store
from ocigc.rules.consumption import repository_of
from ocigc.rules.graph import flags
from ocigc.rules.plan import Plan
from ocigc.rules.shares import Place, shares
from ocigc.rules.usage import Usage, usage
from ocigc.store import lock
from ocigc.store.contents import load, with_created
from ocigc.store.layout import Layout

MOST = 40
"""How many blobs of one place are told by themselves."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What a prune would do: one of the dangling images, or one of all that nothing uses."""

    prune: bool
    prune_all: bool


@dataclass(frozen=True, slots=True)
class Blob:
    """`size` is in bytes; `media` is None for what no image leads to."""

    digest: str
    size: int
    media: Media | None
    fate: Fate


@dataclass(frozen=True, slots=True)
class Bundle:
    """Blobs of one place: the largest, and of the others by fate how many they are and their bytes."""

    largest: Sequence[Blob]
    rest: Mapping[Fate, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image. `repository` is empty where its name tells none."""

    usage: Usage
    repository: str
    fate: Fate


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

    images: Sequence[Entry]
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
        loaded = with_created(load(layout, repository, default.now, watch, young_after=default.now - default.grace))
        with loaded.store as store:
            store.survey(report=watch("Reading sizes"))
            leases = [lease for lease in loaded.leases if lease.active(default.now)]
            ordered = list(loaded.images.in_order())
            plans = forecast(loaded, (default, everything), repository, None, watch)
            gone = [set(plan.pruned.positions) for plan in plans]
            found = shares(ordered, store)
            fates = _fates(store, plans)
            return Overview(
                images=[
                    Entry(each, repository_of(each.image), Fate(*(each.image.position in those for those in gone)))
                    for each in usage(ordered, store, leases, default.in_use)
                ],
                blobs=len(store),
                size=sum(map(store.size, range(len(store)))),
                places={place: _bundle(store, nodes, found.media, fates) for place, nodes in found.places.items()},
                others=_bundle(store, found.others, found.media, fates),
                prune=_freed(plans[0]),
                prune_all=_freed(plans[1]),
            )


def _fates(store: Store, plans: Sequence[Plan]) -> Sequence[Fate]:
    leaving = [flags(plan.blobs, len(store)) for plan in plans]
    kinds = {(one, both): Fate(one, both) for one in (False, True) for both in (False, True)}
    return [kinds[bool(one), bool(both)] for one, both in zip(*leaving, strict=True)]


def _freed(plan: Plan) -> Freed:
    return Freed(len(plan.pruned), plan.blob_count, plan.reclaimed)


def _bundle(store: Store, nodes: Sequence[int], media: Mapping[int, Media], fates: Sequence[Fate]) -> Bundle:
    ordered = sorted(nodes, key=store.size, reverse=True)
    count: Counter[Fate] = Counter()
    size: Counter[Fate] = Counter()
    for node in ordered[MOST:]:
        count[fates[node]] += 1
        size[fates[node]] += store.size(node)
    return Bundle(
        [Blob(store.digest(node), store.size(node), media.get(node), fates[node]) for node in ordered[:MOST]],
        {fate: (count[fate], size[fate]) for fate in count},
    )
