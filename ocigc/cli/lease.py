"""`ocigc lease`: keep blobs while a script works."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ocigc.cli import options, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.errors import UsageError, printable
from ocigc.layout.protect import held, hold, release
from ocigc.times import format_rfc3339, parse_duration, parse_rfc3339

_LEASES = (
    Column("LEASE", name=True),
    Column("CREATED", below=80, time=True),
    Column("EXPIRES", time=True),
    Column("RESOURCES", right=True),
    Column("STATE"),
)


def _create(args: argparse.Namespace) -> int:
    expires = None if args.expire is None else _expiry(args.expire, time.time_ns())
    with targets.layout(args, writable=True) as layout:
        print(
            hold(
                layout,
                args.resources,
                identity=args.id,
                expires=expires,
                flat=args.flat,
                wait=args.wait,
            )
        )
    return 0


def _expiry(text: str, now: int) -> int:
    try:
        return now + parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise UsageError(f"--expire {printable(text)!r}: expected a duration such as 2h, or an RFC 3339 time") from None


def _list(args: argparse.Namespace) -> int:
    now = time.time_ns()
    with targets.layout(args, writable=False) as layout:
        found = held(layout, wait=args.wait)
    if args.format == "json":
        json.dump(
            [
                {
                    "ID": lease.id,
                    "Created": lease.created,
                    "Labels": dict(lease.labels),
                    "Resources": list(lease.resources),
                    "Active": lease.active(now),
                }
                for lease in found
            ],
            sys.stdout,
        )
        print()
        return 0
    rows = [
        (
            printable(lease.id),
            printable(lease.created),
            "never" if lease.expires is None else format_rfc3339(lease.expires),
            f"{len(lease.resources):,}" + (" (flat)" if lease.flat else ""),
            "active" if lease.active(now) else "expired",
        )
        for lease in found
    ]
    for line in table(_LEASES, rows, width=terminal_width(sys.stdout)):
        print(line)
    return 0


def _release(args: argparse.Namespace) -> int:
    with targets.layout(args, writable=True) as layout:
        release(layout, args.ids, wait=args.wait)
    return 0


COMMAND = Command(
    "A lease keeps blobs, and what they refer to, from being pruned.",
    examples=(
        ("id=$(ocigc lease create mirror --expire 2h sha256:5f2d... sha256:01ab...)", ""),
        ("skopeo copy oci:elsewhere:app oci:mirror:app", ""),
        ('ocigc lease release mirror "$id"', ""),
    ),
    notes="The blobs need not be present yet. An image's name stands for its digest.",
    commands={
        "create": (
            "make a lease and print its name",
            Command(
                "Makes a lease.",
                (
                    options.LAYOUT,
                    Option(
                        "resources",
                        metavar="DIGEST|REF",
                        nargs="+",
                        help="what to keep: digests, which need not be present yet, or names of images",
                    ),
                    Option("--id", default=None, help="the name of the lease (default: a random one)"),
                    Option(
                        "--expire",
                        metavar="TIME",
                        help="when it ends: after a duration such as 2h, or at an RFC 3339 time (default: never)",
                    ),
                    Option("--flat", action="store_true", help="keep only these blobs, not what they refer to"),
                    options.WAIT,
                ),
                _create,
            ),
        ),
        "ls": ("list leases", Command("Lists the leases.", (options.LAYOUT, options.WAIT, options.FORMAT), _list)),
        "release": (
            "end a lease",
            Command(
                "Ends leases.",
                (options.LAYOUT, Option("ids", metavar="ID", nargs="+", help="the name of a lease"), options.WAIT),
                _release,
            ),
        ),
    },
)
