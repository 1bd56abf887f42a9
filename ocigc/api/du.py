"""What a layout takes of the disk, and what of that a prune would free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ocigc.api.planning import forecast
from ocigc.api.prune import request
from ocigc.api.watch import SILENT, Watcher
from ocigc.container import InUse
from ocigc.rules.consumption import Repository, repositories
from ocigc.rules.hard_links import Files, HardLinks, on_disk
from ocigc.rules.retention import Policy
from ocigc.rules.usage import Usage, usage
from ocigc.store import lock
from ocigc.store.contents import load, with_created
from ocigc.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Consumption:
    """`blobs` counts all blobs of the layouts, held or not; `files` are the files behind them, `dangling` those that a
    prune would remove, and `unused` those that a prune of all images would; each layout by itself.
    """

    images: Sequence[Usage]
    repositories: Sequence[Repository]
    blobs: int
    files: Sequence[Files]
    dangling: Sequence[Files]
    unused: Sequence[Files]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(each.size for each in self.files)

    @property
    def disk(self) -> int:
        """Bytes that they take: a file with several names once."""
        return on_disk(self.files)


def freed(layouts: Sequence[Files]) -> list[int]:
    """Of each layout the bytes that are freed where these files go, and those of the layouts before it."""
    links = HardLinks()
    return [links.remove(each) for each in layouts]


def together(parts: Sequence[Consumption]) -> Consumption:
    """What several layouts consume."""
    return Consumption(
        images=[each for part in parts for each in part.images],
        repositories=[each for part in parts for each in part.repositories],
        blobs=sum(part.blobs for part in parts),
        files=[each for part in parts for each in part.files],
        dangling=[each for part in parts for each in part.dangling],
        unused=[each for part in parts for each in part.unused],
    )


def du(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    default_policy: Policy | None = None,
    wait: float = 0,
    watch: Watcher = SILENT,
) -> Consumption:
    """What a layout consumes. What a prune would free is by the layout's own policy, else by `default_policy`.
    `repository` (normalised) owns bare tags and images without a name.

    Raises UsageError where it is no layout, and Refused where it cannot be read.
    """
    default = request(in_use=in_use)
    everything = request(prune_all=True, in_use=in_use)
    with lock.shared(layout, wait):
        loaded = with_created(load(layout, repository, default.now, watch, young_after=default.now - default.grace))
        with loaded.store as store:
            store.survey(report=watch("Reading sizes"))
            leases = [lease for lease in loaded.leases if lease.active(default.now)]
            ordered = list(loaded.images.in_order())
            plans = forecast(loaded, (default, everything), repository, default_policy, watch)
            going = frozenset(plans[1].blobs)
            return Consumption(
                images=usage(ordered, store, leases, default.in_use, going),
                repositories=repositories(ordered, store, going, repository),
                blobs=len(store),
                files=[store.files(range(len(store)))],
                dangling=[store.files(plans[0].blobs)],
                unused=[store.files(plans[1].blobs)],
            )
