"""`ocigc restore`: bring back what a prune has removed."""

from __future__ import annotations

import argparse

from ocigc.cli import options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.terminal import progress_line
from ocigc.printable import printable
from ocigc.pruning.restore import restore
from ocigc.times import SECOND


def run(args: argparse.Namespace) -> int:
    """Restores into one layout."""
    with options.layout(args, writable=True) as layout, progress_line() as progress:
        restored = restore(layout, run=args.run_id, image=args.image, wait=args.wait / SECOND, watch=progress)
    for image in restored.images:
        print(f"restored: {printable(image.familiar)}")
    print(f"{restored.blobs:,} blobs came back")
    for digest in restored.missing:
        options.note(f"missing: {digest}: a later prune has removed it for good, or it was never here")
    return 1 if restored.missing else 0


COMMAND = Command(
    "Brings back images, and the blobs that they need, from the trash of `ocigc prune --trash`.",
    (
        options.LAYOUT,
        Option("run_id", metavar="RUN", nargs="?", help="the run to undo (default: the last one)"),
        Option("--image", metavar="REF", help="bring back only this image: its name, or its digest"),
        options.WAIT,
    ),
    run,
    examples=(
        ("ocigc trash ls mirror", "what there is to bring back"),
        ("ocigc restore mirror", "undo the last prune that kept its trash"),
        ("ocigc restore mirror 5f2d01ab", "undo that run"),
        ("ocigc restore mirror --image alpine:3.18", "bring back one image, from the last run that removed it"),
    ),
    exit_status="0 done, 1 done but blobs are missing, 2 wrong usage or nothing to restore, 3 refused or failed",
)
