"""Parts and referrers: which entries of index.json are not images of their own, and which depend on another image.

A part has no name, and the walk of another entry reaches it: oras and zot list the manifests of an index this way. A
referrer states its subject in its manifest, by a fallback tag, or as an entry of `cosign save`. It stays with its
subject.

Sources: distribution-spec 1.1 "Referrers Tag Schema"; cosign's `sha256-<hex>.sig`, `.att` and `.sbom`.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress

from ocigc.gc.graph import ABSENT, NO_NODE, Graph, Group, Marks, flags
from ocigc.gc.images import Images, NameKind, fallback_subject
from ocigc.image import ImageRecord, Media
from ocigc.values import field, frozen

_FEW = 100  # images; for each of them, the whole graph may be marked
TRUNCATED_LENGTH = 64
"""Characters of the encoded part of a digest in a fallback tag: the distribution spec cuts longer ones, as those of
sha512."""


@frozen
class Subjects:
    """What images refer to, by position. `present` has the nodes of the present subjects of each image. `orphaned` has
    the images whose subject is absent, each with its digest ("" if only the manifest states it).
    """

    present: Mapping[int, Sequence[int]] = field(default_factory=dict)
    orphaned: Mapping[int, str] = field(default_factory=dict)


@frozen
class Relations:
    """How the entries of a layout belong together, by position. `parts` are the parts; `absent_parts` has the nodes
    that refer to parts that are absent, `part_subjects` the subjects of parts that are referrers. `subjects` are the
    subjects of the referrers; referrers in `reaching` reach their subject themselves. `circular` has the subjects of
    images that do not count as referrers, because only these images reach the subjects. `orphaned` is as in `Subjects`.
    `labelled` are the images whose name a label refers to, with the nodes that have the label.
    """

    parts: Sequence[int] = ()
    subjects: Mapping[int, Sequence[int]] = field(default_factory=dict)
    reaching: frozenset[int] = frozenset()
    circular: Mapping[int, Sequence[int]] = field(default_factory=dict)
    orphaned: Mapping[int, str] = field(default_factory=dict)
    labelled: Mapping[int, Sequence[int]] = field(default_factory=dict)
    absent_parts: Mapping[int, Sequence[int]] = field(default_factory=dict)
    part_subjects: Mapping[int, Sequence[int]] = field(default_factory=dict)


def find_subjects(images: Images, graph: Graph, stated: Mapping[int, Collection[str]] | None = None) -> Subjects:
    """The subjects that manifests and fallback tags state. `stated` has, by position, the digests of subjects that
    entries state otherwise, as those of `cosign save` do.
    """
    found: dict[int, dict[int, None]] = {}  # ordered sets
    orphaned: dict[int, str] = {}
    positions = images.positions
    for place, node in graph.subjects(images.targets(graph)):
        if node == ABSENT:
            orphaned[positions[place]] = ""
        else:
            found.setdefault(positions[place], {})[node] = None
    tags = ((image.position, map(fallback_subject, image.names)) for image in images.of_kind(NameKind.FALLBACK))
    for position, digests in chain(tags, (stated or {}).items()):
        for digest in filter(None, digests):
            if (subject := _find(digest, graph)) is None:
                orphaned[position] = digest
            else:
                found.setdefault(position, {})[subject] = None
    for position, target in zip(found, images.picked(found).targets(graph), strict=True):
        found[position].pop(target, None)  # a reference to itself does not count
    return Subjects(
        {position: list(nodes) for position, nodes in found.items() if nodes},
        {position: digest for position, digest in orphaned.items() if not found.get(position)},
    )


def _find(digest: str, graph: Graph) -> int | None:
    found = graph.find(digest)
    if found is None and len(digest.partition(":")[2]) == TRUNCATED_LENGTH:
        return graph.find_longer(digest)
    return found


def relate(
    images: Images,
    subjects: Subjects,
    others: Sequence[int],
    graph: Graph,
    absent: Mapping[int, Sequence[int]] | None = None,
) -> Relations:
    """The relations of all entries of a layout. The graph has an edge from each subject to its referrers. `others` are
    the roots that are not images: of leases and labels. `absent` has, by position, the images without a name whose
    target is absent, with the nodes that refer to them.

    An image that is the only one to reach its own subject is not a referrer, as it would keep itself. It is judged like
    any other image, but stays while something that stays for other reasons reaches its subject. So the result is the
    same whether the other things that reached its subject are gone already or go in the same run.
    """
    turning = _circular(images, subjects.present, others, graph) if subjects.present else ()
    circular = {position: nodes for position, nodes in subjects.present.items() if position in turning}
    present = {position: nodes for position, nodes in subjects.present.items() if position not in turning}
    parts = _parts(images, present, graph)
    parts.extend((absent or {}).keys() - frozenset(parts))
    alone = frozenset(parts)
    part_subjects = {position: nodes for position, nodes in present.items() if position in alone}
    present = {position: nodes for position, nodes in present.items() if position not in alone}
    walks = images.picked(present).walks(graph)
    visits = graph.visiting(walks, chain.from_iterable(present.values()))
    referrers = compress(zip(present.items(), walks.nodes, walks.medias, strict=True), visits)
    return Relations(
        parts,
        present,
        frozenset(
            position
            for (position, nodes), target, media in referrers
            if any(node in nodes for node, _ in graph.walk_from(target, Media(media)))
        ),
        {position: nodes for position, nodes in circular.items() if position not in alone},
        {position: digest for position, digest in subjects.orphaned.items() if position not in alone},
        absent_parts=absent or {},
        part_subjects=part_subjects,
    )


# Cycles


def _circular(
    images: Images, subjects: Mapping[int, Sequence[int]], others: Sequence[int], graph: Graph
) -> Collection[int]:
    """The positions of images that would keep themselves, or each other in turn, if they stayed with their subjects."""

    def unreached(positions: Iterable[int], marks: Marks) -> list[int]:
        return [each for each in positions if all(marks.owner(node) is None for node in subjects[each])]

    alone = images.picked(position for position in images.positions if position not in subjects).roots(graph)
    roots = flags(alone, len(graph))
    if all(any(map(roots.__getitem__, nodes)) for nodes in subjects.values()):
        return ()  # as usual
    marks = graph.mark([Group(alone), Group(others)])
    doubtful = unreached(subjects, marks)
    if not doubtful:
        return ()
    marks.add([Group(images.picked(doubtful).roots(graph))])
    # Images whose subject nothing reaches do not keep themselves; nor do those that depend on what these reach.
    unkept = frozenset(unreached(doubtful, marks))
    marks = graph.mark([Group(images.picked(unkept).roots(graph))])
    left = unreached((position for position in doubtful if position not in unkept), marks)
    return _in_cycles(images.picked(left), subjects, graph)


def _in_cycles(images: Images, subjects: Mapping[int, Sequence[int]], graph: Graph) -> Collection[int]:
    """Those that are in a cycle, among images whose subjects only such images reach. If there are any, there is a
    cycle. If there are many and their walks do not show it, all of them count as being in it.
    """
    by_subject: dict[int, list[int]] = {}
    for position in images.positions:
        for node in subjects[position]:
            by_subject.setdefault(node, []).append(position)

    def reached(image: ImageRecord) -> Iterable[int]:
        if len(images) > _FEW:
            return (node for node, _ in graph.walk(image.target))
        marks = graph.mark([Group(images.picked([image.position]).roots(graph))])
        return (node for node in by_subject if marks.owner(node) is not None)

    keeps = {image.position: {each for node in reached(image) for each in by_subject.get(node, ())} for image in images}
    left = set(keeps)
    while True:
        kept = {each for position in left for each in keeps[position]}
        circular = {position for position in left & kept if keeps[position] & left}
        if circular == left:
            return left or images.positions
        left = circular


# Parts


def _parts(images: Images, subjects: Mapping[int, Sequence[int]], graph: Graph) -> array[int]:
    """The positions of the images without a name that another image reaches: forward, or, if they are not referrers, in
    any way.
    """
    nameless = images.of_kind(NameKind.NAMELESS)
    if not nameless:
        return array("I")
    roots = images.of_kind(NameKind.DANGLING, NameKind.NAMED, NameKind.FALLBACK).roots(graph)
    nameless, alone = _reachable(roots, nameless, graph)
    roots = roots + alone.roots(graph)
    parts = array("I")
    for forward in (True, False):
        if not nameless:
            break
        tops = _tops(roots, nameless, graph, forward=forward)
        parts.extend(position for position in nameless.positions if position not in tops)
        roots = roots + images.picked(position for position in tops if position in subjects).roots(graph)
        nameless = images.picked(position for position in tops if position not in subjects)
    return parts


def _reachable(roots: array[int], images: Images, graph: Graph) -> tuple[Images, Images]:
    """The images that the roots or another image may reach, because something refers to them; and the others. Usually
    nothing has to be marked.
    """
    targets = images.targets(graph)
    if len(images.roots(graph)) != len(targets) - targets.count(NO_NODE):
        return images, images.picked(())  # their labels refer to something too
    referred = flags(chain(roots, graph.referred(targets)), len(graph))
    found = [node != NO_NODE and referred[node] for node in targets]
    reachable = images.picked(compress(images.positions, found))
    return reachable, images.picked(compress(images.positions, (not each for each in found)))


def _tops(roots: array[int], images: Images, graph: Graph, *, forward: bool) -> frozenset[int]:
    """The positions of the images that neither the roots nor another image reach. If images reach each other, one of
    them counts.
    """
    tops = images.in_order()
    targets = tops.targets(graph)
    labelled: dict[int, Sequence[int]] = {}  # by place, the roots of images that have more than their target
    attached: dict[int, list[int]] = {}  # by place, the places of such images that it reaches; -1 stands for the roots

    def groups(images: Images, places: Iterable[int]) -> Iterator[Group]:
        for place, group in zip(places, images.groups(graph), strict=True):
            if len(group.roots) > 1:
                labelled[place] = group.roots
            further = chain.from_iterable(map(labelled.__getitem__, attached.get(place, ())))
            yield Group([*group.roots, *further], forward=forward) if place in attached or forward else group

    while True:  # until all that an image reaches by labels of others is known
        further = chain.from_iterable(map(labelled.__getitem__, attached.get(-1, ())))
        marks = graph.mark(chain([Group([*roots, *further], forward=forward)], groups(tops, range(len(tops)))))
        found: dict[int, list[int]] = {}
        for place in labelled:
            if targets[place] != NO_NODE and (owner := marks.owner(targets[place])) != place + 1 and owner is not None:
                found.setdefault(owner - 1, []).append(place)
        if found == attached:
            break
        attached = found
    # First those that no earlier image reaches; then those among them that no later one reaches.
    places = [place for place, node in enumerate(targets) if node == NO_NODE or marks.owner(node) == place + 1]
    places.reverse()
    tops = tops.picked(map(tops.positions.__getitem__, places))
    marks = graph.mark(groups(tops, places))
    ends = zip(tops.positions, tops.targets(graph), strict=True)
    return frozenset(each for own, (each, node) in enumerate(ends) if node == NO_NODE or marks.owner(node) == own)
