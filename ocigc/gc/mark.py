"""The marked: who holds each blob once the chosen images are gone, and so what goes with whom.

Source: containerd's garbage collection as moby's `ImagesPrune` triggers it after every image (SynchronousDelete): a
blob goes with the last image that reached it. Referrers, fallback tags and the grace of orphans are not moby's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ocigc.gc.candidates import Candidates
from ocigc.gc.graph import Graph, Group, Marks
from ocigc.gc.images import Images
from ocigc.gc.plan import Kept, KeptImages
from ocigc.labels import Lease

# The first groups of every settlement; the pruned images come behind them, the last to go first.
_STAYING, _FLAT, _PRUNED = range(3)


@dataclass(frozen=True, slots=True)
class Marked:
    """`pruned` are in the order of pruning; `young` counts the orphans that stay because they are young."""

    graph: Graph
    marks: Marks
    pruned: Images
    kept: KeptImages
    young: int

    def group(self, number: int) -> int:
        """The group that holds what goes with the image at a place in `pruned`."""
        return _PRUNED + len(self.pruned) - 1 - number

    def stays(self, node: int) -> bool:
        """Whether something that remains holds the node."""
        owner = self.marks.owner(node)
        return owner is not None and not _PRUNED <= owner < _PRUNED + len(self.pruned)

    def leaving(self) -> array[int]:
        """Every node that goes."""
        nodes = array("I", self.graph.sweepable(self.marks.owned(_PRUNED, _PRUNED + len(self.pruned))))
        nodes.extend(self.graph.sweepable(self.marks.unreachable()))
        return nodes


def mark(
    choice: Candidates,
    graph: Graph,
    leases: Sequence[Lease],
    label_roots: Sequence[int],
    in_grace_after: int | None,
    *,
    orphans: bool = True,
) -> Marked:
    """Settles who holds what. Orphans newer than the instant `young_after` stay (None: none is that young); without
    `orphans`, all of them do.
    """
    images = choice.images
    remaining = choice.named.roots(graph) + choice.dangling.roots(graph)
    remaining += images.picked(choice.kept.positions).roots(graph)
    first, flat = root_groups(remaining, leases, label_roots, graph)
    staying = array("I", first.roots)
    kept = KeptImages(choice.kept)
    referrers = list(choice.referrers)
    following = (referrer.position for referrer in referrers)
    pruned = images.picked(chain(choice.pruned.positions, following)).in_order()
    while True:
        marks = graph.mark([Group(staying), flat])
        marks.add(images.picked(reversed(pruned.positions)).groups(graph))
        young: Sequence[int] = () if in_grace_after is None else graph.newer(marks.unreachable(), in_grace_after)
        spared = young if orphans else marks.unreachable()
        if spared:
            marks.add([Group(spared)])
        marked = Marked(graph, marks, pruned, kept, len(young))
        # A referrer that stays is a root itself: it may keep what would have gone, so settle anew until none is left.
        stay = [referrer for referrer in referrers if marked.stays(referrer.subject)]
        if not stay:
            return marked
        for referrer in stay:
            kept.add(Kept(referrer.position, referrer.reason, graph.digest(referrer.subject)))
        settled = {referrer.position for referrer in stay}
        staying += images.picked(settled).roots(graph)
        referrers = [referrer for referrer in referrers if referrer.position not in settled]
        pruned = images.picked(position for position in pruned.positions if position not in settled)


def root_groups(
    images: Sequence[int], leases: Sequence[Lease], label_roots: Sequence[int], graph: Graph
) -> list[Group]:
    """What holds blobs: images (the nodes that they hold directly), `gc.root` labels and leases with all that they
    refer to, then the flat leases."""
    roots = array("I", chain(label_roots, images, lease_roots(leases, graph, flat=False)))
    return [Group(roots), Group(lease_roots(leases, graph, flat=True), flat=True)]


def lease_roots(leases: Iterable[Lease], graph: Graph, *, flat: bool) -> list[int]:
    """The nodes that leases hold directly: of the flat ones, or of the others."""
    nodes = (graph.find(digest) for lease in leases if lease.flat == flat for digest in lease.resources)
    return [node for node in nodes if node is not None]
