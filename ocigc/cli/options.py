"""Options that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ocigc import native
from ocigc.cli import log
from ocigc.cli.output.terminal import paint, progress_line, width
from ocigc.errors import Refused, UsageError
from ocigc.layout.discover import Tree
from ocigc.layout.index_images import repository_name
from ocigc.layout.layout import Layout, open_layout
from ocigc.printable import printable
from ocigc.times import parse_duration

if TYPE_CHECKING:
    from ocigc.cli.output.metrics import MetricsFile
    from ocigc.gc.protection import InUse
    from ocigc.layout.discover import Results, Work

T = TypeVar("T")

FAILED = 3
"""The exit code of what was refused or failed."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves descriptions and examples as they are. argparse's own loads shutil at every start, for the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """What shutil.get_terminal_size says."""
    with suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    return width(sys.__stdout__)


def argument_type(parse: Callable[[str], int]) -> Callable[[str], int]:
    """A parser's ValueError as argparse's error, message and all."""

    def convert(text: str) -> int:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(printable(str(error))) from None

    return convert


duration = argument_type(parse_duration)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """LAYOUT."""
    parser.add_argument("layout", metavar="LAYOUT", help="the directory of an OCI image layout")


def add_format(parser: argparse.ArgumentParser) -> None:
    """--format. `answered` becomes true where a command begins to print its result."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print the result (default: text)"
    )


def add_repository(parser: argparse.ArgumentParser) -> None:
    """--repository."""
    parser.add_argument(
        "--repository",
        metavar="REPO",
        help="the repository whose tags the layout's bare tags are, for example docker.io/library/alpine",
    )


def add_recursive(parser: argparse.ArgumentParser) -> None:
    """--recursive."""
    parser.add_argument(
        "--recursive",
        action="store_true",
        help="every layout in LAYOUT and below it; the path is the repository, behind --repository",
    )


def add_in_use(parser: argparse.ArgumentParser) -> None:
    """--in-use and --allow-none-in-use."""
    parser.add_argument(
        "--in-use",
        metavar="FILE",
        action="append",
        default=[],
        help="what is in use: the output of docker inspect, docker ps, kubectl get, crictl or ctr, manifests, or a "
        "list of references; - is standard input; may be given again",
    )
    parser.add_argument(
        "--allow-none-in-use", action="store_true", help="accept it that the --in-use files name nothing at all"
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """--wait."""
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=duration,
        default=0,
        help="how long to wait for another run on the same layout, for example 10m (default: not at all)",
    )


def add_log_format(parser: argparse.ArgumentParser) -> None:
    """--log-format, before the command's name or behind it."""
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default=argparse.SUPPRESS,
        help="how to write notes and errors on standard error: text (default) or json, one object a line",
    )


def add_metrics_file(parser: argparse.ArgumentParser, command: str) -> None:
    """--metrics-file. `cli` opens it before the command runs, and writes it when the command is done."""
    parser.add_argument(
        "--metrics-file",
        metavar="FILE",
        help="write there what came of the run, for Prometheus' node_exporter (its textfile collector reads *.prom)",
    )
    parser.set_defaults(command=command)


def open_metrics_file(args: argparse.Namespace) -> MetricsFile | None:
    """The file that --metrics-file names, if it does. Raises UsageError."""
    if getattr(args, "metrics_file", None) is None:
        return None
    if getattr(args, "dry_run", False):
        raise UsageError("--metrics-file: a dry run does nothing that could be recorded; leave one of the two out")
    from ocigc.cli.output.metrics import MetricsFile  # noqa: PLC0415

    return MetricsFile(args.metrics_file, args.command, args.layout)


def measure(args: argparse.Namespace, values: Mapping[str, float]) -> None:
    """Adds to what --metrics-file will tell."""
    if args.metrics is not None:
        args.metrics.add(values)


def layouts(results: Results[T]) -> dict[str, float]:
    """What --metrics-file tells of a tree."""
    return {"layouts": len(results.values) + len(results.errors), "failed_layouts": len(results.errors)}


def confine(args: argparse.Namespace, *directories: int) -> None:
    """Gives up, for good, the right to change anything but what lies in open directories and --metrics-file."""
    native.confine(*directories, *_metrics_directory(args))


def layout(args: argparse.Namespace, *, writable: bool) -> Layout:
    """Opens LAYOUT; what may be changed from here on lies in it, if it is to be `writable`, or is --metrics-file.
    Raises UsageError."""
    return open_layout(args.layout, writable=writable, also=_metrics_directory(args))


def _metrics_directory(args: argparse.Namespace) -> list[int]:
    return [] if args.metrics is None else [args.metrics.directory]


def repository(args: argparse.Namespace) -> str | None:
    """--repository for one layout, normalised; for a tree it is a prefix, and means nothing before the path is behind
    it. Raises UsageError."""
    return None if args.repository is None else repository_name(args.repository)


def ask() -> None:
    """Asks whether to do what was shown. Raises Refused where that is not meant."""
    print(paint("WARNING! This will remove all of the above.", "yellow", sys.stderr), file=sys.stderr)
    print("Are you sure you want to continue? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("cancelled; nothing was changed")


def read_in_use(names: Sequence[str], *, allow_none: bool) -> InUse:
    """All that the --in-use files say. Raises UsageError."""
    if names.count("-") > 1:
        raise UsageError("--in-use -: standard input can be read only once")
    from ocigc.gc.protection import InUse  # noqa: PLC0415

    found = InUse()
    if names:
        from ocigc import inuse  # noqa: PLC0415
    for name in names:
        content = read_file("--in-use", name, dash=True)
        found |= inuse.parse_in_use(content, "standard input" if name == "-" else printable(name))
    if names and not found and not allow_none:
        raise UsageError("--in-use: nothing is in use, by what the files say; if that is so, give --allow-none-in-use")
    return found


def read_file(option: str, name: str, *, dash: bool = False) -> bytes:
    """The file that an option names; with `dash`, `-` is standard input. Raises UsageError."""
    try:
        if dash and name == "-":
            return sys.stdin.buffer.read()
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {printable(name)}: {getattr(error, 'strerror', None) or error}") from None


def note(message: str) -> None:
    """A line for the person at the terminal or the log; never on stdout."""
    log.note(message)


def each_layout(args: argparse.Namespace, work: Work[T], *, writable: bool = False) -> Results[T]:
    """Works on every layout below LAYOUT; says what went wrong."""
    from ocigc.layout import discover as recursive  # noqa: PLC0415

    with progress_line() as progress, Tree(args.layout, progress.note) as tree:
        confine(args, *([tree.fd] if writable else []))
        results = recursive.each_layout(tree, work, progress)
    for error in results.errors:
        log.error(error)
    return results
