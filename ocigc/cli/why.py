"""`ocigc why`: what keeps a blob."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator

from ocigc.cli import options, several, targets
from ocigc.cli.command import Command
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import count, human_size
from ocigc.errors import Remedy, printable
from ocigc.gc.resolve import NoSuchImage
from ocigc.inspect.why import Chain, RetainingPaths, why
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.times import SECOND, format_rfc3339

_SHOWN = 20
_LINKS_SHOWN = 12


def run(args: argparse.Namespace) -> int:
    """Explains one blob of one layout, or wherever a tree of layouts has it."""
    wait = args.wait
    if args.recursive:
        return _recursive(args, wait)
    repository = targets.repository(args)
    with targets.layout(args, writable=False, archives=True) as layout, progress_line() as progress:
        reason = why(layout, args.reference, repository=repository, wait=wait, watch=progress)
    if args.format == "json":
        json.dump(_as_json(reason), sys.stdout)
        print()
    else:
        for line in _as_text(reason, time.time_ns()):
            print(line)
    return 0 if _kept(reason) else 1


def _kept(reason: RetainingPaths) -> bool:
    return reason.present and bool(reason.chains)


def _recursive(args: argparse.Namespace, wait: int) -> int:
    def work(layout: Layout, repository: str | None, watch: Watcher) -> RetainingPaths | None:
        try:
            return why(layout, args.reference, repository=repository, wait=wait, watch=watch)
        except NoSuchImage:
            return None

    results = several.where_found(args, work, blobs=True)
    found = [(name, reason) for name, reason in results.values if reason is not None]
    told = [(name, reason) for name, reason in found if reason.present or reason.mentioned_by or reason.images]
    if not found and not results.errors:
        what = f"{printable(args.layout)}: no layout has anything that {printable(args.reference)!r} names"
        raise NoSuchImage(what, Remedy.LIST_IMAGES_BELOW)
    if args.format == "json":
        json.dump([{"Layout": name, **_as_json(reason)} for name, reason in told], sys.stdout)
        print()
    else:
        for name, reason in told:
            print(f"{name}:")
            for line in _as_text(reason, time.time_ns()):
                print(line)
        if not told:
            print(f"{printable(args.reference)}: absent")
    if results.errors:
        return options.FAILED
    return 0 if any(_kept(reason) for _, reason in told) else 1


def _as_json(reason: RetainingPaths) -> dict[str, object]:
    return {
        "Digest": reason.digest,
        "Present": reason.present,
        "Size": reason.size,
        "Chains": [
            {
                "Root": chain.root,
                "Name": chain.name,
                "Links": [{"Role": link.role, "Digest": link.digest} for link in chain.links],
            }
            for chain in reason.chains
        ],
        "MentionedBy": list(reason.mentioned_by),
        "Images": list(reason.images),
        "WouldGo": {"Blobs": reason.blobs, "Size": reason.freed},
    }


def _as_text(reason: RetainingPaths, now: int) -> Iterator[str]:
    if not reason.present:
        yield f"{reason.digest}: absent"
        for digest in reason.mentioned_by:
            yield f"  {digest} refers to it"
        if not reason.mentioned_by and not reason.images:
            yield "  nothing that is kept refers to it"
        return
    yield f"{reason.digest}: {human_size(reason.size)}"
    for chain in reason.chains[:_SHOWN]:
        yield "  " + _line(chain)
    if len(reason.chains) > _SHOWN:
        yield f"  and {len(reason.chains) - _SHOWN:,} more (--format json lists all)"
    if not reason.chains:
        hours = (now - reason.touched) / (3600 * SECOND)
        yield "  nothing keeps it: it is an orphan, which a prune removes once it is older than --grace"
        yield f"  last touched {format_rfc3339(reason.touched)}, {hours:,.1f} hours ago"
    if reason.images:
        names = printable(", ".join(reason.images))
        yield f"  without {names}, {count(reason.blobs, 'blob')} would go: {human_size(reason.freed)}"


def _line(chain: Chain) -> str:
    links = [f"{link.role} {link.digest.short}" for link in chain.links]
    if len(links) > _LINKS_SHOWN:
        half = _LINKS_SHOWN // 2
        links[half:-half] = [f"... {len(links) - 2 * half:,} more ..."]
    return f"{chain.root} {printable(chain.name)} > " + " > ".join(links)


COMMAND = Command(
    "Shows what keeps a blob: one path from every image, lease or label that reaches it.",
    (
        options.READABLE,
        options.REFERENCE.but(
            metavar="REF|DIGEST", help="an image's name, a pattern that matches one, a digest, or the beginning of one"
        ),
        options.RECURSIVE,
        options.REPOSITORY,
        options.SHARED_BLOBS,
        options.WAIT,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc why mirror sha256:5f2d01ab", "a path from every image, lease or label that reaches this blob"),
        ("ocigc why mirror alpine:3.18", "the same for an image, and what would go with its last name"),
    ),
    exit_status="0 something keeps it, 1 nothing does or it is absent, 2 wrong usage or no such image or blob, 3 "
    "failed",
)
