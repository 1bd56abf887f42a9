"""`ocigc trash ls`: what can be brought back."""

from __future__ import annotations

import argparse
import json
import sys

from ocigc.cli import options
from ocigc.cli.command import Command
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.words import human_size
from ocigc.printable import printable
from ocigc.pruning.restore import trashed
from ocigc.pruning.trash import Trashed
from ocigc.times import SECOND, format_rfc3339

_RUNS = (
    Column("RUN"),
    Column("REMOVED"),
    Column("KEPT UNTIL", below=80),
    Column("BLOBS", right=True, below=100),
    Column("SIZE", right=True),
    Column("IMAGES", cut=True),
)


def run(args: argparse.Namespace) -> int:
    """Lists the trash of one layout."""
    with options.layout(args, writable=False) as layout:
        runs = trashed(layout, wait=args.wait / SECOND)
    if args.format == "json":
        json.dump([_as_json(each) for each in runs], sys.stdout)
        print()
        return 0
    rows = [
        (
            each.journal.id,
            format_rfc3339(each.journal.started),
            _expires(each),
            str(each.blobs),
            human_size(each.size),
            ", ".join(printable(image.familiar) for image in each.images),
        )
        for each in runs
    ]
    for line in table(_RUNS, rows, width=terminal_width(sys.stdout)):
        print(line)
    return 0


def _expires(each: Trashed) -> str:
    return "" if each.journal.expires is None else format_rfc3339(each.journal.expires)


def _as_json(each: Trashed) -> dict[str, object]:
    return {
        "Run": each.journal.id,
        "Removed": format_rfc3339(each.journal.started),
        "KeptUntil": _expires(each),
        "Blobs": each.blobs,
        "Size": each.size,
        "Images": [
            {"Name": None if image.dangling else image.name, "Digest": image.target.digest} for image in each.images
        ],
    }


COMMAND = Command(
    "Shows the runs of `ocigc prune --trash` that `ocigc restore` can undo.",
    commands={
        "ls": (
            "list the runs in the trash",
            Command("Lists the runs in the trash.", (options.LAYOUT, options.WAIT, options.FORMAT), run),
        ),
    },
)
