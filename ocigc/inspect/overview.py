"""Reads a layout once for everything that `summary` has."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from ocigc.errors import Refused
from ocigc.gc.explain import Decision, Explanation, Explanations
from ocigc.gc.in_use import InUse
from ocigc.gc.plan import Plan
from ocigc.gc.policy import Policy
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.hard_links import Files
from ocigc.image import Descriptor, ImageRecord, repository_of
from ocigc.inspect.growth import points_of
from ocigc.inspect.health import disk_of, health_of
from ocigc.inspect.holdings import Holdings, lacking_by_target
from ocigc.inspect.sharing import Sharing, sharing
from ocigc.inspect.summary import Fate, Freed, ImageSummary, Overview, RepositorySummary
from ocigc.inspect.usage import usage
from ocigc.layout import history, lock
from ocigc.layout.configs import with_created
from ocigc.layout.damage import load_noting, staying_damage
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import find_leftovers, removable
from ocigc.layout.shared import hollow
from ocigc.layout.snapshot import Elsewhere, Snapshot
from ocigc.native import NO_NODE, Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import PruneOptions, make_plan, request
from ocigc.pruning.policy_file import OWN, own_policy
from ocigc.reference import InvalidReference, parse_normalized
from ocigc.times import Duration

_POLICY_LIMIT = 1 << 20  # bytes
_FATES = tuple(map(Fate, range(8)))
_BITS = (Fate.PRUNE, Fate.ALL, Fate.FREE)
_ONLY_PRUNE, _ONLY_ALL = (bytes(bool(fate & bit) for fate in range(256)) for bit in (Fate.PRUNE, Fate.ALL))
_REFUSED = "it would be refused: something is damaged"


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
            elsewhere=self.elsewhere,
        )
        with snapshot.store as store:
            store.stat(report=self.watch("Reading sizes"))
            return self._tell(with_created(snapshot), store)

    def _tell(self, snapshot: Snapshot, store: Store) -> Overview:
        now = self.requests[0].now
        used = usage(snapshot, self.requests[0].in_use, now)
        # The largest first, as the page has room for these.
        sizes = {each.image.target.digest: (each.size, each.image.target) for each in used}
        targets = [target for _, target in sorted(sizes.values(), key=lambda one: (-one[0], one[1].digest))]
        found = sharing(*_roots(targets, store), store)
        plans = self._plans_not_refused(snapshot)
        bits = [(bit, plan) for bit, plan in zip(_BITS, plans, strict=True) if plan is not None]
        blobs = Holdings(store, found, bits)
        faults = {node: str(error) for node, error in store.faults()} | _hollow(store)
        lacking = lacking_by_target(snapshot)
        units = list(blobs.units({each.digest: sizes[each.digest][0] for each in targets}, snapshot, faults, lacking))
        numbers = {target.digest: number for number, target in enumerate(targets)}
        reasons = [
            {} if plan is None else dict(map(_worded, Explanations(plan, snapshot.relations, store)))
            for plan in plans[:2]
        ]
        fates = _image_fates(bits)
        images = [
            ImageSummary(
                each,
                numbers[each.image.target.digest],
                *self._place(each.image),
                fates.get(each.image.position, Fate.STAYS),
                (reasons[0].get(each.image.position, _REFUSED), reasons[1].get(each.image.position, _REFUSED)),
            )
            for each in used
        ]
        leftovers = find_leftovers(self.layout.dir, store.foreign()[1])
        removed = removable(self.layout.dir, leftovers, now, self.requests[0].grace)
        dead = sum(each.size for each in removed)
        return Overview(
            images=images,
            units=units,
            groups=blobs.groups(),
            listed=blobs.listed,
            others=blobs.others,
            others_rest=blobs.others_rest,
            orphaned=blobs.orphaned,
            repositories=_repositories(images, found, blobs, store),
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

    def _place(self, image: ImageRecord) -> tuple[str, str, bool]:
        """Registry and repository of a name, and whether the name is not a reference."""
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


def _image_fates(plans: Sequence[tuple[Fate, Plan]]) -> dict[int, Fate]:
    found: dict[int, int] = {}
    for bit, plan in plans:
        number = int(bit)  # to ask an enum takes longer
        for position in plan.pruned.positions:
            found[position] = found.get(position, 0) | number
    return {position: _FATES[number] for position, number in found.items()}


def _worded(explanation: Explanation) -> tuple[int, str]:
    rule = f"{explanation.rule} ({explanation.by})" if explanation.by else explanation.rule
    if explanation.decision == Decision.LOSES_NAME:
        rule = f"loses its name: {rule}"
    return explanation.image.position, rule


def _freed(plan: Plan | None, leftovers: int) -> Freed:
    if plan is None:
        return Freed(0, 0, 0)
    return Freed(len(plan.pruned), plan.blob_count, plan.reclaimed + leftovers)


def _files(plan: Plan | None, store: Store) -> Files:
    return store.files(() if plan is None else plan.blobs)


def _hollow(store: Store) -> dict[int, str]:
    """Files of 0 bytes that should not be empty, with what is wrong with them."""
    return {node: f"{store.digest(node)} is a file of 0 bytes" for node in hollow(store)}


def _roots(targets: Sequence[Descriptor], store: Store) -> tuple[array[int], bytes]:
    found = (store.find(target.digest) for target in targets)
    roots = array("I", (NO_NODE if node is None else node for node in found))
    return roots, bytes(target.media for target in targets)


def _repositories(
    images: Sequence[ImageSummary], found: Sharing, blobs: Holdings, store: Store
) -> list[RepositorySummary]:
    """The repositories by name."""
    units: dict[tuple[str, str], set[int]] = {}
    count: Counter[tuple[str, str]] = Counter()
    for image in images:
        place = image.registry, image.repository
        count[place] += 1
        units.setdefault(place, set()).add(image.unit)
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
