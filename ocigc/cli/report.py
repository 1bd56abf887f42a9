"""`ocigc report`: a layout as a web page."""

from __future__ import annotations

import argparse
import time

from ocigc.cli import options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.html.page import MARK, as_page
from ocigc.cli.output.output_file import OutputFile
from ocigc.cli.output.tables import human_size
from ocigc.cli.output.terminal import progress_line
from ocigc.inspect.summary import overview
from ocigc.layout.layout import open_layout
from ocigc.printable import printable
from ocigc.times import SECOND


def run(args: argparse.Namespace) -> int:
    """Draws one layout."""
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    repository = options.repository(args)
    with OutputFile(args.output, MARK) as output:
        with open_layout(args.layout, writable=False, also=output.directories) as layout, progress_line() as progress:
            found = overview(layout, in_use=in_use, repository=repository, wait=args.wait / SECOND, watch=progress)
        output.write(as_page(found, args.layout, time.time_ns()))
    if args.output != "-":
        print(
            f"{printable(args.output)}: {len(found.images):,} images, {found.blobs:,} blobs, {human_size(found.size)}"
        )
    return 0


COMMAND = Command(
    "Writes one web page that needs no network and no server: the bytes by repository, image and blob, what a prune "
    "would free, and ages against sizes, to search and filter.",
    (
        options.LAYOUT,
        Option(
            "-o",
            "--output",
            metavar="FILE",
            required=True,
            help="where to write the page; an older report is replaced, nothing else ever is; - is standard output",
        ),
        options.IN_USE,
        options.ALLOW_NONE_IN_USE,
        options.REPOSITORY,
        options.WAIT,
    ),
    run,
    examples=(
        ("ocigc report mirror -o store.html", "then open store.html in a browser"),
        ("ocigc report --in-use used.json mirror -o store.html", "what is in use is not shown as reclaimable"),
        ("ocigc report mirror -o - | ssh host 'cat > store.html'", "on standard output"),
    ),
)
