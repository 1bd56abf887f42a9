"""`ocigc merge`: merges the fragments of a sharded verification into one result."""

from __future__ import annotations

import argparse

from ocigc.cli import log, options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.verification import code_of, failure_as_json, show
from ocigc.errors import printable
from ocigc.verification import fragment
from ocigc.verification.scan import together


def run(args: argparse.Namespace) -> int:
    """Merges fragments."""
    fragments = [
        (printable(name), fragment.parse(options.read_file("FRAGMENT", name, dash=True), printable(name)))
        for name in args.fragments
    ]
    merged = fragment.merge(fragments)
    way = merged.fragment.way
    for error in merged.errors:
        log.error(error)
    args.answered = True
    members = merged.results if way.get("recursive") == "True" else None
    if members is None:
        ((_, result),) = merged.results
    else:
        result = together(members, merged.errors)
    show(result, members, as_json=args.format == "json", ledger=way.get("ledger") == "True")
    return code_of(result)


COMMAND = Command(
    "Merges the fragments that `ocigc verify --shard I/N` wrote, and reports what one run would have reported. It "
    "refuses if a shard is missing or given twice, if the fragments are from different verifications or versions of "
    "ocigc, or if the layout changed in between.",
    (
        Option("fragments", metavar="FRAGMENT", nargs="+", help="the fragments of all shards; - is standard input"),
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc merge fragments/*.json", "the report of `ocigc verify`"),
        ("ocigc merge --format json 1.json 2.json 3.json", "one JSON object"),
    ),
    exit_status="as for `ocigc verify`: 0 sound, 1 something is corrupt, incomplete or has the wrong size, 2 wrong "
    "usage, 3 something could not be checked, or the fragments do not fit together",
    failure=failure_as_json,
)
