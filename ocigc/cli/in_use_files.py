"""The files of --in-use: reads them, and notes which of their references match no image."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ocigc.cli import log
from ocigc.cli.command import Item, Option, OptionGroup
from ocigc.cli.options import REPOSITORY, argument_type, read_file
from ocigc.errors import Refused, UsageError, printable
from ocigc.gc.in_use import InUse, parse_mirror

if TYPE_CHECKING:
    from ocigc.gc.unmatched import Matching
    from ocigc.layout.discover import Found, Tree
    from ocigc.layout.layout import Layout


IN_USE = Option(
    "--in-use",
    metavar="FILE",
    action="append",
    default=[],
    help="a list of what is in use: the output of docker inspect, docker ps, kubectl get, crictl or ctr, Kubernetes "
    "manifests, or a plain list of references; - is standard input; may be repeated",
)


MIRROR = Option(
    "--mirror",
    metavar="FROM=TO",
    type=argument_type(parse_mirror),
    action="append",
    default=[],
    help="images in use below FROM (a registry or repository) are stored here below TO, for example "
    "docker.io=mirror.lan:5000; may be repeated",
)


IN_USE_STRICT = Option(
    "--in-use-strict", action="store_true", help="refuse to run if something in use matches no image here"
)


ALLOW_NONE_IN_USE = Option("--allow-none-in-use", action="store_true", help="accept --in-use files that list nothing")


def group(*more: Item) -> OptionGroup:
    """The options about what is in use."""
    return OptionGroup("what is in use", IN_USE, MIRROR, ALLOW_NONE_IN_USE, *more, REPOSITORY)


def read(args: argparse.Namespace) -> InUse:
    """All that the --in-use files say. Raises UsageError."""
    names = args.in_use
    if names.count("-") > 1:
        raise UsageError("--in-use -: standard input can be read only once")
    found = InUse(mirrors=tuple(args.mirror))
    if names:
        from ocigc.inuse import parse_in_use
    for name in names:
        content = read_file("--in-use", name, dash=True)
        try:
            found |= parse_in_use(content, "standard input" if name == "-" else printable(name))
        except UsageError as error:
            raise UsageError(f"--in-use {error}") from None
    if names and not found and not args.allow_none_in_use:
        raise UsageError("--in-use: the files list nothing that is in use; if that is right, give --allow-none-in-use")
    return found


def note_unmatched(in_use: InUse, open_layout: Layout, repository: str | None) -> None:
    """Notes references that are in use and match no image of a layout."""
    if in_use:
        from ocigc.inuse.match import match_layouts

        _note_matching(match_layouts(in_use, [(open_layout, repository)]))


def note_unmatched_below(args: argparse.Namespace, in_use: InUse, tree: Tree, *, strict: bool = False) -> None:
    """The same for all layouts of a tree. With `strict`, raises Refused instead."""
    if not in_use:
        return
    from ocigc.inuse.match import match_tree

    def repository(found: Found) -> str | None:
        return found.repository(args.repository, lambda _: None)  # the command that works on it will note it

    _note_matching(match_tree(in_use, tree, repository), strict=strict)


def _note_matching(matching: Matching, *, strict: bool = False) -> None:
    if matching.unmatched and strict:
        raise Refused(f"{printable(str(matching))}; nothing was changed")
    if matching.unmatched:
        log.note(printable(str(matching)))
