"""Reads a layout once for everything that `summary` has."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.explain import Decision, Explanations
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.plan import Plan
from ocigc.gc.policy import Policy
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.hard_links import Files
from ocigc.image import ImageRecord
from ocigc.inspect.growth import points_of
from ocigc.inspect.health import disk_of, health_of
from ocigc.inspect.holdings import Holdings, Targets, lacking_by_target
from ocigc.inspect.sharing import Sharing, sharing
from ocigc.inspect.summary import Fate, Freed, ImageSummary, Overview, RepositorySummary
from ocigc.inspect.usage import Usage, usage
from ocigc.layout import history, lock
from ocigc.layout.configs import measured
from ocigc.layout.damage import load_noting, staying_damage
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import find_leftovers, removable
from ocigc.layout.needs import hollow
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import Elsewhere, Snapshot
from ocigc.native import NO_NODE, Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import PruneOptions, make_plan, request
from ocigc.pruning.policy_file import OWN, own_policy
from ocigc.reference import InvalidReference, parse_normalized
from ocigc.sequences import Lazy
from ocigc.times import Duration

T = TypeVar("T")
Place = tuple[str, str, bool]
"""A registry and a repository, and whether a name is not a reference."""

_POLICY_LIMIT = 1 << 20  # bytes
_FATES = tuple(map(Fate, range(8)))
_BITS = (Fate.PRUNE, Fate.ALL, Fate.FREE)
_ONLY_PRUNE, _ONLY_ALL = (bytes(bool(fate & bit) for fate in range(256)) for bit in (Fate.PRUNE, Fate.ALL))
_REFUSED = "it would be refused: something is damaged"


@accepts_path
def overview(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    rules: RuleSet = SEED,
    default_policy: Policy | None = None,
    elsewhere: Elsewhere | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Overview:
    """Reads a layout for a report. What a prune would do is by the rule set and the layout's own policy, else by
    `default_policy`. A prune that would be refused, for example because of damaged manifests that stay, removes
    nothing, and `Health` says why. What other layouts need of it, by `elsewhere`, stays.

    Raises UsageError where it is not a layout, and Refused where nothing about it can be known.
    """
    with lock.shared(layout, wait):
        policy = own_policy(layout.dir, layout.path, watch) or default_policy
        return _Look(layout, in_use, repository, rules, policy, elsewhere, watch).overview()


class _Look:
    """One reading of a layout. `refused` says why a prune would be."""

    def __init__(
        self,
        layout: Layout,
        in_use: InUse | None,
        repository: str | None,
        rules: RuleSet,
        policy: Policy | None,
        elsewhere: Elsewhere | None,
        watch: Watcher,
    ) -> None:
        self.layout = layout
        self.repository = repository
        self.policy = policy
        self.elsewhere = elsewhere
        self.watch = watch
        self.refused = ""
        self.requests = [request(prune_all=each, in_use=in_use, rules=rules) for each in (False, True)]

    def overview(self) -> Overview:
        """Raises UsageError and Refused."""
        asked = self.requests[0]
        snapshot = load_noting(
            self.layout,
            self.repository,
            asked.now,
            self.watch,
            in_grace_after=asked.now - asked.grace,
            measure=True,
            elsewhere=self.elsewhere,
        )
        with snapshot.store as store:
            return self._tell(measured(snapshot, self.watch), store)

    def _tell(self, snapshot: Snapshot, store: Store) -> Overview:
        now = self.requests[0].now
        used = usage(snapshot, self.requests[0].in_use, now)
        images = snapshot.images.in_order()
        targets, units = _targets(images, used.sizes(), store)
        found = sharing(targets.nodes, targets.medias, store)
        plans = self._plans_not_refused(snapshot)
        bits = [(bit, plan) for bit, plan in zip(_BITS, plans, strict=True) if plan is not None]
        blobs = Holdings(store, found, bits)
        faults = {node: str(error) for node, error in store.faults()} | _hollow(store)
        told = blobs.units(targets, snapshot, faults, lacking_by_target(snapshot))
        summaries = ImageSummaries(
            used,
            units,
            _Column(self._places(images)),
            bytes(map(_image_fates(bits, len(snapshot.targets)).__getitem__, images.positions)),
            _Column(_reasons(plans[:2], snapshot, images)),
        )
        leftovers = find_leftovers(self.layout.dir, store.foreign()[1])
        removed = removable(self.layout.dir, leftovers, now, self.requests[0].grace)
        dead = sum(each.size for each in removed)
        return Overview(
            images=summaries,
            units=told,
            groups=blobs.groups(),
            listed=blobs.listed,
            others=blobs.others,
            others_rest=blobs.others_rest,
            orphaned=blobs.orphaned,
            repositories=_repositories(summaries, found, blobs, store),
            blobs=len(store),
            files=[store.files(range(len(store)))],
            prune=_freed(plans[0], dead),
            prune_all=_freed(plans[1], dead),
            leaving=[(_files(plans[0], store), _files(plans[1], store))],
            health=health_of(self.layout, snapshot, now, self.refused),
            disk=disk_of(self.layout),
            history=points_of(history.read(self.layout)),
            policy=self._policy_text(),
            leftovers=sum(len(each.files) for each in leftovers),
            leftovers_size=sum(each.size for each in leftovers),
            leftovers_freed=dead,
        )

    def _plans_not_refused(self, snapshot: Snapshot) -> list[Plan | None]:
        """The plans; None for a plan that would be refused."""
        try:
            plans = self._plans(snapshot)
        except Refused as error:
            self.refused = str(error)
            return [None, None, None]
        damage = [staying_damage(snapshot, plan.blobs) for plan in plans]
        if damage[0]:
            self.refused = str(damage[0][0])
        return [None if damaged else plan for plan, damaged in zip(plans, damage, strict=True)]

    def _plans(self, snapshot: Snapshot) -> list[Plan]:
        """The plans of a prune, of a prune of all, and of a prune of all without a policy. The last is made first,
        because under a policy, referrers may be detached.
        """
        default, everything = self.requests
        base = PruneOptions(repository=self.repository, own_policy=False, match_in_use=False)
        free = replace(base, request=everything)
        unbound = make_plan(snapshot, free, self.watch)[1]
        if self.policy is None:
            return [make_plan(snapshot, replace(base, request=default), self.watch)[1], unbound, unbound]
        governed = [replace(base, request=each, policy=self.policy) for each in self.requests]
        return [*(make_plan(snapshot, each, self.watch)[1] for each in governed), unbound]

    def _places(self, images: Images) -> Iterator[Place]:
        """Of each image the registry and the repository in its name, and whether that is not a reference."""
        domains: dict[str, str] = {}
        for position, repository in zip(images.positions, images.repositories(self.repository), strict=True):
            if not repository:
                yield "", "", _is_odd(images[position])
                continue
            if repository not in domains:
                domains[repository] = parse_normalized(repository).domain
            yield domains[repository], repository, False

    def _policy_text(self) -> str:
        with suppress(OSError, Refused):
            return self.layout.dir.read(OWN, _POLICY_LIMIT).decode(errors="replace")
        return ""


def _is_odd(image: ImageRecord) -> bool:
    if image.dangling or image.bare_tag:
        return False
    try:
        parse_normalized(image.name)
    except InvalidReference:
        return True
    return False


def _image_fates(plans: Sequence[tuple[Fate, Plan]], entries: int) -> bytearray:
    """By position what removes an image."""
    found = bytearray(entries)
    for bit, plan in plans:
        number = int(bit)  # to ask an enum takes longer
        for position in plan.pruned.positions:
            found[position] |= number
    return found


def _reasons(plans: Sequence[Plan | None], snapshot: Snapshot, images: Images) -> Iterator[tuple[str, ...]]:
    """Of each image what each plan says of it."""
    told = [[_REFUSED] * len(snapshot.targets) for _ in plans]
    for plan, words in zip(plans, told, strict=True):
        if plan is not None:
            for position, decision, rule, by in Explanations(plan, snapshot.relations, snapshot.store).rules():
                words[position] = _worded(decision, rule, by)
    return ((*(words[position] for words in told),) for position in images.positions)


def _worded(decision: Decision, rule: str, by: str) -> str:
    said = f"{rule} ({by})" if by else rule
    return f"loses its name: {said}" if decision is Decision.LOSES_NAME else said


def _freed(plan: Plan | None, leftovers: int) -> Freed:
    if plan is None:
        return Freed(0, 0, 0)
    return Freed(len(plan.pruned), plan.blob_count, plan.reclaimed + leftovers)


def _files(plan: Plan | None, store: Store) -> Files:
    return store.files(() if plan is None else plan.blobs)


def _hollow(store: Store) -> dict[int, str]:
    """Files of 0 bytes that should not be empty, with what is wrong with them."""
    return {node: f"{store.digest(node)} is a file of 0 bytes" for node in hollow(store)}


def _targets(images: Images, sizes: Sequence[int], store: Store) -> tuple[Targets, array[int]]:
    """The targets of images, the largest first, as the page has room for these; and the number of each image's."""
    nodes, medias = images.targets(store), images.medias()
    # An absent target has no node.
    keys: list[int | Digest] = [
        node if node != NO_NODE else images[position].target.digest
        for position, node in zip(images.positions, nodes, strict=True)
    ]
    last = {key: place for place, key in enumerate(keys)}
    present = [key for key in last if isinstance(key, int)]
    digests: dict[int | Digest, Digest] = {key: key for key in last if isinstance(key, Digest)}
    digests.update(zip(present, store.digests(present), strict=True))
    order = sorted(last, key=lambda key: (-sizes[last[key]], digests[key]))
    numbers = {key: number for number, key in enumerate(order)}
    places = [last[key] for key in order]
    targets = Targets(
        [digests[key] for key in order],
        array("I", map(nodes.__getitem__, places)),
        bytes(map(medias.__getitem__, places)),
        array("Q", map(sizes.__getitem__, places)),
    )
    return targets, array("I", map(numbers.__getitem__, keys))


class _Column(Lazy[T]):
    """Values of images, of which many have the same: each of these is there once."""

    def __init__(self, values: Iterable[T]) -> None:
        numbers: dict[T, int] = {}
        self._numbers = array("I", (numbers.setdefault(value, len(numbers)) for value in values))
        self._values = list(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def _make(self, place: int) -> T:
        return self._values[self._numbers[place]]

    def __iter__(self) -> Iterator[T]:
        return map(self._values.__getitem__, self._numbers)


class ImageSummaries(Lazy[ImageSummary]):
    """The images of a layout, each made when it is asked for. The columns have an item per image."""

    def __init__(
        self,
        usages: Sequence[Usage],
        units: Sequence[int],
        places: Sequence[Place],
        fates: bytes,
        reasons: Sequence[tuple[str, ...]],
    ) -> None:
        self._usages = usages
        self._units = units
        self._places = places
        self._fates = fates
        self._reasons = reasons

    def __len__(self) -> int:
        return len(self._units)

    def _make(self, place: int) -> ImageSummary:
        return self._made(
            self._usages[place], self._units[place], self._places[place], self._fates[place], self._reasons[place]
        )

    def __iter__(self) -> Iterator[ImageSummary]:
        return map(self._made, self._usages, self._units, self._places, self._fates, self._reasons)

    @staticmethod
    def _made(usage: Usage, unit: int, place: Place, fate: int, reasons: tuple[str, ...]) -> ImageSummary:
        registry, repository, odd = place
        prune, prune_all = reasons
        return ImageSummary(usage, unit, registry, repository, odd, _FATES[fate], (prune, prune_all))

    def in_repositories(self) -> Iterator[tuple[tuple[str, str], int]]:
        """The registry and repository of each image, and the number of its unit."""
        return (((registry, name), unit) for (registry, name, _), unit in zip(self._places, self._units, strict=True))


def _repositories(images: ImageSummaries, found: Sharing, blobs: Holdings, store: Store) -> list[RepositorySummary]:
    """The repositories by name."""
    units: dict[tuple[str, str], set[int]] = {}
    count: Counter[tuple[str, str]] = Counter()
    for place, unit in images.in_repositories():
        count[place] += 1
        units.setdefault(place, set()).add(unit)
    places = sorted(units)
    nodes, ends = array("I"), array("I")
    for place in places:
        for unit in units[place]:
            nodes.extend(found.nodes(unit))
        ends.append(len(nodes))
    taken = store.usage(nodes, None, ends, blobs.fates.translate(_ONLY_PRUNE))
    taken_all = store.usage(nodes, None, ends, blobs.fates.translate(_ONLY_ALL))
    return [
        RepositorySummary(*place, count[place], size, size - shared, pruned, pruned_all)
        for place, (size, shared, pruned, _), (_, _, pruned_all, _) in zip(places, taken, taken_all, strict=True)
    ]
