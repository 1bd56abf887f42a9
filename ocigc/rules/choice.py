"""The choice of images: which records go, which stay and why, before anyone has looked at blobs.

Source: moby `pruneUnused` at 87c87bccb5, from the list of images to the creation of dangling ones. What shares the
fate of a subject (referrers, fallback tags) is set apart: moby has no such images.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from ocigc.container import InUse
from ocigc.descriptor import Media
from ocigc.image import ImageRecord, dangling_name
from ocigc.rules.filters import ConfigLabels, Filters
from ocigc.rules.graph import Graph
from ocigc.rules.images import Images, Standing
from ocigc.rules.plan import Kept, Reason
from ocigc.rules.protection import Protection, protect
from ocigc.rules.referrers import TRUNCATED_LENGTH, fallback_subject


@dataclass(frozen=True, slots=True)
class Follower:
    """The position of an image that shares the fate of its subject (a node), and why it stays if that does."""

    position: int
    subject: int
    reason: Reason = Reason.SUBJECT_KEPT


@dataclass(slots=True)
class Choice:
    """Of `images`, `pruned` are in the order of pruning, and `dangling` are those of them that leave a dangling image
    behind. `bystanders` stay as NOT_DANGLING and have not been looked at one by one."""

    images: Images
    bystanders: Images = field(default_factory=Images)
    pruned: Images = field(default_factory=Images)
    dangling: Images = field(default_factory=Images)
    kept: list[Kept] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


def subject_of(image: ImageRecord, target: int | None, graph: Graph) -> int | None:
    """The present blob whose fate the record shares, or None for an image that stands for itself. `target` is the node
    of the image's target.

    That is the `subject` of a manifest without a name, or what a fallback tag speaks of.
    """
    if image.dangling:
        return None if target is None else graph.subject(target)
    digest = fallback_subject(image.name)
    if digest is None:
        return None
    subject = _find_fallback(digest, graph)
    return None if subject == target else subject


def _find_fallback(digest: str, graph: Graph) -> int | None:
    found = graph.find(digest)
    if found is None and len(digest.partition(":")[2]) == TRUNCATED_LENGTH:
        return graph.find_longer(digest)
    return found


class _Uses:
    """How many names each content still has, where somebody uses content, so that it must not lose the last."""

    def __init__(self, protection: Protection, graph: Graph) -> None:
        self._protection = protection
        self._graph = graph
        self._names: Counter[str] = Counter()

    def add(self, image: ImageRecord) -> None:
        """Counts a name."""
        if self._protection.of_content:
            self._names[image.target.digest] += 1

    def take(self, image: ImageRecord) -> str | None:
        """Takes a name away; who uses its content, if that was the last."""
        if not self._protection.of_content:
            return None
        self._names[image.target.digest] -= 1
        return None if self._names[image.target.digest] else content_user(self._protection, image, self._graph)


def choose(
    images: Images,
    graph: Graph,
    filters: Filters,
    in_use: InUse,
    config_labels: ConfigLabels,
    *,
    served: bool = False,
) -> Choice:
    """Sorts the images into what goes, what stays and what follows a subject.

    In a layout that a registry has `served`, an entry without a name is how that finds a manifest by its digest: it
    goes no sooner than its content.
    """
    protection = protect(in_use)
    uses = _Uses(protection, graph)
    choice = Choice(images)
    considered = images
    if filters.dangling_only:
        choice.bystanders = images.those(Standing.ALONE)
        considered = images.those(Standing.DANGLING, Standing.FALLBACK)
        if protection.of_content:
            for image in choice.bystanders:
                uses.add(image)
    candidates = array("I")
    for image, target in zip(considered, considered.targets(graph), strict=True):
        subject = subject_of(image, target, graph)
        if subject is not None and image.position not in filters.loose:
            _follow(choice, image, subject, protection, graph)
            continue
        uses.add(image)
        if (kept := _passed_over(image, filters, protection, config_labels)) is not None:
            choice.kept.append(kept)
        else:
            candidates.append(image.position)
    _take(choice, images.picked(candidates).in_order(), uses, graph, filters.loose if served else None)
    return choice


def _take(choice: Choice, candidates: Images, uses: _Uses, graph: Graph, loose: Collection[int] | None) -> None:
    """Takes the candidates in their order. Those without a name follow their content, but for the `loose` (None: none
    does).
    """
    pruned, dangling = array("I"), array("I")
    for image, target in zip(candidates, candidates.targets(graph), strict=True):
        last_user = uses.take(image)
        if last_user is not None and image.dangling:
            # moby protects such a record by its name; a digest from another source has to do it here.
            choice.kept.append(Kept(image.position, Reason.CONTENT_IN_USE, last_user))
        elif loose is not None and image.dangling and target is not None and image.position not in loose:
            choice.followers.append(Follower(image.position, target, Reason.CONTENT_KEPT))
        else:
            pruned.append(image.position)
            if last_user is not None:
                dangling.append(image.position)
    images = choice.images
    names = {image.name for image in images.those(Standing.DANGLING)} if dangling else ()
    choice.pruned = images.picked(pruned)
    choice.dangling = images.picked(p for p in dangling if dangling_name(images[p].target.digest) not in names)


def _passed_over(
    image: ImageRecord, filters: Filters, protection: Protection, config_labels: ConfigLabels
) -> Kept | None:
    """What keeps the image by itself, whatever its content; None for a candidate."""
    if filters.dangling_only and not image.dangling:
        return Kept(image.position, Reason.NOT_DANGLING)
    if (objection := filters.objection(image, config_labels)) is not None:
        return Kept(image.position, Reason.FILTERED, objection)
    if (reason := filters.retained.get(image.position)) is not None:
        return Kept(image.position, Reason.RETAINED, reason)
    if (user := protection.name_user(image)) is not None:
        return Kept(image.position, Reason.NAME_IN_USE, user)
    return None


def _follow(choice: Choice, image: ImageRecord, subject: int, protection: Protection, graph: Graph) -> None:
    if (user := protection.name_user(image)) is not None:
        choice.kept.append(Kept(image.position, Reason.NAME_IN_USE, user))
    elif (user := content_user(protection, image, graph)) is not None:
        choice.kept.append(Kept(image.position, Reason.CONTENT_IN_USE, user))
    else:
        choice.followers.append(Follower(image.position, subject))


def content_user(protection: Protection, image: ImageRecord, graph: Graph) -> str | None:
    """Who uses the image's target, or a manifest or config of it, by digest."""
    return protection.content_user(
        image, lambda image: [graph.digest(node) for node, media in graph.walk(image.target) if media != Media.UNKNOWN]
    )
