"""The choice of images: which records go, which stay and why, before anyone has looked at blobs.

Source: moby `pruneUnused` at 87c87bccb5, from the list of images to the creation of dangling ones. What shares the
fate of a subject (referrers, fallback tags) is set apart: moby has no such images.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ocigc.container import InUse
from ocigc.descriptor import Media
from ocigc.image import DANGLING_PREFIX, ImageRecord, dangling_name
from ocigc.rules.filters import ConfigLabels, Filters
from ocigc.rules.graph import Graph
from ocigc.rules.images import Images, Standing
from ocigc.rules.plan import Kept, Reason
from ocigc.rules.protection import Protection, protect
from ocigc.rules.referrers import TRUNCATED_LENGTH, fallback_subject


@dataclass(frozen=True, slots=True)
class Follower:
    """A record that shares the fate of its subject (a node), and why it stays if that does."""

    image: ImageRecord
    subject: int
    reason: Reason = Reason.SUBJECT_KEPT


@dataclass(slots=True)
class Choice:
    """`prune` is in the order of pruning. `dangling` are those of it that leave a dangling image behind. `bystanders`
    stay as NOT_DANGLING and have not been looked at one by one."""

    bystanders: Images = field(default_factory=Images)
    prune: list[ImageRecord] = field(default_factory=list)
    dangling: list[ImageRecord] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


def subject_of(image: ImageRecord, graph: Graph) -> int | None:
    """The present blob whose fate the record shares, or None for an image that stands for itself.

    That is the `subject` of a manifest without a name, or what a fallback tag speaks of.
    """
    if image.dangling:
        target = graph.find(image.target.digest)
        return None if target is None else graph.subject(target)
    digest = fallback_subject(image.name)
    if digest is None:
        return None
    subject = _find_fallback(digest, graph)
    return None if subject == graph.find(image.target.digest) else subject


def _find_fallback(digest: str, graph: Graph) -> int | None:
    found = graph.find(digest)
    if found is None and len(digest.partition(":")[2]) == TRUNCATED_LENGTH:
        return graph.find_longer(digest)
    return found


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
    choice = Choice()
    reference_count: Counter[str] = Counter()
    candidates: list[ImageRecord] = []
    if filters.dangling_only:
        choice.bystanders = images.those(Standing.ALONE)
        images = Images(images.those(Standing.DANGLING, Standing.FALLBACK))
        if protection.of_content:
            reference_count.update(image.target.digest for image in choice.bystanders)
    for image in images:
        subject = subject_of(image, graph)
        if subject is not None and image.sort_key not in filters.loose:
            _follow(choice, Follower(image, subject), protection, graph)
            continue
        reference_count[image.target.digest] += 1
        if (kept := _passed_over(image, filters, protection, config_labels)) is not None:
            choice.kept.append(kept)
        else:
            candidates.append(image)

    names = {image.name for image in images if image.name.startswith(DANGLING_PREFIX)} if protection.of_content else ()
    for image in sorted(candidates, key=lambda image: image.sort_key):
        digest = image.target.digest
        reference_count[digest] -= 1
        last_user = content_user(protection, image, graph) if reference_count[digest] == 0 else None
        if last_user is not None and image.dangling:
            # moby protects such a record by its name; a digest from another source has to do it here.
            choice.kept.append(Kept(image, Reason.CONTENT_IN_USE, last_user))
            continue
        target = graph.find(digest)
        if served and image.dangling and target is not None and image.sort_key not in filters.loose:
            choice.followers.append(Follower(image, target, Reason.CONTENT_KEPT))
            continue
        choice.prune.append(image)
        if last_user is not None and dangling_name(digest) not in names:
            choice.dangling.append(image)
    return choice


def _passed_over(
    image: ImageRecord, filters: Filters, protection: Protection, config_labels: ConfigLabels
) -> Kept | None:
    """The image with what keeps it by itself, whatever its content; None for a candidate."""
    if filters.dangling_only and not image.dangling:
        return Kept(image, Reason.NOT_DANGLING)
    if (objection := filters.objection(image, config_labels)) is not None:
        return Kept(image, Reason.FILTERED, objection)
    if (reason := filters.retained.get(image.sort_key)) is not None:
        return Kept(image, Reason.RETAINED, reason)
    if (user := protection.name_user(image)) is not None:
        return Kept(image, Reason.NAME_IN_USE, user)
    return None


def _follow(choice: Choice, follower: Follower, protection: Protection, graph: Graph) -> None:
    if (user := protection.name_user(follower.image)) is not None:
        choice.kept.append(Kept(follower.image, Reason.NAME_IN_USE, user))
    elif (user := content_user(protection, follower.image, graph)) is not None:
        choice.kept.append(Kept(follower.image, Reason.CONTENT_IN_USE, user))
    else:
        choice.followers.append(follower)


def content_user(protection: Protection, image: ImageRecord, graph: Graph) -> str | None:
    """Who uses the image's target, or a manifest or config of it, by digest."""
    return protection.content_user(
        image, lambda image: [graph.digest(node) for node, media in graph.walk(image.target) if media != Media.UNKNOWN]
    )
