"""Reads a layout once, for everything that is in `summary`."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.decide import Request
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.plan import Plan
from ocigc.gc.policy import Policy
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.hard_links import Files
from ocigc.inspect.growth import points_of
from ocigc.inspect.health import disk_of, health_of
from ocigc.inspect.image_summaries import ImageSummaries, image_summaries
from ocigc.inspect.overview_values import Fate, Freed, Overview, RepositorySummary
from ocigc.inspect.ownership import OwnedBlobs, Sharing, Targets, lacking_by_target, sharing
from ocigc.inspect.usage import usage
from ocigc.layout import history, lock
from ocigc.layout.configs import measured
from ocigc.layout.damage import load_noting, staying_damage
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import find_leftovers, removable
from ocigc.layout.needs import hollow
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import OtherLayouts, Snapshot
from ocigc.native import NO_NODE, Store
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import make_plan
from ocigc.pruning.policy_file import OWN, own_policy
from ocigc.pruning.prune_options import PruneOptions, request
from ocigc.times import Duration
from ocigc.verification.ledger import has_ledger

_POLICY_LIMIT = 1 << 20  # bytes
_BITS = (Fate.PRUNE, Fate.ALL, Fate.FREE)
_ONLY_PRUNE, _ONLY_ALL = (bytes(bool(fate & bit) for fate in range(256)) for bit in (Fate.PRUNE, Fate.ALL))


@accepts_path
def overview(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    rules: RuleSet = SEED,
    default_policy: Policy | None = None,
    elsewhere: OtherLayouts | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Overview:
    """Reads a layout for a report. What a prune would do depends on the rule set and on the layout's own policy, or
    else on `default_policy`. A prune that would be refused, for example because of damaged manifests that stay, removes
    nothing, and `Health` says why. What other layouts need of it (`elsewhere`) stays.

    Raises UsageError where it is not a layout, and Refused where nothing about it can be known.
    """
    requests = [request(prune_all=each, in_use=in_use, rules=rules) for each in (False, True)]
    now, grace = requests[0].now, requests[0].grace
    with lock.shared(layout, wait):
        policy = own_policy(layout.dir, layout.path, watch) or default_policy
        snapshot = load_noting(
            layout,
            repository,
            now,
            watch,
            in_grace_after=now - grace,
            measure=True,
            identify=has_ledger(layout),
            elsewhere=elsewhere,
        )
        with snapshot.store as store:
            return _Reading(layout, requests, repository, policy, watch).overview(measured(snapshot, watch), store)


class _Reading:
    """One reading of a layout. `requests` are a prune and a prune of all; `refused` says why they would be refused."""

    def __init__(
        self,
        layout: Layout,
        requests: Sequence[Request],
        repository: str | None,
        policy: Policy | None,
        watch: Watcher,
    ) -> None:
        self.layout = layout
        self.repository = repository
        self.policy = policy
        self.watch = watch
        self.refused = ""
        self.requests = requests

    def overview(self, snapshot: Snapshot, store: Store) -> Overview:
        """What there is to tell of the snapshot."""
        now = self.requests[0].now
        used = usage(snapshot, self.requests[0].in_use, now)
        targets, units = _targets(snapshot.images.in_order(), used.sizes(), store)
        found = sharing(targets.nodes, targets.medias, store)
        plans = self._plans_not_refused(snapshot)
        bits = {bit: plan for bit, plan in zip(_BITS, plans, strict=True) if plan is not None}
        blobs = OwnedBlobs(store, found, bits)
        faults = {node: str(error) for node, error in store.faults()} | _hollow(store)
        told = blobs.units(targets, snapshot, faults, lacking_by_target(snapshot))
        summaries = image_summaries(snapshot, used, units, bits, plans[:2], self.repository)
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
        because a policy may detach referrers from their subjects in the store.
        """
        default, everything = self.requests
        base = PruneOptions(repository=self.repository, own_policy=False, match_in_use=False)
        free = replace(base, request=everything)
        unbound = make_plan(snapshot, free, self.watch)[1]
        if self.policy is None:
            return [make_plan(snapshot, replace(base, request=default), self.watch)[1], unbound, unbound]
        governed = [replace(base, request=each, policy=self.policy) for each in self.requests]
        return [*(make_plan(snapshot, each, self.watch)[1] for each in governed), unbound]

    def _policy_text(self) -> str:
        with suppress(OSError, Refused):
            return self.layout.dir.read(OWN, _POLICY_LIMIT).decode(errors="replace")
        return ""


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
    """The targets of images, the largest first, as the page may have room only for these; and for each image, the
    number of its target.
    """
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


def _repositories(images: ImageSummaries, found: Sharing, blobs: OwnedBlobs, store: Store) -> list[RepositorySummary]:
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
