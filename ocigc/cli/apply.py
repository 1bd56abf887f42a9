"""`ocigc apply`: carry out a plan that was saved and reviewed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ocigc.cli import consent, options, prune
from ocigc.cli.command import Command, Option
from ocigc.errors import MalformedError, UsageError, printable
from ocigc.pruning.saved_plan import SavedTree, read
from ocigc.values import replace

if TYPE_CHECKING:
    from ocigc.pruning.limits import MaxDelete


def run(args: argparse.Namespace) -> int:
    """Carries out exactly the plan, or refuses."""
    content = options.read_file("PLAN", args.plan)
    try:
        saved = read(content, printable(args.plan))
        wanted = saved.asked.options()
        if args.max_delete is None and saved.asked.max_delete is not None:
            args.max_delete = _limit(saved.asked.max_delete, printable(args.plan))
    except MalformedError as error:
        raise UsageError(f"{error}; `ocigc prune -n --plan-out FILE` saves one") from None
    wanted = replace(wanted, dry_run=args.dry_run, wait=args.wait)
    if isinstance(saved, SavedTree):
        from ocigc.cli.prune_tree import prune_tree

        args.layout = saved.tree if args.layout is None else args.layout
        args.repository = wanted.repository
        return prune_tree(args, replace(wanted, repository=None), saved)
    args.layout = saved.layout if args.layout is None else args.layout
    return prune.run_layout(args, wanted, saved.check)


def _limit(text: str, name: str) -> MaxDelete:
    """The limit in a plan. Raises MalformedError."""
    try:
        return consent.max_delete(text)
    except argparse.ArgumentTypeError as error:
        raise MalformedError(f"{name}: not a valid plan: {error}") from None


COMMAND = Command(
    "Carries out exactly the plan that `ocigc prune -n --plan-out` saved. It first plans again, with ages as of the "
    "saved plan. If index.json or the new plan differs, in any layout of a tree, nothing is changed. After an "
    "interruption in a tree, apply the plan again: layouts that are done stay as they are.",
    (
        Option("plan", metavar="PLAN", help="the saved plan"),
        Option(
            "layout",
            metavar="LAYOUT",
            nargs="?",
            help="where the layout, or the root of the tree, is now (default: where it was)",
        ),
        options.DRY_RUN,
        options.FORCE,
        consent.MAX_DELETE,
        options.VERBOSE,
        options.WAIT,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc prune -a -n --plan-out plan.json mirror", "a plan to review"),
        ("ocigc apply plan.json", "show it again, ask, and do exactly that"),
        ("ocigc apply --force plan.json", "from a script"),
    ),
    exit_status="0 done, 2 wrong usage, 3 refused because the layout has changed, or failed with nothing lost",
    failure=prune.failure,
    verb="apply",
    in_use=(),
    cluster=None,
    plan_out=None,
    policy_text=None,
)
