"""Plans the layouts of a tree, compares that with a saved plan, and carries out what was shown."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocigc.cli import consent, in_use_files, options
from ocigc.cli.output.plan_json import as_metrics
from ocigc.cli.output.plan_table import (
    SHOWN,
)
from ocigc.cli.output.terminal import ProgressLine
from ocigc.cli.output.tree_answer import (
    LayoutAnswer,
    answer_of,
    counted,
)
from ocigc.errors import Refused
from ocigc.hard_links import RemovedLinks
from ocigc.inspect.plan_summary import PlanSummary, summarize
from ocigc.layout.discover import Found, Results, Tree, locate
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.neighbours import Others
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions
from ocigc.pruning.prune_tree import TreeRun
from ocigc.pruning.saved_plan import SavedTree, as_file, asked_for, layout_now, plan_for
from ocigc.pruning.tree_member import Demand, PlannedNeeds, planned_needs
from ocigc.pruning.tree_storage import options_that_fit
from ocigc.pruning.what_goes import WhatGoes, what_goes

if TYPE_CHECKING:
    from ocigc.cli.output.output_file import OutputFile
    from ocigc.cluster.connect import Workers


@dataclass(frozen=True, slots=True)
class _Planned:
    """The answer for a layout that was planned in another process, and what its plan tells of it."""

    answer: LayoutAnswer
    told: PlannedNeeds


@dataclass(frozen=True, slots=True)
class PlanLayout:
    """Plans a layout of a tree, in any process. It knows what the other layouts need of this one."""

    options: PruneOptions
    most: int | None
    asked: Demand
    compares: bool

    def __call__(self, layout: Layout, found: Found, watch: Watcher) -> _Planned:
        reviewed: list[tuple[PlannedNeeds, PlanSummary]] = []

        def review(planned: Pruned) -> None:
            told = planned_needs(planned, self.options.request.now, self.asked.digests, pools=self.asked.pools)
            reviewed.append((told, summarize(planned, self.options, most=self.most, layout=found.name, whole=True)))

        with prune(layout, self.options, review=review, watch=watch, elsewhere=self.asked) as pruned:
            told, summary = reviewed[-1]
            now = (
                layout_now(pruned, plan_for(pruned, found.name, told.kept_for_others), None) if self.compares else None
            )
            return _Planned(answer_of(pruned, summary, now), told)


class TreePlans:
    """One run over a tree: first it plans all layouts, then it carries the plans out."""

    def __init__(
        self,
        args: argparse.Namespace,
        tree: Tree,
        wanted: PruneOptions,
        progress: ProgressLine,
        watch: Watcher,
        workers: Workers | None,
        saved: SavedTree | None,
    ) -> None:
        self._args = args
        self._saved = saved
        self._tree = tree
        self._workers = workers
        self._wanted = wanted
        self._progress = progress
        self._options_of: Callable[[Found], PruneOptions]
        self._run = TreeRun(tree, wanted.request.now, watch)
        repositories = _repositories(args, wanted, tree, watch)

        def plain(found: Found) -> PruneOptions:
            own = replace(wanted, keep_storage=None, match_in_use=False, in_tree=True)
            return replace(own, repository=repositories[found])

        if wanted.references is not None:
            named = locate(tree, wanted.references, repositories.__getitem__)

            def removal(found: Found) -> PruneOptions:
                return replace(plain(found), references=tuple(named.get(found, ())))

            self._options_of = removal
            return
        limit = wanted.keep_storage
        self._options_of = plain if limit is None else options_that_fit(tree, limit, plain, self._run.as_it_is(), watch)

    def plan(self, *, quietly: bool) -> Results[LayoutAnswer]:
        """What would go; `quietly`, if the run itself will repeat the notes."""
        elsewhere = None if self._workers is None else self._plan_elsewhere
        return self._counted(self._run.plan(self._plan, quietly=quietly, elsewhere=elsewhere))

    def _plan(self, layout: Layout, found: Found, watch: Watcher, others: Others) -> LayoutAnswer:
        summarized: list[PlanSummary] = []
        own = replace(self._options_of(found), dry_run=True)

        def review(planned: Pruned) -> None:
            others.note_plan(planned)
            summarized.append(self._summary(planned, own, found))

        with prune(layout, own, review=review, watch=watch, elsewhere=others) as planned:
            now = None
            if self._args.plan_out is not None or self._saved is not None:
                then = None if self._saved is None else self._saved.plan_of(found.name)
                now = layout_now(planned, plan_for(planned, found.name, others.kept_for_others), then)
            return answer_of(planned, summarized[-1], now)

    def _summary(self, planned: Pruned, own: PruneOptions, found: Found) -> PlanSummary:
        most = None if self._args.verbose else SHOWN
        return summarize(planned, own, most=most, layout=found.name, whole=True)

    def _plan_elsewhere(
        self, pending: Sequence[Found], asked: Callable[[Found], Demand], watch: Watcher
    ) -> Results[tuple[LayoutAnswer, PlannedNeeds]]:
        from ocigc.cluster.trees import Spread

        assert self._workers is not None
        most = None if self._args.verbose else SHOWN

        def there(found: Found) -> PlanLayout:
            compares = self._args.plan_out is not None
            return PlanLayout(replace(self._options_of(found), dry_run=True), most, asked(found), compares)

        def here(layout: Layout, found: Found, own_watch: Watcher) -> _Planned:
            return there(found)(layout, found, own_watch)

        results = self._workers.each_layout(self._tree, Spread(there, here, _Planned), watch, among=pending)
        planned = [(name, (each.answer, each.told)) for name, each in results.values]
        return Results(planned, results.errors, results.interrupted)

    def compare(self, planned: Results[LayoutAnswer], output: OutputFile | None) -> None:
        """Raises Refused where the plans remove anything else than the saved one. Writes them to --plan-out."""
        if planned.interrupted:
            return
        plans = [answer.now for _, answer in planned.values if answer.now is not None]
        names = {name for name, _ in planned.values}
        skipped = [found.name for found in self._tree.found if found.name not in names]
        if self._saved is not None:
            self._saved.check(self._tree.path, plans, skipped)
        if output is not None:
            wanted = replace(self._wanted, repository=self._args.repository)
            asked = asked_for(wanted, self._args.policy_text, consent.limit_text(self._args))
            layouts = tuple(each.plan for each in plans)
            output.write(as_file(SavedTree(os.path.abspath(self._tree.path), asked, layouts, tuple(skipped))))

    def carry_out(self, planned: Results[LayoutAnswer] | None) -> Results[LayoutAnswer]:
        """Prunes the layouts. If a plan was shown, carries out nothing but what was `planned`."""
        shown = None if planned is None else {name: answer.goes for name, answer in planned.values}
        taken = RemovedLinks(trash=self._wanted.trash is not None)

        def work(layout: Layout, found: Found, watch: Watcher, others: Others) -> LayoutAnswer:
            own = replace(self._options_of(found), dry_run=False)
            summaries: list[PlanSummary] = []

            def review(now: Pruned) -> None:
                others.note_plan(now)
                summaries.append(self._summary(now, own, found))

            def confirm(now: Pruned) -> None:
                if shown is not None:
                    then = shown.get(found.name, WhatGoes())
                    shown[found.name] = self._unchanged(then, now, keeps_for_others=bool(others.kept_for_others))

            with prune(
                layout, own, confirm=confirm, review=review, watch=watch, taken=taken, elsewhere=others
            ) as pruned:
                answer = answer_of(pruned, summaries[-1])
                for files in answer.summary.leaving:
                    taken.remove(files)
                options.measure(self._args, as_metrics(pruned))
                return answer

        results = self._run.carry_out(work)
        for name, answer in results.values:
            # An earlier run, which was interrupted, has removed some of it.
            rest = () if shown is None or results.errors else shown[name].rest(answer.goes).orphans
            if rest:
                self._progress.note(f"{name}: {len(rest):,} blobs of the plan stay, as they are needed now")
        return self._counted(results)

    def _unchanged(self, shown: WhatGoes, now: Pruned, *, keeps_for_others: bool) -> WhatGoes:
        """Checks that a layout loses only what was shown, as nobody can be asked about each layout. With
        `keeps_for_others`, the layout has kept blobs that other layouts needed, and may lose them later; returns what
        may still go then. Raises Refused.
        """
        going = what_goes(now)
        if what := shown.difference(going, keeps_for_others=keeps_for_others):
            if self._saved is None:
                raise Refused(f"it has changed since the plan was shown: {what}; run it again")
            raise Refused(f"it has changed since the plan was made: {what}; make the plan again")
        return shown.rest(going)

    def _counted(self, results: Results[LayoutAnswer]) -> Results[LayoutAnswer]:
        self._progress.clear()
        answers = list(counted(results.values, trash=self._wanted.trash is not None))
        return Results(answers, results.errors, results.interrupted)


def _repositories(
    args: argparse.Namespace, wanted: PruneOptions, tree: Tree, watch: Watcher
) -> dict[Found, str | None]:
    """The repository of each layout's bare tags. Notes references that are in use and match no image of any layout."""
    repositories = {each: each.repository(args.repository, watch.note) for each in tree.found}
    in_use_files.note_unmatched_below(args, wanted.request.in_use, tree, strict=wanted.in_use_strict)
    return repositories
