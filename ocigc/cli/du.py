"""`ocigc du`: what a layout takes of the disk."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ocigc.cli import log, options
from ocigc.cli.command import Command, Option
from ocigc.cli.ls import usage_as_json, usage_table
from ocigc.cli.output.store_metrics import repository_metrics, store_metrics
from ocigc.cli.output.tables import Column, count, human_size, table, terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.gc.in_use import InUse
from ocigc.inspect.disk_usage import Consumption, du, freed, together
from ocigc.layout.discover import Found, Results, Tree, each_layout
from ocigc.layout.layout import Layout
from ocigc.printable import printable
from ocigc.progress import Watcher
from ocigc.pruning.policy_file import own_policy
from ocigc.times import SECOND

Members = Sequence[tuple[str, Consumption]]
"""The layouts of a tree, by their paths; empty for a layout alone."""


_TOTALS = (
    Column("IMAGES", right=True),
    Column("BLOBS", right=True),
    Column("SIZE", right=True),
    Column("ON DISK", right=True),
    Column("PRUNE FREES", right=True),
    Column("PRUNE -a FREES", right=True),
)
_REPOSITORIES = (
    Column("REPOSITORY", name=True),
    Column("IMAGES", right=True),
    Column("SIZE", right=True),
    Column("SHARED", right=True, below=100),
    Column("UNIQUE", right=True, below=80),
    Column("RECLAIMABLE", right=True),
)


def run(args: argparse.Namespace) -> int:
    """Measures one layout, or a tree of them."""
    in_use = options.read_in_use(args)
    members: Members = ()
    errors: Sequence[str] = ()
    if args.recursive:
        results = _measure_tree(args, in_use)
        members, errors = results.values, results.errors
        consumption = together([each for _, each in members])
    else:
        repository = options.repository(args)
        with options.layout(args, writable=False) as layout, progress_line() as progress:
            options.note_unmatched(in_use, layout, repository)
            consumption = du(
                layout,
                in_use=in_use,
                repository=repository,
                health=args.metrics is not None,
                wait=args.wait / SECOND,
                watch=progress,
            )
    if args.metrics is not None:
        args.metrics.add(store_metrics(consumption))
        args.metrics.add_repositories(repository_metrics(consumption), by="repository_bytes")
        args.metrics.add(options.layouts(results) if args.recursive else {})
    if args.format == "json":
        layouts = {"Layouts": list(_layouts_as_json(members))} if args.recursive else {}
        json.dump(_as_json(consumption, verbose=args.verbose) | layouts, sys.stdout)
        print()
    else:
        for line in _as_text(consumption, members, verbose=args.verbose):
            print(line)
    return options.FAILED if errors else 0


def _measure_tree(args: argparse.Namespace, in_use: InUse) -> Results[Consumption]:
    with progress_line() as progress, Tree(args.layout, progress.note) as tree:
        options.confine(args)
        options.note_unmatched_below(args, in_use, tree)
        policy = own_policy(tree.dir, tree.path, progress)

        def work(layout: Layout, found: Found, watch: Watcher) -> Consumption:
            return du(
                layout,
                in_use=in_use,
                repository=found.repository(args.repository, watch.note),
                default_policy=policy,
                health=args.metrics is not None,
                wait=args.wait / SECOND,
                watch=watch,
            )

        results = each_layout(tree, work, progress)
    for error in results.errors:
        log.error(error)
    return results


def _layouts_as_json(members: Members) -> Iterator[dict[str, object]]:
    for name, each, dangling, unused in _each_freed(members):
        yield {
            "Layout": name,
            "Images": len(each.images),
            "Blobs": each.blobs,
            "Size": each.size,
            "Disk": each.disk,
            "Reclaimable": dangling,
            "ReclaimableAll": unused,
            "Leftovers": sum(leftover.size for leftover in each.leftovers),
        }


def _each_freed(members: Members) -> Iterator[tuple[str, Consumption, int, int]]:
    """Of each layout what a prune of the tree would free there: a file with several names with the last of them."""
    dangling = freed([files for _, each in members for files in each.dangling])
    unused = freed([files for _, each in members for files in each.unused])
    for (name, each), some, most in zip(members, dangling, unused, strict=True):
        yield name, each, some + each.leftovers_freed, most + each.leftovers_freed


def _as_json(consumption: Consumption, *, verbose: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "Images": len(consumption.images),
        "Blobs": consumption.blobs,
        "Size": consumption.size,
        "Disk": consumption.disk,
        "Reclaimable": sum(freed(consumption.dangling)) + consumption.leftovers_freed,
        "ReclaimableAll": sum(freed(consumption.unused)) + consumption.leftovers_freed,
        "Leftovers": {
            "Files": sum(len(each.files) for each in consumption.leftovers),
            "Size": sum(each.size for each in consumption.leftovers),
            "Reclaimable": consumption.leftovers_freed,
        },
        "Repositories": [
            {
                "Name": each.name or None,
                "Images": each.images,
                "Size": each.size,
                "Shared": each.shared,
                "Unique": each.unique,
                "Reclaimable": each.reclaimable,
            }
            for each in consumption.repositories
        ],
    }
    if verbose:
        document["ImagesUsage"] = [
            usage_as_json(each) | {"Reclaimable": each.reclaimable} for each in consumption.images
        ]
    return document


def _as_text(consumption: Consumption, members: Members, *, verbose: bool) -> Iterator[str]:
    width = terminal_width(sys.stdout)
    if members:
        rows = [(name, *_row(each, *both)) for name, each, *both in _each_freed(members)]
        yield from table((Column("LAYOUT", name=True), *_TOTALS), rows, width=width)
        yield ""
    goes = [sum(freed(files)) + consumption.leftovers_freed for files in (consumption.dangling, consumption.unused)]
    yield from table(_TOTALS, [_row(consumption, *goes)], width=width)
    if consumption.leftovers:
        number, size = (
            sum(len(each.files) for each in consumption.leftovers),
            sum(e.size for e in consumption.leftovers),
        )
        freed_size = human_size(consumption.leftovers_freed)
        yield f"Leftovers: {count(number, 'file')} of other tools, {human_size(size)}; a prune frees {freed_size}"
    if consumption.repositories:
        yield ""
        yield from table(
            _REPOSITORIES,
            [
                (
                    printable(each.name) or "<none>",
                    f"{each.images:,}",
                    human_size(each.size),
                    human_size(each.shared),
                    human_size(each.unique),
                    human_size(each.reclaimable),
                )
                for each in consumption.repositories
            ],
            width=width,
        )
    if verbose and consumption.images:
        yield ""
        yield from usage_table(consumption.images, reclaimable=True)


def _row(consumption: Consumption, dangling: int, unused: int) -> tuple[str, ...]:
    sizes = (consumption.size, consumption.disk, dangling, unused)
    return f"{len(consumption.images):,}", f"{consumption.blobs:,}", *map(human_size, sizes)


COMMAND = Command(
    "Shows how much space a layout takes on disk, how much of it only one repository has, and what a prune would free.",
    (
        options.LAYOUT,
        options.RECURSIVE,
        Option("-v", "--verbose", action="store_true", help="show each image, too"),
        options.IN_USE,
        options.MIRROR,
        options.ALLOW_NONE_IN_USE,
        options.REPOSITORY,
        options.WAIT,
        options.FORMAT,
        options.METRICS_FILE,
    ),
    run,
    examples=(
        ("ocigc du mirror", "totals, and a line per repository"),
        ("ocigc du -v --in-use used.json mirror", "and a line per image; what is in use is not reclaimable"),
        ("ocigc du --recursive zot", "all layouts below a directory: hard-linked blobs count once"),
    ),
)
