"""`ocigc synth`: write a sample layout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ocigc.cli import options
from ocigc.cli.command import Command, Option
from ocigc.cli.output.words import human_size, parse_size
from ocigc.errors import UsageError, printable
from ocigc.synth import Spec, Summary, write


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"invalid number: {printable(text)!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Writes one layout."""
    spec = Spec(args.seed, args.images, args.layer_size, args.blobs)
    summary = write(args.layout, spec)
    if args.in_use is not None:
        _write_in_use(args.in_use, summary)
    if args.format == "json":
        json.dump({"Images": summary.images, "Blobs": summary.blobs, "Bytes": summary.bytes}, sys.stdout)
        print()
    else:
        print(f"{summary.images:,} images, {summary.blobs:,} blobs, {human_size(summary.bytes)}")
    return 0


def _write_in_use(path: Path, summary: Summary) -> None:
    containers = [
        {"Id": f"{number:064x}", "Image": digest, "Config": {"Image": name}}
        for number, (name, digest) in enumerate(summary.in_use)
    ]
    try:
        path.write_text(json.dumps(containers))
    except OSError as error:
        raise UsageError(f"--in-use {printable(str(path))}: {error.strerror}") from None


_DEFAULTS = Spec()

COMMAND = Command(
    "Writes a realistic layout from a seed: shared layers, several platforms, dangling images, signatures, leases, "
    "labels and orphans. The same seed and options give the same layout.",
    (
        options.LAYOUT.but(type=Path, help="a new or empty directory"),
        Option("--seed", metavar="N", type=_count, default=_DEFAULTS.seed, help="the seed (default: %(default)s)"),
        Option(
            "--images",
            metavar="N",
            type=_count,
            default=_DEFAULTS.images,
            help="how many images (default: %(default)s)",
        ),
        Option(
            "--layer-size",
            metavar="SIZE",
            type=options.argument_type(parse_size),
            default=_DEFAULTS.layer_bytes,
            help="the median size of a layer (default: 16KiB)",
        ),
        Option(
            "--blobs", metavar="N", type=_count, help="write about N blobs: tiny layers, in as many images as it takes"
        ),
        Option(
            "--in-use", metavar="FILE", type=Path, help="also write a list of containers that use some of the images"
        ),
        options.FORMAT,
    ),
    run,
    examples=(
        ("ocigc synth sample", "twenty images"),
        ("ocigc synth --seed 7 --images 500 --layer-size 1MB --in-use used.json sample", ""),
        ("ocigc synth --blobs 1000000 sample", "a million tiny blobs, to measure with"),
    ),
)
