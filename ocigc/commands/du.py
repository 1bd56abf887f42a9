"""`ocigc du`: what a layout takes of the disk."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ocigc.api.du import Consumption, du, freed, together
from ocigc.commands import options
from ocigc.commands.ls import usage_as_json, usage_table
from ocigc.printable import printable
from ocigc.report.sizes import human_size
from ocigc.report.table import table
from ocigc.report.terminal import progress_line
from ocigc.times import SECOND

_EXAMPLES = """\
examples:
  ocigc du mirror                        totals, and a line a repository
  ocigc du -v --in-use used.json mirror  and a line an image; what is in use is not reclaimable
  ocigc du --recursive zot               all layouts below a directory: hard-linked blobs count once
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "du",
        help="show what takes the space, and what a prune would free",
        description="Shows what a layout takes of the disk, what each repository has of that alone, and what a prune "
        "would free.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_layout(parser)
    options.add_recursive(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="a line an image, too")
    options.add_in_use(parser)
    options.add_repository(parser)
    options.add_wait(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures one layout, or a tree of them."""
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    wait = args.wait / SECOND
    errors: Sequence[str] = ()
    if args.recursive:
        results = options.each_layout(
            args,
            lambda layout, found, watch: du(
                layout, in_use=in_use, repository=found.repository(args.repository), wait=wait, watch=watch
            ),
        )
        consumption, errors = together([each for _, each in results.values]), results.errors
    else:
        repository = options.repository(args)
        with options.layout(args, writable=False) as layout, progress_line() as progress:
            consumption = du(layout, in_use=in_use, repository=repository, wait=wait, watch=progress)
    if args.format == "json":
        json.dump(_as_json(consumption, verbose=args.verbose), sys.stdout)
        print()
    else:
        for line in _as_text(consumption, verbose=args.verbose):
            print(line)
    return options.FAILED if errors else 0


def _as_json(consumption: Consumption, *, verbose: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "Images": len(consumption.images),
        "Blobs": consumption.blobs,
        "Size": consumption.size,
        "Disk": consumption.disk,
        "Reclaimable": freed(consumption.dangling),
        "ReclaimableAll": freed(consumption.unused),
        "Repositories": [
            {
                "Name": each.name or None,
                "Images": each.images,
                "Size": each.size,
                "Shared": each.shared,
                "Unique": each.unique,
            }
            for each in consumption.repositories
        ],
    }
    if verbose:
        document["ImagesUsage"] = [usage_as_json(each) for each in consumption.images]
    return document


def _as_text(consumption: Consumption, *, verbose: bool) -> Iterator[str]:
    yield from table(
        ("IMAGES", "BLOBS", "SIZE", "ON DISK", "PRUNE FREES", "PRUNE -a FREES"),
        [
            (
                f"{len(consumption.images):,}",
                f"{consumption.blobs:,}",
                human_size(consumption.size),
                human_size(consumption.disk),
                human_size(freed(consumption.dangling)),
                human_size(freed(consumption.unused)),
            )
        ],
    )
    if consumption.repositories:
        yield ""
        yield from table(
            ("REPOSITORY", "IMAGES", "SIZE", "SHARED", "UNIQUE"),
            [
                (
                    printable(each.name) or "<none>",
                    f"{each.images:,}",
                    human_size(each.size),
                    human_size(each.shared),
                    human_size(each.unique),
                )
                for each in consumption.repositories
            ],
        )
    if verbose and consumption.images:
        yield ""
        yield from usage_table(consumption.images)
