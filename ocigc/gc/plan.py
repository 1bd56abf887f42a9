"""A plan: everything that a prune will do, decided before anything is done."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from heapq import merge
from itertools import chain, pairwise

from ocigc.gc.images import Images
from ocigc.image import ImageRecord
from ocigc.values import field, frozen, replace


class KeepReason(Enum):
    """Why an image stays."""

    NOT_DANGLING = "has a name, and only dangling images are pruned"
    FILTERED = "a filter keeps it"
    RETAINED = "is to be kept"
    NAME_IN_USE = "in use by name"
    CONTENT_IN_USE = "in use by digest, and this is its last name"
    SUBJECT_KEPT = "refers to an image that stays"
    LABEL_KEPT = "a label of content that stays refers to its name"
    IN_GRACE = "has no name yet, and is in grace"


@frozen
class Untagged:
    """An image record that goes, and the blobs of its walk that go with it (nodes, in the order of the walk): those
    that `Deleted` names, and the `unnamed`. `by` names the rule of a policy that removes the image, if there is one.
    """

    image: ImageRecord
    deleted: Sequence[int]
    unnamed: Sequence[int] = ()
    by: str = ""

    @property
    def blobs(self) -> Sequence[int]:
        """All blobs that go with the image (nodes)."""
        return [*self.deleted, *self.unnamed]


def _order(untagged: Untagged) -> tuple[tuple[str, ...], str, bool]:
    return untagged.image.sort_key


@frozen
class Kept:
    """Says that the image at a position stays, and why. `by` names the user, filter, rule or subject that keeps it."""

    position: int
    reason: KeepReason
    by: str = ""


class KeptImages(Iterable[Kept]):
    """Images that stay, as columns, because there may be a million of them."""

    def __init__(self, kept: Iterable[Kept] = ()) -> None:
        self._positions = array("I")
        self._reasons: list[KeepReason] = []
        self._by: list[str] = []
        for each in kept:
            self.add(each)

    def copy(self) -> KeptImages:
        """The same images, as a list of its own."""
        copied = KeptImages()
        copied._positions, copied._reasons, copied._by = self._positions[:], self._reasons[:], self._by[:]
        return copied

    def add(self, kept: Kept) -> None:
        """Adds an image."""
        self._positions.append(kept.position)
        self._reasons.append(kept.reason)
        self._by.append(kept.by)

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Kept]:
        return map(Kept, self._positions, self._reasons, self._by)

    @property
    def positions(self) -> Sequence[int]:
        """The positions of the images."""
        return self._positions


@frozen
class Plan:
    """What happens to the `images` of a layout, and to its blobs.

    `pruned` are the images that go, in the order of pruning. `deleted` are the blobs (nodes) that go with them; those
    of the n-th image end at `ends[n]`. `unnamed` has, in the same form, the blobs of their walks that the report of the
    rule set leaves out. `released` has, by position, the rules of a policy that remove images. `parts` are the parts
    whose entries go. `dangling` are the pruned images whose content is in use: their entry stays and loses its name.
    Images that stay are either `judged`, one by one, or `named`: they stay because they have a name. The images at the
    positions in `renamed` lose some of their names. `unlease` are configs (nodes) that no remaining image refers to.
    `orphans` are all other blobs (nodes) that go; `in_grace` counts the orphans in grace. `reclaimed` is in bytes, by
    the status of the files.
    """

    images: Images
    pruned: Images
    parts: Images
    deleted: array[int]
    ends: array[int]
    unnamed: array[int]
    unnamed_ends: array[int]
    released: Mapping[int, str]
    dangling: Images
    judged: KeptImages
    named: Images
    unlease: Sequence[int]
    orphans: array[int]
    in_grace: int
    reclaimed: int = 0
    renamed: Mapping[int, Collection[str]] = field(default_factory=dict)

    @property
    def untagged(self) -> Iterator[Untagged]:
        """Every image that goes, and every one that loses some of its names (under those names), in the order of
        pruning.
        """
        names = (Untagged(self.images[each].called(taken), ()) for each, taken in self.renamed.items())
        renamed = sorted(names, key=_order)
        return merge(renamed, self._pruned(), key=_order) if renamed else self._pruned()

    def _pruned(self) -> Iterator[Untagged]:
        for image, named, rest in zip(self.pruned, *self._blobs_of_each(), strict=True):
            yield Untagged(image, named, rest, self.released.get(image.position, ""))

    def _blobs_of_each(self) -> tuple[Iterator[Sequence[int]], Iterator[Sequence[int]]]:
        return _parts(self.deleted, self.ends), _parts(self.unnamed, self.unnamed_ends)

    def keeping_blobs(self) -> Plan:
        """The same plan for entries, but with every blob and every label kept."""
        none = array("I", bytes(4 * len(self.pruned)))
        return replace(
            self,
            parts=self.parts.picked(()),
            deleted=array("I"),
            ends=none,
            unnamed=array("I"),
            unnamed_ends=none,
            unlease=(),
            orphans=array("I"),
            reclaimed=0,
        )

    @property
    def kept(self) -> Iterator[Kept]:
        """Every image that stays as it is."""
        named = (Kept(position, KeepReason.NOT_DANGLING) for position in self.named.positions)
        return chain(self.judged, named)

    @property
    def staying(self) -> int:
        """How many images there will be afterwards."""
        return len(self.judged) + len(self.named) + len(self.dangling)

    @property
    def blobs(self) -> array[int]:
        """Every blob that goes (nodes)."""
        return self.deleted + self.unnamed + self.orphans

    def blobs_by_image(self) -> tuple[array[int], array[int]]:
        """The blobs (nodes) that go with each of the `pruned`, and where those of each end."""
        if not self.unnamed:
            return self.deleted, self.ends
        nodes, ends = array("I"), array("I")
        for each in zip(*self._blobs_of_each(), strict=True):
            nodes.extend(chain.from_iterable(each))
            ends.append(len(nodes))
        return nodes, ends

    @property
    def blob_count(self) -> int:
        """How many blobs go."""
        return len(self.deleted) + len(self.unnamed) + len(self.orphans)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.pruned or self.renamed or self.parts or self.unlease or self.orphans)


def _parts(nodes: Sequence[int], ends: Sequence[int]) -> Iterator[Sequence[int]]:
    return (nodes[start:end] for start, end in pairwise(chain((0,), ends)))
