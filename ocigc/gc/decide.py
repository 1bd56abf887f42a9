"""The decision: from what is present, what is in use and what is asked for, to a plan.

`consider` finds the candidates and marks. The caller then finds out how old the unreachable blobs are, and `conclude`
makes the plan.

Source: moby `daemon/containerd/image_prune.go` at 87c87bccb5; `rule_sets` has what docker 29 does differently.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from itertools import chain, compress

from ocigc.gc.candidates import find_candidates
from ocigc.gc.filters import ConfigLabels, Filters
from ocigc.gc.graph import Graph, flags
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.mark import Marked, complete, mark
from ocigc.gc.plan import Plan
from ocigc.gc.protection import Protection, protect
from ocigc.gc.referrers import Relations
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import DANGLING_PREFIX, Media
from ocigc.labels import Lease
from ocigc.values import frozen


@frozen
class Inputs:
    """What is in a layout: its images without the `parts`, and their relations; leases; and the nodes that are roots by
    themselves, for example by a `gc.root` label.
    """

    images: Images
    parts: Images
    relations: Relations
    leases: Sequence[Lease]
    label_roots: Sequence[int]
    graph: Graph


@frozen
class Request:
    """What is asked for, and by which rules. `now` is an instant, `grace` is in nanoseconds. Without `orphans`, all
    orphans stay.
    """

    filters: Filters
    in_use: InUse
    now: int
    grace: int
    orphans: bool = True
    rules: RuleSet = SEED

    @property
    def in_grace_after(self) -> int | None:
        """What is newer than this instant is in grace. None: nothing is in grace."""
        return self.now - self.grace if self.grace else None


def consider(
    inputs: Inputs, request: Request, config_labels: ConfigLabels, in_grace: Container[int] = frozenset()
) -> Marked:
    """Finds the candidates, and marks what they reach. `in_grace` are the positions of images whose target is
    in grace.
    """
    images, graph = inputs.images, inputs.graph
    protection = protect(request.in_use, images, graph, request.rules)
    candidates = find_candidates(images, inputs.relations, graph, request.filters, protection, config_labels, in_grace)
    active = [lease for lease in inputs.leases if lease.active(request.now)]
    used = _parts_in_use(inputs.parts, protection, graph)
    return mark(candidates, inputs.parts, used, active, inputs.label_roots, graph)


def _parts_in_use(parts: Images, protection: Protection, graph: Graph) -> Images:
    """The parts that containers use by their digests. moby has dangling images for these, and protects their names."""
    names = (name for name in protection.names if name.startswith(DANGLING_PREFIX)) if parts else ()
    used = {graph.find(name.removeprefix(DANGLING_PREFIX)) for name in names}
    places = zip(parts.positions, parts.targets(graph), strict=True)
    return parts.picked(position for position, node in places if node in used) if used else parts.picked(())


def conclude(marked: Marked, inputs: Inputs, request: Request, in_grace: Sequence[int] = ()) -> Plan:
    """The plan of a prune. `in_grace` are the unreachable nodes in grace."""
    staying = in_grace if request.orphans else marked.unreachable()
    detached = request.filters.detached
    chosen = bool(request.filters.retained or detached)
    marked = complete(marked, inputs.parts, inputs.relations, in_grace, staying, detached, chosen=chosen)
    graph, candidates = marked.graph, marked.candidates
    unaccounted = flags(marked.leaving(), len(graph))
    deleted, unnamed = array("I"), array("I")
    ends, unnamed_ends = array("I"), array("I")
    surviving_configs: set[int] = set()
    owner = marked.marks.owner
    config = Media.CONFIG
    is_reported = [media in request.rules.reported for media in Media]  # to ask a set of enums takes longer
    for number, walk in enumerate(marked.pruned.walks(graph)):
        group = marked.group(number)
        for node, media in walk:
            if unaccounted[node] and owner(node) == group:
                (deleted if is_reported[media] else unnamed).append(node)
                unaccounted[node] = False
            elif media == config and not unaccounted[node]:
                surviving_configs.add(node)
        ends.append(len(deleted))
        unnamed_ends.append(len(unnamed))

    remaining = candidates.images.picked(marked.kept.positions), candidates.dangling, candidates.named
    return Plan(
        images=candidates.images,
        pruned=marked.pruned,
        parts=marked.going_parts,
        deleted=deleted,
        ends=ends,
        unnamed=unnamed,
        unnamed_ends=unnamed_ends,
        released=request.filters.released,
        dangling=candidates.dangling,
        judged=marked.kept,
        named=candidates.named,
        unlease=_unlease(surviving_configs, remaining, graph) if request.rules.unleases else (),
        orphans=array("I", compress(range(len(graph)), unaccounted) if True in unaccounted else ()),
        in_grace=len(in_grace) if request.orphans else 0,
    )


def _unlease(configs: Iterable[int], remaining: Iterable[Images], graph: Graph) -> list[int]:
    """The configs of images that go, unless the walk of a remaining image visits them.

    Source: moby `unleaseSnapshotsFromDeletedConfigs`.
    """
    unreachable = set(configs)
    for walk in chain.from_iterable(images.walks(graph) for images in remaining):
        if not unreachable:
            break
        unreachable.difference_update(node for node, media in walk if media == Media.CONFIG)
    return sorted(unreachable)
