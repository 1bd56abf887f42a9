"""`ocigc du`: how much disk space a layout takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ocigc.cli import in_use_files, options, several, targets
from ocigc.cli.command import Command, OptionGroup
from ocigc.cli.ls import usage_as_json, usage_lines
from ocigc.cli.output import listing
from ocigc.cli.output.listing import Field, Predicate
from ocigc.cli.output.metrics import repository_metrics, store_metrics
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.words import count, human_size, percent
from ocigc.errors import UsageError, printable
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.hard_links import freed
from ocigc.inspect.disk_usage import Consumption, Repository, du, together
from ocigc.strict_json import json_pieces

Members = Sequence[tuple[str, Consumption]]
"""The layouts of a tree, by their paths; empty for a single layout."""

_KINDS = (
    Column("TYPE"),
    Column("TOTAL", right=True),
    Column("SIZE", right=True),
    Column("RECLAIMABLE", right=True),
    Column("WITH --all", right=True),
)
_LAYOUTS = (
    Column("LAYOUT", name=True),
    Column("IMAGES", right=True),
    Column("BLOBS", right=True, below=100),
    Column("SIZE", right=True),
    Column("ON DISK", right=True, below=80),
    Column("RECLAIMABLE", right=True),
    Column("WITH --all", right=True),
)

# The columns of a repository, before the bytes of all blobs.
_Row = tuple[Repository, int]


def _size(name: str, size: Callable[[Repository], int], below: int = 0) -> Field[_Row]:
    return Field(
        Column(name, right=True, below=below),
        lambda row: human_size(size(row[0])),
        lambda row: size(row[0]),
        falling=True,
    )


_FIELDS: dict[str, Field[_Row]] = {
    "repository": Field(
        Column("REPOSITORY", name=True), lambda row: printable(row[0].name) or "<none>", lambda row: row[0].name
    ),
    "images": Field(
        Column("IMAGES", right=True), lambda row: f"{row[0].images:,}", lambda row: row[0].images, falling=True
    ),
    "size": _size("SIZE", lambda each: each.size),
    "share": Field(
        Column("SHARE", right=True, below=80),
        lambda row: percent(row[0].size, row[1]),
        lambda row: row[0].size,
        falling=True,
    ),
    "shared": _size("SHARED", lambda each: each.shared, 100),
    "unique": _size("UNIQUE", lambda each: each.unique, 80),
    "reclaimable": Field(
        Column("WITH --all", right=True),
        lambda row: _part(row[0].reclaimable, row[0].size),
        lambda row: row[0].reclaimable,
        falling=True,
    ),
}
FILTERS: dict[str, Callable[[str], Predicate[_Row]]] = {
    "repository": listing.pattern(lambda row: (row[0].name,)),
    "larger": listing.larger(lambda row: row[0].size),
}


def _part(size: int, whole: int) -> str:
    """A part of a whole, as docker system df shows it."""
    return f"{human_size(size)} ({percent(size, whole)})"


def run(args: argparse.Namespace) -> int:
    """Measures the given layouts, or a tree of them."""
    in_use = in_use_files.read(args)
    wanted = listing.parse_filters(args.filter, FILTERS)
    listing.check_columns(args, _FIELDS)
    measure = partial(du, health=args.metrics is not None)
    if args.recursive:
        results = several.each_measured(args, measure, Consumption, in_use)
    elif args.cluster is not None:
        raise UsageError("--cluster is for trees: give --recursive, too")
    else:
        repository = targets.repository(args)
        wait = args.wait
        results = several.each_given(
            args,
            lambda layout, watch: measure(
                layout,
                in_use=in_use,
                repository=repository,
                rules=RULE_SETS[args.rules],
                wait=wait,
                watch=watch,
            ),
            in_use=in_use,
        )
    members = results.values if args.recursive or len(args.layouts) > 1 else ()
    consumption = together([each for _, each in results.values])
    size = consumption.size
    rows = [(each, size) for each in consumption.repositories]
    repositories = list(listing.ordered(rows, wanted, _FIELDS, args))
    if args.metrics is not None:
        args.metrics.add(store_metrics(consumption))
        args.metrics.add_repositories(repository_metrics(consumption), by="repository_bytes")
        args.metrics.add(options.layouts(results) if args.recursive else {})
    if args.format == "json":
        layouts = {"Layouts": list(_layouts_as_json(members))} if args.recursive or members else {}
        shown = [each for each, _ in repositories]
        sys.stdout.writelines(json_pieces(_as_json(consumption, shown, verbose=args.verbose) | layouts))
        print()
    elif args.quiet:
        for each, _ in repositories:
            print(printable(each.name) or "<none>")
    else:
        for line in _as_text(consumption, members, repositories, args):
            print(line)
    return options.FAILED if results.errors else 0


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
    """What a prune of the tree would free in each layout. A hard-linked file counts where its last name goes."""
    dangling = freed([files for _, each in members for files in each.dangling])
    unused = freed([files for _, each in members for files in each.unused])
    for (name, each), some, most in zip(members, dangling, unused, strict=True):
        yield name, each, some + each.leftovers_freed, most + each.leftovers_freed


def _as_json(consumption: Consumption, repositories: Sequence[Repository], *, verbose: bool) -> dict[str, object]:
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
        "Orphans": {
            "Blobs": consumption.orphan_count,
            "Size": sum(each.size for each in consumption.orphans),
            "InGrace": consumption.in_grace,
        },
        "Trash": {"Runs": consumption.trash_runs, "Size": consumption.trashed},
        "Repositories": [
            {
                "Name": each.name or None,
                "Images": each.images,
                "Size": each.size,
                "Shared": each.shared,
                "Unique": each.unique,
                "Reclaimable": each.reclaimable,
            }
            for each in repositories
        ],
    }
    if verbose:
        document["ImagesUsage"] = (
            usage_as_json(each) | {"Reclaimable": each.reclaimable} for each in consumption.images
        )
    return document


def _as_text(
    consumption: Consumption, members: Members, repositories: Sequence[_Row], args: argparse.Namespace
) -> Iterator[str]:
    width = terminal_width(sys.stdout)
    if members:
        rows = [_layout_row(name, each, *both) for name, each, *both in _each_freed(members)]
        yield from table(_LAYOUTS, rows, width=width)
        yield ""
    yield from table(_KINDS, list(_kinds(consumption)), width=width)
    on_disk = (
        f"; {human_size(consumption.disk)} on disk, as files are shared" if consumption.disk < consumption.size else ""
    )
    yield f"{count(consumption.blobs, 'blob')}, {human_size(consumption.size)}{on_disk}"
    if consumption.in_grace:
        more = "more " if consumption.orphan_count else ""
        yield f"In grace: {count(consumption.in_grace, f'{more}orphan', 'stay')}, younger than an hour."
    if repositories:
        yield ""
        yield from listing.listed(repositories, _FIELDS, tuple(_FIELDS), args.columns)
    if args.verbose and consumption.images:
        yield ""
        yield from usage_lines(consumption.images)


def _layout_row(name: str, each: Consumption, some: int, most: int) -> tuple[str, ...]:
    sizes = human_size(each.size), human_size(each.disk), _part(some, each.disk), _part(most, each.disk)
    return name, f"{len(each.images):,}", f"{each.blobs:,}", *sizes


def _kinds(consumption: Consumption) -> Iterator[tuple[str, ...]]:
    """A row for each kind of thing that takes space: how much of it a prune frees, and how much with --all."""
    orphans = sum(files.size for files in consumption.orphans)
    freed_orphans = sum(freed(consumption.orphans))
    size = consumption.size - orphans
    some, most = (max(0, sum(freed(files)) - freed_orphans) for files in (consumption.dangling, consumption.unused))
    yield "Images", f"{len(consumption.images):,}", human_size(size), _part(some, size), _part(most, size)
    part = _part(freed_orphans, orphans)
    yield "Orphans", f"{consumption.orphan_count:,}", human_size(orphans), part, part
    if consumption.leftovers:
        number, left = sum(len(e.files) for e in consumption.leftovers), sum(e.size for e in consumption.leftovers)
        part = _part(consumption.leftovers_freed, left)
        yield "Leftovers", f"{number:,}", human_size(left), part, part
    if consumption.trash_runs:
        yield "Trash", f"{consumption.trash_runs:,}", human_size(consumption.trashed), "", ""


COMMAND = Command(
    "Shows how much space a layout takes on disk, what a prune would free, and what it would free with --all; then how "
    "much each repository takes, alone and shared with others.",
    (
        options.LAYOUTS,
        options.RECURSIVE,
        options.CLUSTER,
        OptionGroup(
            "what to show",
            options.VERBOSE.but(help="also show each image"),
            listing.filter_option(
                "only repositories that match: repository=PATTERN (as in 'team/*'), larger=SIZE; may be repeated; "
                "the totals still count all"
            ),
            listing.sort_option(_FIELDS),
            listing.REVERSE,
            listing.columns_option(_FIELDS),
            listing.QUIET.but(help="print only the names of repositories, one per line"),
            options.FORMAT,
        ),
        in_use_files.group(),
        options.RULES,
        options.SHARED_BLOBS,
        options.WAIT,
        options.METRICS_FILE,
    ),
    run,
    examples=(
        ("ocigc du mirror", "totals, and a line per repository"),
        ("ocigc du --sort reclaimable mirror", "where a prune frees the most"),
        ("ocigc du -v --in-use used.json mirror", "also a line per image; what is in use is not reclaimable"),
        ("ocigc du --recursive zot", "all layouts below a directory: hard-linked blobs count once"),
    ),
)
