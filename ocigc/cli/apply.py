"""`ocigc apply`: carry out a plan that was saved and reviewed."""

from __future__ import annotations

import argparse

from ocigc.cli import options, prune
from ocigc.cli.command import Command, Option
from ocigc.errors import MalformedError, UsageError, printable
from ocigc.pruning.saved_plan import read
from ocigc.values import replace


def run(args: argparse.Namespace) -> int:
    """Carries out exactly the plan, or refuses."""
    content = options.read_file("PLAN", args.plan)
    try:
        saved = read(content, printable(args.plan))
        wanted = saved.options()
    except MalformedError as error:
        raise UsageError(f"{error}; `ocigc prune -n --plan-out FILE` saves one") from None
    if args.layout is None:
        args.layout = saved.layout
    wanted = replace(wanted, dry_run=args.dry_run, wait=args.wait)
    return prune.run_layout(args, wanted, saved.check)


COMMAND = Command(
    "Carries out exactly the plan that `ocigc prune -n --plan-out` saved, as of the time when it was made. It plans "
    "again first, and does nothing if the result differs because the layout has changed.",
    (
        Option("plan", metavar="PLAN", help="the saved plan"),
        Option("layout", metavar="LAYOUT", nargs="?", help="where the layout is now (default: where it was)"),
        options.DRY_RUN,
        options.FORCE,
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
    exit_status="0 done, 2 wrong usage, 3 refused as the layout has changed, or failed with nothing lost",
    failure=prune.failure,
    verb="apply",
    in_use=(),
    max_delete=None,
    plan_out=None,
    policy_text=None,
)
