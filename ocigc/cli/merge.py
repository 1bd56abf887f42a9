"""`ocigc merge`: a verification out of the fragments of its shards."""

from __future__ import annotations

import argparse

from ocigc.cli import log, options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.verification import code_of, failure_as_json, show
from ocigc.errors import printable
from ocigc.verification import fragment
from ocigc.verification.scan import together


def run(args: argparse.Namespace) -> int:
    """Puts fragments together."""
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
    "Puts the fragments that `ocigc verify --shard I/N` has written together, and reports what one run would have "
    "reported. It refuses if a shard is missing or there twice, if the fragments are not of one verification and one "
    "version, or if the layout has changed meanwhile.",
    (
        Option("fragments", metavar="FRAGMENT", nargs="+", help="the files of all shards; - is standard input"),
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc merge fragments/*.json", "the report of `ocigc verify`"),
        ("ocigc merge --format json 1.json 2.json 3.json", "one JSON object"),
    ),
    exit_status="as of `ocigc verify`: 0 sound, 1 something is corrupt, incomplete or has the wrong size, 2 wrong "
    "usage, 3 something could not be checked, or the fragments do not make a whole",
    failure=lambda message, _: failure_as_json(message),
)
