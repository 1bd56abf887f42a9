"""The mark: which root owns each blob if the candidates go, and so what goes with which image.

Source: containerd's garbage collection as moby's `ImagesPrune` triggers it after every image (SynchronousDelete): a
blob goes with the last image that reached it. Parts, referrers and the grace of orphans are not in moby.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from itertools import chain, compress

from ocigc.gc.candidates import Candidates, Dependent
from ocigc.gc.graph import NO_NODE, Graph, Group, Marks
from ocigc.gc.images import Images
from ocigc.gc.plan import KeepReason, Kept, KeptImages
from ocigc.gc.referrers import Relations
from ocigc.labels import Lease
from ocigc.values import frozen, replace

# The groups of every mark: images that stay; leases and labels; flat leases; orphans in grace; the images that go, last
# to go first; the parts that go.
_IMAGES, _OTHER_ROOTS, _FLAT_LEASES, _IN_GRACE, _PRUNED = range(5)


@frozen
class Marked:
    """What stays, what goes, and who owns what. `pruned` are in the order of pruning, with the `dependents` that go.
    Each has a group, which owns what goes with it; `end` is the number after those of what goes. The entries of
    `going_parts` go, and those of `kept_parts` stay.
    """

    graph: Graph
    other_roots: Sequence[Group]
    marks: Marks
    candidates: Candidates
    kept: KeptImages
    dependents: Sequence[Dependent]
    pruned: Images
    groups: Sequence[int]
    end: int
    going_parts: Images
    kept_parts: Images

    def unreachable(self) -> Sequence[int]:
        """Every node that nothing reaches, that is, the orphans."""
        return self.marks.unreachable()

    def leaving(self) -> array[int]:
        """Every node that goes."""
        nodes = array("I", self.graph.sweepable(self.marks.owned(_PRUNED, self.end)))
        nodes.extend(self.graph.sweepable(self.unreachable()))
        return nodes

    def stays(self, node: int) -> bool:
        """Whether something that stays reaches the node."""
        owner = None if node == NO_NODE else self.marks.owner(node)
        return owner is not None and not _PRUNED <= owner < self.end

    def stays_with_image(self, node: int) -> bool:
        """Whether an image that stays reaches the node."""
        return node != NO_NODE and self.marks.owner(node) == _IMAGES


def mark(
    candidates: Candidates,
    parts: Images,
    parts_in_use: Images,
    leases: Sequence[Lease],
    label_roots: Sequence[int],
    graph: Graph,
) -> Marked:
    """Marks as if every candidate went, except parts in use. `leases` are the active ones."""
    other_roots = [*root_groups((), leases, label_roots, graph)[_OTHER_ROOTS:], Group(())]
    used = frozenset(parts_in_use.positions)
    going = parts.picked(position for position in parts.positions if position not in used) if used else parts
    return _mark(graph, other_roots, candidates, candidates.kept, candidates.dependents, going, parts_in_use)


def complete(
    marked: Marked,
    parts: Images,
    relations: Relations,
    in_grace: Sequence[int],
    staying: Sequence[int],
    detached: Container[int],
    *,
    chosen: bool,
) -> Marked:
    """Marks again until all that stays has its referrers and parts. A part stays with an image that reaches it, or, if
    it is a referrer and not `detached`, with its subject. Where images are `chosen`, by name or by a policy, a part
    stays with whatever reaches it (if `detached`, only forward). Otherwise it would be a dangling image by then, and
    goes like one. `in_grace` are unreachable nodes that stay, with all that they reach: a tool that pushes a manifest
    and names it last relies on the layers that are here. The nodes `staying` stay too, with all that they reach and
    that no image takes with it.
    """
    if in_grace and (marked.pruned or marked.going_parts):
        marked = replace(marked, other_roots=[*marked.other_roots[: _IN_GRACE - 1], Group(in_grace)])
        marked = _mark_again(marked, marked.kept, marked.dependents, marked.going_parts, marked.kept_parts)
    absent = relations.absent_parts
    subjects = {each: nodes for each, nodes in relations.part_subjects.items() if each not in detached}
    while True:
        forward: frozenset[int] = frozenset()
        if any(map(detached.__contains__, marked.going_parts.positions)):
            forward = _reached_forward(marked)
            marked = _mark_again(marked, marked.kept, marked.dependents, marked.going_parts, marked.kept_parts)
        marked.marks.add([Group(staying)])
        keeps = marked.stays if chosen else marked.stays_with_image
        kept, dependents = _with_dependents(marked)
        places = zip(marked.going_parts.positions, marked.going_parts.targets(marked.graph), strict=True)
        stay = frozenset(
            position
            for position, node in places
            if (position in forward if position in detached else any(map(keeps, absent.get(position, (node,)))))
            or any(map(marked.stays, subjects.get(position, ())))
        )
        kept_parts = parts.picked(chain(marked.kept_parts.positions, stay))
        going_parts = parts.picked(each for each in marked.going_parts.positions if each not in stay)
        new = kept.positions[len(marked.kept) :]
        roots = marked.candidates.images.picked(new).roots(marked.graph) + kept_parts.roots(marked.graph)
        if all(map(marked.stays_with_image, roots)):
            return _without(marked, kept, dependents, going_parts, kept_parts)
        # What stays is a root: it may keep what would have gone.
        marked = _mark_again(marked, kept, dependents, going_parts, kept_parts)


def _reached_forward(marked: Marked) -> frozenset[int]:
    """The positions of the parts that go although an image that stays reaches them forward, or another root reaches
    them in any way.
    """
    staying = Group(_staying(marked.candidates, marked.kept, marked.kept_parts, marked.graph), forward=True)
    marks = marked.graph.mark([staying, *marked.other_roots])
    parts = zip(marked.going_parts.positions, marked.going_parts.targets(marked.graph), strict=True)
    return frozenset(each for each, node in parts if node != NO_NODE and marks.owner(node) is not None)


def _staying(candidates: Candidates, kept: KeptImages, kept_parts: Images, graph: Graph) -> array[int]:
    """The roots of the images that stay."""
    staying = candidates.named.roots(graph) + candidates.dangling.unnamed().roots(graph)
    return staying + candidates.images.picked(kept.positions).roots(graph) + kept_parts.roots(graph)


def _without(
    marked: Marked, kept: KeptImages, dependents: Sequence[Dependent], going_parts: Images, kept_parts: Images
) -> Marked:
    """The same marks, but what is kept in addition now belongs to the images that stay. Nothing goes with it."""
    stay = frozenset(kept.positions[len(marked.kept) :])
    left = [position not in stay for position in marked.pruned.positions]
    return replace(
        marked,
        kept=kept,
        dependents=dependents,
        pruned=marked.candidates.images.picked(compress(marked.pruned.positions, left)),
        groups=array("I", compress(marked.groups, left)),
        going_parts=going_parts,
        kept_parts=kept_parts,
    )


def _mark_again(
    marked: Marked, kept: KeptImages, dependents: Sequence[Dependent], going_parts: Images, kept_parts: Images
) -> Marked:
    return _mark(marked.graph, marked.other_roots, marked.candidates, kept, dependents, going_parts, kept_parts)


def _with_dependents(marked: Marked) -> tuple[KeptImages, Sequence[Dependent]]:
    """The images that are kept, together with the dependents whose subject stays; and the other dependents."""
    dependents: list[Dependent] = []
    found: list[tuple[int, KeepReason, int]] = []
    for each in marked.dependents:
        reason, by = KeepReason.SUBJECT_KEPT, next(filter(marked.stays, each.subjects), None)
        if by is None and marked.stays_with_image(each.target):
            by = each.target
        if by is None:
            reason, by = KeepReason.LABEL_KEPT, next(filter(marked.stays, each.labelled), None)
        if by is None:
            dependents.append(each)
        else:
            found.append((each.position, reason, by))
    kept = marked.kept.copy()
    for (position, reason, _), digest in zip(found, marked.graph.digests(by for *_, by in found), strict=True):
        kept.add(Kept(position, reason, digest))
    return kept, dependents


def _mark(
    graph: Graph,
    other_roots: Sequence[Group],
    candidates: Candidates,
    kept: KeptImages,
    dependents: Sequence[Dependent],
    going_parts: Images,
    kept_parts: Images,
) -> Marked:
    images = candidates.images
    going = chain(candidates.pruned.positions, (dependent.position for dependent in dependents))
    pruned = images.picked(going).in_order()
    marks = graph.mark([Group(_staying(candidates, kept, kept_parts, graph)), *other_roots])
    marks.add_each(images.picked(reversed(pruned.positions)).groups(graph))
    marks.add([Group(going_parts.roots(graph))])
    groups = range(_PRUNED + len(pruned) - 1, _PRUNED - 1, -1)
    end = _PRUNED + len(pruned) + 1
    return Marked(graph, other_roots, marks, candidates, kept, dependents, pruned, groups, end, going_parts, kept_parts)


def root_groups(
    images: Sequence[int], leases: Sequence[Lease], label_roots: Sequence[int], graph: Graph
) -> list[Group]:
    """The roots of a layout: images (the nodes that they refer to), `gc.root` labels and leases, and flat leases."""
    roots = array("I", chain(label_roots, lease_roots(leases, graph, flat=False)))
    return [Group(images), Group(roots), Group(lease_roots(leases, graph, flat=True), flat=True)]


def lease_roots(leases: Iterable[Lease], graph: Graph, *, flat: bool) -> list[int]:
    """The nodes of the resources of leases: either of the flat ones, or of the others."""
    nodes = (graph.find(digest) for lease in leases if lease.flat == flat for digest in lease.resources)
    return [node for node in nodes if node is not None]
