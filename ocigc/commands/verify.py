"""`ocigc verify`: find what is not what its name says."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ocigc.commands import options
from ocigc.report.sizes import human_size
from ocigc.report.terminal import paint, progress_line
from ocigc.store import lock
from ocigc.store.contents import load
from ocigc.store.layout import open_layout
from ocigc.store.verification import Verification, verify
from ocigc.times import SECOND

_EXAMPLES = """\
examples:
  ocigc verify mirror                 hash every blob, check every size and manifest
  ocigc verify --format json mirror   one JSON object, for a machine

exit status: 0 sound, 1 something is corrupt or has the wrong size, 2 wrong usage or no layout,
3 something could not be checked
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "verify",
        help="check every blob against its digest",
        description="Checks every blob against its name, every descriptor's size against its blob, and every reachable "
        "manifest against its form. It changes nothing. Absent blobs are listed, but are normal in a sparse layout.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_layout(parser)
    parser.add_argument(
        "-j", "--jobs", metavar="N", type=_jobs, default=0, help="how many threads hash (default: one a core)"
    )
    options.add_wait(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"invalid number of jobs: {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Verifies one layout."""
    with (
        open_layout(args.layout, writable=False) as layout,
        lock.shared(layout, args.wait / SECOND),
        progress_line() as progress,
    ):
        loaded = load(layout, None, time.time_ns(), progress, record=True)
        with loaded.store:
            result = verify(loaded, args.jobs, progress)
    args.answered = True
    if args.format == "json":
        sys.stdout.write(_as_json(result))
    else:
        _print(result)
    if result.errors:
        return 3
    return 0 if result.sound else 1


def failure(message: str, _: argparse.Namespace) -> str:
    """The JSON answer of a run that failed."""
    return _as_json(Verification(0, 0, (), (), (), (), (), [message]))


def _as_json(result: Verification) -> str:
    document = {
        "Checked": result.checked,
        "Bytes": result.bytes,
        "Corrupt": list(result.corrupt),
        "WrongSize": list(result.wrong_size),
        "Missing": list(result.missing),
        "Unsupported": list(result.unsupported),
        "Errors": [*result.malformed, *result.errors],
    }
    return json.dumps(document) + "\n"


def _print(result: Verification) -> None:
    for title, colour, lines in (
        ("corrupt", "red", result.corrupt),
        ("wrong size", "red", result.wrong_size),
        ("malformed", "red", result.malformed),
        ("error", "red", result.errors),
        ("missing", "yellow", result.missing),
        ("unsupported", "yellow", result.unsupported),
    ):
        for line in lines:
            print(f"{paint(title, colour, sys.stdout)}: {line}")
    verdict = "sound" if result.sound and not result.errors else "NOT SOUND"
    colour = "green" if verdict == "sound" else "red"
    print(f"{result.checked:,} blobs, {human_size(result.bytes)}: {paint(verdict, colour, sys.stdout)}")
