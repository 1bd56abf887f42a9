"""Options that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from ocigc.cli import log
from ocigc.cli.command import Item, Option, OptionGroup
from ocigc.cli.output.terminal import paint, progress_line
from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused, UsageError, printable
from ocigc.gc.in_use import InUse, parse_mirror
from ocigc.layout.index_images import repository_name
from ocigc.layout.layout import Layout, open_layout
from ocigc.native import confine as confine_to
from ocigc.progress import Quiet
from ocigc.times import parse_duration

if TYPE_CHECKING:
    from ocigc.cli.output.metrics import MetricsFile
    from ocigc.cluster.connect import Workers
    from ocigc.cluster.trees import Spread
    from ocigc.gc.unmatched import Matching
    from ocigc.layout.discover import Found, Results, Tree, Work
    from ocigc.progress import Watcher
    from ocigc.pruning.limits import MaxDelete
    from ocigc.pruning.peers import TreeNeeds

T = TypeVar("T")

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


def max_delete(text: str) -> MaxDelete:
    """The value of --max-delete."""
    from ocigc.cli.output.words import parse_size  # noqa: PLC0415
    from ocigc.pruning.limits import parse_max_delete  # noqa: PLC0415

    try:
        return parse_max_delete(text, parse_size)
    except ValueError:
        expected = "expected a share, a size or a number of images, as in 20%, 200GB or 50"
        message = f"invalid limit {printable(text)!r}: {expected}"
        raise argparse.ArgumentTypeError(message) from None


def excess(args: argparse.Namespace, images: int, of_images: int, size: int, of_size: Callable[[], int]) -> str | None:
    """What part of a plan --max-delete does not allow: images that go of so many, and bytes."""
    if args.max_delete is None:
        return None
    found = args.max_delete.excess(images, of_images, size, of_size)
    return None if found is None else f"{found}, more than --max-delete {args.max_delete.text} allows"


LAYOUT = Option("layout", metavar="LAYOUT", help="the directory of an OCI image layout")

READABLE = LAYOUT.but(help="the directory of an OCI image layout, or a tar archive of one")

LAYOUTS = Option(
    "layouts", metavar="LAYOUT", nargs="+", help="directories of OCI image layouts, or tar archives of them"
)
"""The first of them is `args.layout`, too."""

REFERENCE = Option(
    "reference",
    metavar="REF",
    help="an image's name, a pattern of names as in 'app:1.*', its digest or the beginning of that; with --recursive, "
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

IN_USE = Option(
    "--in-use",
    metavar="FILE",
    action="append",
    default=[],
    help="a list of what is in use: the output of docker inspect, docker ps, kubectl get, crictl or ctr, manifests, "
    "or a plain list of references; - is standard input; may be repeated",
)

MIRROR = Option(
    "--mirror",
    metavar="FROM=TO",
    type=argument_type(parse_mirror),
    action="append",
    default=[],
    help="an image in use below FROM (a registry or repository) is kept here below TO, for example "
    "docker.io=mirror.lan:5000; may be repeated",
)

IN_USE_STRICT = Option(
    "--in-use-strict", action="store_true", help="refuse to run if something in use matches no image here"
)

ALLOW_NONE_IN_USE = Option("--allow-none-in-use", action="store_true", help="accept --in-use files that list nothing")


def in_use_group(*more: Item) -> OptionGroup:
    """The options about what is in use."""
    return OptionGroup("what is in use", IN_USE, MIRROR, ALLOW_NONE_IN_USE, *more, REPOSITORY)


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
    help="let the workers of a dask cluster read: the address of its scheduler, as in tcp://head:8786, the file that "
    "it has written, or local:N for N workers on this machine; needs ocigc[cluster]",
)

SPARSE = Option("--sparse", action="store_true", help="accept incomplete images")

MAX_DELETE = Option(
    "--max-delete",
    metavar="LIMIT",
    type=max_delete,
    help="refuse a run that would remove more than this: a share (20%% of the images or bytes), a size (200GB) or a "
    "number of images (50)",
)

PLAN_OUT = Option(
    "--plan-out", metavar="FILE", help="with -n, save the plan to FILE; `ocigc apply` carries out exactly that"
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
    help="another layout whose blobs may be stored here: what it needs and lacks is kept; may be repeated",
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
    from ocigc.cli.output.metrics import MetricsFile  # noqa: PLC0415

    return MetricsFile(args.metrics_file, args.command, args.layout)


def measure(args: argparse.Namespace, values: Mapping[str, float]) -> None:
    """Adds figures to those that --metrics-file will have."""
    if args.metrics is not None:
        args.metrics.add(values)


def layouts(results: Results[T]) -> dict[str, float]:
    """The figures that --metrics-file has for a tree."""
    return {"layouts": len(results.values) + len(results.errors), "failed_layouts": len(results.errors)}


def confine(args: argparse.Namespace, *directories: int) -> None:
    """Gives up, for good, the right to change anything but what lies in open directories and --metrics-file."""
    network = getattr(args, "cluster", None) is not None
    confine_to(*directories, *_metrics_directory(args), network=network)


@contextmanager
def workers(args: argparse.Namespace, layouts: Sequence[str], watch: Watcher) -> Iterator[Workers | None]:
    """What --cluster names, to work on some layouts below LAYOUT; None without it. It is to be opened before this
    process gives up its rights. Raises OcigcError."""
    if getattr(args, "cluster", None) is None:
        yield None
        return
    if not os.path.isdir(args.layout):
        raise UsageError("--cluster: an archive is read by this machine alone")
    from ocigc.cluster.connect import connect  # noqa: PLC0415

    with connect(args.cluster, args.layout, layouts, watch) as found:
        yield found


@contextmanager
def tree_workers(args: argparse.Namespace, tree: Tree, watch: Watcher) -> Iterator[Workers | None]:
    """The same for a tree of layouts."""
    with workers(args, [found.path for found in tree.found if found.trouble is None], watch) as found:
        yield found


def needs_below(workers: Workers | None, tree: Tree, watch: Watcher) -> TreeNeeds:
    """What the layouts of a tree need of each other."""
    from ocigc.pruning.peers import ReadNeeds, TreeNeeds  # noqa: PLC0415

    now = time.time_ns()
    if workers is None:
        return TreeNeeds(tree, now)
    from ocigc.cluster.trees import same  # noqa: PLC0415

    found = workers.each_layout(tree, same(ReadNeeds(now), frozenset[Digest]), Quiet(watch))
    if found.interrupted:
        raise KeyboardInterrupt
    return TreeNeeds(tree, now, dict(found.values))


@contextmanager
def layout(
    args: argparse.Namespace, *, writable: bool, archives: bool = False, also: Sequence[int] = ()
) -> Iterator[Layout]:
    """Opens LAYOUT; with `archives`, it may be an archive of one. What may be changed from here on lies in it, if it is
    to be `writable`, below the open directories `also`, or is --metrics-file. What goes wrong names it. Raises
    UsageError."""
    also = [*also, *_metrics_directory(args)]
    with progress_line() as reading:
        opened = open_layout(args.layout, writable=writable, archives=archives, also=also, watch=reading)
    with opened, naming(opened):
        note_trouble(opened)
        yield opened


def note_trouble(opened: Layout) -> None:
    """Tells what is wrong with an archive as such."""
    if opened.trouble:
        note(f"{opened.path}: {opened.trouble}")


@contextmanager
def naming(opened: Layout) -> Iterator[None]:
    """Makes every error name the layout."""
    try:
        yield
    except OcigcError as error:
        if not _names(str(error), opened.path):
            error.args = (f"{opened.path}: {error}",)
        raise


def _names(message: str, path: str) -> bool:
    """Whether a message has a path, or one below it, as a word of its own."""
    import re  # noqa: PLC0415

    return re.search(rf"(?<![^\s'\"(=]){re.escape(path)}(?![^\s'\"),:;/])", message) is not None


def _metrics_directory(args: argparse.Namespace) -> list[int]:
    return [] if args.metrics is None else [args.metrics.directory]


def repository(args: argparse.Namespace) -> str | None:
    """--repository for one layout, normalised. For a tree it is a prefix, which means something only with the path of a
    layout after it. Raises UsageError.
    """
    return None if args.repository is None else repository_name(args.repository)


def nobody_to_ask(args: argparse.Namespace) -> UsageError | None:
    """The error of a run that has to ask and cannot. It is raised after all other errors."""
    if args.dry_run or args.force or ("-" not in args.in_use and sys.stdin.isatty()):
        return None
    return UsageError(
        f"there is no terminal to ask on: give --force to {args.verb}, or --dry-run to see what would be done"
    )


def ask() -> None:
    """Asks whether to do what was shown. Raises Refused where that is not meant."""
    print(paint("WARNING! This will remove all of the above.", "yellow", sys.stderr), file=sys.stderr)
    print("Are you sure you want to continue? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("cancelled; nothing was changed")


def read_in_use(args: argparse.Namespace) -> InUse:
    """All that the --in-use files say. Raises UsageError."""
    names = args.in_use
    if names.count("-") > 1:
        raise UsageError("--in-use -: standard input can be read only once")
    found = InUse(mirrors=tuple(args.mirror))
    if names:
        from ocigc.inuse import parse_in_use  # noqa: PLC0415
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
    """Notes what is said to be in use and matches no image of a layout."""
    if in_use:
        from ocigc.inuse.match import match_layouts  # noqa: PLC0415

        _note_matching(match_layouts(in_use, [(open_layout, repository)]))


def note_unmatched_below(args: argparse.Namespace, in_use: InUse, tree: Tree, *, strict: bool = False) -> None:
    """The same for all layouts of a tree. With `strict`, raises Refused instead."""
    if not in_use:
        return
    from ocigc.inuse.match import match_tree  # noqa: PLC0415

    def repository(found: Found) -> str | None:
        return found.repository(args.repository, lambda _: None)  # the command that works on it will note it

    _note_matching(match_tree(in_use, tree, repository), strict=strict)


def _note_matching(matching: Matching, *, strict: bool = False) -> None:
    if matching.unmatched and strict:
        raise Refused(f"{printable(str(matching))}; nothing was changed")
    if matching.unmatched:
        note(printable(str(matching)))


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
    """Writes a line for the person at the terminal or the log; never on stdout."""
    log.note(message)


def each_layout(
    args: argparse.Namespace,
    work: Work[T],
    *,
    writable: bool = False,
    in_use: InUse | None = None,
    spread: Callable[[Workers], Spread[T]] | None = None,
) -> Results[T]:
    """Works on every layout below LAYOUT. Reports what went wrong, and what of `in_use` matches no image."""
    from ocigc.layout import discover  # noqa: PLC0415

    if len(getattr(args, "layouts", ())) > 1:
        raise UsageError("--recursive: give one directory, with all layouts below it")
    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(discover.Tree(args.layout, progress.note))
        cluster = None
        if spread is not None:
            cluster = stack.enter_context(tree_workers(args, tree, progress))
        confine(args, *([tree.fd] if writable else []))
        if in_use:
            note_unmatched_below(args, in_use, tree)
        if cluster is None or spread is None:
            results = discover.each_layout(tree, work, progress)
        else:
            results = cluster.each_layout(tree, spread(cluster), progress)
    for error in results.errors:
        log.error(error)
    return results


def where_found(
    args: argparse.Namespace, work: Callable[[Layout, str | None, Watcher], T], *, blobs: bool = False
) -> Results[T]:
    """Works on those layouts below LAYOUT that have an image that REF names, each with the repository of its bare tags.
    With `blobs`, works on all of them if REF may name a blob. Reports what went wrong. Raises UsageError.
    """
    from ocigc.gc.resolve import NoSuchImage  # noqa: PLC0415
    from ocigc.layout import discover  # noqa: PLC0415
    from ocigc.layout.discover import locate  # noqa: PLC0415

    with progress_line() as progress, discover.Tree(args.layout, progress.note) as tree:
        confine(args)

        def repository(found: Found) -> str | None:
            return found.repository(args.repository, lambda _: None)

        try:
            among = list(locate(tree, [args.reference], repository))
        except NoSuchImage:
            if not blobs:
                raise
            among = list(tree.found)
        results = discover.each_layout(
            tree, lambda layout, found, watch: work(layout, repository(found), watch), progress, among=among
        )
    for error in results.errors:
        log.error(error)
    return results


def each_given(
    args: argparse.Namespace, work: Callable[[Layout, Watcher], T], *, in_use: InUse | None = None
) -> Results[T]:
    """Reads every layout that was given, and notes what of `in_use` matches no image in it. An error in the only layout
    is raised. With several, it is reported, and the others go on.
    """
    from ocigc.layout.discover import Results  # noqa: PLC0415

    values, errors = [], []
    for path in args.layouts:
        try:
            with (
                progress_line() as progress,
                open_layout(
                    path, writable=False, archives=True, also=_metrics_directory(args), watch=progress
                ) as layout,
                naming(layout),
            ):
                note_trouble(layout)
                if in_use:
                    note_unmatched(in_use, layout, repository(args))
                values.append((printable(path), work(layout, progress)))
        except OcigcError as error:
            if len(args.layouts) == 1:
                raise
            errors.append(error.message)
    for message in errors:
        log.error(message)
    return Results(values, errors)
