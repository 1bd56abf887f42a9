"""`ocigc prune`: remove images by rules, and all blobs that nothing reaches."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ocigc.cli import consent, in_use_files, log, options, targets
from ocigc.cli.command import Command, Option, OptionGroup
from ocigc.cli.output.plan_json import as_metrics, document, failure_as_json
from ocigc.cli.output.plan_table import SHOWN, context, done_lines, explanation_lines, plan_lines
from ocigc.cli.output.tables import terminal_width
from ocigc.cli.output.terminal import ProgressLine, progress_line
from ocigc.cli.output.words import parse_size
from ocigc.errors import Refused, UsageError, printable
from ocigc.gc.decide import Request
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.inspect.plan_summary import summarize
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions, request
from ocigc.strict_json import json_pieces
from ocigc.times import SECOND
from ocigc.values import replace

if TYPE_CHECKING:
    from ocigc.gc.policy import Policy

RUN_OPTIONS = (
    in_use_files.group(in_use_files.IN_USE_STRICT),
    OptionGroup(
        "how to run",
        options.DRY_RUN,
        options.FORCE,
        options.TRASH,
        consent.MAX_DELETE,
        options.PLAN_OUT,
        options.ALLOW_EMPTY,
        options.SHARED_WITH,
        options.DRIVER,
        options.WAIT,
    ),
)
"""Options of every command that removes images."""


def run(args: argparse.Namespace) -> int:
    """Prunes one layout, or a tree of them."""
    in_use = in_use_files.read(args)
    rules = RULE_SETS[args.rules]
    wanted = run_options(args, request(args.filter, prune_all=args.all, in_use=in_use, grace=args.grace, rules=rules))
    wanted = replace(
        wanted,
        explain=args.explain,
        policy=_policy(args),
        own_policy=not args.no_policy,
        keep_storage=args.keep_storage,
    )
    if args.cluster is not None and not args.recursive:
        raise UsageError("--cluster is for trees: give --recursive, too")
    if args.recursive:
        if args.shared_with:
            raise UsageError(
                "--shared-with is for one layout: with --recursive, put all layouts that share blobs into the tree"
            )
        from ocigc.cli.prune_tree import prune_tree

        return prune_tree(args, wanted)
    return run_layout(args, replace(wanted, repository=targets.repository(args)))


def _policy(args: argparse.Namespace) -> Policy | None:
    """The policy of --policy. Its text is kept in the arguments, for a saved plan."""
    if args.policy is None:
        return None
    content = options.read_file("--policy", args.policy)
    from ocigc.pruning.policy_file import parse_policy

    policy = parse_policy(content, printable(args.policy))
    args.policy_text = content.decode()
    return policy


def run_options(args: argparse.Namespace, asked: Request) -> PruneOptions:
    """The options of RUN_OPTIONS as a request."""
    return PruneOptions(
        request=asked,
        driver=args.driver,
        dry_run=args.dry_run,
        allow_empty=args.allow_empty,
        trash=args.trash,
        wait=args.wait,
        in_use_strict=args.in_use_strict,
        shared_with=tuple(path and os.path.abspath(path) for path in args.shared_with),
    )


def run_layout(args: argparse.Namespace, wanted: PruneOptions, check: Callable[[Pruned], None] | None = None) -> int:
    """Prunes one layout, and shows the result. `check` raises Refused for a plan that must not be carried out."""
    options.check_plan_out(args)
    refusal = consent.nobody_to_ask(args)
    with ExitStack() as stack:
        output = None if args.plan_out is None else stack.enter_context(options.plan_file(args.plan_out))
        progress = stack.enter_context(progress_line())
        writable = not (args.dry_run or refusal)
        also = () if output is None else output.directories
        layout = stack.enter_context(targets.layout(args, writable=writable, also=also))
        if refusal is not None:
            prune(layout, replace(wanted, dry_run=True)).close()
            raise refusal
        told = _Teller(args, wanted, progress, check)
        confirm = told.confirm if check or args.max_delete or not args.force else None
        asks = confirm is not None and not args.dry_run
        review = told.review if args.format == "text" or asks else None
        with prune(layout, wanted, confirm=confirm, review=review, watch=progress) as pruned:
            progress.clear()
            if check is not None and (pruned.dry_run or pruned.plan.empty):
                check(pruned)
            if output is not None:
                from ocigc.pruning.saved_plan import save

                limit = consent.limit_text(args)
                output.write(save(pruned, os.path.abspath(args.layout), wanted, args.policy_text, limit))
            if args.dry_run and (too_much := _excess(args, pruned)) is not None:
                log.note(f"{layout.path}: {too_much}; a real run is refused")
            options.measure(args, {**as_metrics(pruned), "reclaimed_bytes": pruned.reclaimed})
            args.answered = True
            if args.format == "json":
                sys.stdout.writelines(json_pieces(document(pruned)))
                print()
            else:
                told.tell(pruned)
    return 0


class _Teller:
    """Tells a person what a run will do, and what it did."""

    def __init__(
        self,
        args: argparse.Namespace,
        wanted: PruneOptions,
        progress: ProgressLine,
        check: Callable[[Pruned], None] | None,
    ) -> None:
        self._args = args
        self._check = check
        self._wanted = wanted
        self._progress = progress
        self._most = None if args.verbose else SHOWN
        self._context = context(args.layout, wanted)
        self._asked = False

    def review(self, planned: Pruned) -> None:
        """Puts a plan in figures, while its snapshot is open."""
        # A person decides by the share of the store that goes; a log does not need the status of every file.
        whole = sys.stdout.isatty()
        self._summary = summarize(planned, self._wanted, most=self._most, whole=whole, watch=self._progress)

    def confirm(self, planned: Pruned) -> None:
        """Checks the plan, and asks if there is a person to ask. Raises Refused where it must not be carried out."""
        self._progress.clear()
        if self._check is not None:
            self._check(planned)
        too_much = _excess(self._args, planned)
        if too_much is None and self._args.force:
            return
        self._show()
        if too_much is not None:
            raise Refused(f"{planned.snapshot.layout.path}: {too_much}; nothing was changed")
        consent.ask(planned.snapshot.layout.path)
        self._progress.restart()
        self._asked = True

    def _show(self) -> None:
        for line in plan_lines(self._summary, replace(self._context, width=terminal_width(sys.stderr)), dry_run=False):
            print(line, file=sys.stderr)

    def tell(self, pruned: Pruned) -> None:
        """Prints what would be done, or was."""
        if pruned.explained is not None:
            for line in explanation_lines((("", each) for each in pruned.explained), self._context.width):
                print(line)
            print()
        if pruned.dry_run:
            lines = plan_lines(self._summary, self._context, dry_run=True)
        else:
            size = pruned.reclaimed if self._wanted.trash is None else pruned.trashed
            lines = done_lines(self._summary, self._context, size=size, kept=len(pruned.stayed), shown=self._asked)
        for line in lines:
            print(line)
        self._progress.tell_time()


def _excess(args: argparse.Namespace, planned: Pruned) -> str | None:
    """How a plan exceeds --max-delete; None if it does not."""
    store, plan = planned.snapshot.store, planned.plan
    size = planned.reclaimed + planned.trashed

    def size_of_all() -> int:
        return sum(map(store.size, range(len(store)))) + sum(each.size for each in planned.leftovers)

    empty = plan.empty and not planned.leftovers
    return consent.excess(args, len(plan.pruned), len(plan.images), size, size_of_all, empty=empty)


def failure(message: str, args: argparse.Namespace) -> str:
    """The JSON answer of a run that failed; `args` may be empty."""
    return failure_as_json(message, dry_run=getattr(args, "dry_run", False))


COMMAND = Command(
    "Removes images by the rules of `docker image prune`, and then every blob that nothing reaches. Without -a only "
    "dangling images go: those without a name.",
    (
        options.LAYOUT,
        options.RECURSIVE,
        options.CLUSTER,
        OptionGroup(
            "what goes",
            Option(
                "-a", "--all", action="store_true", help="remove all images that are not in use, not only dangling ones"
            ),
            Option(
                "--filter",
                metavar="KEY[!]=VALUE",
                action="append",
                default=[],
                help="only images that match: until=TIME (created before TIME, or longer ago than 30d), "
                "label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL; may be repeated",
            ),
            Option(
                "--policy",
                metavar="FILE",
                help="rules for what to keep, by repository and tag (default: ocigc.toml in the layout or at the root "
                "of the tree)",
            ),
            Option("--no-policy", action="store_true", help="ignore the policy in the layout"),
            Option(
                "--keep-storage",
                metavar="SIZE",
                type=options.argument_type(parse_size),
                help="remove only as many images, the oldest first, as it takes for all blobs to fit into SIZE, for "
                "example 200GB",
            ),
            Option(
                "--grace",
                metavar="DURATION",
                type=options.duration,
                default=3600 * SECOND,
                help="keep unreachable blobs and nameless images that are younger than this: a tool may be about to "
                "use them (default: 1h)",
            ),
            options.RULES,
        ),
        *RUN_OPTIONS,
        OptionGroup(
            "output",
            options.VERBOSE,
            Option("--explain", action="store_true", help="print, for each image, the rule that keeps or removes it"),
            options.FORMAT,
            options.METRICS_FILE,
        ),
    ),
    run,
    examples=(
        ("ocigc prune mirror", "show and remove dangling images and orphans"),
        ("ocigc prune -a --in-use used.json mirror", "remove all images that the containers in used.json do not use"),
        ("ocigc prune -a --filter until=30d -n mirror", "show which images older than 30 days would go"),
        ("ocigc prune -a --filter label!=keep --force --format json mirror", "from cron: no question, one JSON object"),
    ),
    exit_status="0 done, 2 wrong usage or not a layout, 3 refused or failed with nothing lost",
    failure=failure,
    verb="prune",
    policy_text=None,
)
