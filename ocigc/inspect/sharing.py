"""Which images have a blob: one image alone, a group of images, or none."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ocigc.image import Media
from ocigc.native import Store
from ocigc.sequences import Slices

_MEDIAS = tuple(Media)

NOBODY = -(2**31)
"""The owner of blobs that no image leads to."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A unit is a target: one image, under one or more names. A group is a set of several units that have the same
    blobs in common. `owners` has, for each node, the unit that has it alone (0, 1, …), or a group as ~number (-1, -2,
    …), or NOBODY. `groups` has, for each unit, its groups, ascending; `count` is how many groups there are.
    """

    owners: array[int]
    groups: Sequence[Sequence[int]]
    count: int
    _nodes: array[int]
    _medias: bytes
    _starts: Sequence[int]

    def nodes(self, unit: int) -> Sequence[int]:
        """What a unit has, in the order of its walk."""
        return self._nodes[self._starts[unit] : self._starts[unit + 1]]

    def count_of(self, unit: int) -> int:
        """How many nodes a unit has."""
        return self._starts[unit + 1] - self._starts[unit]

    def walk(self, unit: int) -> Iterator[tuple[int, Media]]:
        """The same, with what each node is read as."""
        medias = self._medias[self._starts[unit] : self._starts[unit + 1]]
        return zip(self.nodes(unit), map(_MEDIAS.__getitem__, medias), strict=True)


def sharing(roots: array[int], medias: bytes, store: Store) -> Sharing:
    """Gives each node its owner. Unit n is the image with the target roots[n] (NO_NODE: absent), read as medias[n].
    Referrers without an entry of their own belong to the images that they refer to.

    Each unit has a random number, and the sum of the numbers of all units that have a node identifies its group. The
    chance that two groups are taken for one is about one in 10^19.
    """
    random_number = random.Random(len(roots)).getrandbits
    found = store.sharing(roots, medias, array("Q", (random_number(64) for _ in roots)))
    groups = Slices(found.unit_groups, found.group_starts)
    return Sharing(found.owners, groups, found.groups, found.nodes, found.medias, found.starts)
