"""Looks at a layout: everything that `summary` has, from one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.explain import Decision, Explanation, Explanations
from ocigc.gc.in_use import InUse
from ocigc.gc.plan import Plan
from ocigc.gc.policy import Policy
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import ImageRecord, Media, repository_of
from ocigc.inspect import history
from ocigc.inspect.health import disk_of, health_of
from ocigc.inspect.sharing import NOBODY, Sharing, sharing
from ocigc.inspect.summary import (
    Amounts,
    Blob,
    Fate,
    Freed,
    Group,
    ImageSummary,
    Overview,
    RepositorySummary,
    Unit,
)
from ocigc.inspect.usage import usage
from ocigc.layout import lock
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.documents import Documents
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import find_leftovers, removable
from ocigc.layout.snapshot import Snapshot, load, with_created
from ocigc.native import Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import PruneOptions, make_plan, request
from ocigc.pruning.policy_file import OWN, own_policy
from ocigc.reference import InvalidReference, parse_normalized

LISTED = 120_000
LISTED_LEAST = 20_000
"""How many blobs of images are listed, those of the largest images: so many less the number of images, but some."""
LARGEST = 40
"""How many of the blobs that no image leads to are."""
_NAMED = 3  # absent blobs
_POLICY_LIMIT = 1 << 20  # bytes


def overview(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    rules: RuleSet = SEED,
    default_policy: Policy | None = None,
    wait: float = 0,
    watch: Watcher = SILENT,
) -> Overview:
    """Looks at a layout. What a prune would do is by the rule set and the layout's own policy, else by
    `default_policy`. Where a prune would be refused, as of damaged manifests, there is no plan: nothing goes, and
    `Health` says why.

    Raises UsageError where it is no layout, and Refused where nothing can be known of it.
    """
    with lock.shared(layout, wait):
        policy = own_policy(layout.dir, layout.path, watch) or default_policy
        try:
            return _Look(layout, in_use, repository, rules, policy, watch).overview()
        except Refused as error:
            return _Look(layout, in_use, repository, rules, policy, watch, str(error)).overview()


class _Look:
    """One reading of a layout; with `refused`, one that bad manifests do not stop, and that plans nothing."""

    def __init__(
        self,
        layout: Layout,
        in_use: InUse | None,
        repository: str | None,
        rules: RuleSet,
        policy: Policy | None,
        watch: Watcher,
        refused: str = "",
    ) -> None:
        self.layout = layout
        self.repository = repository
        self.policy = policy
        self.watch = watch
        self.refused = refused
        self.requests = [request(prune_all=each, in_use=in_use, rules=rules) for each in (False, True)]

    def overview(self) -> Overview:
        """Raises UsageError and Refused."""
        asked = self.requests[0]
        snapshot = load(
            self.layout,
            self.repository,
            asked.now,
            self.watch,
            in_grace_after=asked.now - asked.grace,
            record=bool(self.refused),
        )
        with snapshot.store as store:
            store.stat(report=self.watch("Reading sizes"))
            return self._tell(with_created(snapshot), store)

    def _tell(self, snapshot: Snapshot, store: Store) -> Overview:
        now = self.requests[0].now
        leases = [lease for lease in snapshot.leases if lease.active(now)]
        used = usage(snapshot.images.in_order(), snapshot.relations, store, leases, self.requests[0].in_use)
        # The largest first: those are what the page has room for.
        sizes = {each.image.target.digest: (each.size, each.image.target) for each in used}
        targets = [target for _, target in sorted(sizes.values(), key=lambda one: (-one[0], one[1].digest))]
        found = sharing(targets, store)
        plans = [] if self.refused else self._plans(snapshot)
        bits = list(zip((Fate.PRUNE, Fate.ALL, Fate.FREE), plans, strict=True)) if plans else []
        blobs = _Blobs(store, found, bits)
        faults = {node: str(error) for node, error in store.faults()}
        lacking = _lacking(snapshot)
        units = list(blobs.units({each.digest: sizes[each.digest][0] for each in targets}, snapshot, faults, lacking))
        numbers = {target.digest: number for number, target in enumerate(targets)}
        reasons = [dict(map(_worded, Explanations(plan, snapshot.relations, store))) for plan in plans[:2]]
        fates = _image_fates(bits)
        images = [
            ImageSummary(
                each,
                numbers[each.image.target.digest],
                *self._place(each.image),
                fates.get(each.image.position, Fate.STAYS),
                (reasons[0][each.image.position], reasons[1][each.image.position]) if reasons else None,
            )
            for each in used
        ]
        leftovers = find_leftovers(self.layout.dir, store.foreign()[1])
        removed = removable(self.layout.dir, leftovers, now, self.requests[0].grace) if plans else ()
        dead = sum(each.size for each in removed)
        return Overview(
            images=images,
            units=units,
            groups=blobs.groups(),
            listed=blobs.listed,
            others=blobs.others,
            others_rest=blobs.others_rest,
            orphaned=blobs.orphaned,
            repositories=_repositories(images, found, blobs),
            blobs=len(store),
            files=[store.files(range(len(store)))],
            prune=_freed(plans, 0, dead),
            prune_all=_freed(plans, 1, dead),
            leaving=[(store.files(plans[0].blobs), store.files(plans[1].blobs))] if plans else [],
            health=health_of(self.layout, snapshot, now, self.refused),
            disk=disk_of(self.layout),
            history=history.points(history.read(self.layout)),
            policy=self._policy_text(),
            leftovers=sum(len(each.files) for each in leftovers),
            leftovers_size=sum(each.size for each in leftovers),
            leftovers_freed=dead,
        )

    def _plans(self, snapshot: Snapshot) -> list[Plan]:
        """A prune's, one of all, and one of all where there is no policy. The last is made first: under a policy,
        referrers may be detached."""
        default, everything = self.requests
        base = PruneOptions(repository=self.repository, own_policy=False, match_in_use=False)
        free = replace(base, request=everything)
        unbound = make_plan(snapshot, free, self.watch)[1]
        if self.policy is None:
            return [make_plan(snapshot, replace(base, request=default), self.watch)[1], unbound, unbound]
        governed = [replace(base, request=each, policy=self.policy) for each in self.requests]
        return [*(make_plan(snapshot, each, self.watch)[1] for each in governed), unbound]

    def _place(self, image: ImageRecord) -> tuple[str, str, bool]:
        """Registry, repository, and whether the name is no reference."""
        repository = repository_of(image, self.repository)
        if repository:
            return parse_normalized(repository).domain, repository, False
        try:
            odd = not image.dangling and not image.bare_tag and not parse_normalized(image.name)
        except InvalidReference:
            odd = True
        return "", "", odd

    def _policy_text(self) -> str:
        with suppress(OSError, Refused):
            return self.layout.dir.read(OWN, _POLICY_LIMIT).decode(errors="replace")
        return ""


class _Blobs:
    """The blobs of a store by owner and fate; those of the largest units one by one."""

    def __init__(self, store: Store, found: Sharing, plans: Sequence[tuple[Fate, Plan]]) -> None:
        self._store = store
        self.size = store.size
        self._found = found
        fates = bytearray(len(store))
        for bit, plan in plans:
            for node in plan.blobs:
                fates[node] |= bit
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
        """The units by digest, in the order given: their blobs are listed while there is room."""
        follows = _followed(snapshot, self._found)
        documents = Documents(self._store)
        walks: list[Sequence[int] | None] = []
        platforms: list[Sequence[str]] = []
        listed = 0
        room = max(LISTED - len(sizes), LISTED_LEAST)
        for number in range(len(sizes)):
            walk = list(self._found.walk(number))
            listed += len(walk)
            if listed > room:
                walks.append(None)
                platforms.append(())
                continue
            known = dict(_platforms(documents, self._store, walk))
            walks.append([self._list(node, media, known.get(node, "")) for node, media in walk])
            platforms.append(sorted(set(known.values())))
        self._amounts()
        for number, (digest, size) in enumerate(sizes.items()):
            nodes = [node for node, _ in self._found.walk(number)]
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
        return Blob(self._store.digest(node), self._store.size(node), media, Fate(self.fates[node]), owner, platform)

    def _amounts(self) -> None:
        """Adds up what each owner has, listed or not."""
        self._sizes: Counter[int] = Counter()
        self._free: Counter[int] = Counter()
        self._rest: dict[int, dict[int, tuple[int, int]]] = {}
        free = int(Fate.FREE)  # to ask an enum takes longer
        for node, owner in enumerate(self._found.owners):
            if owner == NOBODY:
                continue
            size, fate = self._store.size(node), self.fates[node]
            self._sizes[owner] += size
            if fate & free:
                self._free[owner] += size
            if node not in self._positions:
                rest = self._rest.setdefault(owner, {})
                count, total = rest.get(fate, (0, 0))
                rest[fate] = count + 1, total + size

    def _of(self, owner: int) -> tuple[Amounts, int, int]:
        rest = {Fate(fate): amount for fate, amount in self._rest.get(owner, {}).items()}
        return rest, self._sizes[owner], self._free[owner]

    def groups(self) -> list[Group]:
        """The groups by number, once the units are told."""
        found = map(self._of, range(-1, -1 - self._found.count, -1))
        return [Group(size, free, rest) for rest, size, free in found]

    def _nobodys(self) -> None:
        """Tells of the blobs that no image leads to: the largest, the rest, and how many of their bytes go."""
        nodes = [node for node, owner in enumerate(self._found.owners) if owner == NOBODY]
        nodes.sort(key=self.size, reverse=True)
        rest: dict[Fate, tuple[int, int]] = {}
        for node in nodes[LARGEST:]:
            fate = Fate(self.fates[node])
            count, total = rest.get(fate, (0, 0))
            rest[fate] = count + 1, total + self.size(node)
        self.others = [self._blob(node, None) for node in nodes[:LARGEST]]
        self.others_rest: Amounts = rest
        self.orphaned = sum(self.size(node) for node in nodes if self.fates[node] & Fate.FREE)


def _image_fates(plans: Sequence[tuple[Fate, Plan]]) -> dict[int, Fate]:
    found: dict[int, Fate] = {}
    for bit, plan in plans:
        for position in plan.pruned.positions:
            found[position] = found.get(position, Fate.STAYS) | bit
    return found


def _worded(explanation: Explanation) -> tuple[int, str]:
    rule = f"{explanation.rule} ({explanation.by})" if explanation.by else explanation.rule
    if explanation.decision == Decision.LOSES_NAME:
        rule = f"loses its name: {rule}"
    return explanation.image.position, rule


def _freed(plans: Sequence[Plan], which: int, leftovers: int) -> Freed:
    if not plans:
        return Freed(0, 0, 0)
    return Freed(len(plans[which].pruned), plans[which].blob_count, plans[which].reclaimed + leftovers)


def _followed(snapshot: Snapshot, found: Sharing) -> dict[Digest, int]:
    """Of the targets of referrers, the owner of what they refer to."""
    return {
        snapshot.images[position].target.digest: found.owners[subjects[0]]
        for position, subjects in snapshot.relations.subjects.items()
        if found.owners[subjects[0]] != NOBODY
    }


def _lacking(snapshot: Snapshot) -> dict[Digest, list[str]]:
    """What images lack, in words, by the digests of their targets."""
    found: dict[Digest, dict[str, None]] = {}
    for each in incomplete_images(snapshot.images, snapshot.store):
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
    """The platforms of manifests, as an index says, or else the config of the only one."""
    for node, media in walk:
        if media == Media.INDEX:
            for child in documents.children(node):
                manifest = store.find(child.descriptor.digest)
                if manifest is not None and child.platform and not child.attestation:
                    yield manifest, child.platform
        elif media == Media.CONFIG and walk[0][1] == Media.MANIFEST and (platform := documents.platform(node)):
            yield walk[0][0], platform


def _repositories(images: Sequence[ImageSummary], found: Sharing, blobs: _Blobs) -> list[RepositorySummary]:
    """The repositories by name."""
    units: dict[tuple[str, str], set[int]] = {}
    count: Counter[tuple[str, str]] = Counter()
    for image in images:
        place = image.registry, image.repository
        count[place] += 1
        units.setdefault(place, set()).add(image.unit)
    nodes = {place: {node for unit in held for node, _ in found.walk(unit)} for place, held in units.items()}
    holders = Counter(node for held in nodes.values() for node in held)
    size = blobs.size
    return [
        RepositorySummary(
            *place,
            count[place],
            sum(map(size, held)),
            sum(size(node) for node in held if holders[node] == 1),
            *(sum(size(node) for node in held if blobs.fates[node] & bit) for bit in (int(Fate.PRUNE), int(Fate.ALL))),
        )
        for place, held in sorted(nodes.items())
    ]
