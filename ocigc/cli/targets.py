"""The layouts that a command's arguments name, opened with no more rights than the command needs. Every error names its
layout.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from ocigc.cli import log
from ocigc.cli.in_use_files import note_unmatched, note_unmatched_below
from ocigc.cli.output.notes import log_errors
from ocigc.cli.output.terminal import progress_line
from ocigc.digest import Digest
from ocigc.errors import Message, OcigcError, Refused, Remedy, UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.layout.index_images import repository_name
from ocigc.layout.layout import Layout
from ocigc.layout.opening import open_layout
from ocigc.native import confine as confine_to
from ocigc.progress import Quiet
from ocigc.values import frozen

if TYPE_CHECKING:
    from ocigc.cluster.connect import Workers
    from ocigc.cluster.trees import Spread
    from ocigc.gc.policy import Policy
    from ocigc.layout.dirfd import Dir
    from ocigc.layout.discover import Found, Results, Tree, Work
    from ocigc.progress import Watcher
    from ocigc.pruning.peers import Beside, TreeNeeds

T = TypeVar("T")


def confine(args: argparse.Namespace, *directories: int) -> None:
    """Gives up for good the right to change anything outside of some open directories, except --metrics-file."""
    network = getattr(args, "cluster", None) is not None
    confine_to(*directories, *_metrics_directory(args), network=network)


@contextmanager
def workers(args: argparse.Namespace, layouts: Sequence[str], watch: Watcher) -> Iterator[Workers | None]:
    """The cluster that --cluster names, to work on some layouts below LAYOUT; None without the option. Open it before
    this process gives up its rights. Raises OcigcError."""
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
    """Opens LAYOUT; with `archives`, it may be an archive of one. From then on, this process can change only the layout
    (if it is `writable`), what is below the open directories `also`, and --metrics-file. Errors name the layout. Raises
    UsageError."""
    also = [*also, *_metrics_directory(args)]
    with progress_line() as reading:
        opened = open_layout(args.layout, writable=writable, archives=archives, also=also, watch=reading)
    with opened, naming(opened):
        share(args, opened)
        note_trouble(opened)
        yield opened


def share(args: argparse.Namespace, opened: Layout | Tree) -> None:
    """Lets a layout, or all below a directory, find blobs in --shared-blobs. Without that option, notes that it may be
    needed. Raises UsageError.
    """
    path = getattr(args, "shared_blobs", None)
    if path is None:
        if hasattr(args, "shared_blobs"):
            _note_absence(opened)
        return
    if getattr(args, "cluster", None) is not None:
        raise UsageError("--shared-blobs: workers cannot look there; leave out --cluster")
    from ocigc.layout.shared_blobs import SharedBlobs  # noqa: PLC0415

    opened.share(SharedBlobs.at(path))


def _note_absence(opened: Layout | Tree) -> None:
    """Notes layouts that have none of their blobs: the user may not know that these are elsewhere."""
    from ocigc.layout.shared_blobs import lacks_all_blobs  # noqa: PLC0415

    bare = []
    for name, directory in _directories(opened):
        with suppress(OSError, OcigcError):
            with directory() as opened_directory:
                if lacks_all_blobs(opened_directory):
                    bare.append(name)
    if bare:
        more = f" and {len(bare) - 1:,} more" if len(bare) > 1 else ""
        where = "they may be in a directory that several layouts share"
        log.note(Message(f"{bare[0]}{more}: none of the blobs are here: {where}", Remedy.NAME_SHARED_BLOBS))


def _directories(opened: Layout | Tree) -> Iterator[tuple[str, Callable[[], Dir]]]:
    """The directories of one or more layouts, each with the name of the layout."""
    if isinstance(opened, Layout):
        if not opened.is_archive:
            yield opened.path, opened.dir.below
        return
    for found in opened.found:
        yield printable(found.path), partial(opened.dir.below, *found.path.split("/"))


def note_trouble(opened: Layout) -> None:
    """Prints what is wrong with an archive as a whole."""
    if opened.trouble:
        log.note(f"{opened.path}: {opened.trouble}")


@contextmanager
def naming(opened: Layout) -> Iterator[None]:
    """Makes every error name the layout."""
    try:
        yield
    except OcigcError as error:
        if not _names(str(error), opened.path):
            error.args = (f"{opened.path}: {error}",)
        raise
    except OSError as error:
        from ocigc.layout.dirfd import reason  # noqa: PLC0415

        name = error.filename
        if not isinstance(name, str) or name.startswith("/"):
            raise  # not a file of the layout
        raise Refused(f"{opened.path}/{printable(name)}: {reason(error)}") from error


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


def each_layout(
    args: argparse.Namespace,
    work: Work[T],
    *,
    writable: bool = False,
    in_use: InUse | None = None,
    spread: Callable[[Workers], Spread[T]] | None = None,
) -> Results[T]:
    """Works on every layout below LAYOUT. Reports errors, and references of `in_use` that match no image."""
    from ocigc.layout import discover  # noqa: PLC0415

    if len(getattr(args, "layouts", ())) > 1:
        raise UsageError("--recursive: give one directory, with all layouts below it")
    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(discover.Tree(args.layout, progress.note))
        share(args, tree)
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
    log_errors(results.errors, args.layout)
    return results


@frozen
class MeasureLayout(Generic[T]):
    """Measures one layout of a tree, here or on a worker, by a function such as `du` or `overview`. `prefix` is the
    repository before its path; the `policy` is that of the tree. What `others` need of the layout stays.
    """

    measure: Callable[..., T]
    in_use: InUse
    prefix: str | None
    rules: str
    policy: Policy | None
    wait: int
    others: Beside

    def __call__(self, layout: Layout, found: Found, watch: Watcher) -> T:
        return self.measure(
            layout,
            in_use=self.in_use,
            repository=found.repository(self.prefix, watch.note),
            rules=RULE_SETS[self.rules],
            default_policy=self.policy,
            elsewhere=self.others,
            wait=self.wait,
            watch=watch,
        )


def each_measured(
    args: argparse.Namespace,
    measure: Callable[..., T],
    kind: type[T],
    in_use: InUse,
    directories: Sequence[int] = (),
) -> Results[T]:
    """Measures every layout below LAYOUT, here or on the workers of --cluster. The function gives values of a `kind`.
    Only what is below the open `directories` may be changed. Reports errors, and references of `in_use` that match no
    image.
    """
    from ocigc.layout import discover  # noqa: PLC0415
    from ocigc.pruning.policy_file import own_policy  # noqa: PLC0415

    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(discover.Tree(args.layout, progress.note))
        share(args, tree)
        cluster = stack.enter_context(tree_workers(args, tree, progress))
        confine(args, *directories)
        note_unmatched_below(args, in_use, tree)
        policy = own_policy(tree.dir, tree.path, progress)
        needs = needs_below(cluster, tree, progress)

        def there(found: Found) -> MeasureLayout[T]:
            others = needs.beside(found)
            return MeasureLayout(measure, in_use, args.repository, args.rules, policy, args.wait, others)

        def here(layout: Layout, found: Found, watch: Watcher) -> T:
            return there(found)(layout, found, watch)

        if cluster is None:
            results = discover.each_layout(tree, here, progress)
        else:
            from ocigc.cluster.trees import Spread  # noqa: PLC0415

            results = cluster.each_layout(tree, Spread(there, here, kind), progress)
    log_errors(results.errors, args.layout)
    return results


def where_found(
    args: argparse.Namespace, work: Callable[[Layout, str | None, Watcher], T], *, blobs: bool = False
) -> Results[T]:
    """Works on the layouts below LAYOUT that have an image that REF names, each with the repository of its bare tags.
    With `blobs`, works on all of them if REF may name a blob. Reports errors. Raises UsageError.
    """
    from ocigc.gc.resolve import NoSuchImage  # noqa: PLC0415
    from ocigc.layout import discover  # noqa: PLC0415
    from ocigc.layout.discover import locate  # noqa: PLC0415

    with progress_line() as progress, discover.Tree(args.layout, progress.note) as tree:
        share(args, tree)
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
    log_errors(results.errors, args.layout)
    return results


def each_given(
    args: argparse.Namespace, work: Callable[[Layout, Watcher], T], *, in_use: InUse | None = None
) -> Results[T]:
    """Reads every layout that was given, and notes references of `in_use` that match no image in it. If there is only
    one layout, its error is raised. With several, it is reported, and the others go on.
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
                share(args, layout)
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
