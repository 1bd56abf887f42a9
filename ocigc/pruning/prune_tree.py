"""Prunes the layouts of a tree together. No layout removes what another one needs and lacks.

1. Every layout is read and planned. What a layout needs after its plan is a root in the plans of the others. This is
   repeated until no further needs come up.
2. Layouts without any entry (pools, such as zot's `_blobstore`) are planned last. They lose what no other layout has.
3. Then the plans are made again and carried out, one by one. Until its own turn is over, a layout still needs all that
   it needs now, so those whose needs shrink come first. What another layout has come to need meanwhile stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ocigc.errors import Refused, printable
from ocigc.layout.discover import AT_ONCE, Found, Results, Tree, each_layout
from ocigc.layout.layout import Layout
from ocigc.progress import Quiet, Watcher
from ocigc.pruning.neighbours import Neighbours, Others
from ocigc.pruning.tree_member import Demand, PlannedNeeds

_MOST_ROUNDS = 20

T = TypeVar("T")

Work = Callable[[Layout, Found, Watcher, Others], T]
PlanElsewhere = Callable[[Sequence[Found], Callable[[Found], Demand], Watcher], Results[tuple[T, PlannedNeeds]]]
"""Plans layouts in other processes; the function says what each is asked to keep."""


class TreeRun:
    """One run over a tree: first `plan`, then `carry_out`, each with a function that prunes one layout."""

    def __init__(self, tree: Tree, now: int, watch: Watcher) -> None:
        """Raises Refused if the names of two layouts are the same for people: plans are told apart by these names."""
        names = Counter(found.name for found in tree.found)
        if alike := [name for name, count in names.items() if count > 1]:
            raise Refused(
                f"{printable(tree.path)}: two layouts are both shown as {alike[0]}: rename one of them; "
                "nothing was changed"
            )
        self._tree = tree
        self._watch = watch
        self._layouts = Neighbours(tree, now)

    def as_it_is(self) -> Callable[[Found], Others]:
        """What the layouts need from each other now, before anything goes. Reads all of them; for trial plans."""
        self._layouts.read_all()
        return self._layouts.others

    def plan(self, work: Work[T], *, quietly: bool = False, elsewhere: PlanElsewhere[T] | None = None) -> Results[T]:
        """Plans all layouts, by a function that makes a dry run; those with entries in other processes, if there are
        any."""
        watch = Quiet(self._watch) if quietly else self._watch
        self._layouts.read_indexes()
        values: dict[str, T] = {}
        errors: dict[str, str] = {}
        pools = [member.found for member in self._layouts if member.pool]
        ordinary = [found for found in self._tree.found if found not in pools]
        pending, due = ordinary, bool(pools)
        doubts = self._layouts.doubts()
        for _ in range(_MOST_ROUNDS):
            if self._attempt(pending, work, values, errors, watch, AT_ONCE, elsewhere):
                return self._results(values, errors, interrupted=True)
            self._layouts.note_sharing()
            # A layout may turn out to be unreadable, or to share blobs, after others have been planned.
            again = doubts != (doubts := self._layouts.doubts())
            pending = ordinary if again else self._layouts.outdated(ordinary)
            if due and not pending:
                if self._attempt(pools, work, values, errors, watch, AT_ONCE):
                    return self._results(values, errors, interrupted=True)
                pending = self._layouts.outdated(ordinary)  # what a pool keeps for others may need more of them
                due = bool(pending or self._layouts.outdated(pools))
            if not (pending or due):
                break
            due = due or bool(pools and pending)
            watch = Quiet(self._watch)
        return self._results(values, errors, interrupted=False)

    def carry_out(self, work: Work[T]) -> Results[T]:
        """Carries out what was planned."""
        self._layouts.begin()
        values: dict[str, T] = {}
        errors: dict[str, str] = {}
        more: list[tuple[str, T]] = []
        members = sorted(self._layouts, key=lambda each: (each.pool, each.needs == each.after))
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

    def _with_more_to_go(self, among: Sequence[Found], errors: Mapping[str, str]) -> list[Found]:
        return [found for found in self._layouts.with_more_to_go(among) if found.name not in errors]

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
            with self._layouts.turn(found) as others:
                return work(layout, found, member_watch, others)

        if not pending:
            return False
        self._layouts.forget_kept()
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
                self._layouts.failed(found)
        return results.interrupted

    def _plan_elsewhere(self, pending: Sequence[Found], elsewhere: PlanElsewhere[T], watch: Watcher) -> Results[T]:
        planned = elsewhere(pending, self._layouts.demand, watch)
        by_name = {found.name: found for found in pending}
        for name, (_, told) in planned.values:
            self._layouts.note_plan(by_name[name], told, elsewhere=True)
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
