"""`ocigc diff`: what two layouts have that the other lacks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from ocigc.cli import options, targets
from ocigc.cli.command import Command, Option
from ocigc.cli.output.listing import QUIET
from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.output.words import count, human_size
from ocigc.digest import Digest
from ocigc.errors import printable
from ocigc.inspect.diff import Carry, Difference, DifferentImage, Side, diff
from ocigc.layout.opening import open_either

_COLUMNS = (
    Column("IMAGE", name=True),
    Column("STATE"),
    Column("A", below=100),
    Column("B", below=100),
    Column("SIZE A", right=True),
    Column("SIZE B", right=True),
)


def run(args: argparse.Namespace) -> int:
    """Compares two layouts."""
    repository = targets.repository(args)
    with (
        progress_line() as progress,
        open_either(args.layout, progress) as first,
        open_either(args.other, progress) as second,
    ):
        targets.confine(args)
        for layout in (first, second):
            targets.share(args, layout)
            targets.note_trouble(layout)
        found = diff(first, second, repository=repository, wait=args.wait, watch=progress)
    if args.format == "json":
        json.dump(_as_json(found), sys.stdout)
        print()
    elif args.quiet:
        for each in found.images:
            print(printable(each.name))
    else:
        for line in _as_text(found):
            print(line)
    return 1 if args.exit_code and not found.none else 0


def _as_json(found: Difference) -> dict[str, object]:
    return {
        "OnlyInA": [_one_sided(each, each.first) for each in found.images if not each.second],
        "OnlyInB": [_one_sided(each, each.second) for each in found.images if not each.first],
        "Different": [
            {"Name": each.name, "A": list(map(_side_as_json, each.first)), "B": list(map(_side_as_json, each.second))}
            for each in found.images
            if each.first and each.second
        ],
        "Same": found.same,
        "AToB": _carry_as_json(found.to_second),
        "BToA": _carry_as_json(found.to_first),
    }


def _one_sided(image: DifferentImage, sides: Sequence[Side]) -> dict[str, object]:
    """One image that only one of the layouts has. If several have its name, the first stands for all."""
    return {"Name": None if image.dangling else image.name, **_side_as_json(sides[0])}


def _side_as_json(side: Side) -> dict[str, object]:
    return {"Digest": side.digest, "Size": side.size}


def _carry_as_json(carry: Carry) -> dict[str, object]:
    return {"Blobs": len(carry.digests), "Bytes": carry.size, "Digests": list(carry.digests)}


def _as_text(found: Difference) -> Iterator[str]:
    if found.images:
        yield from table(_COLUMNS, map(_row, found.images), width=terminal_width(sys.stdout))
    differ = f"{count(len(found.images), 'image')} differ{'s' if len(found.images) == 1 else ''}"
    yield f"{differ}, {found.same:,} {'is' if found.same == 1 else 'are'} the same."
    for carry, way in ((found.to_second, "from A to B"), (found.to_first, "from B to A")):
        yield f"To carry {way}: {count(len(carry.digests), 'blob')}, {human_size(carry.size)}"


def _row(image: DifferentImage) -> tuple[str, ...]:
    sides = (image.first, image.second)
    state = "different" if all(sides) else "only in A" if image.first else "only in B"
    name = f"<none>@{Digest(image.name).short}" if image.dangling else printable(image.name)
    return name, state, *map(_digests, sides), *map(_size, sides)


def _digests(sides: Sequence[Side]) -> str:
    digests = [side.digest.short if sys.stdout.isatty() else side.digest for side in sides]
    return ", ".join(digests) or "-"


def _size(sides: Sequence[Side]) -> str:
    return human_size(sum(side.size for side in sides)) if sides else "-"


COMMAND = Command(
    "Compares two layouts, or archives of layouts. Shows images that only one of them has, names that mean different "
    "images, and the blobs that would have to be carried from each to the other. Orphans are not counted. Blobs are "
    "compared by digest and size only; `ocigc verify` checks their content.",
    (
        options.READABLE.but(metavar="A", help="the directory of an OCI image layout, or a tar archive of one"),
        Option("other", metavar="B", help="another directory or archive"),
        options.REPOSITORY.but(
            help="the repository that bare tags in both belong to, for example docker.io/library/alpine"
        ),
        Option("--exit-code", action="store_true", help="exit with 1 if anything differs, as `git diff` does"),
        options.SHARED_BLOBS,
        options.WAIT,
        QUIET,
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc diff mirror delivery.tar", "what a delivery brings, and what it lacks"),
        ("ocigc diff -q mirror /mnt/backup", "the names alone, one per line"),
        ("ocigc diff --exit-code mirror copy && echo same", "in a script"),
    ),
    exit_status="0 compared, 1 something differs and --exit-code was given, 2 wrong usage or not a layout, 3 failed",
)
