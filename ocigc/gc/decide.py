"""The decision: from what is there, what is used and what is asked for, to a plan.

Source: moby `daemon/containerd/image_prune.go` at 87c87bccb5; `rule_sets` tells what docker 29 has made of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress

from ocigc.gc.candidates import find_candidates
from ocigc.gc.filters import ConfigLabels, Filters
from ocigc.gc.graph import Graph, flags
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.mark import mark
from ocigc.gc.plan import Plan
from ocigc.gc.protection import protect
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import Media
from ocigc.labels import Lease


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a layout holds. `label_roots` are the nodes with a `gc.root` label; `served`: a registry keeps it, and finds
    manifests by the digests of its entries."""

    images: Images
    leases: Sequence[Lease]
    label_roots: Sequence[int]
    graph: Graph
    served: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and by which rules. `now` is an instant, `grace` nanoseconds; without `orphans`, what no image
    held stays."""

    filters: Filters
    in_use: InUse
    now: int
    grace: int
    orphans: bool = True
    rules: RuleSet = SEED

    @property
    def in_grace_after(self) -> int | None:
        """The instant behind which an orphan is too young to go; None where none is."""
        return self.now - self.grace if self.grace else None


def decide(contents: Inputs, request: Request, config_labels: ConfigLabels) -> Plan:
    """The plan of a prune."""
    graph = contents.graph
    choice = find_candidates(
        contents.images,
        graph,
        request.filters,
        protect(request.in_use, contents.images, graph, request.rules),
        config_labels,
        served=contents.served,
    )
    marked = mark(
        choice,
        graph,
        [lease for lease in contents.leases if lease.active(request.now)],
        contents.label_roots,
        request.in_grace_after,
        orphans=request.orphans,
    )

    leaving = marked.leaving()
    reclaimed = graph.freed(leaving)
    unaccounted = flags(leaving, len(graph))
    del leaving  # most of a store may be in it
    deleted, unnamed = array("I"), array("I")
    ends, unnamed_ends = array("I"), array("I")
    surviving_configs: set[int] = set()
    owner, reported = marked.marks.owner, request.rules.reported
    for number, walk in enumerate(marked.pruned.walks(graph)):
        group = marked.group(number)
        for node, media in walk:
            if unaccounted[node] and owner(node) == group:
                (deleted if media in reported else unnamed).append(node)
                unaccounted[node] = False
            elif media == Media.CONFIG and not unaccounted[node]:
                surviving_configs.add(node)
        ends.append(len(deleted))
        unnamed_ends.append(len(unnamed))

    remaining = choice.images.picked(marked.kept.positions)
    return Plan(
        images=choice.images,
        pruned=marked.pruned,
        deleted=deleted,
        ends=ends,
        unnamed=unnamed,
        unnamed_ends=unnamed_ends,
        released=request.filters.released,
        dangling=choice.dangling,
        judged=marked.kept,
        named=choice.named,
        unlease=_unlease(surviving_configs, (remaining, choice.dangling, choice.named), graph)
        if request.rules.unleases
        else (),
        orphans=array("I", compress(range(len(graph)), unaccounted) if True in unaccounted else ()),
        spared=marked.young,
        reclaimed=reclaimed,
    )


def _unlease(configs: Iterable[int], remaining: Iterable[Images], graph: Graph) -> list[int]:
    """Configs of images that went which no remaining image's walk visits.

    Source: moby `unleaseSnapshotsFromDeletedConfigs`.
    """
    unreachable = set(configs)
    for walk in chain.from_iterable(images.walks(graph) for images in remaining):
        if not unreachable:
            break
        unreachable.difference_update(node for node, media in walk if media == Media.CONFIG)
    return sorted(unreachable)
