"""What a run may remove: no more than --max-delete allows, and only what a person has confirmed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ocigc.cli.command import Option
from ocigc.cli.output.terminal import paint
from ocigc.errors import Refused, UsageError, printable

if TYPE_CHECKING:
    from ocigc.pruning.limits import MaxDelete


def max_delete(text: str) -> MaxDelete:
    """The value of --max-delete."""
    from ocigc.cli.output.words import parse_size
    from ocigc.pruning.limits import parse_max_delete

    try:
        return parse_max_delete(text, parse_size)
    except ValueError:
        expected = "expected a share, a size or a number of images, as in 20%, 200GB or 50"
        message = f"invalid limit {printable(text)!r}: {expected}"
        raise argparse.ArgumentTypeError(message) from None


def limit_text(args: argparse.Namespace) -> str | None:
    """The value of --max-delete as it was given."""
    return None if args.max_delete is None else args.max_delete.text


def excess(
    args: argparse.Namespace, images: int, of_images: int, size: int, of_size: Callable[[], int], *, empty: bool
) -> str | None:
    """How a plan that removes `images` of `of_images`, and `size` bytes of `of_size()`, exceeds --max-delete; None if
    it does not. An `empty` plan does nothing.
    """
    if args.max_delete is None:
        return None
    found = args.max_delete.excess(images, of_images, size, of_size, empty=empty)
    return None if found is None else f"{found}, more than --max-delete {args.max_delete.text} allows"


MAX_DELETE = Option(
    "--max-delete",
    metavar="LIMIT",
    type=max_delete,
    help="refuse a run that would remove more than this: a share (20%% of the images or bytes), a size (200GB) or a "
    "number of images (50); 0 allows nothing to go",
)


def nobody_to_ask(args: argparse.Namespace) -> UsageError | None:
    """The error of a run that has to ask but cannot. It is raised after all other errors."""
    if args.dry_run or args.force or ("-" not in args.in_use and sys.stdin.isatty()):
        return None
    return UsageError(
        f"there is no terminal to ask on: give --force to {args.verb}, or --dry-run to see what would be done"
    )


def ask(path: str) -> None:
    """Asks whether to carry out the plan that was shown for the layout or tree at a path. Raises Refused if the answer
    is not yes.
    """
    print(paint("WARNING! This will remove all of the above.", "yellow", sys.stderr), file=sys.stderr)
    print("Are you sure you want to continue? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(f"{printable(path)}: cancelled; nothing was changed")
