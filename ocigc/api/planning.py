"""From what is asked of a layout to a plan: references, policy and storage come to filters, and those to the rules."""

from __future__ import annotations

from array import array
from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ocigc.api.watch import Watcher
from ocigc.errors import Refused
from ocigc.image import ImageRecord
from ocigc.printable import printable
from ocigc.rules.graph import others
from ocigc.rules.hard_links import on_disk
from ocigc.rules.plan import Plan
from ocigc.rules.prune import Request, decide
from ocigc.rules.retention import Policy, retain
from ocigc.rules.selection import only, select_images
from ocigc.store.contents import Loaded, labels_of, let_loose, with_created
from ocigc.store.policy_file import own_policy


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """How to prune, besides the request to the rules.

    With `references`, exactly these images go, by the request's rules otherwise, and nothing that no image held. With a
    `policy`, only images that it lets go may; it stands for the one in the layout's own file (`own_policy`: if at all);
    the `default_policy` applies where there is no such file.
    With `keep_storage` (bytes), no more go than it takes, the oldest first, until the store fits. Images of which
    `spares` says so (their time of creation is known where it can be) stay too.
    `repository` (normalised) owns bare tags; `driver` is the snapshotter of the unlease rule; what is removed is kept
    in the trash for `trash` nanoseconds (None: freed at once); `wait` is in seconds.
    """

    request: Request
    repository: str | None = None
    driver: str = "overlayfs"
    dry_run: bool = False
    allow_empty: bool = False
    explain: bool = False
    trash: int | None = None
    wait: float = 0
    references: tuple[str, ...] | None = None
    policy: Policy | None = None
    own_policy: bool = True
    default_policy: Policy | None = None
    keep_storage: int | None = None
    spares: Callable[[ImageRecord], bool] | None = None


def make_plan(loaded: Loaded, options: PruneOptions, watch: Watcher) -> tuple[Loaded, Plan]:
    """The plan, and what was loaded with what had to be found out for it. Raises UsageError and Refused."""
    if options.references is not None:
        return loaded, _plan_removal(loaded, options.request, options.references)
    request = options.request
    policy = options.policy
    if policy is None and options.own_policy:
        policy = own_policy(loaded.layout.fd, loaded.layout.path, watch) or options.default_policy
    if request.filters.until or policy is not None or options.keep_storage is not None or options.spares is not None:
        loaded = with_created(loaded)
    if policy is not None:
        request = _governed(request, loaded, policy, options.repository)
    if options.spares is not None:
        request = _retaining(request, (image.position for image in filter(options.spares, loaded.images)))
    if options.keep_storage is not None:
        return loaded, _plan_storage(loaded, request, options.keep_storage, watch)
    return loaded, decide(loaded.contents, request, labels_of(loaded))


def forecast(
    loaded: Loaded, requests: Iterable[Request], repository: str | None, default_policy: Policy | None, watch: Watcher
) -> list[Plan]:
    """What prunes would do by the layout's own policy, else by `default_policy`."""
    policy = own_policy(loaded.layout.fd, loaded.layout.path, watch) or default_policy
    options = (PruneOptions(each, repository, policy=policy, own_policy=False) for each in requests)
    return [make_plan(loaded, each, watch)[1] for each in options]


def _plan_removal(loaded: Loaded, request: Request, references: Sequence[str]) -> Plan:
    """What goes with the images that references name. Raises UsageError, and Refused where one is in use."""
    selected = [image for each in references for image in select_images(loaded.images, each)]
    filters = only(selected, loaded.images)
    let_loose(loaded, filters.loose)
    plan = decide(loaded.contents, replace(request, filters=filters, grace=0, orphans=False), labels_of(loaded))
    kept = (kept for kept in plan.kept if kept.position in filters.loose)
    used = [f"{plan.images[each.position].familiar} ({each.by})" for each in kept]
    used += [image.familiar for image in plan.dangling]
    if used:
        raise Refused(f"in use: {printable(', '.join(used))}; nothing was changed")
    return plan


def _governed(request: Request, loaded: Loaded, policy: Policy, repository: str | None) -> Request:
    """The request under a policy: that decides on named images too, unless a filter says that they stay."""
    images = loaded.images
    subjects = zip(images.positions, images.subjects(loaded.store), strict=True)
    referrers = frozenset(position for position, subject in subjects if subject is not None)
    retention = retain(policy, images, request.now, labels_of(loaded), referrers, repository)
    let_loose(loaded, retention.loose)
    filters = replace(
        request.filters,
        dangling_only=request.filters.dangling_only and request.filters.dangling_stated,
        retained=retention.retained,
        released=retention.released,
        loose=retention.loose,
    )
    return replace(request, filters=filters)


def _retaining(request: Request, positions: Iterable[int]) -> Request:
    """The request, by which the images at these positions stay too."""
    retained = dict.fromkeys(positions, "the store fits without removing it")
    filters = replace(request.filters, retained=ChainMap(dict(request.filters.retained), retained))
    return replace(request, filters=filters)


def _plan_storage(loaded: Loaded, request: Request, limit: int, watch: Watcher) -> Plan:
    """The plan that removes the fewest images, the oldest first, so that the store fits into `limit` bytes. What lies
    in the store counts, whether or not a file has further names elsewhere.
    """
    store = loaded.store

    def size_without(blobs: Iterable[int]) -> int:
        return on_disk([store.files(others(blobs, store))])

    def plan_without(staying: Iterable[int], *, orphans: bool = True) -> Plan:
        wanted = replace(_retaining(request, staying), orphans=orphans)
        return decide(loaded.contents, wanted, labels_of(loaded))

    if size_without(()) <= limit:
        return plan_without(loaded.images.positions, orphans=False)

    def plan_that_fits(staying: Iterable[int]) -> Plan | None:
        plan = plan_without(staying)
        return plan if size_without(plan.blobs) <= limit else None

    best = plan_without(())
    # Of what nobody knows the age of, everything else goes first; and what follows a subject goes with that.
    candidates = array("I", sorted(best.pruned.positions, key=lambda position: loaded.images[position].age))
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
        watch.note(f"{loaded.layout.path}: {excess:,} bytes over --keep-storage will remain")
    return best
