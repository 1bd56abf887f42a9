"""`ocigc rm`: remove images by name."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ocigc.cli import options, prune
from ocigc.pruning.planning import request

_EXAMPLES = """\
examples:
  ocigc rm mirror alpine:3.18              the name, and the blobs that only this image holds
  ocigc rm mirror sha256:5f2d01ab4c        every name of an image
  ocigc rm -n mirror app:1 app:2           what would go
  ocigc rm --trash 7d --force mirror app:1 from a script, with a week to change one's mind

exit status: 0 done, 2 wrong usage or no such image, 3 refused (it is in use, say) or failed with nothing lost
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "rm",
        help="remove images by name",
        description="Removes images, and every blob that only they hold, by the rules of `ocigc prune`. Other orphans "
        "stay. An image that is in use is not removed.",
        epilog=_EXAMPLES,
        formatter_class=options.Formatter,
    )
    options.add_layout(parser)
    parser.add_argument("references", metavar="REF", nargs="+", help="an image's name, its digest or how that begins")
    prune.add_run(parser)
    parser.set_defaults(run=run, verb="remove")


def run(args: argparse.Namespace) -> int:
    """Removes images from one layout."""
    wanted = prune.run_options(args, request(in_use=prune.read_in_use(args)))
    return prune.run_layout(args, replace(wanted, references=tuple(args.references)))


failure = prune.failure
