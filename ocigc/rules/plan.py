"""A plan: all that a prune will do, decided before anything is done."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from ocigc.image import ImageRecord
from ocigc.rules.images import Images


class Reason(Enum):
    """Why an image stays."""

    NOT_DANGLING = "has a name, and only dangling images are pruned"
    FILTERED = "a filter keeps it"
    RETAINED = "is to be kept"
    NAME_IN_USE = "in use by name"
    CONTENT_IN_USE = "in use by digest, and this is its last name"
    SUBJECT_KEPT = "refers to an image that stays"
    CONTENT_KEPT = "its content stays, and a registry finds it by this entry"


@dataclass(frozen=True, slots=True)
class Untagged:
    """An image record that goes, and the blobs of its walk that go with it (nodes, in the order of the walk). `by`
    names the rule of a policy that lets go of it, if one does.
    """

    image: ImageRecord
    deleted: Sequence[int]
    by: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An image record that stays, and why. `by` names what of that kind it was: a user, a filter, a rule, a
    subject.
    """

    image: ImageRecord
    reason: Reason
    by: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`untagged` is in the order of pruning; `dangling` are those of it whose content is in use: their entry stays and
    loses its name. Of the images that stay, `judged` had to be looked at, the `bystanders` did not. `unlease` are
    configs (nodes) that no remaining image holds. `orphans` are all other blobs (nodes) that go; `spared` counts
    orphans that stay because they are young. `reclaimed` is in bytes.
    """

    untagged: tuple[Untagged, ...]
    dangling: tuple[ImageRecord, ...]
    judged: tuple[Kept, ...]
    bystanders: Images
    unlease: Sequence[int]
    orphans: Sequence[int]
    spared: int
    reclaimed: int

    @property
    def kept(self) -> list[Kept]:
        """Every image that stays as it is, by name."""
        bystanders = (Kept(image, Reason.NOT_DANGLING) for image in self.bystanders)
        return sorted([*self.judged, *bystanders], key=lambda kept: kept.image.sort_key)

    @property
    def staying(self) -> int:
        """How many images there will be."""
        return len(self.judged) + len(self.bystanders) + len(self.dangling)

    @property
    def blobs(self) -> array[int]:
        """Every blob that goes (nodes)."""
        return array("I", chain(*(untagged.deleted for untagged in self.untagged), self.orphans))

    @property
    def leaves_no_image(self) -> bool:
        """Whether there were images and none would remain."""
        return bool(self.untagged) and not self.staying

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.untagged or self.unlease or self.orphans)
