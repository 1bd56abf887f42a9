"""Work on several layouts: those that were given, or all below a directory."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Generic

from ocigc.cli import log, targets
from ocigc.cli.in_use_files import note_unmatched, note_unmatched_below
from ocigc.cli.output.notes import log_errors
from ocigc.cli.output.terminal import progress_line
from ocigc.cli.targets import T
from ocigc.digest import Digest
from ocigc.errors import OcigcError, UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.gc.rule_sets import RULE_SETS
from ocigc.layout.layout import Layout
from ocigc.progress import Quiet
from ocigc.values import frozen

if TYPE_CHECKING:
    from ocigc.cluster.connect import Workers
    from ocigc.cluster.trees import Spread
    from ocigc.gc.policy import Policy
    from ocigc.layout.discover import Found, Results, Tree, Work
    from ocigc.progress import Watcher
    from ocigc.pruning.other_layouts import FixedNeeds, TreeNeeds


@contextmanager
def tree_workers(args: argparse.Namespace, tree: Tree, watch: Watcher) -> Iterator[Workers | None]:
    """The cluster that --cluster names, to work on the layouts of a tree; None without it. Raises OcigcError."""
    with targets.workers(args, [found.path for found in tree.found if found.trouble is None], watch) as found:
        yield found


def needs_below(workers: Workers | None, tree: Tree, watch: Watcher) -> TreeNeeds:
    """What the layouts of a tree need of each other."""
    from ocigc.pruning.other_layouts import ReadNeeds, TreeNeeds

    now = time.time_ns()
    if workers is None:
        return TreeNeeds(tree, now)
    from ocigc.cluster.trees import same

    found = workers.each_layout(tree, same(ReadNeeds(now), frozenset[Digest]), Quiet(watch))
    if found.interrupted:
        raise KeyboardInterrupt
    return TreeNeeds(tree, now, dict(found.values))


def each_layout(
    args: argparse.Namespace,
    work: Work[T],
    *,
    writable: bool = False,
    in_use: InUse | None = None,
    spread: Callable[[Workers], Spread[T]] | None = None,
) -> Results[T]:
    """Works on every layout below LAYOUT. Reports errors, and references of `in_use` that match no image."""
    from ocigc.layout import discover

    if len(getattr(args, "layouts", ())) > 1:
        raise UsageError("--recursive: give one directory, with all layouts below it")
    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(discover.Tree(args.layout, progress.note))
        targets.share(args, tree)
        cluster = None
        if spread is not None:
            cluster = stack.enter_context(tree_workers(args, tree, progress))
        targets.confine(args, *([tree.fd] if writable else []))
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
    others: FixedNeeds

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
    from ocigc.layout import discover
    from ocigc.pruning.policy_file import own_policy

    with ExitStack() as stack:
        progress = stack.enter_context(progress_line())
        tree = stack.enter_context(discover.Tree(args.layout, progress.note))
        targets.share(args, tree)
        cluster = stack.enter_context(tree_workers(args, tree, progress))
        targets.confine(args, *directories)
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
            from ocigc.cluster.trees import Spread

            results = cluster.each_layout(tree, Spread(there, here, kind), progress)
    log_errors(results.errors, args.layout)
    return results


def where_found(
    args: argparse.Namespace, work: Callable[[Layout, str | None, Watcher], T], *, blobs: bool = False
) -> Results[T]:
    """Works on the layouts below LAYOUT that have an image that REF names, each with the repository of its bare tags.
    With `blobs`, works on all of them if REF may name a blob. Reports errors. Raises UsageError.
    """
    from ocigc.gc.resolve import NoSuchImage
    from ocigc.layout import discover
    from ocigc.layout.discover import locate

    with progress_line() as progress, discover.Tree(args.layout, progress.note) as tree:
        targets.share(args, tree)
        targets.confine(args)

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
    from ocigc.layout.discover import Results

    values, errors = [], []
    for path in args.layouts:
        try:
            with (
                targets.layout(args, path, writable=False, archives=True) as layout,
                progress_line() as progress,
            ):
                if in_use:
                    note_unmatched(in_use, layout, targets.repository(args))
                values.append((printable(path), work(layout, progress)))
        except OcigcError as error:
            if len(args.layouts) == 1:
                raise
            errors.append(error.message)
    for message in errors:
        log.error(message)
    return Results(values, errors)
