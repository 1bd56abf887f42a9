"""The blobs of a store, by owner and by what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ocigc.digest import Digest
from ocigc.gc.graph import flags
from ocigc.gc.plan import Plan
from ocigc.image import Media
from ocigc.inspect.sharing import NOBODY, Sharing
from ocigc.inspect.summary import Amounts, Blob, Fate, SharedGroup, Unit
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.manifests import Documents
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store

LISTED = 120_000
LISTED_LEAST = 20_000
"""How many blobs of images are listed: this many, less the number of images, of the largest images."""
LARGEST = 40
"""How many blobs that no image leads to are listed."""
_FATES = tuple(map(Fate, range(8)))
_NAMED = 3  # absent blobs


class Holdings:
    """The blobs of a store by owner and fate. Those of the largest units are listed one by one."""

    def __init__(self, store: Store, found: Sharing, plans: Sequence[tuple[Fate, Plan]]) -> None:
        self._store = store
        self._sizes = store.sizes()
        self._found = found
        fates = bytearray(len(store))
        for bit, plan in plans:
            number = int(bit)  # to ask an enum takes longer
            for node in plan.blobs:
                fates[node] |= number
        self.fates = fates
        self.listed: list[Blob] = []
        self._positions: dict[int, int] = {}
        self._nobodys()

    def units(
        self,
        sizes: Mapping[Digest, int],
        snapshot: Snapshot,
        faults: Mapping[int, str],
        lacking: Mapping[Digest, Sequence[str]],
    ) -> Iterator[Unit]:
        """The units by digest, in the given order. Their blobs are listed while there is room."""
        follows = _followed(snapshot, self._found)
        documents = Documents(self._store)
        walks: list[Sequence[int] | None] = []
        platforms: list[Sequence[str]] = []
        listed = 0
        room = max(LISTED - len(sizes), LISTED_LEAST)
        for number in range(len(sizes)):
            listed += len(self._found.nodes(number))
            if listed > room:
                walks.append(None)
                platforms.append(())
                continue
            walk = list(self._found.walk(number))
            known = dict(_platforms(documents, self._store, walk))
            walks.append([self._list(node, media, known.get(node, "")) for node, media in walk])
            platforms.append(sorted(set(known.values())))
        self._amounts()
        for number, (digest, size) in enumerate(sizes.items()):
            nodes = self._found.nodes(number) if faults else ()
            rest, alone, free = self._of(number)
            yield Unit(
                digest,
                size,
                alone,
                free,
                rest,
                self._found.groups[number],
                walks[number],
                platforms[number],
                [faults[node] for node in nodes if node in faults],
                lacking.get(digest, ()),
                follows.get(digest),
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

    def _amounts(self) -> None:
        """Adds up what each owner has, listed or not."""
        self._alone: Counter[int] = Counter()
        self._free: Counter[int] = Counter()
        self._rest: dict[int, dict[int, tuple[int, int]]] = {}
        free = int(Fate.FREE)
        listed, alone = flags(self._positions, len(self._sizes)), self._alone
        for owner, size, fate, is_listed in zip(self._found.owners, self._sizes, self.fates, listed, strict=True):
            if owner == NOBODY:
                continue
            alone[owner] += size
            if fate & free:
                self._free[owner] += size
            if not is_listed:
                rest = self._rest.setdefault(owner, {})
                count, total = rest.get(fate, (0, 0))
                rest[fate] = count + 1, total + size

    def _of(self, owner: int) -> tuple[Amounts, int, int]:
        rest = {_FATES[fate]: amount for fate, amount in self._rest.get(owner, {}).items()}
        return rest, self._alone[owner], self._free[owner]

    def groups(self) -> list[SharedGroup]:
        """The groups by number, after the units."""
        found = map(self._of, range(-1, -1 - self._found.count, -1))
        return [SharedGroup(size, free, rest) for rest, size, free in found]

    def _nobodys(self) -> None:
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


def _followed(snapshot: Snapshot, found: Sharing) -> dict[Digest, int]:
    """For the targets of referrers, the owner of what they refer to."""
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
    """The platforms of manifests, as an index states them, or else the config of the only manifest."""
    for node, media in walk:
        if media == Media.INDEX:
            for child in documents.children(node):
                manifest = store.find(child.descriptor.digest)
                if manifest is not None and child.platform and not child.attestation:
                    yield manifest, child.platform
        elif media == Media.CONFIG and walk[0][1] == Media.MANIFEST and (platform := documents.platform(node)):
            yield walk[0][0], platform
