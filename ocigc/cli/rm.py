"""`ocigc rm`: remove images by name."""

from __future__ import annotations

import argparse

from ocigc.cli import in_use_files, options, prune, targets
from ocigc.cli.command import Command, Option, OptionGroup
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.pruning.prune_options import request
from ocigc.values import replace


def run(args: argparse.Namespace) -> int:
    """Removes images from one layout, or from wherever a tree of layouts has them."""
    wanted = prune.run_options(args, request(in_use=in_use_files.read(args), rules=RULE_SETS[args.rules]))
    wanted = replace(wanted, references=tuple(args.references))
    if args.recursive:
        from ocigc.cli.prune_tree import prune_tree

        return prune_tree(args, wanted)
    return prune.run_layout(args, replace(wanted, repository=targets.repository(args)))


COMMAND = Command(
    "Removes images, and every blob that only they reach, by the rules of `ocigc prune`. Other orphans stay. An image "
    "that is in use is not removed.",
    (
        options.LAYOUT,
        Option("references", metavar="REF", nargs="+", help=options.REFERENCE.settings["help"]),
        options.RECURSIVE,
        *prune.RUN_OPTIONS,
        OptionGroup("output", options.VERBOSE, options.FORMAT),
        options.RULES,
    ),
    run,
    examples=(
        ("ocigc rm mirror alpine:3.18", "the name, and the blobs that only this image reaches"),
        ("ocigc rm mirror sha256:5f2d01ab4c", "every name of an image"),
        ("ocigc rm -n mirror app:1 'test-*:*'", "what would go"),
        ("ocigc rm --recursive zot team/app:1.2", "the image of that name below zot"),
        ("ocigc rm --trash 7d --force mirror app:1", "from a script, with a week to change one's mind"),
    ),
    exit_status="0 done, 2 wrong usage or no such image, 3 refused (for example, in use) or failed with nothing lost",
    failure=prune.failure,
    verb="remove",
    policy_text=None,
)
