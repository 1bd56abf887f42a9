"""From a request to a plan: references, a policy and a limit on storage become filters, by which the rules decide."""

from __future__ import annotations

from array import array
from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ocigc.digest import Digest
from ocigc.errors import Refused, printable
from ocigc.gc.decide import Inputs, Request, conclude, consider, without_idle_labels
from ocigc.gc.filters import ConfigLabels
from ocigc.gc.graph import NO_NODE, Group, Status, all_but
from ocigc.gc.images import NameKind
from ocigc.gc.in_use import InUse, is_sandbox
from ocigc.gc.mark import root_groups
from ocigc.gc.plan import Plan
from ocigc.gc.protection import protect
from ocigc.gc.resolve import filters_for, select
from ocigc.hard_links import on_disk
from ocigc.labels import SNAPSHOT_LABEL, Unlease
from ocigc.layout import label_files
from ocigc.layout.configs import labels_of, with_created
from ocigc.layout.relations import detach
from ocigc.layout.snapshot import OtherLayouts, Snapshot
from ocigc.progress import Watcher
from ocigc.pruning.prune_options import PruneOptions
from ocigc.values import replace

if TYPE_CHECKING:
    from ocigc.gc.policy import Policy


def make_plan(
    snapshot: Snapshot, options: PruneOptions, watch: Watcher, elsewhere: OtherLayouts | None = None
) -> tuple[Snapshot, Plan]:
    """The plan, and the snapshot with the statuses that the plan needed. What is absent here may lie `elsewhere`.
    Raises UsageError and Refused.
    """
    watch("Deciding what goes")
    in_use = options.request.in_use
    if options.match_in_use and (in_use or in_use.sandboxes_unknown):
        _match(in_use, snapshot, watch, strict=options.in_use_strict)
    if options.references is not None:
        return snapshot, _plan_removal(snapshot, options.request, options.references)
    request = options.request
    policy = options.policy
    if policy is None and options.own_policy:
        policy = _own_policy(snapshot, watch) or options.default_policy
    if request.filters.until or policy is not None or options.keep_storage is not None or options.keeps is not None:
        snapshot = with_created(snapshot)
    if policy is not None:
        request = _governed(request, snapshot, policy, options.repository)
    if options.keeps is not None:
        request = _retaining(request, _fits_with(each.position for each in filter(options.keeps, snapshot.images)))

    def plan(request: Request) -> Plan:
        if options.keep_storage is None:
            return _decide(snapshot, request)
        request = _retaining(request, _kept_by_roots(snapshot, request.now))
        return _plan_storage(snapshot, request, options.keep_storage, watch)

    return snapshot, (plan(request) if elsewhere is None else _plan_with_belonging(snapshot, request, plan, elsewhere))


def _own_policy(snapshot: Snapshot, watch: Watcher) -> Policy | None:
    """The policy in the layout, if there is one."""
    if not snapshot.layout.dir.exists("ocigc.toml"):
        return None
    from ocigc.pruning.policy_file import own_policy

    return own_policy(snapshot.layout.dir, snapshot.layout.path, watch)


def decide(inputs: Inputs, request: Request, config_labels: ConfigLabels, status: Status) -> Plan:
    """The plan of a prune. Between the steps of the decision, `status` gives the age of files, and then what they take
    on disk.
    """
    after = request.in_grace_after
    in_grace: frozenset[int] = frozenset()
    if after is not None and request.orphans:  # what is removed by name may be in grace
        nameless = inputs.images.of_kind(NameKind.NAMELESS)
        targets = nameless.targets(inputs.graph)
        newer = frozenset(status.newer([node for node in targets if node != NO_NODE], after))
        if inputs.written > after:  # what is absent may come later, as in a sync, or be in another layout
            newer |= {NO_NODE}
        in_grace = frozenset(each for each, node in zip(nameless.positions, targets, strict=True) if node in newer)
    while True:
        marked = consider(inputs, request, config_labels, in_grace)
        young = () if after is None else status.newer(marked.unreachable(), after)
        with status.read_meanwhile(marked.leaving()):  # all cores read, while one concludes
            plan = conclude(marked, inputs, request, young)
        labels_kept = without_idle_labels(inputs, plan)
        if labels_kept is None:
            return replace(plan, reclaimed=status.freed(plan.blobs))
        inputs = labels_kept


def _decide(snapshot: Snapshot, request: Request) -> Plan:
    return decide(snapshot.inputs, request, labels_of(snapshot, request.rules), snapshot.store)


def labels_to_take(snapshot: Snapshot, plan: Plan, driver: str) -> list[Unlease]:
    """The labels that the plan takes off configs: those of the snapshots of a driver."""
    label = SNAPSHOT_LABEL + driver
    digests = snapshot.store.digests(plan.unlease)
    labels = ((digest, label_files.read(snapshot.layout.dir, digest)) for digest in digests)
    return [Unlease(digest, label, found[label]) for digest, found in labels if label in found]


def forecast(
    snapshot: Snapshot,
    requests: Iterable[Request],
    repository: str | None,
    default_policy: Policy | None,
    watch: Watcher,
) -> list[Plan]:
    """What prunes would do by the layout's own policy, or else by `default_policy`."""
    policy = _own_policy(snapshot, watch) or default_policy
    options = PruneOptions(repository=repository, policy=policy, own_policy=False, match_in_use=False)
    return [make_plan(snapshot, replace(options, request=each), watch)[1] for each in requests]


def _match(in_use: InUse, snapshot: Snapshot, watch: Watcher, *, strict: bool) -> None:
    """Notes what is in use but matches no image; with `strict`, raises Refused."""
    from ocigc.gc.unmatched import Matching

    matching = Matching(in_use)
    matching.see(snapshot.images, lambda digest: snapshot.store.find(digest) is not None)
    if matching.unmatched and strict:
        raise Refused(f"{snapshot.layout.path}: {printable(str(matching))}; nothing was changed")
    if matching.unmatched:
        watch.note(printable(str(matching)))
    if not in_use.sandboxes_unknown:
        return
    if sandboxes := [image.familiar for image in snapshot.images if is_sandbox(image.name)]:
        names = printable(", ".join(sandboxes))
        watch.note(f"the list of pods does not name the image of their sandboxes; {names} may be that image, and stays")


def _plan_removal(snapshot: Snapshot, request: Request, references: Sequence[str]) -> Plan:
    """What goes with the images that references name. Raises UsageError, and Refused where one of them is in use."""
    images = snapshot.images
    selected = select(images, references, snapshot.parts)
    filters = filters_for(selected.whole, images)
    detach(snapshot.images, snapshot.relations, filters.detached, snapshot.store)
    wanted = replace(request, filters=filters, orphans=False)
    plan = _decide(snapshot, wanted)
    kept = (kept for kept in plan.kept if kept.position in filters.detached)
    used = [f"{images[each.position].familiar} ({each.by})" for each in kept]
    used += [image.familiar for image in plan.dangling]
    protection = protect(request.in_use, images, snapshot.store, request.rules)
    views = [images[position].called(names) for position, names in selected.names.items()]
    used += [f"{view.familiar} ({user})" for view in views if (user := protection.name_user(view)) is not None]
    if used:
        raise Refused(f"in use: {printable(', '.join(used))}; nothing was changed")
    return replace(plan, renamed=selected.names)


def _governed(request: Request, snapshot: Snapshot, policy: Policy, repository: str | None) -> Request:
    """The request under a policy. The policy also decides on named images, unless a filter keeps them."""
    from ocigc.gc.retention import ImageStates, retain
    from ocigc.layout.completeness import incomplete_images

    images, parts = snapshot.images, snapshot.relations.part_subjects.keys()
    if parts:  # a part that has a subject is a referrer once the image that it is a part of has gone
        images = images.picked(chain(images.positions, parts))
    states = ImageStates(
        referrers=snapshot.relations.subjects.keys() | parts,
        orphaned=snapshot.relations.orphaned.keys(),
        incomplete=frozenset(each.image.position for each in incomplete_images(snapshot)),
    )
    retention = retain(policy, images, request.now, labels_of(snapshot, request.rules), states, repository)
    retained = ChainMap(_kept_by_roots(snapshot, request.now), dict(retention.retained))
    if policy.only_keeps:
        return replace(request, filters=replace(request.filters, retained=retained, chosen=True))
    detach(snapshot.images, snapshot.relations, retention.detached, snapshot.store)
    filters = replace(
        request.filters,
        dangling_only=request.filters.dangling_only and request.filters.dangling_stated,
        retained=retained,
        released=retention.released,
        detached=retention.detached,
        chosen=True,
    )
    return replace(request, filters=filters)


def _kept_by_roots(snapshot: Snapshot, now: int) -> dict[int, str]:
    """By position, the images that neither a policy nor a limit on storage removes, because a lease or a label keeps
    their targets.
    """
    store, images = snapshot.store, snapshot.images
    active = [lease for lease in snapshot.leases if lease.active(now)]
    labelled = store.label_roots()
    if not active and not labelled:
        return {}
    _, leased, flat = root_groups((), active, (), store)
    marks = store.mark([leased, flat, Group(labelled)])
    reasons = ["its content is in a lease", "its content is in a lease", "its content has a gc.root label"]
    kept = {}
    for position, target in zip(images.positions, images.targets(store), strict=True):
        if target != NO_NODE and (owner := marks.owner(target)) is not None:
            kept[position] = reasons[owner]
    return kept


def _plan_with_belonging(
    snapshot: Snapshot, request: Request, plan: Callable[[Request], Plan], elsewhere: OtherLayouts
) -> Plan:
    """The plan, where nameless entries whose targets are absent here stay with the images that they are parts or
    referrers of. Manifests that lie elsewhere tell.
    """
    images = snapshot.images
    nameless = images.of_kind(NameKind.NAMELESS)
    places = zip(nameless.positions, nameless.targets(snapshot.store), strict=True)
    absent = {position: images[position].target.digest for position, node in places if node == NO_NODE}
    if not absent:
        return plan(request)
    positions: dict[Digest, set[int]] = {}
    for image in images:
        positions.setdefault(image.target.digest, set()).add(image.position)
    found = elsewhere.belonging(frozenset(absent.values()), positions.keys())
    belonging = {
        position: {each for target in (digest, *found.get(digest, ())) for each in positions.get(target, ())}
        - {position}
        for position, digest in absent.items()
    }
    belonging = {position: each for position, each in belonging.items() if each}
    while belonging:
        reason = "it belongs to an image whose blobs lie elsewhere"
        result = plan(_retaining(request, dict.fromkeys(belonging, reason)))
        gone = frozenset(result.pruned.positions)
        staying = {position: each for position, each in belonging.items() if not each <= gone}
        if len(staying) == len(belonging):
            return result
        belonging = staying
    return plan(request)


def _retaining(request: Request, retained: dict[int, str]) -> Request:
    """The request, with the images at these positions kept too."""
    both = ChainMap(dict(request.filters.retained), retained)
    filters = replace(request.filters, retained=both, chosen=True)
    return replace(request, filters=filters)


def _fits_with(positions: Iterable[int]) -> dict[int, str]:
    return dict.fromkeys(positions, "the store fits without removing it")


def _plan_storage(snapshot: Snapshot, request: Request, limit: int, watch: Watcher) -> Plan:
    """The plan that removes as few images as possible, the oldest first, so that the store fits into `limit` bytes. All
    bytes in the store count, even if a file has other names elsewhere.
    """
    store = snapshot.store

    def size_without(blobs: Iterable[int]) -> int:
        return on_disk([store.files(all_but(blobs, store))])

    def plan_without(staying: Iterable[int], *, orphans: bool = True) -> Plan:
        wanted = replace(_retaining(request, _fits_with(staying)), orphans=orphans)
        return _decide(snapshot, wanted)

    if size_without(()) <= limit:
        return plan_without(snapshot.images.positions, orphans=False)

    def plan_that_fits(staying: Iterable[int]) -> Plan | None:
        plan = plan_without(staying)
        return plan if size_without(plan.blobs) <= limit else None

    best = plan_without(())
    # Images of unknown age go last; a referrer goes with its subject.
    candidates = array("I", sorted(best.pruned.positions, key=lambda position: snapshot.images[position].age))
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        plan = plan_that_fits(candidates[middle:])
        if plan is None:
            low = middle + 1
        else:
            best, high = plan, middle
    excess = size_without(best.blobs) - limit
    if excess > 0:
        watch.note(f"{snapshot.layout.path}: {excess:,} bytes over the limit on storage will remain")
    return best
