"""Who has which blob: one image alone, a group of images, or none."""

from __future__ import annotations

import random
from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ocigc.image import Descriptor, Media
from ocigc.native import Store

_MEDIAS = tuple(Media)

NOBODY = -(2**31)
"""The owner of what no image leads to."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A unit is a target: one image, under however many names. A group is a set of several units that have the same
    blobs in common. `owners` has of each node the unit that has it alone (0, 1, …), or a group as ~number (-1, -2, …),
    or NOBODY. `groups` has of each unit its groups, ascending; `count` is how many groups there are.
    """

    owners: Sequence[int]
    groups: Sequence[Sequence[int]]
    count: int
    _nodes: Sequence[int]
    _medias: bytes
    _starts: Sequence[int]

    def walk(self, unit: int) -> Iterator[tuple[int, Media]]:
        """What a unit has, in the order of its walk: nodes and what they are held to be."""
        for at in range(self._starts[unit], self._starts[unit + 1]):
            yield self._nodes[at], _MEDIAS[self._medias[at]]


def sharing(targets: Sequence[Descriptor], store: Store) -> Sharing:
    """Gives each node its owner. Referrers without an entry of their own belong to the images that they refer to.

    Each unit has a random number, and the sum of the numbers of all that have a node tells its group: two groups are
    taken for one with a chance of about one in 10^19.
    """
    entries = {node for target in targets if (node := store.find(target.digest)) is not None}
    numbers = random.Random(len(targets))
    sums = array("Q", bytes(8 * len(store)))
    owners = array("i", [NOBODY]) * len(store)
    nodes, medias, starts = array("I"), bytearray(), array("Q", [0])
    for unit, target in enumerate(targets):
        number = numbers.getrandbits(64)
        for node, media in _with_referrers(target, store, entries):
            nodes.append(node)
            medias.append(media)
            owners[node] = unit if owners[node] == NOBODY else -1
            sums[node] = (sums[node] + number) & 0xFFFFFFFFFFFFFFFF
        starts.append(len(nodes))
    known: dict[int, int] = {}
    for node, owner in enumerate(owners):
        if owner == -1:
            owners[node] = ~known.setdefault(sums[node], len(known))
    groups = [
        sorted({~owners[node] for node in nodes[starts[unit] : starts[unit + 1]] if owners[node] < 0})
        for unit in range(len(targets))
    ]
    return Sharing(owners, groups, len(known), nodes, bytes(medias), starts)


def _with_referrers(target: Descriptor, store: Store, entries: Collection[int]) -> Iterator[tuple[int, Media]]:
    """The walk of a target, then those of the referrers to what is in it; each node once."""
    seen = set()
    waiting = [store.walk(target)]
    while waiting:
        for node, media in waiting.pop():
            if node in seen:
                continue
            seen.add(node)
            yield node, media
            if media in (Media.MANIFEST, Media.INDEX):
                waiting += [
                    store.walk_from(referrer, Media.MANIFEST)
                    for referrer in store.referrers(node)
                    if referrer not in entries and referrer not in seen
                ]
