"""`ocigc lease`: hold blobs while a script is at work."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time

from ocigc.commands import options
from ocigc.errors import UsageError
from ocigc.lease import EXPIRE_LABEL, FLAT_LABEL, Lease
from ocigc.native import digest_algorithm
from ocigc.printable import printable
from ocigc.report.table import table
from ocigc.store import leases, lock
from ocigc.store.images import image_records
from ocigc.store.layout import Layout, open_layout
from ocigc.times import SECOND, format_rfc3339, parse_duration, parse_rfc3339

_EXAMPLES = """\
examples:
  id=$(ocigc lease create mirror --expire 2h sha256:5f2d... sha256:01ab...)
  skopeo copy oci:elsewhere:app oci:mirror:app
  ocigc lease release mirror "$id"

The digests need not be there yet. An image's name stands for its digest.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parsers."""
    parser = subparsers.add_parser(
        "lease",
        help="hold blobs while a script copies",
        description="Leases hold blobs, and what those refer to, whatever a prune would do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    create = commands.add_parser("create", help="make a lease and print its name", description="Makes a lease.")
    options.add_layout(create)
    create.add_argument("resources", metavar="DIGEST|REF", nargs="+", help="what it holds")
    create.add_argument("--id", default=None, help="its name (default: a new one)")
    create.add_argument(
        "--expire", metavar="TIME", help="when it ends: a duration such as 2h, or an RFC 3339 time (default: never)"
    )
    create.add_argument("--flat", action="store_true", help="hold only these blobs, not what they refer to")
    options.add_wait(create)
    create.set_defaults(run=_create)

    listing = commands.add_parser("ls", aliases=["list"], help="list leases", description="Lists the leases.")
    options.add_layout(listing)
    options.add_wait(listing)
    options.add_format(listing)
    listing.set_defaults(run=_list)

    release = commands.add_parser("release", help="end a lease", description="Ends leases.")
    options.add_layout(release)
    release.add_argument("ids", metavar="ID", nargs="+", help="its name")
    options.add_wait(release)
    release.set_defaults(run=_release)


def _create(args: argparse.Namespace) -> int:
    now = time.time_ns()
    labels = {} if args.expire is None else {EXPIRE_LABEL: format_rfc3339(_expiry(args.expire, now))}
    if args.flat:
        labels[FLAT_LABEL] = "true"
    identity = args.id or secrets.token_hex(8)
    with open_layout(args.layout, writable=True) as layout, lock.exclusive(layout, args.wait / SECOND) as state:
        digests = tuple(dict.fromkeys(d for resource in args.resources for d in _digests(layout, resource)))
        leases.create(layout.fd, state, Lease(identity, labels, digests, format_rfc3339(now)))
    print(identity)
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


def _digests(layout: Layout, resource: str) -> list[str]:
    # By the grammar alone alpine:3 is a digest too, so names come first.
    images = image_records(layout.read_index().entries, None)
    found = [image.target.digest for image in images if resource in (image.name, image.familiar)]
    if not found and digest_algorithm(resource):
        return [resource]
    if not found:
        raise UsageError(f"{printable(resource)!r} is neither a digest nor the name of an image in {layout.path}")
    return found


def _list(args: argparse.Namespace) -> int:
    now = time.time_ns()
    with open_layout(args.layout, writable=False) as layout, lock.shared(layout, args.wait / SECOND):
        found = leases.load(layout.fd)
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
    for line in table(("LEASE", "CREATED", "EXPIRES", "RESOURCES", "STATE"), rows):
        print(line)
    return 0


def _release(args: argparse.Namespace) -> int:
    with open_layout(args.layout, writable=True) as layout, lock.exclusive(layout, args.wait / SECOND):
        for identity in args.ids:
            leases.release(layout.fd, identity)
    return 0
