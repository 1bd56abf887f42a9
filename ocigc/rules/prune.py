"""The decision: from what is there, what is used and what is asked for, to a plan.

Source: moby `daemon/containerd/image_prune.go` at 87c87bccb5.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, compress

from ocigc.container import InUse
from ocigc.descriptor import Media
from ocigc.rules.choice import choose
from ocigc.rules.contents import Contents
from ocigc.rules.filters import ConfigLabels, Filters
from ocigc.rules.graph import Graph, flags
from ocigc.rules.images import Images
from ocigc.rules.plan import Plan
from ocigc.rules.settlement import settle


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. `now` is an instant, `grace` nanoseconds; without `orphans`, what no image held stays."""

    filters: Filters
    in_use: InUse
    now: int
    grace: int
    orphans: bool = True

    @property
    def young_after(self) -> int | None:
        """The instant behind which an orphan is too young to go; None where none is."""
        return self.now - self.grace if self.grace else None


def decide(contents: Contents, request: Request, config_labels: ConfigLabels) -> Plan:
    """The plan of a prune."""
    graph = contents.graph
    choice = choose(contents.images, graph, request.filters, request.in_use, config_labels, served=contents.served)
    settlement = settle(
        choice,
        graph,
        [lease for lease in contents.leases if lease.active(request.now)],
        contents.label_roots,
        request.young_after,
        orphans=request.orphans,
    )

    leaving = settlement.leaving()
    reclaimed = graph.freed(leaving)
    unreported = flags(leaving, len(graph))
    del leaving  # most of a store may be in it
    deleted, ends = array("I"), array("I")
    surviving_configs: set[int] = set()
    holder = settlement.holders.holder
    for number, walk in enumerate(settlement.pruned.walks(graph)):
        group = settlement.group(number)
        for node, media in walk:
            if unreported[node] and holder(node) == group:
                deleted.append(node)
                unreported[node] = False
            elif media == Media.CONFIG and not unreported[node]:
                surviving_configs.add(node)
        ends.append(len(deleted))

    remaining = choice.images.picked(settlement.kept.positions)
    return Plan(
        images=choice.images,
        pruned=settlement.pruned,
        deleted=deleted,
        ends=ends,
        released=request.filters.released,
        dangling=choice.dangling,
        judged=settlement.kept,
        bystanders=choice.bystanders,
        unlease=_unlease(surviving_configs, (remaining, choice.dangling, choice.bystanders), graph),
        orphans=array("I", compress(range(len(graph)), unreported) if True in unreported else ()),
        spared=settlement.young,
        reclaimed=reclaimed,
    )


def _unlease(configs: Iterable[int], remaining: Iterable[Images], graph: Graph) -> list[int]:
    """Configs of images that went which no remaining image's walk visits.

    Source: moby `unleaseSnapshotsFromDeletedConfigs`.
    """
    unheld = set(configs)
    for walk in chain.from_iterable(images.walks(graph) for images in remaining):
        if not unheld:
            break
        unheld.difference_update(node for node, media in walk if media == Media.CONFIG)
    return sorted(unheld)
