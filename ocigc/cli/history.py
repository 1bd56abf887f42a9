"""`ocigc history`: the runs that changed or verified a layout."""

from __future__ import annotations

import argparse
import json
import sys

from ocigc.cli import options, several, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.words import human_size
from ocigc.errors import printable
from ocigc.layout.history import Run, read
from ocigc.times import format_rfc3339

_COLUMNS = (
    Column("TIME", time=True),
    Column("RUN"),
    Column("COMMAND"),
    Column("USER", below=80),
    Column("IMAGES", right=True, below=100),
    Column("BLOBS", right=True, below=100),
    Column("SIZE", right=True),
    Column("FREED", right=True, below=50),
    Column("TO TRASH", right=True, below=60),
)


def run(args: argparse.Namespace) -> int:
    """Lists the runs of one layout, or of all below a directory, the oldest first."""
    failed = False
    if args.recursive:
        results = several.each_layout(args, lambda layout, _, __: read(layout))
        runs = sorted(((name, each) for name, found in results.values for each in found), key=lambda item: item[1].time)
        failed = bool(results.errors)
    else:
        with targets.layout(args, writable=False) as layout:
            runs = [("", each) for each in read(layout)]
    shown = runs[-args.last :] if args.last else runs
    args.answered = True
    if args.format == "json":
        json.dump([({"Layout": name} if args.recursive else {}) | dict(each.line) for name, each in shown], sys.stdout)
        print()
    else:
        first = (Column("LAYOUT", name=True),) if args.recursive else ()
        rows = [(*((name,) if first else ()), *_row(each)) for name, each in shown]
        for line in table((*first, *_COLUMNS), rows, width=terminal_width(sys.stdout)):
            print(line)
    return options.FAILED if failed else 0


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"invalid number {text!r}: expected 1 or more")
    return int(text)


def _row(each: Run) -> tuple[str, ...]:
    line = each.line
    return (
        format_rfc3339(each.time),
        printable(str(line.get("run", ""))),
        printable(each.command),
        printable(str(line.get("user", ""))),
        _count(line.get("images")),
        _count(line.get("blobs")),
        _size(line.get("bytes")),
        _size(line.get("freed")),
        _size(line.get("trashed")),
    )


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _size(value: object) -> str:
    return human_size(value) if isinstance(value, int) else ""


COMMAND = Command(
    "Lists the runs that changed or verified a layout, the oldest first: when, who, which command, and what the "
    "layout had afterwards. `ocigc restore` takes the ids of runs that are still in the trash.",
    (
        options.LAYOUT,
        options.RECURSIVE,
        Option("--last", metavar="N", type=options.argument_type(_number), default=0, help="show only the last N runs"),
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc history mirror", "all runs"),
        ("ocigc history --recursive zot", "of all layouts below a directory"),
        ("ocigc history --last 5 --format json mirror", "the last five, for a script"),
    ),
)
