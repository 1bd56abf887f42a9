"""`ocigc prune --recursive`: every layout below a directory, in one report."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace

from ocigc.cli import consent, log, options, several, targets
from ocigc.cli.output.notes import GroupedNotes, log_errors
from ocigc.cli.output.plan_table import (
    SHOWN,
    context,
)
from ocigc.cli.output.tables import terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.tree_answer import (
    LayoutAnswer,
    explained_lines,
    total_document,
    tree_done_lines,
    tree_plan_lines,
)
from ocigc.cli.tree_plans import TreePlans
from ocigc.errors import Refused
from ocigc.hard_links import on_disk
from ocigc.inspect.plan_summary import together
from ocigc.layout.discover import Results, Tree
from ocigc.pruning.policy_file import own_policy
from ocigc.pruning.prune_options import PruneOptions
from ocigc.pruning.saved_plan import SavedTree


def prune_tree(args: argparse.Namespace, wanted: PruneOptions, saved: SavedTree | None = None) -> int:
    """Prunes all layouts below a root; those that fail are named, and the others go on. With a `saved` plan, carries
    out that plan and nothing else."""
    options.check_plan_out(args)
    most = None if args.verbose else SHOWN
    told = context(args.layout, wanted, recursive=True)
    refusal = consent.nobody_to_ask(args)
    asked = not (args.dry_run or args.force)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(Tree(args.layout, progress.note))
        if refusal is not None:
            raise refusal
        workers = stack.enter_context(several.tree_workers(args, tree, progress))
        output = None if args.plan_out is None else stack.enter_context(options.plan_file(args.plan_out))
        targets.confine(args, *([] if args.dry_run else [tree.fd]), *(() if output is None else output.directories))
        if wanted.own_policy and wanted.policy is None and wanted.references is None:
            wanted = replace(wanted, default_policy=own_policy(tree.dir, tree.path, progress))
        notes = GroupedNotes(
            progress, tree.path, [found.name for found in tree.found], whole=args.verbose or not log.for_people()
        )
        stack.callback(notes.tell)
        pruning = TreePlans(args, tree, wanted, progress, notes, workers, saved)
        shown = asked or args.max_delete is not None or saved is not None
        results = pruning.plan(quietly=not (shown or args.dry_run))
        progress.clear()
        notes.tell()
        pruning.compare(results, output)
        too_much = _excess(args, results)
        if too_much is not None and args.dry_run:
            log.note(f"{tree.path}: {too_much}; a real run is refused")
        elif (asked or too_much is not None) and not results.interrupted:
            log_errors(results.errors, tree.path, whole=args.verbose)
            for line in tree_plan_lines(results, replace(told, width=terminal_width(sys.stderr)), most, dry_run=False):
                print(line, file=sys.stderr)
            _allow(tree, too_much)
            progress.restart()
        if results.interrupted and not args.dry_run:
            # Nothing of the plan was carried out.
            results = Results([], [f"{found.name}: interrupted; nothing is lost" for found in tree.found], True)
        elif not args.dry_run:
            results = pruning.carry_out(results if shown else None)
    log_errors(results.errors, tree.path, whole=args.verbose)
    total = total_document(results, args.dry_run)
    options.measure(args, {**options.layouts(results), "reclaimed_bytes": total["SpaceReclaimed"]})
    args.answered = True
    if args.format == "json":
        json.dump(total, sys.stdout)
        print()
        return options.FAILED if results.errors else 0
    for line in explained_lines(results, told):
        print(line)
    if args.dry_run:
        lines = tree_plan_lines(results, told, most, dry_run=True)
    else:
        lines = tree_done_lines(results, told, most, shown=asked)
    for line in lines:
        print(line)
    progress.tell_time()
    return options.FAILED if results.errors else 0


def _allow(tree: Tree, too_much: str | None) -> None:
    """Asks whether to go on. Raises Refused where there is no question."""
    if too_much is not None:
        raise Refused(f"{tree.path}: {too_much}; nothing was changed")
    consent.ask(tree.path)


def _excess(args: argparse.Namespace, results: Results[LayoutAnswer]) -> str | None:
    """How the plans of all layouts together exceed --max-delete; None if they do not."""
    summary = together([answer.summary for _, answer in results.values])
    size = sum(answer.size for _, answer in results.values)
    images = summary.images
    return consent.excess(
        args,
        images,
        images + summary.staying,
        size,
        lambda: on_disk(summary.files or ()) + summary.leftover_bytes,
        empty=summary.empty,
    )
