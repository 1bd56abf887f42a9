"""Who owns a blob: one image alone, a group of images, or none. And the blobs of a store by owner and by fate (what a
prune does with them).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.gc.graph import flags
from ocigc.gc.plan import Plan
from ocigc.image import Media
from ocigc.inspect.overview_values import NOBODY, Amounts, Blob, Fate, SharedGroup, Unit
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.manifests import Documents
from ocigc.layout.snapshot import Snapshot
from ocigc.native import FateAmounts, Store
from ocigc.sequences import Lazy, Slices

LISTED = 120_000
LISTED_LEAST = 20_000
"""How many blobs of images are listed: this number less the number of images, those of the largest images."""
LARGEST = 40
"""How many blobs that no image leads to are listed."""
_FATES = tuple(map(Fate, range(8)))
_MEDIAS = tuple(Media)
_NAMED = 3  # absent blobs


@dataclass(frozen=True, slots=True)
class Sharing:
    """A unit is a target: one image, under one or more names. A group is a set of several units that have the same
    blobs in common. `owners` has, for each node, the unit that has it alone (0, 1, …), or a group as ~number (-1, -2,
    …), or NOBODY. `groups` has, for each unit, its groups, ascending; `count` is how many groups there are.
    """

    owners: array[int]
    groups: Sequence[Sequence[int]]
    count: int
    _nodes: array[int]
    _medias: bytes
    _starts: Sequence[int]

    def nodes(self, unit: int) -> Sequence[int]:
        """What a unit has, in the order of its walk."""
        return self._nodes[self._starts[unit] : self._starts[unit + 1]]

    def count_of(self, unit: int) -> int:
        """How many nodes a unit has."""
        return self._starts[unit + 1] - self._starts[unit]

    def walk(self, unit: int) -> Iterator[tuple[int, Media]]:
        """The same, with what each node is read as."""
        medias = self._medias[self._starts[unit] : self._starts[unit + 1]]
        return zip(self.nodes(unit), map(_MEDIAS.__getitem__, medias), strict=True)


def sharing(roots: array[int], medias: bytes, store: Store) -> Sharing:
    """Gives each node its owner. Unit n is the image with the target roots[n] (NO_NODE: absent), read as medias[n].
    Referrers without an entry of their own belong to the images that they refer to.

    Each unit has a random number, and the sum of the numbers of all units that have a node identifies its group. The
    chance that two groups are taken for one is about one in 10^19.
    """
    random_number = random.Random(len(roots)).getrandbits
    found = store.sharing(roots, medias, array("Q", (random_number(64) for _ in roots)))
    groups = Slices(found.unit_groups, found.group_starts)
    return Sharing(found.owners, groups, found.groups, found.nodes, found.medias, found.starts)


class OwnedBlobs:
    """The blobs of a store by owner and fate. Those of the largest units are listed one by one."""

    def __init__(self, store: Store, found: Sharing, plans: Mapping[Fate, Plan]) -> None:
        self._store = store
        self._sizes = store.sizes()
        self._found = found
        fates = bytearray(len(store))
        for bit, plan in plans.items():
            number = int(bit)  # looking it up in the enum takes longer
            for node in plan.blobs:
                fates[node] |= number
        self.fates = fates
        self.listed: list[Blob] = []
        self._positions: dict[int, int] = {}
        self._unowned()

    def units(
        self,
        targets: Targets,
        snapshot: Snapshot,
        faults: Mapping[int, str],
        lacking: Mapping[Digest, Sequence[str]],
    ) -> Units:
        """The units in the given order. Their blobs are listed while there is room."""
        found = self._found
        documents = Documents(self._store)
        walks: list[Sequence[int]] = []
        platforms: list[Sequence[str]] = []
        room = max(LISTED - len(targets), LISTED_LEAST)
        for number in range(len(targets)):
            room -= found.count_of(number)
            if room < 0:
                break
            walk = list(found.walk(number))
            known = dict(_platforms(documents, self._store, walk))
            walks.append([self._list(node, media, known.get(node, "")) for node, media in walk])
            platforms.append(sorted(set(known.values())))
        self._measure(len(targets))
        return Units(
            targets,
            self._amounts,
            found.groups,
            walks,
            platforms,
            _damaged(found, faults, len(targets)) if faults else {},
            lacking,
            _followed(snapshot, found),
        )

    def _list(self, node: int, media: Media, platform: str) -> int:
        position = self._positions.get(node)
        if position is None:
            position = self._positions[node] = len(self.listed)
            owner = self._found.owners[node]
            self.listed.append(self._blob(node, media, owner, platform))
        return position

    def _blob(self, node: int, media: Media | None, owner: int = NOBODY, platform: str = "") -> Blob:
        return Blob(self._store.digest(node), self._sizes[node], media, _FATES[self.fates[node]], owner, platform)

    def _measure(self, units: int) -> None:
        """Adds up what each owner has, listed or not."""
        listed = flags(self._positions, len(self._sizes))
        self._amounts = self._store.amounts(
            self._found.owners, units, self._found.count, self.fates, listed, int(Fate.FREE)
        )

    def groups(self) -> SharedGroups:
        """The groups by number, after the units."""
        return SharedGroups(self._amounts, self._found.count)

    def _unowned(self) -> None:
        """The blobs that no image leads to: the largest, the rest, and how many of their bytes go."""
        nodes = [node for node, owner in enumerate(self._found.owners) if owner == NOBODY]
        nodes.sort(key=self._sizes.__getitem__, reverse=True)
        rest: dict[Fate, tuple[int, int]] = {}
        for node in nodes[LARGEST:]:
            fate = _FATES[self.fates[node]]
            count, total = rest.get(fate, (0, 0))
            rest[fate] = count + 1, total + self._sizes[node]
        free = int(Fate.FREE)
        self.others = [self._blob(node, None) for node in nodes[:LARGEST]]
        self.others_rest: Amounts = rest
        self.orphaned = sum(self._sizes[node] for node in nodes if self.fates[node] & free)


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of units, as columns: their digests, nodes (NO_NODE: absent), what they are read as, and the bytes of
    the images.
    """

    digests: Sequence[Digest]
    nodes: array[int]
    medias: bytes
    sizes: array[int]

    def __len__(self) -> int:
        return len(self.digests)


class Units(Lazy[Unit]):
    """The units of a layout, each made when it is asked for."""

    def __init__(
        self,
        targets: Targets,
        amounts: FateAmounts,
        groups: Sequence[Sequence[int]],
        walks: Sequence[Sequence[int]],
        platforms: Sequence[Sequence[str]],
        damaged: Mapping[int, Sequence[str]],
        lacking: Mapping[Digest, Sequence[str]],
        follows: Mapping[Digest, int],
    ) -> None:
        """What units have, by number, and what is wrong with them; `walks` and `platforms` are for the first units."""
        self._targets = targets
        self._amounts = amounts
        self._groups = groups
        self._walks = walks
        self._platforms = platforms
        self._damaged = damaged
        self._lacking = lacking
        self._follows = follows

    def __len__(self) -> int:
        return len(self._targets)

    def _make(self, place: int) -> Unit:
        digest = self._targets.digests[place]
        listed = place < len(self._walks)
        return Unit(
            digest,
            self._targets.sizes[place],
            self._amounts.alone[place],
            self._amounts.flagged[place],
            _rest(self._amounts, place),
            self._groups[place],
            self._walks[place] if listed else None,
            self._platforms[place] if listed else (),
            self._damaged.get(place, ()),
            self._lacking.get(digest, ()),
            self._follows.get(digest),
        )


class SharedGroups(Lazy[SharedGroup]):
    """The groups of a layout, each made when it is asked for."""

    def __init__(self, amounts: FateAmounts, count: int) -> None:
        self._amounts = amounts
        self._count = count

    def __len__(self) -> int:
        return self._count

    def _make(self, place: int) -> SharedGroup:
        owner = len(self._amounts.alone) - self._count + place
        return SharedGroup(self._amounts.alone[owner], self._amounts.flagged[owner], _rest(self._amounts, owner))


def _rest(amounts: FateAmounts, owner: int) -> Amounts:
    rows = amounts.rows
    places = range(amounts.starts[owner], amounts.starts[owner + 1])
    return {_FATES[fate]: (count, size) for size, count, fate in map(rows.__getitem__, places)}


def _damaged(found: Sharing, faults: Mapping[int, str], units: int) -> dict[int, list[str]]:
    """By unit the faults of its nodes."""
    damaged = {unit: [faults[node] for node in found.nodes(unit) if node in faults] for unit in range(units)}
    return {unit: messages for unit, messages in damaged.items() if messages}


def _followed(snapshot: Snapshot, found: Sharing) -> dict[Digest, int]:
    """By target of a referrer, the owner of what it refers to."""
    return {
        snapshot.images[position].target.digest: found.owners[subjects[0]]
        for position, subjects in snapshot.relations.subjects.items()
        if found.owners[subjects[0]] != NOBODY
    }


def lacking_by_target(snapshot: Snapshot) -> dict[Digest, list[str]]:
    """What images lack, in words, by the digests of their targets."""
    found: dict[Digest, dict[str, None]] = {}
    for each in incomplete_images(snapshot):
        target = each.image.target.digest
        what = f"{each.platform}: " if each.platform else ""
        if [missing.digest for missing in each.missing] == [target]:
            said = f"{target}, its manifest, is absent"
        else:
            digests = ", ".join(missing.digest.short for missing in each.missing[:_NAMED])
            more = f" and {len(each.missing) - _NAMED} more" if len(each.missing) > _NAMED else ""
            said = f"{what}{digests}{more} absent"
        found.setdefault(target, {})[said] = None
    return {target: list(said) for target, said in found.items()}


def _platforms(documents: Documents, store: Store, walk: Sequence[tuple[int, Media]]) -> Iterator[tuple[int, str]]:
    """The platforms of manifests, as an index states them, or else as the config of the only manifest does."""
    for node, media in walk:
        if media == Media.INDEX:
            for child in documents.children(node):
                manifest = store.find(child.descriptor.digest)
                if manifest is not None and child.platform and not child.attestation:
                    yield manifest, child.platform
        elif media == Media.CONFIG and walk[0][1] == Media.MANIFEST and (platform := documents.platform(node)):
            yield walk[0][0], platform
