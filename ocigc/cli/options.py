"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, TypeVar

from ocigc.cli.command import Option
from ocigc.errors import UsageError, printable
from ocigc.times import parse_duration

if TYPE_CHECKING:
    from ocigc.cli.output.metrics import MetricsFile
    from ocigc.cli.output.output_file import OutputFile
    from ocigc.layout.discover import Results

T = TypeVar("T")

_MOST = 1 << 30  # bytes of a file that is read whole
_PIECE = 1 << 20

FAILED = 3
"""The exit code of what was refused or failed."""


def argument_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Turns a ValueError of a parser into the error of argparse, with its message."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(printable(str(error))) from None

    return convert


def duration(text: str) -> int:
    """Nanoseconds of a length of time that an option gives."""
    try:
        return parse_duration(text)
    except ValueError as error:
        expected = "expected numbers with units, as in 30m, 1h30m, 7d or 4w"
        raise argparse.ArgumentTypeError(f"{printable(str(error))}: {expected}") from None


LAYOUT = Option("layout", metavar="LAYOUT", help="the directory of an OCI image layout")

READABLE = LAYOUT.but(help="the directory of an OCI image layout, or a tar archive of one")

LAYOUTS = Option(
    "layouts", metavar="LAYOUT", nargs="+", help="directories of OCI image layouts, or tar archives of them"
)
"""The first of them is `args.layout` too."""

REFERENCE = Option(
    "reference",
    metavar="REF",
    help="an image's name, a pattern of names as in 'app:1.*', or its digest or the beginning of it; with --recursive, "
    "REPOSITORY:TAG",
)

FORMAT = Option("--format", choices=("text", "json"), default="text", help="output format (default: text)")
"""A command with it sets `args.answered` where it begins to print its result."""

REPOSITORY = Option(
    "--repository",
    metavar="REPO",
    help="the repository that bare tags in the layout belong to, for example docker.io/library/alpine; with "
    "--recursive, a prefix for the path of each layout",
)

RULES = Option(
    "--rules",
    choices=("seed", "docker-29"),
    default="seed",
    help="which `docker image prune` to follow: seed (default) is docker 25 with the containerd image store, "
    "docker-29 is docker 29",
)

RECURSIVE = Option(
    "--recursive",
    action="store_true",
    help="process every layout in and below LAYOUT; the path of each is its repository",
)

WAIT = Option(
    "--wait",
    metavar="DURATION",
    type=duration,
    default=0,
    help="how long to wait for another run on the same layout, for example 10m (default: fail at once)",
)

CLUSTER = Option(
    "--cluster",
    metavar="WHERE",
    help="let the workers of a dask cluster do the reading; WHERE is the address of its scheduler, as in "
    "tcp://head:8786, its scheduler file, or local:N for N workers on this machine; needs ocigc[cluster]",
)

SPARSE = Option("--sparse", action="store_true", help="accept incomplete images")


PLAN_OUT = Option(
    "--plan-out", metavar="FILE", help="with -n, save the plan to FILE; `ocigc apply` carries out exactly that plan"
)

DRY_RUN = Option("-n", "--dry-run", action="store_true", help="show what would be done and change nothing")

FORCE = Option("-f", "--force", action="store_true", help="do not ask for confirmation")

VERBOSE = Option("-v", "--verbose", action="store_true", help="list all images, not only the largest")

ALLOW_EMPTY = Option("--allow-empty", action="store_true", help="continue even if no image would remain")

TRASH = Option(
    "--trash",
    metavar="DURATION",
    type=duration,
    help="keep what is removed for this long, for example 7d; `ocigc restore` brings it back (default: free the space "
    "at once)",
)

SHARED_WITH = Option(
    "--shared-with",
    metavar="LAYOUT",
    action="append",
    default=[],
    help="another layout whose blobs may be stored here: what it lacks is kept; may be repeated",
)

SHARED_BLOBS = Option(
    "--shared-blobs",
    metavar="DIR",
    help="look here too for blobs that the layout lacks: a directory that layouts share, as skopeo's "
    "--dest-shared-blob-dir makes it, or another layout",
)

DRIVER = Option(
    "--driver",
    metavar="NAME",
    default="overlayfs",
    help="the snapshotter whose labels are removed from configs of removed images (default: overlayfs)",
)

METRICS_FILE = Option(
    "--metrics-file",
    metavar="FILE",
    help="write metrics of the run to FILE, for the textfile collector of Prometheus' node_exporter (it reads *.prom)",
)


def open_metrics_file(args: argparse.Namespace) -> MetricsFile:
    """The file that --metrics-file names. Raises UsageError."""
    if getattr(args, "dry_run", False):
        raise UsageError("--metrics-file: a dry run has nothing to record; leave out one of the two")
    if len(getattr(args, "layouts", ())) > 1:
        raise UsageError("--metrics-file takes the figures of one layout, or of a tree with --recursive")
    from ocigc.cli.output.metrics import MetricsFile

    return MetricsFile(args.metrics_file, args.command, args.layout)


def measure(args: argparse.Namespace, values: Mapping[str, float]) -> None:
    """Adds figures to those for --metrics-file."""
    if args.metrics is not None:
        args.metrics.add(values)


def layouts(results: Results[T]) -> dict[str, float]:
    """The figures of a tree for --metrics-file."""
    return {"layouts": len(results.values) + len(results.errors), "failed_layouts": len(results.errors)}


def _bounded(file: IO[bytes]) -> bytes:
    pieces = []
    total = 0
    while piece := file.read(_PIECE):
        pieces.append(piece)
        total += len(piece)
        if total > _MOST:
            raise ValueError(f"larger than {_MOST:,} bytes")
    return b"".join(pieces)


def read_file(option: str, name: str, *, dash: bool = False) -> bytes:
    """The file that an option names; with `dash`, `-` is standard input. Raises UsageError."""
    try:
        if dash and name == "-":
            return _bounded(sys.stdin.buffer)
        with open(name, "rb") as file:
            return _bounded(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {printable(name)}: {getattr(error, 'strerror', None) or error}") from None


def check_plan_out(args: argparse.Namespace) -> None:
    """Raises UsageError for --plan-out of a run that is not a dry one."""
    if args.plan_out is not None and not args.dry_run:
        raise UsageError("--plan-out saves a plan instead of carrying it out: give --dry-run too, then `ocigc apply`")


def plan_file(name: str) -> OutputFile:
    """Opens the file of --plan-out. Raises UsageError."""
    from ocigc.cli.output.output_file import OutputFile
    from ocigc.pruning.saved_plan import BEGINNING

    return OutputFile(name, BEGINNING, "--plan-out")
