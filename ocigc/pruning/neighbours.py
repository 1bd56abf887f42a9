"""The layouts of a tree that is pruned: what each needs of the others, at each stage of the run.

While plans are made, what a layout needs after its own plan counts. While they are carried out, all that it needs now
counts, until its turn is over.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused
from ocigc.layout import label_files, leases
from ocigc.layout.belonging import Belonging, ReadContent, belonging, belonging_in
from ocigc.layout.dirfd import Dir
from ocigc.layout.discover import Found, Tree
from ocigc.layout.snapshot import present
from ocigc.native import Store
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.other_layouts import Wanted, content_reader, nodes_of_peers
from ocigc.pruning.tree_member import Demand, PlannedNeeds, TreeMember, planned_needs

_MOST_ROUNDS = 20


class Others:
    """Implements `OtherLayouts` for one layout of a tree. Call `note_plan` with every plan for it."""

    def __init__(self, all_of_them: Neighbours, member: TreeMember) -> None:
        self._all = all_of_them
        self._member = member

    @property
    def unknown(self) -> str:
        return self._all.unknown_to(self._member)

    @property
    def kept_for_others(self) -> frozenset[Digest]:
        """The blobs that it keeps, by its last plan, because others need and lack them."""
        return self._member.kept_for_others

    def needed(self) -> frozenset[Digest]:
        self._member.asked = self._all.needed_beside(self._member)
        return self._member.asked

    def kept(self, store: Store) -> array[int]:
        return self._all.kept_beside(self._member, store)

    def changed(self) -> bool:
        return self._all.changed_beside(self._member)

    def belonging(self, wanted: Collection[Digest], entries: Collection[Digest]) -> Belonging:
        return belonging(wanted, entries, self._all.content_reader_beside(self._member))

    def note_plan(self, planned: Pruned) -> None:
        """Records what the layout needs now, and after a plan."""
        plan = planned_needs(planned, self._all.now, self._member.asked, pools=self._all.has_pools)
        self._all.note_plan(self._member.found, plan)


class Neighbours:
    """The layouts of a tree. `has_pools` says whether some of them have no entry."""

    def __init__(self, tree: Tree, now: int) -> None:
        self.now = now
        self.has_pools = False
        self._tree = tree
        self._members = {found: self._member(found) for found in tree.found}
        self._wanted = Wanted()
        self._unread: list[TreeMember] = []
        self._kept: dict[str, tuple[Digest, ...]] = {}  # by the paths of pools, while plans are made
        self._planned_elsewhere: set[Found] = set()  # planned in other processes
        self._executing = False
        self._shares = False

    def _member(self, found: Found) -> TreeMember:
        def directory() -> Dir:
            return self._tree.dir.below(*found.path.split("/"))

        return TreeMember(found.name, lambda: self._tree.open(found), directory, found=found)

    def __iter__(self) -> Iterator[TreeMember]:
        return iter(self._members.values())

    def others(self, found: Found) -> Others:
        """The others, for one of them."""
        return Others(self, self._members[found])

    # What one layout needs from the others

    def _beside(self, member: TreeMember) -> Iterator[TreeMember]:
        return (each for each in self._members.values() if each is not member)

    def content_reader_beside(self, member: TreeMember) -> ReadContent:
        """Gives the content of what the others have."""
        return content_reader(self._beside(member))

    def needed_beside(self, member: TreeMember) -> frozenset[Digest]:
        """What the others need and lack: by their plans, or, while plans are carried out, as things are."""
        if self._executing and self._shares:
            for other in self._beside(member):
                if other.stamp != other.stamp_now():
                    other.after = other.read_needs(self.now)
                    self._recount(other)
        return self._wanted.beside(member.found.path)

    def note_plan(self, found: Found, plan: PlannedNeeds, *, elsewhere: bool = False) -> None:
        """Records what a plan says about its layout. With `elsewhere`, it was made in another process."""
        if elsewhere:
            self._planned_elsewhere.add(found)
        member = self._members[found]
        member.needs, member.after = plan.needs, plan.after
        member.kept_for_others, member.going, member.emptied = plan.kept_for_others, plan.going, plan.emptied
        member.damage, member.has_blobs = plan.damage, not plan.damage
        self._recount(member)

    def _recount(self, member: TreeMember) -> None:
        """Counts what a layout needs at this stage of the run."""
        found = member.needs if self._executing and not member.done else member.after
        self._wanted.count(member.found.path, found or frozenset())
        unread = [each for each in self._unread if each is not member]
        unknown = member.unknown or (member.damage and not member.has_blobs)
        self._unread = [*unread, member] if unknown else unread

    def kept_beside(self, member: TreeMember, store: Store) -> array[int]:
        """The blobs of a pool that the other layouts have, and keep. In layouts without an entry, also those that
        this run empties, only leases and labels keep blobs: otherwise two of them would keep one for each other.
        """

        def blobs_of(each: TreeMember) -> Iterable[Digest]:
            if each.pool or (each.emptied and (each.done or not self._executing)):
                return self._kept_by(each)
            going = frozenset() if self._executing else each.going
            return (digest for digest in each.blobs() if digest not in going)

        return nodes_of_peers(self._beside(member), store, blobs_of)

    def _kept_by(self, member: TreeMember) -> Iterable[Digest]:
        """What leases and labels of a pool keep. It is read once for all other pools, except while plans are carried
        out: then it is read anew for each.
        """
        if self._executing:
            return member.kept_blobs(self.now)
        path = member.found.path
        if path not in self._kept:
            self._kept[path] = tuple(member.kept_blobs(self.now))
        return self._kept[path]

    def changed_beside(self, member: TreeMember) -> bool:
        """Whether another layout of the tree has changed since this one was planned, if it shares blobs."""
        return self._shares and any(each.stamp != each.stamp_now() for each in self._beside(member))

    def unknown_to(self, member: TreeMember) -> str:
        """Why some needs of another layout from this one are unknown. A layout that cannot be read, but has blobs of
        its own, is assumed not to need those of others, unless layouts of this tree do.
        """
        for each in self._unread:
            if each is not member and (self._shares or member.pool or not each.has_blobs):
                return each.doubt
        return ""

    def doubts(self) -> dict[str, str]:
        """For each layout, why some needs of others from it are unknown."""
        if not self._unread:
            return {}
        return {found.name: self.unknown_to(member) for found, member in self._members.items()}

    # While plans are made

    def read_indexes(self) -> None:
        """Finds out which layouts are pools, and which cannot be read."""
        for member in self._members.values():
            member.stamp, member.after = member.stamp_now(), None
            try:
                if member.found.trouble is not None:
                    raise Refused(member.found.trouble)
                with member.open() as layout:
                    member.pool = not layout.read_index().entries
                    leases.load(layout.dir)
                    if member.pool and any(map(layout.dir.exists, (leases.DIRECTORY, label_files.DIRECTORY))):
                        member.after = member.read_needs(self.now)
            except (OcigcError, OSError):
                member.after = member.read_needs(self.now)
            self._recount(member)
        self.has_pools = any(member.pool for member in self._members.values())
        self._shares = self.has_pools

    def outdated(self, among: Iterable[Found]) -> list[Found]:
        """The layouts that are asked for more than their plans took into account."""
        return [found for found in among if self._is_outdated(self._members[found])]

    def _is_outdated(self, member: TreeMember) -> bool:
        """Whether a layout is asked for more than its plan took into account."""
        more = self.needed_beside(member) - member.asked
        if not more or member.unknown:
            return False
        try:
            with member.open() as layout, Store.scan(layout.fd) as store:
                return bool(present(more, store))
        except (OcigcError, OSError):
            return False

    def read_all(self) -> None:
        """Reads what all layouts need now."""
        self.read_indexes()
        for member in self._members.values():
            member.after = member.read_needs(self.now)
            self._recount(member)

    def note_sharing(self) -> None:
        """Records whether any layout keeps something for another, by the plans so far."""
        self._shares = self._shares or any(member.kept_for_others for member in self._members.values())

    def forget_kept(self) -> None:
        """Forgets what pools keep, so that they are read again when they are next asked."""
        self._kept.clear()

    def demand(self, found: Found) -> Demand:
        """What the others need of one that is planned in another process."""
        member = self._members[found]
        member.asked = self.needed_beside(member)
        belongs: Belonging = {}
        with suppress(OcigcError, OSError), member.open() as layout:
            belongs = belonging_in(layout, self.content_reader_beside(member))
        return Demand(member.asked, self.unknown_to(member), belongs, self.has_pools)

    def failed(self, found: Found) -> None:
        """Records that a layout could not be worked on: all of it stays, even what others have come to ask for."""
        member = self._members[found]
        member.asked = self.needed_beside(member)
        self._read_again(member)
        member.after = member.needs
        self._recount(member)

    # While they are carried out

    def begin(self) -> None:
        """From now on plans are carried out. Counts what all layouts need before anything goes, as a plan may fail. A
        blob that one layout needs of another may itself need more of a third. What another process says is never a
        reason to delete, so layouts that were planned there are read here.
        """
        self._executing = True
        members = self._members.values()
        for member in members:
            self._recount(member)
        for found in self._planned_elsewhere:
            self._read_again(self._members[found])
        if not self._planned_elsewhere and all(member.needs == member.after for member in members):
            return
        for _ in range(_MOST_ROUNDS):
            outdated = [member for member in members if self._is_outdated(member)]
            for member in outdated:
                member.asked = self._wanted.beside(member.found.path)
                self._read_again(member)
            if not outdated:
                break
            self._shares = True

    def _read_again(self, member: TreeMember) -> None:
        """Finds out what a layout needs, with what the others need of it now."""
        member.read_needs(self.now, Others(self, member))
        self._recount(member)

    @contextmanager
    def turn(self, found: Found) -> Iterator[Others]:
        """The turn of a layout: it is over when the work on it has succeeded."""
        member = self._members[found]
        if self._executing and self._shares and member.stamp == ():
            member.stamp = member.stamp_now()
        yield Others(self, member)
        if self._executing:
            member.done = True
            member.stamp = member.stamp_now()
            self._recount(member)

    def with_more_to_go(self, among: Iterable[Found]) -> list[Found]:
        """The layouts that have kept blobs that others needed only until their own turn was over."""
        # A layout that has lost its last entry is a pool now, and keeps what others still have. So it comes last.
        members = sorted(map(self._members.__getitem__, among), key=lambda each: each.emptied)
        return [each.found for each in members if each.done and not each.kept_for_others <= self.needed_beside(each)]
