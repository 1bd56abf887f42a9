"""The candidates: which images may go and which stay, and why, before anything is marked.

Source: moby `pruneUnused` at 87c87bccb5, from the list of images to the creation of dangling ones. Referrers are
handled apart, as moby does not know them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from sys import intern

from ocigc.gc.filters import ConfigLabels, Filters
from ocigc.gc.graph import NO_NODE, Graph, flags
from ocigc.gc.images import Images, NameKind, name_kind
from ocigc.gc.plan import KeepReason, Kept, KeptImages
from ocigc.gc.protection import ContentUser, Protection
from ocigc.gc.referrers import Relations
from ocigc.image import ImageRecord, dangling_name
from ocigc.values import frozen


@frozen
class Dependent:
    """An image, by its position, that stays if one of its `subjects` stays, or one of the nodes `labelled` that have a
    label with its name. It also stays if an image that stays reaches its `target`, unless that is NO_NODE.
    """

    position: int
    subjects: Sequence[int]
    labelled: Sequence[int] = ()
    target: int = NO_NODE


@frozen
class Candidates:
    """A first decision about the `images` that are not parts.

    Where only dangling images are to go, the `named` stay. Of the others, the `kept` stay, the `pruned` go, and for the
    `dependents` the mark decides. The `dangling` are those of the pruned that leave a dangling image.
    """

    images: Images
    named: Images
    kept: KeptImages
    pruned: Images
    dangling: Images
    dependents: Sequence[Dependent]


@frozen
class _ImageJudge:
    """Decides about one image, independent of all others."""

    graph: Graph
    filters: Filters
    protection: Protection
    config_labels: ConfigLabels
    relations: Relations
    in_grace: Collection[int]

    def decide(self, image: ImageRecord) -> Kept | Dependent | None:
        """Why the image stays, or what it depends on; None for a candidate."""
        position, relations = image.position, self.relations
        detached = position in self.filters.detached
        subjects = () if detached else relations.subjects.get(position, ())
        # A name of its own may keep a referrer. A fallback tag is not such a name, unless it refers to its own content.
        named = name_kind(image.names) == NameKind.NAMED or position in relations.reaching
        by_subject_alone = subjects and (image.nameless or not named)
        kept = self._kept_by_name(image) if by_subject_alone else self._kept_by_itself(image)
        circular = () if detached else relations.circular.get(position, ())
        labelled = relations.labelled.get(position, ())
        if position in relations.subjects or circular or labelled or position in relations.orphaned:
            kept = kept or self._kept_by_content(image)  # whether or not what it depends on stays
        if kept is not None:
            return kept
        if not (subjects or circular or labelled):
            return None
        target = self.graph.find(image.target.digest) if image.nameless and not labelled else None
        return Dependent(position, subjects or circular, labelled, NO_NODE if target is None else target)

    def free(self, images: Images) -> bytearray:
        """A flag per position: 1 for an image that is a candidate whatever its record says. There may be a million
        images, and making a record takes a while.
        """
        filters, relations = self.filters, self.relations
        count = max(images.positions, default=-1) + 1
        if filters.until or filters.labels or self.protection:
            return flags((), count)
        those = images.of_kind(NameKind.NAMELESS) if filters.dangling_only else images
        free = flags(those.positions, count)
        may_stay = (relations.subjects, relations.circular, relations.labelled, filters.retained, self.in_grace)
        for position in chain.from_iterable(may_stay):
            if position < count:
                free[position] = False
        return free

    def _kept_by_itself(self, image: ImageRecord) -> Kept | None:
        position = image.position
        if self.filters.dangling_only and not image.dangling:
            return Kept(position, KeepReason.NOT_DANGLING)
        if (objection := self.filters.objection(image, self.config_labels)) is not None:
            return Kept(position, KeepReason.FILTERED, intern(objection))  # the same, for many images
        if (reason := self.filters.retained.get(position)) is not None:
            return Kept(position, KeepReason.RETAINED, reason)
        if image.nameless and position in self.in_grace:
            return Kept(position, KeepReason.IN_GRACE)
        return self._kept_by_name(image)

    def _kept_by_content(self, image: ImageRecord) -> Kept | None:
        user = self.protection.content_user(image, self.graph)
        return None if user is None else Kept(image.position, KeepReason.CONTENT_IN_USE, user.by)

    def _kept_by_name(self, image: ImageRecord) -> Kept | None:
        user = self.protection.name_user(image)
        return None if user is None else Kept(image.position, KeepReason.NAME_IN_USE, user)


def find_candidates(
    images: Images,
    relations: Relations,
    graph: Graph,
    filters: Filters,
    protection: Protection,
    config_labels: ConfigLabels,
    in_grace: Collection[int],
) -> Candidates:
    """Sorts the images. `in_grace` are the positions of images whose target is in grace."""
    named, considered = images.picked(()), images
    if filters.dangling_only:
        named = images.of_kind(NameKind.NAMED)
        considered = images.of_kind(NameKind.NAMELESS, NameKind.DANGLING, NameKind.FALLBACK)
    judge = _ImageJudge(graph, filters, protection, config_labels, relations, in_grace)
    kept, dependents = KeptImages(), []
    alone, candidates = array("I"), array("I")
    free = judge.free(considered)
    for position in considered.positions:
        decision = None if free[position] else judge.decide(images[position])
        if isinstance(decision, Dependent):
            dependents.append(decision)
            continue
        alone.append(position)
        if decision is None:
            candidates.append(position)
        else:
            kept.add(decision)
    pruned = images.picked(candidates)
    if not protection.of_content:
        return Candidates(images, named, kept, pruned, images.picked(()), dependents)
    pruned_positions, dangling = array("I"), array("I")
    for image, user in _last_names(pruned.in_order(), (named, images.picked(alone)), protection, graph):
        if user is not None and (user.keeps_name or image.dangling):
            # The seed protects a dangling image by its name. Here, a digest from another source does.
            kept.add(Kept(image.position, KeepReason.CONTENT_IN_USE, user.by))
            continue
        pruned_positions.append(image.position)
        if user is not None:
            dangling.append(image.position)
    known = {image.name for image in images.of_kind(NameKind.NAMELESS, NameKind.DANGLING)} if dangling else ()
    unknown = (position for position in dangling if dangling_name(images[position].target.digest) not in known)
    return Candidates(images, named, kept, images.picked(pruned_positions), images.picked(unknown), dependents)


def _last_names(
    pruned: Images, all_names: Sequence[Images], protection: Protection, graph: Graph
) -> Iterator[tuple[ImageRecord, ContentUser | None]]:
    """The images to prune, in their order. Each comes with the user of its content, if pruning it would take the last
    name of content in use.
    """
    names: Counter[int | str] = Counter()  # by node, or by digest if it is absent
    for images in all_names:
        names.update(_contents(images, graph))
    for image, content in zip(pruned, _contents(pruned, graph), strict=True):
        names[content] -= 1
        yield image, None if names[content] else protection.content_user(image, graph)


def _contents(images: Images, graph: Graph) -> Iterator[int | str]:
    for position, target in zip(images.positions, images.targets(graph), strict=True):
        yield images[position].target.digest if target == NO_NODE else target
