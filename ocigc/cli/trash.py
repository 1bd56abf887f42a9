"""`ocigc trash`: what prunes have kept."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from ocigc.cli import consent, options, several, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import count, human_size
from ocigc.errors import UsageError, printable
from ocigc.layout.discover import Found
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.pruning.restore import empty_trash, named, trashed
from ocigc.pruning.trash import Trashed
from ocigc.times import format_rfc3339

_RUNS = (
    Column("RUN"),
    Column("REMOVED", below=100, time=True),
    Column("KEPT UNTIL", below=80, time=True),
    Column("BLOBS", right=True, below=100),
    Column("SIZE", right=True),
    Column("IMAGE", name=True),
    Column("DIGEST", below=100),
)


def list_runs(args: argparse.Namespace) -> int:
    """Lists the trash of one layout, or of all below a directory."""
    found, failed = _runs(args, writable=False)
    _show(args, found)
    return options.FAILED if failed else 0


def _runs(args: argparse.Namespace, *, writable: bool) -> tuple[list[tuple[str, list[Trashed]]], bool]:
    """The runs in the trash of each layout, by its name, and whether some could not be read. If this process is to
    change the layouts later, they have to be `writable` already.
    """
    wait = args.wait

    def one(layout: Layout, _: Found, __: Watcher) -> list[Trashed]:
        return trashed(layout, wait=wait)

    if args.recursive:
        results = several.each_layout(args, one, writable=writable)
        return [(path, runs) for path, runs in results.values if runs], bool(results.errors)
    with targets.layout(args, writable=writable) as layout:
        return [("", trashed(layout, wait=wait))], False


def empty(args: argparse.Namespace) -> int:
    """Removes what is in the trash of one layout, or of all below a directory."""
    wait = args.wait
    if args.recursive and args.run_ids:
        raise UsageError("RUN names a run of one layout: leave it out with --recursive")
    if not args.force and not sys.stdin.isatty():
        # Errors of the layout come first.
        if args.recursive:
            several.each_layout(args, lambda *_: None)
        else:
            with targets.layout(args, writable=False):
                pass
        raise UsageError("there is no terminal to ask on: give --force to empty the trash")
    shown = None if args.force else _confirmed(args)

    def one(layout: Layout, name: str, watch: Watcher) -> list[Trashed]:
        identities = args.run_ids if shown is None else shown.get(name, ())
        return empty_trash(layout, identities, wait=wait, watch=watch) if shown is None or identities else []

    failed = False
    if args.recursive:
        results = several.each_layout(args, lambda layout, found, watch: one(layout, found.name, watch), writable=True)
        gone = [run for _, runs in results.values for run in runs]
        failed = bool(results.errors)
    else:
        with targets.layout(args, writable=True) as layout, progress_line() as progress:
            gone = one(layout, "", progress)
    print(f"{count(len(gone), 'run')} removed, {human_size(sum(each.size for each in gone))} freed")
    return options.FAILED if failed else 0


def _confirmed(args: argparse.Namespace) -> dict[str, list[str]]:
    """Shows what would go, and asks; gives its runs by the name of the layout. What comes into the trash meanwhile is
    not among them. Raises Refused, and UsageError where there is no such run.
    """
    found, _ = _runs(args, writable=True)
    for identity in sorted(args.run_ids):
        named([run for _, runs in found for run in runs], identity, printable(args.layout))
    chosen = [(path, [run for run in runs if not args.run_ids or run.id in args.run_ids]) for path, runs in found]
    chosen = [(path, runs) for path, runs in chosen if runs]
    if chosen:
        _show(argparse.Namespace(**{**vars(args), "format": "text"}), chosen)
        consent.ask(args.layout)
    return {path: [run.id for run in runs] for path, runs in chosen}


def _show(args: argparse.Namespace, found: Sequence[tuple[str, list[Trashed]]]) -> None:
    args.answered = True
    first = (Column("LAYOUT", name=True),) if args.recursive else ()
    if args.format == "json":
        documents = [
            {"Layout": path, **_as_json(run)} if first else _as_json(run) for path, runs in found for run in runs
        ]
        json.dump(documents, sys.stdout)
        print()
        return
    rows = (([path] if first else []) + row for path, runs in found for run in runs for row in _rows(run))
    for line in table((*first, *_RUNS), [tuple(row) for row in rows], width=terminal_width(sys.stdout)):
        print(line)
    if any(run.is_restored for _, runs in found for run in runs):
        print("*: restored; its blobs leave the trash once the images have stayed for an hour")


def _rows(run: Trashed) -> Iterator[list[str]]:
    """One line per image; the run's own columns are filled only in the first."""
    own = [
        run.id + ("*" if run.is_restored else ""),
        format_rfc3339(run.journal.started),
        _expires(run),
        f"{run.blobs:,}",
        human_size(run.size),
    ]
    images: Iterable[tuple[str, str]] = (
        (
            f"<none>@{image.target.digest.short}" if image.dangling else printable(image.familiar),
            image.target.digest.short,
        )
        for image in run.images
    )
    for number, image in enumerate(list(images) or [("", "")]):
        yield [*(own if number == 0 else [""] * len(own)), *image]


def _expires(each: Trashed) -> str:
    return "" if each.kept_until is None else format_rfc3339(each.kept_until)


def _as_json(each: Trashed) -> dict[str, object]:
    return {
        "Run": each.id,
        "Removed": format_rfc3339(each.journal.started),
        "KeptUntil": _expires(each),
        "Blobs": each.blobs,
        "Size": each.size,
        "Restored": each.is_restored,
        "Images": [
            {"Name": None if image.dangling else image.name, "Digest": image.target.digest} for image in each.images
        ],
    }


COMMAND = Command(
    "Lists and empties the trash: what `ocigc prune --trash` removed and `ocigc restore` can bring back.",
    commands={
        "ls": (
            "list the runs in the trash",
            Command(
                "Lists the runs in the trash.",
                (options.LAYOUT, options.RECURSIVE, options.WAIT, options.FORMAT),
                list_runs,
            ),
        ),
        "empty": (
            "free what is in the trash",
            Command(
                "Removes runs from the trash for good, before their time is over.",
                (
                    options.LAYOUT,
                    Option("run_ids", metavar="RUN", nargs="*", help="only these runs (default: all)"),
                    Option("-f", "--force", action="store_true", help="do not ask for confirmation"),
                    options.RECURSIVE,
                    options.WAIT,
                ),
                empty,
            ),
        ),
    },
)
