"""The choice of images: which records go, which stay and why, before anyone has looked at blobs.

Source: moby `pruneUnused` at 87c87bccb5, from the list of images to the creation of dangling ones. What shares the
fate of a subject (referrers, fallback tags) is set apart: moby has no such images.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from sys import intern

from ocigc.gc.filters import ConfigLabels, Filters
from ocigc.gc.graph import Graph
from ocigc.gc.images import Images, NameKind
from ocigc.gc.plan import KeepReason, Kept, KeptImages
from ocigc.gc.protection import ContentUser, Protection
from ocigc.image import ImageRecord, Media, dangling_name


@dataclass(frozen=True, slots=True)
class Referrer:
    """The position of an image that shares the fate of its subject (a node), and why it stays if that does."""

    position: int
    subject: int
    reason: KeepReason = KeepReason.SUBJECT_KEPT


@dataclass(slots=True)
class Candidates:
    """Of `images`, those that are `pruned`, and of these the `dangling`, which leave a dangling image behind.
    `bystanders` stay as NOT_DANGLING and have not been looked at one by one."""

    images: Images
    named: Images = field(default_factory=Images)
    pruned: Images = field(default_factory=Images)
    dangling: Images = field(default_factory=Images)
    kept: KeptImages = field(default_factory=KeptImages)
    referrers: list[Referrer] = field(default_factory=list)


class _Uses:
    """How many names each content still has, where somebody uses content, so that it must not lose the last."""

    def __init__(self, protection: Protection, graph: Graph) -> None:
        self._protection = protection
        self._graph = graph
        self._names: Counter[int | str] = Counter()  # by node, or by digest where that is absent

    def add(self, images: Images) -> None:
        """Counts their names."""
        if self._protection.of_content:
            for image, target in zip(images, images.targets(self._graph), strict=True):
                self._names[image.target.digest if target is None else target] += 1

    def take(self, image: ImageRecord, target: int | None) -> ContentUser | None:
        """Takes a name away; who uses its content, if that was the last."""
        if not self._protection.of_content:
            return None
        content = image.target.digest if target is None else target
        self._names[content] -= 1
        return None if self._names[content] else content_user(self._protection, image, self._graph)


def find_candidates(
    images: Images,
    graph: Graph,
    filters: Filters,
    protection: Protection,
    config_labels: ConfigLabels,
    *,
    served: bool = False,
) -> Candidates:
    """Sorts the images into what goes, what stays and what follows a subject.

    In a layout that a registry has `served`, an entry without a name is how that finds a manifest by its digest: it
    goes no sooner than its content.
    """
    uses = _Uses(protection, graph)
    choice = Candidates(images)
    considered = images
    if filters.dangling_only:
        choice.named = images.of_kind(NameKind.NAMED)
        considered = images.of_kind(NameKind.NAMELESS, NameKind.DANGLING, NameKind.FALLBACK)
        uses.add(choice.named)
    alone, candidates = array("I"), array("I")
    for position, subject in zip(considered.positions, considered.subjects(graph), strict=True):
        if subject is not None and position not in filters.detached:
            _judge_referrer(choice, Referrer(position, subject), protection, graph)
            continue
        alone.append(position)
        if (kept := _passed_over(images[position], filters, protection, config_labels)) is not None:
            choice.kept.add(kept)
        else:
            candidates.append(position)
    uses.add(images.picked(alone))
    choice.pruned = images.picked(candidates)
    if protection.of_content or served:
        _reconsider(choice, uses, graph, filters.detached if served else None)
    return choice


def _reconsider(choice: Candidates, uses: _Uses, graph: Graph, detached: Collection[int] | None) -> None:
    """Goes through what is to be pruned, in the order of pruning, for what would lose its last name. What has no name
    follows its content, but for the `loose` (None: nothing does).
    """
    images, pruned, dangling = choice.images, array("I"), array("I")
    candidates = choice.pruned.in_order()
    for image, target in zip(candidates, candidates.targets(graph), strict=True):
        last_user = uses.take(image, target)
        if last_user is not None and (last_user.keeps_name or image.dangling):
            # The seed protects a dangling image by its name; a digest from another source has to do it here.
            choice.kept.add(Kept(image.position, KeepReason.CONTENT_IN_USE, last_user.by))
        elif detached is not None and image.dangling and target is not None and image.position not in detached:
            choice.referrers.append(Referrer(image.position, target, KeepReason.CONTENT_KEPT))
        else:
            pruned.append(image.position)
            if last_user is not None:
                dangling.append(image.position)
    names = {image.name for image in images.of_kind(NameKind.DANGLING, NameKind.NAMELESS)} if dangling else ()
    choice.pruned = images.picked(pruned)
    choice.dangling = images.picked(p for p in dangling if dangling_name(images[p].target.digest) not in names)


def _passed_over(
    image: ImageRecord, filters: Filters, protection: Protection, config_labels: ConfigLabels
) -> Kept | None:
    """What keeps the image by itself, whatever its content; None for a candidate."""
    if filters.dangling_only and not image.dangling:
        return Kept(image.position, KeepReason.NOT_DANGLING)
    if (objection := filters.objection(image, config_labels)) is not None:
        return Kept(image.position, KeepReason.FILTERED, intern(objection))  # the same of many images
    if (reason := filters.retained.get(image.position)) is not None:
        return Kept(image.position, KeepReason.RETAINED, reason)
    if (user := protection.name_user(image)) is not None:
        return Kept(image.position, KeepReason.NAME_IN_USE, user)
    return None


def _judge_referrer(choice: Candidates, referrer: Referrer, protection: Protection, graph: Graph) -> None:
    image = choice.images[referrer.position] if protection else None
    if image is not None and (user := protection.name_user(image)) is not None:
        choice.kept.add(Kept(referrer.position, KeepReason.NAME_IN_USE, user))
    elif image is not None and (used := content_user(protection, image, graph)) is not None:
        choice.kept.add(Kept(referrer.position, KeepReason.CONTENT_IN_USE, used.by))
    else:
        choice.referrers.append(referrer)


def content_user(protection: Protection, image: ImageRecord, graph: Graph) -> ContentUser | None:
    """Who uses the image's target, or a manifest or config of it, by digest."""
    return protection.content_user(
        image, lambda image: [graph.digest(node) for node, media in graph.walk(image.target) if media != Media.UNKNOWN]
    )
