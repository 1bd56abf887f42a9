"""`ocigc ls`: the images of a layout and what they cost."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ocigc.commands import options
from ocigc.container import InUse
from ocigc.printable import printable
from ocigc.report.sizes import human_size
from ocigc.report.table import SHORT_DIGEST, table
from ocigc.report.terminal import ProgressLine, progress_line
from ocigc.rules.usage import Usage, usage
from ocigc.store import lock
from ocigc.store.contents import load, with_created
from ocigc.store.layout import Layout, open_layout
from ocigc.times import SECOND, format_rfc3339

_EXAMPLES = """\
examples:
  ocigc ls mirror                          a table
  ocigc ls --in-use used.json mirror       mark what the containers of `docker inspect` use
  ocigc ls --format json mirror            one JSON array, whole digests and sizes in bytes
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "ls",
        help="list images with their sizes",
        description="Lists the images of a layout: what they hold, and how much of it no other image holds.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_layout(parser)
    options.add_in_use(parser)
    options.add_repository(parser)
    options.add_wait(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Lists one layout."""
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    options.normalise_repository(args)
    with open_layout(args.layout, writable=False) as layout, progress_line() as progress:
        found = list_layout(args, layout, in_use, progress)
    if args.format == "json":
        json.dump([_as_json(entry) for entry in found], sys.stdout)
        print()
    else:
        _print(found)
    return 0


def list_layout(args: argparse.Namespace, layout: Layout, in_use: InUse, progress: ProgressLine) -> list[Usage]:
    """The images of one layout, in order."""
    now = time.time_ns()
    with lock.shared(layout, args.wait / SECOND):
        loaded = with_created(load(layout, args.repository, now, progress))
        with loaded.store:
            leases = [lease for lease in loaded.leases if lease.active(now)]
            images = sorted(loaded.images, key=lambda image: image.sort_key)
            return usage(images, loaded.store, leases, in_use)


def _as_json(entry: Usage) -> dict[str, object]:
    image = entry.image
    return {
        "Name": None if image.dangling else image.name,
        "Digest": image.target.digest,
        "MediaType": image.target.media_type,
        "Created": None if image.created is None else format_rfc3339(image.created),
        "Size": entry.size,
        "Shared": entry.shared,
        "Unique": entry.unique,
        "Dangling": entry.dangling,
        "Referrer": entry.referrer,
        "InUse": entry.in_use,
        "Leased": entry.leased,
    }


def _print(found: list[Usage]) -> None:
    rows = []
    for entry in found:
        image = entry.image
        states = (
            ("dangling", entry.dangling),
            ("referrer", entry.referrer),
            ("in use", entry.in_use),
            ("leased", entry.leased),
        )
        rows.append(
            (
                "<none>" if image.dangling else printable(image.familiar),
                image.target.digest[:SHORT_DIGEST],
                "" if image.created is None else format_rfc3339(image.created),
                human_size(entry.size),
                human_size(entry.shared),
                human_size(entry.unique),
                ", ".join(name for name, holds in states if holds),
            )
        )
    for line in table(("IMAGE", "DIGEST", "CREATED", "SIZE", "SHARED", "UNIQUE", "STATE"), rows):
        print(line)
