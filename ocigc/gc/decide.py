"""The decision: makes a plan from what is present, what is in use and what is asked for.

`consider` finds the candidates and marks. The caller then finds out how old the unreachable blobs are, and `conclude`
makes the plan.

Source: moby `daemon/containerd/image_prune.go` at 87c87bccb5; `rule_sets` has what docker 29 does differently.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, compress, pairwise

from ocigc.gc.candidates import find_candidates
from ocigc.gc.filters import ConfigLabels, Filters
from ocigc.gc.graph import NO_NODE, Graph, Owned, Walks, flags
from ocigc.gc.images import Images
from ocigc.gc.in_use import InUse
from ocigc.gc.mark import Marked, complete, mark
from ocigc.gc.plan import KeepReason, Plan
from ocigc.gc.protection import Protection, protect
from ocigc.gc.referrers import Relations
from ocigc.gc.rule_sets import SEED, RuleSet
from ocigc.image import DANGLING_PREFIX, Media
from ocigc.labels import Lease
from ocigc.values import frozen, replace


@frozen
class Inputs:
    """What is in a layout: its images without the `parts`, and their relations; leases; and the nodes that are roots by
    themselves, for example by a `gc.root` label. `written` is the instant of the last change of the list of images.
    """

    images: Images
    parts: Images
    relations: Relations
    leases: Sequence[Lease]
    label_roots: Sequence[int]
    graph: Graph
    written: int = 0


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
    inputs: Inputs, request: Request, config_labels: ConfigLabels, in_grace: Collection[int] = frozenset()
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
    filters = request.filters
    marked = complete(
        marked, inputs.parts, inputs.relations, in_grace, staying, filters.detached, chosen=filters.chosen
    )
    graph, candidates = marked.graph, marked.candidates
    leaving = flags(marked.leaving(), len(graph))
    walks = marked.pruned.walks(graph)
    owned = _with_late(marked.marks.owned_on_walks(walks, marked.groups, leaving), marked, walks, leaving)
    deleted, ends, unnamed, unnamed_ends = _by_report(owned, request.rules)
    remaining = candidates.images.picked(marked.kept.positions), candidates.dangling, candidates.named
    return Plan(
        images=candidates.images,
        pruned=marked.pruned,
        parts=marked.going_parts,
        deleted=deleted,
        ends=ends,
        unnamed=unnamed,
        unnamed_ends=unnamed_ends,
        released=filters.released,
        dangling=candidates.dangling,
        judged=marked.kept,
        named=candidates.named,
        unlease=_unlease(walks, leaving, remaining, graph) if request.rules.unleases else (),
        orphans=_without(leaving, owned.nodes),
        in_grace=len(in_grace) if request.orphans else 0,
    )


def _with_late(owned: Owned, marked: Marked, walks: Walks, leaving: bytearray) -> Owned:
    """What goes with each image, including what only dependents walk. If a subject goes after its referrer, it keeps
    the referrer's blobs until then, but its own walk does not visit them. So they count with the last of the dependents
    whose walk does.
    """
    dependents = {each.position for each in marked.dependents}
    numbers = [number for number, each in enumerate(marked.pruned.positions) if each in dependents]
    walked = [
        (number, node, media)
        for number in reversed(numbers)
        if walks.nodes[number] != NO_NODE
        for node, media in marked.graph.walk_from(walks.nodes[number], Media(walks.medias[number]))
        if leaving[node] and marked.marks.owner(node) is not None
    ]
    left = {node for _, node, _ in walked}
    left.difference_update(owned.nodes)
    late: dict[int, list[tuple[int, Media]]] = {}
    for number, node, media in walked:
        if node in left:
            late.setdefault(number, []).append((node, media))
            left.discard(node)
    return _joined(owned, late) if late else owned


def _joined(owned: Owned, late: Mapping[int, Sequence[tuple[int, Media]]]) -> Owned:
    """What goes with each image, and after that what is `late`, by number."""
    nodes, medias, ends = array("I"), bytearray(), array("I")

    def copy(stop: int) -> None:
        """Copies what goes with the next images, up to that of a number."""
        first = len(ends)
        start, end = (owned.ends[number - 1] if number else 0 for number in (first, stop))
        shift = len(nodes) - start
        nodes.extend(owned.nodes[start:end])
        medias.extend(owned.medias[start:end])
        ends.extend(each + shift for each in owned.ends[first:stop])

    for number in sorted(late):
        copy(number + 1)
        nodes.extend(node for node, _ in late[number])
        medias.extend(media for _, media in late[number])
        ends[number] = len(nodes)
    copy(len(owned.ends))
    return Owned(nodes, medias, ends)


def _by_report(owned: Owned, rules: RuleSet) -> tuple[array[int], array[int], array[int], array[int]]:
    """What goes with each image: the nodes that the report of the rule set names, and where those of each image end;
    then the other nodes in the same way.
    """
    is_named = bytes(media in rules.reported for media in Media).ljust(256, b"\0")
    named = owned.medias.translate(is_named)
    if 0 not in named:
        return owned.nodes, owned.ends, array("I"), array("I", bytes(4 * len(owned.ends)))
    rest = named.translate(b"\1\0".ljust(256, b"\0"))
    spans = list(pairwise(chain((0,), owned.ends)))
    return (
        array("I", compress(owned.nodes, named)),
        array("I", accumulate(named.count(1, start, end) for start, end in spans)),
        array("I", compress(owned.nodes, rest)),
        array("I", accumulate(rest.count(1, start, end) for start, end in spans)),
    )


def _without(leaving: bytearray, nodes: Sequence[int]) -> array[int]:
    """The nodes that go, without some of them."""
    left = leaving[:]
    for node in nodes:
        left[node] = False
    return array("I", compress(range(len(left)), left) if True in left else ())


def without_idle_labels(inputs: Inputs, plan: Plan) -> Inputs | None:
    """The inputs without the labels that keep no name under this plan because all content that has them goes; None if
    there are none. The content of the image that such a label names is in use; without the label, the image may lose
    its name.
    """
    relations = inputs.relations
    labelled = relations.labelled
    if not labelled:
        return None
    dependent = relations.subjects.keys() | relations.circular.keys() | relations.orphaned.keys()
    used = [each.position for each in plan.judged if each.reason == KeepReason.CONTENT_IN_USE]
    going = frozenset(plan.blobs) if used else frozenset()
    idle = {each for each in used if each in labelled and each not in dependent and going.issuperset(labelled[each])}
    if not idle:
        return None
    left = {position: nodes for position, nodes in labelled.items() if position not in idle}
    return replace(inputs, relations=replace(relations, labelled=left))


def _flagged(flags: bytearray) -> Iterator[int]:
    """The nodes with a flag, where few have one."""
    node = flags.find(1)
    while node >= 0:
        yield node
        node = flags.find(1, node + 1)


def _unlease(walks: Walks, leaving: bytearray, remaining: Iterable[Images], graph: Graph) -> list[int]:
    """The configs on the walks of images that go, if the configs stay and no walk of a remaining image visits them.

    Source: moby `unleaseSnapshotsFromDeletedConfigs`.
    """
    configs = _flagged(graph.walked_as(walks, Media.CONFIG)) if walks.nodes else ()
    found = [node for node in configs if not leaving[node]]
    for images in remaining:
        if not found:
            break
        visited = graph.walked_as(images.walks(graph), Media.CONFIG)
        found = [node for node in found if not visited[node]]
    return found
