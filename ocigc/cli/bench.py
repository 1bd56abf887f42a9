"""`ocigc bench`: how close verify comes to the limits of this machine."""

from __future__ import annotations

import argparse
import json
import sys

from ocigc.cli import options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import count, human_size, parse_size
from ocigc.layout.layout import Layout
from ocigc.verification.efficiency import Efficiency, Rate, measure_efficiency

_COLUMNS = (
    Column("WORK"),
    Column("RATE", right=True),
    Column("ROUNDS", right=True, below=100),
    Column("WHAT", cut=True),
)


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100:
        raise ValueError(f"invalid number of rounds {text!r}: expected 1 to 100")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Measures one layout."""
    # It runs another command, so it keeps the right to execute programs.
    with Layout(args.layout) as layout, progress_line() as progress:
        found = measure_efficiency(layout, rounds=args.rounds, limit=args.limit, cold=args.cold, watch=progress)
    args.answered = True
    if args.format == "json":
        json.dump(_document(found), sys.stdout)
        print()
    else:
        for line in _lines(found):
            print(line)
    return 0


def _document(found: Efficiency) -> dict[str, object]:
    """Rates are in bytes or blobs per second, the median of the rounds; the seconds of each round are listed too."""
    return {
        "Cores": found.cores,
        "Kernel": found.kernel,
        "Cold": found.cold,
        "Whole": found.whole,
        "Bytes": found.reading.amount,
        "Core": _rate(found.core),
        "Read": _rate(found.reading),
        "Verify": _rate(found.verifying),
        "Scan": _rate(found.names),
        "ScanWithStatus": _rate(found.statuses),
        "Blobs": found.names.amount,
        "OfCore": found.of_core,
        "OfRead": found.of_reading,
        "Efficiency": found.efficiency,
    }


def _rate(rate: Rate) -> dict[str, object]:
    return {"PerSecond": rate.per_second, "Seconds": list(rate.seconds)}


def _lines(found: Efficiency) -> list[str]:
    state = "cold" if found.cold else "as in memory now"
    what = f"{human_size(found.reading.amount)}, {state}"
    command = "the whole command" if found.whole else "a sample, without the start"
    cores = count(found.cores, "core")
    rows = [
        ("hash core", _bytes(found.core), _spread(found.core), f"{cores}, {found.kernel}, in memory"),
        ("read", _bytes(found.reading), _spread(found.reading), f"{what}, many readers"),
        ("verify", _bytes(found.verifying), _spread(found.verifying), f"{what}, {command}"),
        ("scan", _blobs(found.names), _spread(found.names), f"{found.names.amount:,} blobs, names"),
        ("scan", _blobs(found.statuses), _spread(found.statuses), f"{found.names.amount:,} blobs, sizes and times"),
    ]
    limit = "the hash core" if found.of_core >= found.of_reading else "reading"
    total = f"Efficiency {found.efficiency:.2f}: verify runs at {100 * found.efficiency:.0f} % of {limit}."
    return [*table(_COLUMNS, rows, width=terminal_width(sys.stdout)), "", total]


def _bytes(rate: Rate) -> str:
    return f"{human_size(int(rate.per_second))}/s"


def _blobs(rate: Rate) -> str:
    return f"{int(rate.per_second):,}/s"


def _spread(rate: Rate) -> str:
    fastest, slowest = min(rate.seconds), max(rate.seconds)
    return f"{len(rate.seconds)} of {fastest:.3g} to {slowest:.3g} s"


COMMAND = Command(
    "Measures in about a minute how close verify comes to the limits of this machine: the speed of the hash core in "
    "memory on all cores, the speed of many readers that only read the blobs, and the wall time of a verify. The "
    "efficiency is verify / hash core or verify / read, whichever is larger; 1 is the limit of the machine. It "
    "changes nothing.",
    (
        options.LAYOUT,
        Option(
            "--cold",
            action="store_true",
            help="ask the kernel to forget the blobs before each round, so that they come from the disk",
        ),
        Option(
            "--rounds",
            metavar="N",
            type=options.argument_type(_rounds),
            default=3,
            help="measure each N times (default: %(default)s)",
        ),
        Option(
            "--limit",
            metavar="SIZE",
            type=options.argument_type(parse_size),
            default=20_000_000_000,
            help="read and verify a random sample of SIZE if the layout is larger (default: 20GB)",
        ),
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc bench mirror", "a table, and the efficiency"),
        ("ocigc bench --cold --limit 5GB mirror", "the same for 5 GB, read from the disk"),
        ("ocigc bench --format json mirror", "with the seconds of each round"),
    ),
    exit_status="0 measured, 2 wrong usage or not a layout, 3 could not be measured",
)
