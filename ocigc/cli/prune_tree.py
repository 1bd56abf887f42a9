"""`ocigc prune --recursive`: every layout below a directory, in one report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ocigc.cli import consent, in_use_files, log, options, targets
from ocigc.cli.output.plan_json import as_metrics, document
from ocigc.cli.output.plan_table import (
    SHOWN,
    Context,
    context,
    done_lines,
    explanation_lines,
    layout_lines,
    plan_lines,
)
from ocigc.cli.output.tables import terminal_width
from ocigc.cli.output.terminal import ProgressLine, progress_line
from ocigc.errors import Refused
from ocigc.gc.explain import Explanation
from ocigc.hard_links import HardLinks, on_disk
from ocigc.inspect.plan_summary import PlanSummary, summarize, together
from ocigc.layout.discover import Found, Results, Tree, locate
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.planning import PruneOptions
from ocigc.pruning.policy_file import own_policy
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_tree import Demand, Others, Told, TreeRun, Work, tell
from ocigc.pruning.quota import fit

if TYPE_CHECKING:
    from ocigc.cluster.connect import Workers

_LISTS = ("ImagesDeleted", "Unleased", "Orphans", "Leftovers")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer of a prune of one layout, kept after its store is closed."""

    document: dict[str, Any]
    summary: PlanSummary
    kept: int
    explained: Sequence[Explanation]


@dataclass(frozen=True, slots=True)
class _Planned:
    """What comes of a plan in another process."""

    answer: _Answer
    told: Told


@dataclass(frozen=True, slots=True)
class PlanLayout:
    """Plans a layout of a tree in any process, by what the others ask of it."""

    options: PruneOptions
    most: int | None
    asked: Demand

    def __call__(self, layout: Layout, found: Found, watch: Watcher) -> _Planned:
        reviewed: list[tuple[Told, PlanSummary]] = []

        def review(planned: Pruned) -> None:
            told = tell(planned, self.options.request.now, self.asked.digests, pools=self.asked.pools)
            reviewed.append((told, summarize(planned, self.options, most=self.most, layout=found.name, whole=True)))

        with prune(layout, self.options, review=review, watch=watch, elsewhere=self.asked) as pruned:
            told, summary = reviewed[-1]
            return _Planned(_answer(pruned, summary), told)


def prune_tree(args: argparse.Namespace, wanted: PruneOptions) -> int:
    """Prunes all layouts below a root; those that fail are named, and the others go on."""
    most = None if args.verbose else SHOWN
    told = context(args.layout, wanted, recursive=True)
    refusal = consent.nobody_to_ask(args)
    asked = not (args.dry_run or args.force)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(Tree(args.layout, progress.note))
        if refusal is not None:
            raise refusal
        workers = stack.enter_context(targets.tree_workers(args, tree, progress))
        targets.confine(args, *([] if args.dry_run else [tree.fd]))
        if wanted.own_policy and wanted.policy is None and wanted.references is None:
            wanted = replace(wanted, default_policy=own_policy(tree.dir, tree.path, progress))
        pruning = _Pruning(args, tree, wanted, progress, workers)
        results = pruning.plan(quietly=args.force and not args.dry_run and args.max_delete is None)
        too_much = _excess(args, results)
        if too_much is not None and args.dry_run:
            log.note(f"{tree.path}: {too_much}; a real run is refused")
        elif (asked or too_much is not None) and not results.interrupted:
            for error in results.errors:
                log.error(error)
            for line in _plan(results, replace(told, width=terminal_width(sys.stderr)), most, dry_run=False):
                print(line, file=sys.stderr)
            _allow(tree, too_much)
            progress.restart()
        if results.interrupted and not args.dry_run:
            # Nothing of the plan was carried out.
            results = Results([], [f"{found.name}: interrupted; nothing is lost" for found in tree.found], True)
        elif not args.dry_run:
            results = pruning.carry_out(results if asked or args.max_delete is not None else None)
    for error in results.errors:
        log.error(error)
    total = _total(results, args.dry_run)
    options.measure(args, {**options.layouts(results), "reclaimed_bytes": total["SpaceReclaimed"]})
    args.answered = True
    if args.format == "json":
        json.dump(total, sys.stdout)
        print()
        return options.FAILED if results.errors else 0
    for line in _explained(results, told):
        print(line)
    lines = _plan(results, told, most, dry_run=True) if args.dry_run else _done(results, told, most, shown=asked)
    for line in lines:
        print(line)
    progress.tell_time()
    return options.FAILED if results.errors else 0


def _allow(tree: Tree, too_much: str | None) -> None:
    """Asks whether to go on. Raises Refused where there is no question."""
    if too_much is not None:
        raise Refused(f"{tree.path}: {too_much}; nothing was changed")
    consent.ask()


def _excess(args: argparse.Namespace, results: Results[_Answer]) -> str | None:
    """What part of the plans of all layouts --max-delete does not allow."""
    summary = together([answer.summary for _, answer in results.values])
    size = sum(answer.document["SpaceReclaimed"] + answer.document["SpaceTrashed"] for _, answer in results.values)
    images = summary.images
    return consent.excess(args, images, images + summary.staying, size, lambda: on_disk(summary.files or ()))


class _Pruning:
    """One run over a tree: its plans first, then what they say."""

    def __init__(
        self,
        args: argparse.Namespace,
        tree: Tree,
        wanted: PruneOptions,
        progress: ProgressLine,
        workers: Workers | None,
    ) -> None:
        self._args = args
        self._tree = tree
        self._workers = workers
        self._wanted = wanted
        self._progress = progress
        self._options_of: Callable[[Found], PruneOptions]
        self._run = TreeRun(tree, wanted.request.now, progress)
        repositories = _repositories(args, wanted, tree, progress)

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
        self._options_of = plain if limit is None else fit(tree, limit, plain, self._run.as_it_is(), progress)

    def plan(self, *, quietly: bool) -> Results[_Answer]:
        """What would go; `quietly`, where the run itself will say what there is to say."""
        elsewhere = None if self._workers is None else self._plan_elsewhere
        return self._counted(self._run.plan(self._work(dry_run=True), quietly=quietly, elsewhere=elsewhere))

    def _plan_elsewhere(
        self, pending: Sequence[Found], asked: Callable[[Found], Demand], watch: Watcher
    ) -> Results[tuple[_Answer, Told]]:
        from ocigc.cluster.trees import Spread  # noqa: PLC0415

        assert self._workers is not None
        most = None if self._args.verbose else SHOWN

        def there(found: Found) -> PlanLayout:
            return PlanLayout(replace(self._options_of(found), dry_run=True), most, asked(found))

        def here(layout: Layout, found: Found, own_watch: Watcher) -> _Planned:
            return there(found)(layout, found, own_watch)

        results = self._workers.each_layout(self._tree, Spread(there, here, _Planned), watch, among=pending)
        planned = [(name, (each.answer, each.told)) for name, each in results.values]
        return Results(planned, results.errors, results.interrupted)

    def carry_out(self, planned: Results[_Answer] | None) -> Results[_Answer]:
        """Prunes; nothing but what was `planned`, if that was shown."""
        shown = None if planned is None else {name: answer.document for name, answer in planned.values}
        return self._counted(self._run.carry_out(self._work(dry_run=False, shown=shown)))

    def _work(self, *, dry_run: bool, shown: dict[str, dict[str, Any]] | None = None) -> Work[_Answer]:
        taken = HardLinks(trash=self._wanted.trash is not None)
        most = None if self._args.verbose else SHOWN

        def work(layout: Layout, found: Found, watch: Watcher, others: Others) -> _Answer:
            own = replace(self._options_of(found), dry_run=dry_run)
            confirm = None if shown is None else _unchanged(shown.get(found.name, {}))
            summaries = []

            def review(planned: Pruned) -> None:
                others.saw(planned)
                summaries.append(summarize(planned, own, most=most, layout=found.name, whole=True))

            with prune(
                layout, own, confirm=confirm, review=review, watch=watch, taken=taken, elsewhere=others
            ) as pruned:
                answer = _answer(pruned, summaries[-1])
                if not pruned.dry_run:
                    for files in answer.summary.leaving:
                        taken.remove(files)
                    options.measure(self._args, as_metrics(pruned))
                return answer

        return work

    def _counted(self, results: Results[_Answer]) -> Results[_Answer]:
        self._progress.clear()
        space = "SpaceReclaimed" if self._wanted.trash is None else "SpaceTrashed"
        return Results(list(_counted(results.values, space)), results.errors, results.interrupted)


def _repositories(
    args: argparse.Namespace, wanted: PruneOptions, tree: Tree, watch: Watcher
) -> dict[Found, str | None]:
    """The repository that owns the bare tags of each layout. Tells what is in use and matches no image of any."""
    repositories = {each: each.repository(args.repository, watch.note) for each in tree.found}
    in_use_files.note_unmatched_below(args, wanted.request.in_use, tree, strict=wanted.in_use_strict)
    return repositories


def _answer(pruned: Pruned, summary: PlanSummary) -> _Answer:
    answer = {key: list(value) if isinstance(value, Iterator) else value for key, value in document(pruned).items()}
    if pruned.stayed:
        store = pruned.snapshot.store
        going = [node for node in pruned.plan.blobs if store.digest(node) not in pruned.stayed]
        summary = replace(summary, leaving=[store.files(going)])
    explained = [] if pruned.explained is None else list(pruned.explained)
    return _Answer(answer, summary, len(pruned.stayed), explained)


def _counted(answers: Iterable[tuple[str, _Answer]], space: str) -> Iterator[tuple[str, _Answer]]:
    """The answers, each with the bytes (under the key `space`) that go with it and with those before it."""
    links = HardLinks()
    for name, answer in answers:
        going = {"SpaceReclaimed": 0, space: sum(links.remove(files) for files in answer.summary.leaving)}
        going["SpaceReclaimed"] += answer.summary.leftover_bytes
        yield name, replace(answer, document={**answer.document, **going})


def _unchanged(shown: dict[str, Any]) -> Callable[[Pruned], None]:
    """Checks that a layout loses only what was shown, as nobody can be asked for each layout."""

    def confirm(now: Pruned) -> None:
        answer = document(now)
        if any(list(answer[key]) != shown.get(key) for key in _LISTS):  # type: ignore[call-overload]
            raise Refused("it has changed since the plan was shown; run it again")

    return confirm


def _total(results: Results[_Answer], dry_run: bool) -> dict[str, Any]:
    answers = [answer.document for _, answer in results.values]
    lists = {key: [item for answer in answers for item in answer[key]] for key in _LISTS}
    return {
        "ImagesDeleted": lists["ImagesDeleted"],
        "SpaceReclaimed": sum(answer["SpaceReclaimed"] for answer in answers),
        "SpaceTrashed": sum(answer["SpaceTrashed"] for answer in answers),
        "Unleased": lists["Unleased"],
        "Orphans": lists["Orphans"],
        "Leftovers": lists["Leftovers"],
        "DryRun": dry_run,
        "Errors": [log.with_hint(error) for error in results.errors],
        "Layouts": [{"Layout": name, **answer.document} for name, answer in results.values],
    }


def _explained(results: Results[_Answer], told: Context) -> Iterator[str]:
    explained = [(name, each) for name, answer in results.values for each in answer.explained]
    if explained:
        yield from explanation_lines(explained, told.width)
        yield ""


def _plan(results: Results[_Answer], told: Context, most: int | None, *, dry_run: bool) -> Iterator[str]:
    summary = together([answer.summary for _, answer in results.values], most)
    yield from plan_lines(summary, told, dry_run=dry_run, first=_by_layout(results, told))
    yield from _skipped(results)


def _done(results: Results[_Answer], told: Context, most: int | None, *, shown: bool) -> Iterator[str]:
    summary = together([answer.summary for _, answer in results.values], most)
    space = "SpaceReclaimed" if told.expires is None else "SpaceTrashed"
    size = sum(answer.document[space] for _, answer in results.values)
    kept = sum(answer.kept for _, answer in results.values)
    yield from done_lines(summary, told, size=size, kept=kept, shown=shown, first=_by_layout(results, told))
    yield from _skipped(results)


def _by_layout(results: Results[_Answer], told: Context) -> Iterator[str]:
    changed = [
        (name, answer.summary, answer.document["SpaceReclaimed"] + answer.document["SpaceTrashed"])
        for name, answer in results.values
        if not answer.summary.empty
    ]
    if changed:
        yield ""
        yield from layout_lines(changed, told)


def _skipped(results: Results[_Answer]) -> Iterator[str]:
    if results.errors:
        yield f"{len(results.errors):,} of {len(results.errors) + len(results.values):,} layouts were skipped."
