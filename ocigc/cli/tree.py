"""`ocigc tree`: what an image consists of."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ocigc.cli import options, several, targets
from ocigc.cli.command import Command
from ocigc.cli.output.terminal import paint, progress_line
from ocigc.cli.output.words import human_size, media_words
from ocigc.errors import printable
from ocigc.inspect.tree import Leaf, tree

_DEEPEST = 32  # levels to draw; deeper ones are only numbered


def run(args: argparse.Namespace) -> int:
    """Draws the images that REF names, in one layout or wherever a tree of layouts has them."""
    wait = args.wait
    if args.recursive:
        results = several.where_found(
            args, lambda layout, own, watch: tree(layout, args.reference, repository=own, wait=wait, watch=watch)
        )
        found, failed = results.values, bool(results.errors)
    else:
        repository, failed = targets.repository(args), False
        with targets.layout(args, writable=False, archives=True) as layout, progress_line() as progress:
            found = [("", tree(layout, args.reference, repository=repository, wait=wait, watch=progress))]
    if args.format == "json":
        layouts = [({"Layout": name} if name else {}, leaf) for name, leaves in found for leaf in leaves]
        json.dump([{**_as_json(leaf), **layout} for layout, leaf in layouts], sys.stdout)
        print()
        return options.FAILED if failed else 0
    for name, leaves in found:
        if name:
            print(f"{name}:")
        for line in _draw(leaves):
            print(line)
    return options.FAILED if failed else 0


def _as_json(leaf: Leaf) -> dict[str, object]:
    return {
        "Depth": leaf.depth,
        "Role": leaf.role,
        "MediaType": leaf.descriptor.media_type,
        "Digest": leaf.descriptor.digest,
        "Size": leaf.descriptor.size,
        "Platform": leaf.platform or None,
        "Present": leaf.present,
        "Repeated": leaf.repeated,
        "Damaged": leaf.damaged,
    }


def _draw(leaves: Sequence[Leaf]) -> Iterator[str]:
    # open_levels[d]: whether the branch at depth d goes on below this line.
    last = _last_of_level(leaves)
    open_levels: list[bool] = []
    for leaf, is_last in zip(leaves, last, strict=True):
        del open_levels[max(leaf.depth - 1, 0) :]
        if leaf.depth == 0:
            prefix = ""
        elif leaf.depth > _DEEPEST:
            prefix = f"[{leaf.depth}] "
        else:
            rails = "".join("│   " if is_open else "    " for is_open in open_levels)
            prefix = rails + ("└── " if is_last else "├── ")
        if leaf.depth > 0:
            open_levels += [False] * (leaf.depth - 1 - len(open_levels))
            open_levels.append(not is_last)
        yield prefix + _line(leaf)


def _last_of_level(leaves: Sequence[Leaf]) -> list[bool]:
    """For each leaf, whether it is the last of its siblings."""
    last = []
    follows: list[bool] = []
    for leaf in reversed(leaves):
        del follows[leaf.depth + 1 :]
        follows += [False] * (leaf.depth + 1 - len(follows))
        last.append(not follows[leaf.depth])
        follows[leaf.depth] = True
    last.reverse()
    return last


def _line(leaf: Leaf) -> str:
    size = human_size(leaf.descriptor.size) if leaf.descriptor.size >= 0 else "size unknown"
    media = leaf.descriptor.media_type
    if sys.stdout.isatty():
        words = media_words(media)
        role, media = (words, "") if words.startswith(leaf.role) else (leaf.role, words)
    else:
        role = leaf.role
    parts = [
        role,
        printable(leaf.descriptor.digest.short),
        size,
        printable(leaf.platform),
        paint(printable(media), "faint", sys.stdout) if media else "",
    ]
    if not leaf.present:
        parts.append(paint("absent", "yellow", sys.stdout))
    if leaf.damaged:
        parts.append(paint("damaged", "red", sys.stdout))
    if leaf.repeated:
        parts.append("(above)")
    return "  ".join(part for part in parts if part)


COMMAND = Command(
    "Shows what an image consists of: its manifests, configs and layers, what refers to them, and which of them are "
    "absent. Repeated content is marked, and not expanded again.",
    (
        options.READABLE,
        options.REFERENCE,
        options.RECURSIVE,
        options.REPOSITORY,
        options.SHARED_BLOBS,
        options.WAIT,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc tree mirror alpine:3.18", ""),
        ("ocigc tree --recursive zot team/app:1.2", "the image of that name anywhere below zot"),
        ("ocigc tree --format json mirror sha256:5f2d01ab", ""),
    ),
)
