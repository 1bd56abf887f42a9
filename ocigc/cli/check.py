"""`ocigc check`: whether a layout is consistent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocigc.cli import options, several, targets
from ocigc.cli.command import Command
from ocigc.cli.log import with_hint
from ocigc.cli.output.findings import (
    affected_as_json,
    affected_as_text,
    incomplete_as_json,
    incomplete_as_text,
    named,
)
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.terminal import paint, progress_line
from ocigc.cli.output.words import count
from ocigc.errors import CutOffArchive, UsageError, printable
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.verification.check import Findings, check

if TYPE_CHECKING:
    from ocigc.cluster.trees import Spread
    from ocigc.layout.discover import Found

_ABSENT_SHOWN = 10

# What was found: its name in JSON, and in text.
_KINDS = (
    ("AbsentImages", "absent_images", "image whose content is absent"),
    ("WrongSize", "wrong_size", "wrong size"),
    ("Malformed", "malformed", "malformed"),
    ("UnknownFiles", "unknown_files", "unknown file"),
    ("StraySidecars", "stray_sidecars", "labels of an absent blob"),
    ("LeasesOfAbsent", "leases_of_absent", "lease of an absent blob"),
    ("InterruptedRuns", "interrupted_runs", "interrupted run, which the next prune finishes"),
    ("ExpiredTrash", "expired_trash", "expired trash, which the next prune removes"),
    ("Errors", "errors", "error"),
)


_LAYOUTS = (
    Column("LAYOUT", name=True),
    Column("ABSENT", right=True),
    Column("ORPHANS", right=True),
    Column("INCOMPLETE", right=True),
    Column("STATE"),
)


def run(args: argparse.Namespace) -> int:
    """Checks one layout, or a tree of them."""
    if args.recursive:
        return _check_tree(args)
    if args.cluster is not None:
        raise UsageError("--cluster is for trees: give --recursive, too")
    try:
        with targets.layout(args, writable=False, archives=True) as layout, progress_line() as progress:
            findings = check(layout, sparse=args.sparse, wait=args.wait, watch=progress)
    except CutOffArchive as error:
        error.exit_code = 1  # a finding, not a failure
        raise
    args.answered = True
    if args.format == "json":
        json.dump(_as_json(findings), sys.stdout)
        print()
    else:
        for line in _as_text(findings):
            print(line)
    if findings.errors:
        return options.FAILED
    return 0 if findings.sound else 1


@dataclass(frozen=True, slots=True)
class CheckLayout:
    """Checks a layout of a tree."""

    sparse: bool
    wait: int

    def __call__(self, layout: Layout, _: Found, watch: Watcher) -> Findings:
        return check(layout, sparse=self.sparse, wait=self.wait, watch=watch)


def _spread(work: CheckLayout) -> Spread[Findings]:
    from ocigc.cluster.trees import same

    return same(work, Findings)


def _check_tree(args: argparse.Namespace) -> int:
    work = CheckLayout(args.sparse, args.wait)
    results = several.each_layout(args, work, spread=lambda _: _spread(work))
    args.answered = True
    sound = all(findings.sound for _, findings in results.values)
    if args.format == "json":
        layouts = [{"Layout": name, "Sound": each.sound, **_as_json(each)} for name, each in results.values]
        json.dump(
            {
                "Sound": sound and not results.errors,
                "Layouts": layouts,
                "Errors": [with_hint(error) for error in results.errors],
            },
            sys.stdout,
        )
        print()
    else:
        for name, findings in results.values:
            for line in _lines(findings):
                print(f"{name}: {line}")
        rows = [_row(name, findings) for name, findings in results.values]
        for line in table(_LAYOUTS, rows, width=terminal_width(sys.stdout)):
            print(line)
        failed = f"; {len(results.errors):,} could not be checked" if results.errors else ""
        print(f"{count(len(results.values), 'layout')}: {_verdict(sound)}{failed}")
    if results.errors or any(findings.errors for _, findings in results.values):
        return options.FAILED
    return 0 if sound else 1


def _row(name: str, findings: Findings) -> tuple[str, ...]:
    numbers = (len(findings.absent), findings.orphans, len(findings.incomplete))
    return name, *(f"{number:,}" for number in numbers), "consistent" if findings.sound else "NOT CONSISTENT"


def _verdict(sound: bool) -> str:
    return paint("consistent", "green", sys.stdout) if sound else paint("NOT CONSISTENT", "red", sys.stdout)


def _as_json(findings: Findings) -> dict[str, object]:
    found = {key: list(getattr(findings, name)) for key, name, _ in _KINDS}
    return {
        "Absent": list(findings.absent),
        "Orphans": findings.orphans,
        "ExpiredLeases": list(findings.expired_leases),
        "Leftovers": list(findings.leftovers),
        "Incomplete": list(map(incomplete_as_json, findings.incomplete)),
        "Affected": list(map(affected_as_json, findings.affected)),
        **found,
    }


def _as_text(findings: Findings) -> Iterator[str]:
    yield from _lines(findings)
    yield f"{len(findings.absent):,} absent, {findings.orphans:,} orphans: {_verdict(findings.sound)}"


def _lines(findings: Findings) -> Iterator[str]:
    for _, name, what in _KINDS:
        for line in getattr(findings, name):
            yield f"{paint(what, 'red', sys.stdout)}: {named(printable(line), findings.affected)}"
    for incomplete in findings.incomplete:
        yield f"{paint('incomplete', 'red', sys.stdout)}: {incomplete_as_text(incomplete)}"
    for name in findings.expired_leases:
        yield f"expired lease, which keeps nothing any longer: {printable(name)}"
    for name in findings.leftovers:
        yield f"leftover of another tool, which a prune removes once it is old: {printable(name)}"
    missing = [each for each in findings.affected if each.state == "missing"]
    for each in missing[:_ABSENT_SHOWN]:
        yield f"absent: {affected_as_text(each)}"
    if len(missing) > _ABSENT_SHOWN:
        yield f"absent: and {len(missing) - _ABSENT_SHOWN:,} more (--format json lists all)"


COMMAND = Command(
    "Checks sizes, manifests, leases, labels and names. It hashes only manifests; `ocigc verify` hashes everything. "
    "An image that lacks its config or a layer is incomplete; one that lacks whole platforms is sparse, which is fine.",
    (
        options.READABLE,
        options.RECURSIVE,
        options.CLUSTER,
        options.SPARSE,
        options.SHARED_BLOBS,
        options.WAIT,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc check mirror", "takes seconds where verify takes hours"),
        ("ocigc check --recursive zot", "all layouts below a directory"),
        ("ocigc check --format json mirror", ""),
    ),
    exit_status="0 consistent, 1 something was found, 2 wrong usage or not a layout, 3 something could not be checked",
)
