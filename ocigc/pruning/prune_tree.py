"""Prunes the layouts of a tree together. No layout removes what another one needs and lacks.

1. Every layout is read and planned. What a layout needs after its plan is a root in the plans of the others. This is
   repeated until no further needs come up.
2. Layouts without any entry (pools, such as zot's `_blobstore`) are planned last. They lose what no other layout has.
3. Then the plans are made again and carried out, one by one. Until its own turn is over, a layout still needs all that
   it needs now, so those whose needs shrink come first. What another layout has come to need meanwhile stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused
from ocigc.layout import label_files, leases
from ocigc.layout.belonging import Belonging, Lend, belonging, belonging_in
from ocigc.layout.dirfd import Dir
from ocigc.layout.discover import AT_ONCE, Found, Results, Tree, each_layout
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import present
from ocigc.native import Store
from ocigc.progress import Quiet, Watcher
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.peers import Wanted, lender, nodes_of
from ocigc.pruning.tree_member import Demand, Told, TreeMember, tell

_MOST_ROUNDS = 20

T = TypeVar("T")


class Others:
    """Implements `Elsewhere` for one layout of a tree. Call `saw` with every plan for it."""

    def __init__(self, run: TreeRun, member: TreeMember) -> None:
        self._run = run
        self._member = member

    @property
    def unknown(self) -> str:
        return self._run.unknown_to(self._member)

    @property
    def held(self) -> frozenset[Digest]:
        """The blobs that it keeps, by its last plan, because others need and lack them."""
        return self._member.hits

    def needed(self) -> frozenset[Digest]:
        self._member.asked = self._run.needed_beside(self._member)
        return self._member.asked

    def kept(self, store: Store) -> array[int]:
        return self._run.kept_beside(self._member, store)

    def changed(self) -> bool:
        return self._run.changed_beside(self._member)

    def belonging(self, wanted: Collection[Digest], entries: Collection[Digest]) -> Belonging:
        return belonging(wanted, entries, self._run.lender_beside(self._member))

    def saw(self, planned: Pruned) -> None:
        """Records what the layout needs now, and after a plan."""
        told = tell(planned, self._run.now, self._member.asked, pools=self._run.has_pools)
        self._run.heard(self._member, told)


Work = Callable[[Layout, Found, Watcher, Others], T]
PlanElsewhere = Callable[[Sequence[Found], Callable[[Found], Demand], Watcher], Results[tuple[T, Told]]]
"""Plans layouts in other processes; the function says what each is asked to keep."""


class TreeRun:
    """One run over a tree: first `plan`, then `carry_out`, each with a function that prunes one layout."""

    def __init__(self, tree: Tree, now: int, watch: Watcher) -> None:
        self.now = now
        self._tree = tree
        self._watch = watch
        self._members = {found: self._member(found) for found in tree.found}
        self._wanted = Wanted()
        self._unread: list[TreeMember] = []
        self._kept: dict[str, tuple[Digest, ...]] = {}  # by the paths of pools, while plans are made
        self._hearsay: set[Found] = set()  # planned in other processes
        self.has_pools = False
        self._executing = False
        self._shares = False

    def _member(self, found: Found) -> TreeMember:
        def directory() -> Dir:
            return self._tree.dir.below(*found.path.split("/"))

        return TreeMember(found.name, lambda: self._tree.open(found), directory, found=found)

    def as_it_is(self) -> Callable[[Found], Others]:
        """What the layouts need from each other now, before anything goes. Reads all of them; for trial plans."""
        self._look_at_indexes()
        for member in self._members.values():
            member.after = member.read_needs(self.now)
            self.recount(member)
        return lambda found: Others(self, self._members[found])

    # What one layout needs from the others

    def _beside(self, member: TreeMember) -> Iterator[TreeMember]:
        return (each for each in self._members.values() if each is not member)

    def lender_beside(self, member: TreeMember) -> Lend:
        """Gives the content of what the others have."""
        return lender(self._beside(member))

    def needed_beside(self, member: TreeMember) -> frozenset[Digest]:
        """What the others need and lack: by their plans, or, while plans are carried out, as things are."""
        if self._executing and self._shares:
            for other in self._beside(member):
                if other.stamp != other.stamp_now():
                    other.after = other.read_needs(self.now)
                    self.recount(other)
        return self._wanted.beside(member.found.path)

    def heard(self, member: TreeMember, told: Told) -> None:
        """Records what a plan says about its layout."""
        member.needs, member.after, member.hits, member.going = told.needs, told.after, told.hits, told.going
        member.emptied, member.damage, member.has_blobs = told.emptied, told.damage, not told.damage
        self.recount(member)

    def recount(self, member: TreeMember) -> None:
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

        return nodes_of(self._beside(member), store, blobs_of)

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
                reason = each.unknown or each.damage
                return reason if reason.startswith(each.name) else f"{each.name}: {reason}"
        return ""

    def _doubts(self) -> dict[str, str]:
        """For each layout, why some needs of others from it are unknown."""
        if not self._unread:
            return {}
        return {found.name: self.unknown_to(member) for found, member in self._members.items()}

    # Plan

    def plan(self, work: Work[T], *, quietly: bool = False, elsewhere: PlanElsewhere[T] | None = None) -> Results[T]:
        """Plans all layouts, by a function that makes a dry run; those with entries in other processes, if there are
        any."""
        watch = Quiet(self._watch) if quietly else self._watch
        self._look_at_indexes()
        values: dict[str, T] = {}
        errors: dict[str, str] = {}
        pools = [found for found, member in self._members.items() if member.pool]
        ordinary = [found for found in self._tree.found if found not in pools]
        pending, due = ordinary, bool(pools)
        doubts = self._doubts()
        for _ in range(_MOST_ROUNDS):
            if self._attempt(pending, work, values, errors, watch, AT_ONCE, elsewhere):
                return self._results(values, errors, interrupted=True)
            self._shares = self._shares or any(member.hits for member in self._members.values())
            # A layout may turn out to be unreadable, or to share blobs, after others have been planned.
            again = doubts != (doubts := self._doubts())
            pending = ordinary if again else self._outdated(ordinary)
            if due and not pending:
                if self._attempt(pools, work, values, errors, watch, AT_ONCE):
                    return self._results(values, errors, interrupted=True)
                pending = self._outdated(ordinary)  # what a pool keeps for others may need more of them
                due = bool(pending or self._outdated(pools))
            if not (pending or due):
                break
            due = due or bool(pools and pending)
            watch = Quiet(self._watch)
        return self._results(values, errors, interrupted=False)

    def _look_at_indexes(self) -> None:
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
            self.recount(member)
        self.has_pools = any(member.pool for member in self._members.values())
        self._shares = self.has_pools

    def _outdated(self, among: Iterable[Found]) -> list[Found]:
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

    # Carry out

    def carry_out(self, work: Work[T]) -> Results[T]:
        """Carries out what was planned."""
        self._executing = True
        self._count_as_it_is()
        values: dict[str, T] = {}
        errors: dict[str, str] = {}
        more: list[tuple[str, T]] = []
        members = sorted(self._members.values(), key=lambda each: (each.pool, each.needs == each.after))
        pending = ordinary = [member.found for member in members if not member.pool]
        pools = [member.found for member in members if member.pool]
        due = bool(pools)
        for _ in range(_MOST_ROUNDS):
            found_now: dict[str, T] = {}
            # Removing a name of a file changes the ctime of its others, and a blob that changes during a prune stays.
            interrupted = self._attempt(pending, work, found_now, errors, self._watch, 1)
            more += [(name, value) for name, value in found_now.items() if name in values]
            values = found_now | values
            if interrupted:
                later = [found.name for found in pools if found.name not in values]
                errors |= {name: f"{name}: interrupted; nothing is lost" for name in later if name not in errors}
                return self._results(values, errors, more, interrupted=True)
            pending = self._with_more_to_go(ordinary, errors)
            if pending:
                due = bool(pools)
            else:
                pending, due = (pools if due else self._with_more_to_go(pools, errors)), False
            if not pending:
                break
        return self._results(values, errors, more, interrupted=False)

    def _with_more_to_go(self, among: Iterable[Found], errors: Mapping[str, str]) -> list[Found]:
        # A layout that has lost its last entry is a pool now, and keeps what others still have. So it comes last.
        members = sorted(map(self._members.__getitem__, among), key=lambda each: each.emptied)
        return [each.found for each in members if self._holds_too_much(each) and each.name not in errors]

    def _count_as_it_is(self) -> None:
        """Counts what all layouts need before anything goes, as a plan may fail. A blob that one layout needs of
        another may itself need more of a third. What another process says is never a reason to delete, so layouts that
        were planned there are read here."""
        members = self._members.values()
        for member in members:
            self.recount(member)
        for found in self._hearsay:
            self._read_again(self._members[found])
        if not self._hearsay and all(member.needs == member.after for member in members):
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
        self.recount(member)

    def _holds_too_much(self, member: TreeMember) -> bool:
        """Whether a layout has kept blobs that others needed only until their own turn was over."""
        return member.done and not member.hits <= self.needed_beside(member)

    def _attempt(
        self,
        pending: Sequence[Found],
        work: Work[T],
        values: dict[str, T],
        errors: dict[str, str],
        watch: Watcher,
        at_once: int,
        elsewhere: PlanElsewhere[T] | None = None,
    ) -> bool:
        """Works on some of the layouts. Returns whether an interrupt came."""

        def one(layout: Layout, found: Found, member_watch: Watcher) -> T:
            member = self._members[found]
            if self._executing and self._shares and member.stamp == ():
                member.stamp = member.stamp_now()
            value = work(layout, found, member_watch, Others(self, member))
            if self._executing:
                member.done = True
                member.stamp = member.stamp_now()
                self.recount(member)
            return value

        if not pending:
            return False
        self._kept.clear()
        if elsewhere is None:
            results = each_layout(self._tree, one, watch, at_once=at_once, among=pending)
        else:
            results = self._plan_elsewhere(pending, elsewhere, watch)
        done = dict(results.values)
        values.update(done)
        failed = iter(results.errors)
        for found in pending:
            errors.pop(found.name, None)
            if found.name not in done:
                errors[found.name] = next(failed)
                member = self._members[found]
                # All of it stays, also what others have come to ask for.
                self._read_again(member)
                member.after = member.needs
                self.recount(member)
        return results.interrupted

    def _plan_elsewhere(self, pending: Sequence[Found], elsewhere: PlanElsewhere[T], watch: Watcher) -> Results[T]:
        def asked(found: Found) -> Demand:
            member = self._members[found]
            member.asked = self.needed_beside(member)
            belongs: Belonging = {}
            with suppress(OcigcError, OSError), member.open() as layout:
                belongs = belonging_in(layout, self.lender_beside(member))
            return Demand(member.asked, self.unknown_to(member), self.has_pools, belongs)

        planned = elsewhere(pending, asked, watch)
        members = {member.found.name: member for member in self._members.values()}
        for name, (_, told) in planned.values:
            self.heard(members[name], told)
            self._hearsay.add(members[name].found)
        return Results([(name, value) for name, (value, _) in planned.values], planned.errors, planned.interrupted)

    def _results(
        self,
        values: dict[str, T],
        errors: dict[str, str],
        more: Sequence[tuple[str, T]] = (),
        *,
        interrupted: bool,
    ) -> Results[T]:
        names = [found.name for found in self._tree.found]
        return Results(
            [(name, values[name]) for name in names if name in values] + list(more),
            [errors[name] for name in names if name in errors],
            interrupted,
        )
