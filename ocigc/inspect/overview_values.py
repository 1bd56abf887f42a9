"""The values of a report on a layout or a tree: images, bytes, what images share, and what a prune would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from functools import partial

from ocigc.digest import Digest
from ocigc.hard_links import Files, freed, on_disk
from ocigc.image import Media
from ocigc.inspect import growth
from ocigc.inspect.growth import Point
from ocigc.inspect.health import Disk, Health
from ocigc.inspect.usage import Usage
from ocigc.sequences import Joined, Mapped


class Fate(IntFlag):
    """What removes a blob or an image: a prune of dangling images, a prune of all, or a prune of all without
    a policy.
    """

    STAYS = 0
    PRUNE = 1
    ALL = 2
    FREE = 4


NOBODY = -(2**31)
"""The owner of blobs that no image leads to."""

Amounts = Mapping[Fate, tuple[int, int]]
"""By fate: how many blobs there are, and their bytes."""


@dataclass(frozen=True, slots=True)
class Blob:
    """`size` is in bytes. `media` is None for a blob that no image reaches. `platform` is that of a manifest, or empty.
    `owner` is as in `Sharing`.
    """

    digest: Digest
    size: int
    media: Media | None
    fate: Fate
    owner: int = NOBODY
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """A target: one image, under one or more names. `alone` are the bytes that no other unit has; `free` of these would
    go with it if no policy kept them; `rest` are those of blobs that are not listed. `blobs` are the positions of the
    listed blobs of its walk; None where the unit is too small to be listed. `damaged` are messages, each about one of
    its manifests that cannot be read or trusted; `lacking` say what it needs and lacks. `follows` is the owner of what
    it refers to.
    """

    digest: Digest
    size: int
    alone: int
    free: int
    rest: Amounts
    groups: Sequence[int]
    blobs: Sequence[int] | None
    platforms: Sequence[str]
    damaged: Sequence[str]
    lacking: Sequence[str]
    follows: int | None

    @property
    def absent(self) -> bool:
        """Whether its target is absent."""
        return not self.size

    @property
    def troubles(self) -> Sequence[str]:
        """Everything that is wrong with it."""
        return [*self.damaged, *self.lacking]


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """What several units have in common: bytes, of which `free` go with the last of them; `rest` is not listed."""

    size: int
    free: int
    rest: Amounts


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One image. `registry` and `repository` are empty where its name has none; `odd`: its name is not a reference.
    `reasons` are those of a prune and of a prune of all; None where there is no plan. `layout` is its path in a tree.
    """

    usage: Usage
    unit: int
    registry: str
    repository: str
    odd: bool
    fate: Fate
    reasons: tuple[str, str] | None
    layout: str = ""


@dataclass(frozen=True, slots=True)
class RepositorySummary:
    """`size` counts each present blob of its images once, in bytes. `alone` of these are in no other repository. A
    prune would remove `prune` of these, a prune of all `prune_all`.
    """

    registry: str
    name: str
    images: int
    size: int
    alone: int
    prune: int
    prune_all: int

    def plus(self, other: RepositorySummary) -> RepositorySummary:
        """The same repository in two layouts."""
        return RepositorySummary(
            self.registry,
            self.name,
            self.images + other.images,
            self.size + other.size,
            self.alone + other.alone,
            self.prune + other.prune,
            self.prune_all + other.prune_all,
        )


@dataclass(frozen=True, slots=True)
class Freed:
    """What a prune would remove. `bytes` are those that the disk gets back."""

    images: int
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`size` is the bytes of all blobs, of which each belongs to a unit or a group, or is among the `others`, that no
    image leads to: the largest of those, and the rest by fate. `orphaned` of their bytes go with any prune. `files`,
    and what of them would go, tell of hard links. `policy` is the text of the layout's own. `leftovers` counts
    temporary files of other tools, which take some bytes, of which any prune would free some.
    """

    images: Sequence[ImageSummary]
    units: Sequence[Unit]
    groups: Sequence[SharedGroup]
    listed: Sequence[Blob]
    others: Sequence[Blob]
    others_rest: Amounts
    orphaned: int
    repositories: Sequence[RepositorySummary]
    blobs: int
    files: Sequence[Files]
    prune: Freed
    prune_all: Freed
    leaving: Sequence[tuple[Files, Files]]
    health: Health
    disk: Disk | None
    history: Sequence[Point]
    policy: str
    leftovers: int = 0
    leftovers_size: int = 0
    leftovers_freed: int = 0

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(each.size for each in self.files)

    @property
    def on_disk(self) -> int:
        """Bytes on disk: a file with several names counts once."""
        return on_disk(self.files)


def together(parts: Sequence[tuple[str, Overview]]) -> Overview:
    """Several layouts as one, each by its path. Hard links between them count once in what a prune frees."""
    each = [part for _, part in parts]
    units: list[Sequence[Unit]] = []
    images: list[Sequence[ImageSummary]] = []
    listed: list[Blob] = []
    shift = _Shift(0, 0, 0)
    for path, part in parts:
        images.append(Mapped(partial(shift.image, path), part.images))
        units.append(Mapped(shift.unit, part.units))
        listed += (replace(blob, owner=shift.owner(blob.owner)) for blob in part.listed)
        shift = _Shift(shift.units + len(part.units), shift.groups + len(part.groups), len(listed))
    # What is free may differ: they were read one after another.
    disks = {part.disk.device if part.disk else None: part.disk for part in each}
    return Overview(
        images=Joined(images),
        units=Joined(units),
        groups=Joined([part.groups for part in each]),
        listed=listed,
        others=sorted((blob for part in each for blob in part.others), key=lambda blob: -blob.size),
        others_rest=_sum(part.others_rest for part in each),
        orphaned=sum(part.orphaned for part in each),
        repositories=_repositories(each),
        blobs=sum(part.blobs for part in each),
        files=[files for part in each for files in part.files],
        prune=_freed(each, 0),
        prune_all=_freed(each, 1),
        leaving=[files for part in each for files in part.leaving],
        health=_health(parts),
        disk=next(iter(disks.values())) if len(disks) == 1 else None,
        history=growth.together(part.history for part in each),
        policy="",
        leftovers=sum(part.leftovers for part in each),
        leftovers_size=sum(part.leftovers_size for part in each),
        leftovers_freed=sum(part.leftovers_freed for part in each),
    )


@dataclass(frozen=True, slots=True)
class _Shift:
    """By how much the numbers of one layout are shifted in the numbering of all."""

    units: int
    groups: int
    listed: int

    def owner(self, owner: int) -> int:
        if owner == NOBODY:
            return owner
        return owner + self.units if owner >= 0 else owner - self.groups

    def image(self, path: str, image: ImageSummary) -> ImageSummary:
        return replace(image, unit=image.unit + self.units, layout=path)

    def unit(self, unit: Unit) -> Unit:
        return replace(
            unit,
            groups=[number + self.groups for number in unit.groups],
            blobs=None if unit.blobs is None else [number + self.listed for number in unit.blobs],
            follows=None if unit.follows is None else self.owner(unit.follows),
        )


def _sum(amounts: Iterator[Amounts]) -> Amounts:
    counts: Counter[Fate] = Counter()
    sizes: Counter[Fate] = Counter()
    for each in amounts:
        for fate, (count, size) in each.items():
            counts[fate] += count
            sizes[fate] += size
    return {fate: (counts[fate], sizes[fate]) for fate in counts}


def _repositories(parts: Sequence[Overview]) -> list[RepositorySummary]:
    found: dict[tuple[str, str], RepositorySummary] = {}
    for repository in (each for part in parts for each in part.repositories):
        key = repository.registry, repository.name
        known = found.get(key)
        found[key] = repository if known is None else known.plus(repository)
    return list(found.values())


def _freed(parts: Sequence[Overview], which: int) -> Freed:
    each = [(part.prune, part.prune_all)[which] for part in parts]
    leaving = [files[which] for part in parts for files in part.leaving]
    leftovers = sum(part.leftovers_freed for part in parts)
    return Freed(sum(one.images for one in each), sum(one.blobs for one in each), sum(freed(leaving)) + leftovers)


def _health(parts: Sequence[tuple[str, Overview]]) -> Health:
    each = [part.health for _, part in parts]
    verified = [health.verified for health in each]
    return Health(
        verified=None if None in verified else min((time for time in verified if time is not None), default=None),
        corrupt=sum(health.corrupt for health in each),
        incomplete=sum(health.incomplete for health in each),
        damaged=[f"{path}: {message}" for path, part in parts for message in part.health.damaged],
        refused="; ".join(part.health.refused for _, part in parts if part.health.refused),
        runs=sum(health.runs for health in each),
        trashed=sum(health.trashed for health in each),
    )
