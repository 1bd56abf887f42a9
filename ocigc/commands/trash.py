"""`ocigc trash ls`: what can be brought back."""

from __future__ import annotations

import argparse
import json
import sys

from ocigc.commands import options
from ocigc.printable import printable
from ocigc.report.sizes import human_size
from ocigc.report.table import table
from ocigc.store import files, lock, trash
from ocigc.store.layout import STATE, open_layout
from ocigc.store.trash import Trashed
from ocigc.times import SECOND, format_rfc3339


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "trash",
        help="list what can be brought back",
        description="Shows the runs of `ocigc prune --trash` that `ocigc restore` can undo.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("ls", help="list the runs in the trash", description="Lists the runs in the trash.")
    options.add_layout(listing)
    options.add_wait(listing)
    options.add_format(listing)
    listing.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Lists the trash of one layout."""
    with open_layout(args.layout, writable=False) as layout, lock.shared(layout, args.wait / SECOND):
        try:
            with files.directory(layout.fd, STATE) as state:
                runs = trash.runs(state)
        except FileNotFoundError:
            runs = []
    if args.format == "json":
        json.dump([_as_json(trashed) for trashed in runs], sys.stdout)
        print()
        return 0
    rows = [
        (
            trashed.journal.id,
            format_rfc3339(trashed.journal.started),
            _expires(trashed),
            str(trashed.blobs),
            human_size(trashed.size),
            ", ".join(printable(image.familiar) for image in trashed.images),
        )
        for trashed in runs
    ]
    for line in table(("RUN", "REMOVED", "KEPT UNTIL", "BLOBS", "SIZE", "IMAGES"), rows):
        print(line)
    return 0


def _expires(trashed: Trashed) -> str:
    return "" if trashed.journal.expires is None else format_rfc3339(trashed.journal.expires)


def _as_json(trashed: Trashed) -> dict[str, object]:
    return {
        "Run": trashed.journal.id,
        "Removed": format_rfc3339(trashed.journal.started),
        "KeptUntil": _expires(trashed),
        "Blobs": trashed.blobs,
        "Size": trashed.size,
        "Images": [
            {"Name": None if image.dangling else image.name, "Digest": image.target.digest} for image in trashed.images
        ],
    }
