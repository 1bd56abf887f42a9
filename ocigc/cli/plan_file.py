"""The file of --plan-out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ocigc.errors import UsageError

if TYPE_CHECKING:
    from ocigc.cli.output.output_file import OutputFile


def check_plan_out(args: argparse.Namespace) -> None:
    """Raises UsageError for --plan-out of a run that is not a dry one."""
    if args.plan_out is not None and not args.dry_run:
        raise UsageError("--plan-out saves a plan instead of carrying it out: give --dry-run too, then `ocigc apply`")


def plan_file(name: str) -> OutputFile:
    """Opens the file. Raises UsageError."""
    from ocigc.cli.output.output_file import OutputFile  # noqa: PLC0415
    from ocigc.pruning.saved_plan import MARK  # noqa: PLC0415

    return OutputFile(name, MARK, "--plan-out")
