"""What the layouts of a tree need of each other, for a look at all of them.

A prune of the tree counts what is needed once it is done; here it is what is needed now. So no more is said to go than
would, but for what several layouts would let go of together.
"""

from __future__ import annotations

from array import array

from ocigc.digest import Digest
from ocigc.layout.discover import Found, Tree
from ocigc.native import Store
from ocigc.pruning.peers import Peer, Wanted


class Beside:
    """Implements `Elsewhere` for one layout of a tree. What others have too does not count: a file that has several
    names goes with the last."""

    unknown = ""

    def __init__(self, needed: frozenset[Digest]) -> None:
        self._needed = needed

    def needed(self) -> frozenset[Digest]:
        return self._needed

    def kept(self, store: Store) -> array[int]:  # noqa: ARG002
        return array("I")

    def changed(self) -> bool:
        return False


class TreeNeeds:
    """What each layout of a tree needs and has not, at the instant `now`. Of one that cannot be read that is what its
    entries name."""

    def __init__(self, tree: Tree, now: int) -> None:
        alone = len(tree.found) == 1
        self._wanted = Wanted()
        for found in () if alone else tree.found:
            self._wanted.count(found.path, _peer(tree, found).look(now))

    def beside(self, found: Found) -> Beside:
        """What the others need of one."""
        return Beside(self._wanted.beside(found.path))


def _peer(tree: Tree, found: Found) -> Peer:
    return Peer(found.name, lambda: tree.open(found), lambda: tree.dir.below(*found.path.split("/")))
