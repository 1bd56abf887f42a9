"""`ocigc restore`: bring back what a prune has removed."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress

from ocigc.cli import log, options, several, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import count
from ocigc.digest import Digest
from ocigc.errors import UsageError, printable
from ocigc.layout.discover import Found
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.pruning.restore import NothingToRestore, Restored, restore, undo_interrupted
from ocigc.values import replace


def run(args: argparse.Namespace) -> int:
    """Restores into one layout."""
    if args.interrupted and (args.run_id or args.image or args.name):
        raise UsageError("--interrupted undoes a run as a whole: leave out RUN, --image and --as")
    wait = args.wait

    def work(layout: Layout, watch: Watcher) -> Restored:
        if args.interrupted:
            return undo_interrupted(layout, wait=wait, watch=watch)
        return restore(layout, run=args.run_id, image=args.image, name=args.name, wait=wait, watch=watch)

    if args.recursive:
        return _recursive(args, work)
    with targets.layout(args, writable=True) as layout, progress_line() as progress:
        restored = work(layout, progress)
    _show(restored, "")
    return 0 if restored.is_whole else 1


def _recursive(args: argparse.Namespace, work: Callable[[Layout, Watcher], Restored]) -> int:
    """Restores into every layout of a tree that has something to restore."""

    def one(layout: Layout, _: Found, watch: Watcher) -> Restored | None:
        try:
            return work(layout, watch)
        except NothingToRestore:
            return None

    results = several.each_layout(args, one, writable=True)
    layouts = [os.path.join(args.layout, path) for path, _ in results.values]
    found = [
        (path, replace(restored, missing=[each for each in restored.missing if not _is_in_one(layouts, each)]))
        for path, restored in results.values
        if restored is not None
    ]
    for path, restored in found:
        _show(restored, f"{path}: ")
    if not found and not results.errors:
        raise UsageError(f"{printable(args.layout)}: there is nothing to restore in any of its layouts")
    if results.errors:
        return options.FAILED
    return 0 if all(restored.is_whole for _, restored in found) else 1


def _is_in_one(layouts: Sequence[str], digest: Digest) -> bool:
    """Whether one of the layouts has a blob; a pool may have those of the others."""
    for each in layouts:
        with suppress(OSError):
            status = os.lstat(os.path.join(each, "blobs", digest.path))
            if stat.S_ISREG(status.st_mode) and status.st_size > 0:
                return True
    return False


def _show(restored: Restored, layout: str) -> None:
    for image in restored.images:
        print(f"{layout}{'restored' if restored.is_new else 'in place'}: {printable(image.familiar)}")
    print(f"{layout}{count(restored.blobs, 'blob')} restored")
    for name in restored.moved_on:
        log.note(
            f"{layout}{printable(name)}: another image has this name now, so the image came back without a name "
            "(--as NAME gives it one)"
        )
    for digest in restored.damaged:
        log.note(f"{layout}damaged: {digest}: its copy in the trash cannot be read, or is corrupt")
    for digest in restored.missing:
        log.note(f"{layout}missing: {digest}: a later prune has removed it for good, or it was never here")


COMMAND = Command(
    "Brings back images, and the blobs that they need, from the trash of `ocigc prune --trash`.",
    (
        options.LAYOUT,
        Option("run_id", metavar="RUN", nargs="?", help="the run to undo (default: the last one)"),
        Option(
            "--image", metavar="REF", help="bring back only this image: its name, or its digest or the beginning of it"
        ),
        Option(
            "--as",
            dest="name",
            metavar="NAME",
            help="the name to restore it under, if another image has its own by now",
        ),
        Option(
            "--interrupted",
            action="store_true",
            help="undo an interrupted run instead of finishing it",
        ),
        options.RECURSIVE,
        options.WAIT,
    ),
    run,
    examples=(
        ("ocigc trash ls mirror", "what can be brought back"),
        ("ocigc restore mirror", "undo the last prune with --trash"),
        ("ocigc restore mirror 5f2d01ab", "undo that run"),
        ("ocigc restore mirror --image alpine:3.18", "bring back one image, from the last run that removed it"),
        ("ocigc restore mirror --image app:1 --as app:old", "the same, under another name"),
        ("ocigc restore --interrupted mirror", "undo a prune that was killed"),
    ),
    exit_status="0 done, 1 done but blobs are missing, 2 wrong usage or nothing to restore, 3 refused or failed",
)
