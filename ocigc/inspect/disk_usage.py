"""How much disk space a layout takes, and how much of it a prune would free."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from ocigc.gc.graph import flags
from ocigc.gc.in_use import InUse
from ocigc.gc.policy import Policy
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.hard_links import Files, on_disk
from ocigc.inspect.health import Disk, Health, disk_of, health_of, trash_of
from ocigc.inspect.usage import Usage, usage
from ocigc.layout import lock
from ocigc.layout.configs import measured
from ocigc.layout.damage import load_noting, staying_damage
from ocigc.layout.layout import Layout
from ocigc.layout.leftovers import Leftover, find_leftovers, removable
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import OtherLayouts, Snapshot
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.planning import forecast
from ocigc.pruning.prune_options import request
from ocigc.sequences import Joined
from ocigc.times import Duration
from ocigc.verification.ledger import has_ledger


@dataclass(frozen=True, slots=True)
class Consumption:
    """What layouts consume. `blobs` counts all blobs, reachable or not. `files` are their files, `dangling` those that
    a prune would remove, and `unused` those that a prune of all images would; each has an item per layout. `leftovers`
    are temporary files of other tools; any prune would free `leftovers_freed` bytes of them. `health` and `disks` are
    those of each layout, where they were asked for. `orphans` are the files of `orphan_count` blobs that nothing
    reaches, and any prune would remove; `in_grace` more are too young for that. The trash has `trash_runs` runs of
    `trashed` bytes, which `size` does not count.
    """

    images: Sequence[Usage]
    repositories: Sequence[Repository]
    blobs: int
    files: Sequence[Files]
    dangling: Sequence[Files]
    unused: Sequence[Files]
    leftovers: Sequence[Leftover] = ()
    leftovers_freed: int = 0
    health: Sequence[Health] = ()
    disks: Sequence[Disk] = ()
    orphans: Sequence[Files] = ()
    orphan_count: int = 0
    in_grace: int = 0
    trash_runs: int = 0
    trashed: int = 0

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(each.size for each in self.files)

    @property
    def disk(self) -> int:
        """Bytes on disk: a file with several names counts once."""
        return on_disk(self.files)


def together(parts: Sequence[Consumption]) -> Consumption:
    """The consumption of several layouts."""
    if len(parts) == 1:
        return parts[0]
    return Consumption(
        images=Joined([part.images for part in parts]),
        repositories=_by_name(each for part in parts for each in part.repositories),
        blobs=sum(part.blobs for part in parts),
        files=[each for part in parts for each in part.files],
        dangling=[each for part in parts for each in part.dangling],
        unused=[each for part in parts for each in part.unused],
        leftovers=[each for part in parts for each in part.leftovers],
        leftovers_freed=sum(part.leftovers_freed for part in parts),
        health=[each for part in parts for each in part.health],
        disks=[each for part in parts for each in part.disks],
        orphans=[each for part in parts for each in part.orphans],
        orphan_count=sum(part.orphan_count for part in parts),
        in_grace=sum(part.in_grace for part in parts),
        trash_runs=sum(part.trash_runs for part in parts),
        trashed=sum(part.trashed for part in parts),
    )


@accepts_path
def du(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    rules: RuleSet = SEED,
    default_policy: Policy | None = None,
    health: bool = False,
    elsewhere: OtherLayouts | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Consumption:
    """What a layout consumes; with `health` also what is wrong with it. What a prune would free depends on the rule set
    and on the layout's own policy, or else on `default_policy`; it is nothing where that prune would be refused. Bare
    tags and images without a name belong to `repository` (normalised). What other layouts need of it (`elsewhere`)
    stays.

    Raises UsageError where it is not a layout, and Refused where it cannot be read.
    """
    default = request(in_use=in_use, rules=rules)
    everything = request(prune_all=True, in_use=in_use, rules=rules)
    with lock.shared(layout, wait):
        in_grace_after = default.now - default.grace
        snapshot = load_noting(
            layout,
            repository,
            default.now,
            watch,
            in_grace_after=in_grace_after,
            measure=True,
            identify=health and has_ledger(layout),
            elsewhere=elsewhere,
        )
        with snapshot.store as store:
            snapshot = measured(snapshot, watch)
            plans = forecast(snapshot, (default, everything), repository, default_policy, watch)
            some, most = (array("I", () if staying_damage(snapshot, plan.blobs) else plan.blobs) for plan in plans)
            leftovers = find_leftovers(layout.dir, store.foreign()[1])
            runs, trashed = trash_of(layout)
            dead = removable(layout.dir, leftovers, default.now, default.grace)
            return Consumption(
                images=usage(snapshot, default.in_use, default.now, most),
                repositories=repositories(snapshot, most, repository),
                blobs=len(store),
                files=[store.files(range(len(store)))],
                dangling=[store.files(some)],
                unused=[store.files(most)],
                leftovers=leftovers,
                leftovers_freed=sum(each.size for each in dead),
                health=[health_of(layout, snapshot, default.now)] if health else (),
                disks=list(filter(None, [disk_of(layout)])) if health else (),
                orphans=[store.files(plans[0].orphans)],
                orphan_count=len(plans[0].orphans),
                in_grace=plans[0].in_grace,
                trash_runs=runs,
                trashed=trashed,
            )


@dataclass(frozen=True, slots=True)
class Repository:
    """`name` is in its familiar form; it is empty for images whose name has no repository. `size` counts each present
    blob of the walks of its images once, in bytes. `shared` of these bytes are in other repositories too, and
    `reclaimable` would go if everything unused went.
    """

    name: str
    images: int
    size: int
    shared: int
    reclaimable: int

    @property
    def unique(self) -> int:
        """Bytes that no other repository has."""
        return self.size - self.shared

    def with_more(self, other: Repository) -> Repository:
        """The sum with what another layout has of the same repository."""
        return Repository(
            self.name,
            self.images + other.images,
            self.size + other.size,
            self.shared + other.shared,
            self.reclaimable + other.reclaimable,
        )


def _by_name(parts: Iterable[Repository]) -> list[Repository]:
    """The repositories, of which several layouts may have parts."""
    found: dict[str, Repository] = {}
    for each in parts:
        before = found.get(each.name)
        found[each.name] = each if before is None else before.with_more(each)
    return [found[name] for name in sorted(found)]


def repositories(snapshot: Snapshot, unused: Iterable[int], own: str | None = None) -> list[Repository]:
    """The repositories, by name; `unused` are the nodes that would go. Images without a name are in the
    layout's `own`.
    """
    images, store = snapshot.images, snapshot.store
    members: dict[str, array[int]] = {}
    for position, name in zip(images.positions, images.repositories(own), strict=True):
        members.setdefault(name, array("I")).append(position)
    names = sorted(members)
    ordered = images.picked(chain.from_iterable(map(members.__getitem__, names)))
    ends = array("I", accumulate(len(members[name]) for name in names))
    sizes = store.usage(ordered.targets(store), ordered.medias(), ends, flags(unused, len(store)))
    return [
        Repository(name, len(members[name]), size, shared, reclaimable)
        for name, (size, shared, reclaimable, _) in zip(names, sizes, strict=True)
    ]
