"""`ocigc ls`: the images of a layout and what they cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ocigc.cli import options
from ocigc.cli.command import Command
from ocigc.cli.output.tables import Column, human_size, table, terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.gc.in_use import InUse
from ocigc.inspect.usage import Usage, images
from ocigc.layout.discover import Found
from ocigc.layout.layout import Layout, open_layout
from ocigc.printable import printable
from ocigc.progress import Watcher
from ocigc.times import SECOND, format_rfc3339


def run(args: argparse.Namespace) -> int:
    """Lists one layout, or a tree of them."""
    in_use = options.read_in_use(args)
    if args.recursive:
        return _list_tree(args, in_use)
    repository = options.repository(args)
    with open_layout(args.layout, writable=False) as layout, progress_line() as progress:
        options.note_unmatched(in_use, layout, repository)
        found = images(layout, in_use=in_use, repository=repository, wait=args.wait / SECOND, watch=progress)
    if args.format == "json":
        json.dump(list(map(usage_as_json, found)), sys.stdout)
        print()
    else:
        for line in usage_table(found):
            print(line)
    return 0


def _list_tree(args: argparse.Namespace, in_use: InUse) -> int:
    def work(layout: Layout, found: Found, watch: Watcher) -> list[Usage]:
        repository = found.repository(args.repository, watch.note)
        return images(layout, in_use=in_use, repository=repository, wait=args.wait / SECOND, watch=watch)

    results = options.each_layout(args, work, in_use=in_use)
    listed = [(name, entry) for name, entries in results.values for entry in entries]
    if args.format == "json":
        json.dump([usage_as_json(entry) | {"Layout": name} for name, entry in listed], sys.stdout)
        print()
    else:
        for line in usage_table([entry for _, entry in listed], [name for name, _ in listed]):
            print(line)
        print(f"{len(results.values):,} layouts, {len(listed):,} images; {len(results.errors):,} skipped")
    return options.FAILED if results.errors else 0


def usage_as_json(entry: Usage) -> dict[str, object]:
    """One image, as the array of --format json has it."""
    image = entry.image
    return {
        "Name": None if image.dangling else image.name,
        "Aliases": list(image.aliases),
        "Digest": image.target.digest,
        "MediaType": image.target.media_type,
        "Created": None if image.created is None else format_rfc3339(image.created),
        "Size": entry.size,
        "Shared": entry.shared,
        "Unique": entry.unique,
        "Dangling": entry.dangling,
        "Referrer": entry.referrer,
        "Orphaned": entry.orphaned,
        "InUse": entry.in_use,
        "Leased": entry.leased,
    }


def usage_table(
    found: Sequence[Usage], layouts: Sequence[str] | None = None, *, reclaimable: bool = False
) -> list[str]:
    """A line an image; of a tree with the layout of each."""
    rows = []
    for number, entry in enumerate(found):
        image = entry.image
        states = (
            ("dangling", entry.dangling),
            ("referrer", entry.referrer),
            ("orphaned", entry.orphaned),
            ("in use", entry.in_use),
            ("leased", entry.leased),
        )
        rows.append(
            (
                *([] if layouts is None else [layouts[number]]),
                "<none>" if image.dangling else printable(image.familiar),
                image.target.digest.short,
                "" if image.created is None else format_rfc3339(image.created),
                human_size(entry.size),
                human_size(entry.shared),
                human_size(entry.unique),
                *([human_size(entry.reclaimable)] if reclaimable else []),
                ", ".join(name for name, holds in states if holds),
            )
        )
    columns = [
        *([] if layouts is None else [Column("LAYOUT", name=True)]),
        Column("IMAGE", name=True),
        Column("DIGEST", below=100),
        Column("CREATED", below=80),
        Column("SIZE", right=True),
        Column("SHARED", right=True, below=100),
        Column("UNIQUE", right=True),
        *([Column("RECLAIMABLE", right=True)] if reclaimable else []),
        Column("STATE"),
    ]
    return table(columns, rows, width=terminal_width(sys.stdout))


COMMAND = Command(
    "Lists the images of a layout: their sizes, and how much of each no other image has.",
    (
        options.LAYOUT,
        options.RECURSIVE,
        options.IN_USE,
        options.MIRROR,
        options.ALLOW_NONE_IN_USE,
        options.REPOSITORY,
        options.WAIT,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc ls mirror", "a table"),
        ("ocigc ls --in-use used.json mirror", "mark what the containers of `docker inspect` use"),
        ("ocigc ls --format json mirror", "one JSON array, whole digests and sizes in bytes"),
        (
            "ocigc ls --recursive --repository registry.example zot",
            "all layouts below a directory, named by their paths",
        ),
    ),
)
