"""The settlement: who holds each blob once the chosen images are gone, and so what goes with whom.

Source: containerd's garbage collection as moby's `ImagesPrune` triggers it after every image (SynchronousDelete): a
blob goes with the last image that reached it. Referrers, fallback tags and the grace of orphans are not moby's.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from ocigc.lease import Lease
from ocigc.rules.choice import Choice
from ocigc.rules.graph import Graph, Group, Holders
from ocigc.rules.holding import holding
from ocigc.rules.images import Images
from ocigc.rules.plan import Keeping, Kept

# The first groups of every settlement; the pruned images come behind them, the last to go first.
_STAYING, _FLAT, _PRUNED = range(3)


@dataclass(frozen=True, slots=True)
class Settlement:
    """`pruned` are in the order of pruning; `young` counts the orphans that stay because they are young."""

    graph: Graph
    holders: Holders
    pruned: Images
    kept: Keeping
    young: int

    def group(self, number: int) -> int:
        """The group that holds what goes with the image at a place in `pruned`."""
        return _PRUNED + len(self.pruned) - 1 - number

    def stays(self, node: int) -> bool:
        """Whether something that remains holds the node."""
        holder = self.holders.holder(node)
        return holder is not None and not _PRUNED <= holder < _PRUNED + len(self.pruned)

    def leaving(self) -> array[int]:
        """Every node that goes."""
        nodes = array("I", self.graph.sweepable(self.holders.held(_PRUNED, _PRUNED + len(self.pruned))))
        nodes.extend(self.graph.sweepable(self.holders.unheld()))
        return nodes


def settle(
    choice: Choice,
    graph: Graph,
    leases: Sequence[Lease],
    label_roots: Sequence[int],
    young_after: int | None,
    *,
    orphans: bool = True,
) -> Settlement:
    """Settles who holds what. Orphans newer than the instant `young_after` stay (None: none is that young); without
    `orphans`, all of them do.
    """
    images = choice.images
    remaining = choice.bystanders.roots(graph) + choice.dangling.roots(graph)
    remaining += images.picked(choice.kept.positions).roots(graph)
    first, flat = holding(remaining, leases, label_roots, graph)
    staying = array("I", first.roots)
    kept = Keeping(choice.kept)
    followers = list(choice.followers)
    following = (follower.position for follower in followers)
    pruned = images.picked(chain(choice.pruned.positions, following)).in_order()
    while True:
        holders = graph.holders([Group(staying), flat])
        holders.add(images.picked(reversed(pruned.positions)).groups(graph))
        young: Sequence[int] = () if young_after is None else graph.newer(holders.unheld(), young_after)
        spared = young if orphans else holders.unheld()
        if spared:
            holders.add([Group(spared)])
        settlement = Settlement(graph, holders, pruned, kept, len(young))
        # A follower that stays is a root itself: it may keep what would have gone, so settle anew until none is left.
        stay = [follower for follower in followers if settlement.stays(follower.subject)]
        if not stay:
            return settlement
        for follower in stay:
            kept.add(Kept(follower.position, follower.reason, graph.digest(follower.subject)))
        settled = {follower.position for follower in stay}
        staying += images.picked(settled).roots(graph)
        followers = [follower for follower in followers if follower.position not in settled]
        pruned = images.picked(position for position in pruned.positions if position not in settled)
