"""`ocigc report`: a layout, or a tree of them, as a web page."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from ocigc._version import __version__
from ocigc.cli import in_use_files, options, several, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output import report_json
from ocigc.cli.output.html.page import BEGINNING, as_page
from ocigc.cli.output.output_file import OutputFile
from ocigc.cli.output.report_json import Circumstances, as_json
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import human_size
from ocigc.errors import MalformedError, UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.inspect.compare import Changes, EarlierReport, compare, parse_earlier
from ocigc.inspect.growth import Point, fit
from ocigc.inspect.overview import overview
from ocigc.inspect.overview_values import Overview, together


def run(args: argparse.Namespace) -> int:
    """Draws one layout, or a tree of them."""
    as_document = args.format == "json"
    if args.output is None and not as_document:
        raise UsageError("the page needs a file: give --output FILE, or --output - for standard output")
    target = "-" if args.output is None else args.output
    earlier = _earlier(args)
    in_use = in_use_files.read(args)
    with OutputFile(target, report_json.BEGINNING if as_document else BEGINNING) as output:
        found, layouts, errors = (_of_tree if args.recursive else _of_layout)(args, in_use, output)
        made = Circumstances(
            layout=args.layout,
            path=os.path.abspath(args.layout),
            host=os.uname().nodename,
            version=__version__,
            now=time.time_ns(),
            in_use=args.in_use,
            mirrors=[f"{each.source}={each.copy}" for each in args.mirror],
            rules=args.rules,
            recursive=args.recursive,
            repository=args.repository or "",
            layouts=list(layouts),
            errors=list(errors),
        )
        points = [*found.history, Point(made.now, found.size, {})] if found.history else []
        line = fit(points, made.now, None if found.disk is None else found.disk.free)
        changes: Changes | None = None if earlier is None else compare(earlier, found)
        output.write_pieces(as_json(found, made, line) if as_document else (as_page(found, made, line, changes),))
    if target != "-":
        print(f"{printable(target)}: {len(found.images):,} images, {found.blobs:,} blobs, {human_size(found.size)}")
    return options.FAILED if errors else 0


def _earlier(args: argparse.Namespace) -> EarlierReport | None:
    if args.compare is None:
        return None
    if args.format == "json":
        raise UsageError("--compare shows differences on the page, not in --format json; leave out one of the two")
    try:
        return parse_earlier(options.read_file("--compare", args.compare), printable(args.compare))
    except MalformedError as error:
        raise UsageError(f"--compare {error}; `ocigc report --format json` makes one") from None


def _of_layout(
    args: argparse.Namespace, in_use: InUse, output: OutputFile
) -> tuple[Overview, Sequence[str], Sequence[str]]:
    if args.cluster is not None:
        raise UsageError("--cluster is for trees: give --recursive, too")
    repository = targets.repository(args)
    with (
        targets.layout(args, writable=False, archives=True, also=output.directories) as layout,
        progress_line() as progress,
    ):
        in_use_files.note_unmatched(in_use, layout, repository)
        found = overview(
            layout,
            in_use=in_use,
            repository=repository,
            rules=RULE_SETS[args.rules],
            wait=args.wait,
            watch=progress,
        )
    return found, (), ()


def _of_tree(
    args: argparse.Namespace, in_use: InUse, output: OutputFile
) -> tuple[Overview, Sequence[str], Sequence[str]]:
    results = several.each_measured(args, overview, Overview, in_use, output.directories)
    return together(results.values), [path for path, _ in results.values], results.errors


COMMAND = Command(
    "Writes one self-contained web page: what is stored, what a prune would free, how the store grows and what a "
    "policy would do, by registry, repository, image and layer.",
    (
        options.READABLE,
        Option(
            "-o",
            "--output",
            metavar="FILE",
            help="where to write the page (- is standard output); a file there is overwritten only if it is a report",
        ),
        Option(
            "--format",
            choices=("html", "json"),
            default="html",
            help="html (default), or json: only the figures, on standard output if there is no --output",
        ),
        Option(
            "--compare",
            metavar="FILE",
            help="show on the page what changed since FILE, an earlier report of --format json",
        ),
        options.RECURSIVE,
        options.CLUSTER,
        in_use_files.group(),
        options.RULES,
        options.SHARED_BLOBS,
        options.WAIT,
    ),
    run,
    examples=(
        ("ocigc report mirror -o store.html", "then open store.html in a browser"),
        ("ocigc report --in-use used.json mirror -o store.html", "what is in use is not shown as reclaimable"),
        ("ocigc report --recursive zot -o zot.html", "one page for all layouts below a directory"),
        ("ocigc report --format json mirror > monday.json", "figures to compare with later"),
        ("ocigc report --compare monday.json mirror -o friday.html", "what is new, gone and grown since then"),
    ),
)
