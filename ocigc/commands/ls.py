"""`ocigc ls`: the images of a layout and what they cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ocigc.api.images import images
from ocigc.api.watch import Watcher
from ocigc.commands import options
from ocigc.container import InUse
from ocigc.printable import printable
from ocigc.report.sizes import human_size
from ocigc.report.table import SHORT_DIGEST, table
from ocigc.report.terminal import progress_line
from ocigc.rules.usage import Usage
from ocigc.store.layout import Layout, open_layout
from ocigc.store.trees import Found
from ocigc.times import SECOND, format_rfc3339

_EXAMPLES = """\
examples:
  ocigc ls mirror                          a table
  ocigc ls --in-use used.json mirror       mark what the containers of `docker inspect` use
  ocigc ls --format json mirror            one JSON array, whole digests and sizes in bytes
  ocigc ls --recursive --repository registry.example zot
                                           all layouts below a directory, named by their paths
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "ls",
        help="list images with their sizes",
        description="Lists the images of a layout: what they hold, and how much of it no other image holds.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_layout(parser)
    options.add_recursive(parser)
    options.add_in_use(parser)
    options.add_repository(parser)
    options.add_wait(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Lists one layout, or a tree of them."""
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    errors: Sequence[str] = ()
    if args.recursive:
        listed, errors = _list_tree(args, in_use)
    else:
        repository = options.repository(args)
        with open_layout(args.layout, writable=False) as layout, progress_line() as progress:
            found = images(layout, in_use=in_use, repository=repository, wait=args.wait / SECOND, watch=progress)
        listed = [(entry, {}) for entry in found]
    if args.format == "json":
        json.dump([usage_as_json(entry) | where for entry, where in listed], sys.stdout)
        print()
    else:
        for line in usage_table([entry for entry, _ in listed]):
            print(line)
    return options.FAILED if errors else 0


def _list_tree(args: argparse.Namespace, in_use: InUse) -> tuple[list[tuple[Usage, dict[str, str]]], Sequence[str]]:
    def work(layout: Layout, found: Found, watch: Watcher) -> list[Usage]:
        repository = found.repository(args.repository)
        return images(layout, in_use=in_use, repository=repository, wait=args.wait / SECOND, watch=watch)

    results = options.each_layout(args, work)
    return [(entry, {"Layout": name}) for name, entries in results.values for entry in entries], results.errors


def usage_as_json(entry: Usage) -> dict[str, object]:
    """One image, as the array of --format json has it."""
    image = entry.image
    return {
        "Name": None if image.dangling else image.name,
        "Digest": image.target.digest,
        "MediaType": image.target.media_type,
        "Created": None if image.created is None else format_rfc3339(image.created),
        "Size": entry.size,
        "Shared": entry.shared,
        "Unique": entry.unique,
        "Dangling": entry.dangling,
        "Referrer": entry.referrer,
        "InUse": entry.in_use,
        "Leased": entry.leased,
    }


def usage_table(found: Sequence[Usage]) -> Iterator[str]:
    """A line an image."""
    rows = []
    for entry in found:
        image = entry.image
        states = (
            ("dangling", entry.dangling),
            ("referrer", entry.referrer),
            ("in use", entry.in_use),
            ("leased", entry.leased),
        )
        rows.append(
            (
                "<none>" if image.dangling else printable(image.familiar),
                image.target.digest[:SHORT_DIGEST],
                "" if image.created is None else format_rfc3339(image.created),
                human_size(entry.size),
                human_size(entry.shared),
                human_size(entry.unique),
                ", ".join(name for name, holds in states if holds),
            )
        )
    return table(("IMAGE", "DIGEST", "CREATED", "SIZE", "SHARED", "UNIQUE", "STATE"), rows)
