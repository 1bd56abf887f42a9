"""`ocigc prune`: remove images and everything that nothing holds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ocigc.commands import options
from ocigc.errors import Refused, UsageError
from ocigc.labels import SNAPSHOT_LABEL
from ocigc.native import NEVER
from ocigc.report.prune_report import PruneReport, Unleased, as_json, as_text, failure_as_json
from ocigc.report.terminal import ProgressLine, progress_line
from ocigc.rules.explain import Explanation, explain
from ocigc.rules.filters import parse_filters
from ocigc.rules.plan import Plan
from ocigc.rules.prune import Request, decide
from ocigc.store import journal, lock, sidecars, trash
from ocigc.store.contents import Loaded, labels_of, load, with_created
from ocigc.store.execute import execute, recover
from ocigc.store.journal import Unlease
from ocigc.store.layout import STATE, Layout, open_layout
from ocigc.times import SECOND

_ATTEMPTS = 5

_EXAMPLES = """\
examples:
  ocigc prune mirror                         show and remove dangling images and orphaned blobs
  ocigc prune -a --in-use used.json mirror   remove all that the containers of `docker inspect` do not use
  ocigc prune -a --filter until=720h -n mirror
                                             what would go of the images older than 30 days
  ocigc prune -a --filter label!=keep --force --format json mirror
                                             from cron: no question, one JSON object

exit status: 0 done, 2 wrong usage or no layout, 3 refused or failed with nothing lost
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "prune",
        help="remove images and everything that nothing holds",
        description="Removes images from an OCI image layout by the rules of `docker image prune`, and then every blob "
        "that nothing holds. Without -a only dangling images go: those without a name.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_layout(parser)
    parser.add_argument(
        "-a", "--all", action="store_true", help="all images that are not in use, not just dangling ones"
    )
    parser.add_argument(
        "--filter",
        metavar="KEY[!]=VALUE",
        action="append",
        default=[],
        help="only images that match: dangling=BOOL, until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]; repeatable",
    )
    options.add_in_use(parser)
    options.add_repository(parser)
    parser.add_argument(
        "--driver",
        metavar="NAME",
        default="overlayfs",
        help="the snapshotter whose labels are removed from configs that no image holds (default: overlayfs)",
    )
    parser.add_argument(
        "--grace",
        metavar="DURATION",
        type=options.duration,
        default=3600 * SECOND,
        help="orphans younger than this stay, as somebody may be about to use them (default: 1h)",
    )
    parser.add_argument("--recursive", action="store_true", help="prune every layout in LAYOUT and below it")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("--explain", action="store_true", help="say of each image which rule kept or took it")
    parser.add_argument("--allow-empty", action="store_true", help="go on even if no image at all would remain")
    parser.add_argument(
        "--trash",
        metavar="DURATION",
        type=options.duration,
        help="keep what is removed for so long, for example 7d, so that `ocigc restore` can bring it back "
        "(default: free the space at once)",
    )
    options.add_wait(parser)
    options.add_format(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prunes one layout."""
    now = time.time_ns()
    filters = parse_filters(args.filter, prune_all=args.all, now=now, local_offset=options.local_offset(now / SECOND))
    if not args.dry_run and not args.force and ("-" in args.in_use or not sys.stdin.isatty()):
        raise UsageError("there is no terminal to ask on: give --force to prune, or --dry-run to look")
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    request = Request(filters, in_use, now, args.grace)
    if args.recursive:
        from ocigc.commands.recursive import prune_tree  # noqa: PLC0415

        with progress_line() as progress:
            return prune_tree(args, progress, request)
    options.normalise_repository(args)
    with open_layout(args.layout, writable=not args.dry_run) as layout, progress_line() as progress:
        Pruning(args, layout, progress, request, partial(_show, args), _confirm).run()
    return 0


def failure(message: str, args: argparse.Namespace) -> str:
    """The JSON answer of a run that failed; `args` may be empty."""
    return failure_as_json(message, dry_run=getattr(args, "dry_run", False))


class Pruning:
    """The run on one layout: what was asked for, and what it is asked of. What it did goes to `show` while the store
    is open, as a report names blobs by it; `confirm` sees what is to go, and raises Refused to keep it."""

    def __init__(
        self,
        args: argparse.Namespace,
        layout: Layout,
        progress: ProgressLine,
        request: Request,
        show: Callable[[PruneReport], None],
        confirm: Callable[[PruneReport], None],
    ) -> None:
        self._args = args
        self._layout = layout
        self._progress = progress
        self._request = request
        self._show = show
        self._confirm = confirm

    def run(self) -> None:
        """Prunes it, or shows what would go. Raises Refused."""
        wait = self._args.wait / SECOND
        if self._args.dry_run:
            with lock.shared(self._layout, wait):
                self._dry_run()
        else:
            with lock.exclusive(self._layout, wait) as state:
                self._real_run(state)

    def _dry_run(self) -> None:
        if journal.pending_below(self._layout):
            options.note(f"an interrupted run waits in {self._layout.path}/{STATE}; the next prune finishes it")
        loaded, plan, unleased = self._plan()
        with loaded.store:
            if plan.leaves_no_image and not self._args.allow_empty:
                options.note(_no_image_left(self._layout) + "a real run is refused without --allow-empty")
            report = PruneReport(plan, loaded.store.digest, unleased, plan.reclaimed, dry_run=True)
            self._show(replace(report, explained=self._explained(loaded, plan)))

    def _real_run(self, state: int) -> None:
        recovered = recover(self._layout, state, self._request.now, self._progress)
        self._progress.clear()
        if recovered:
            options.note(f"{self._layout.path}: {recovered}")
        trash.empty(state, self._request.now)
        for _ in range(_ATTEMPTS):
            loaded, plan, unleased = self._plan()
            with loaded.store:
                if plan.leaves_no_image and not self._args.allow_empty:
                    raise Refused(
                        _no_image_left(self._layout) + "nothing was changed; give --allow-empty if that is meant"
                    )
                explained = self._explained(loaded, plan)
                report = PruneReport(plan, loaded.store.digest, unleased, plan.reclaimed, False, explained=explained)
                if plan.empty:
                    self._show(replace(report, reclaimed=0))
                    return
                if not self._args.force:
                    self._confirm(replace(report, dry_run=True))
                labels = [Unlease(label.digest, label.label, label.snapshot) for label in unleased]
                outcome = execute(loaded, plan, labels, state, self._request.now, self._expires(), self._progress)
                self._progress.clear()
                if outcome is not None:
                    self._show(replace(report, reclaimed=outcome.reclaimed, spared=outcome.spared))
                    return
            if not self._args.force:
                raise Refused(f"{self._layout.path}: index.json has changed since the plan was shown; run it again")
        raise Refused(f"{self._layout.path}: index.json keeps changing; nothing was changed; run it when writers rest")

    def _plan(self) -> tuple[Loaded, Plan, list[Unleased]]:
        young_after = self._request.young_after
        loaded = load(
            self._layout,
            self._args.repository,
            self._request.now,
            self._progress,
            young_after=NEVER if young_after is None else young_after,
        )
        try:
            if self._request.filters.until:
                loaded = with_created(loaded)
            plan = decide(loaded.contents, self._request, labels_of(loaded))
            label = SNAPSHOT_LABEL + self._args.driver
            unleased = []
            for digest in map(loaded.store.digest, plan.unlease):
                snapshot = sidecars.read(self._layout.fd, digest).get(label)
                if snapshot is not None:
                    unleased.append(Unleased(digest, label, snapshot))
        except BaseException:
            loaded.store.close()
            raise
        self._progress.clear()
        return loaded, plan, unleased

    def _expires(self) -> int | None:
        return None if self._args.trash is None else self._request.now + self._args.trash

    def _explained(self, loaded: Loaded, plan: Plan) -> list[Explanation] | None:
        return explain(plan, loaded.store) if self._args.explain else None


def _confirm(report: PruneReport) -> None:
    for line in as_text(report):
        print(line, file=sys.stderr)
    options.ask()


def _show(args: argparse.Namespace, report: PruneReport) -> None:
    args.answered = True
    if args.format == "json":
        sys.stdout.writelines(as_json(report))
    else:
        for line in as_text(report):
            print(line)


def _no_image_left(layout: Layout) -> str:
    return f"{layout.path}: this would leave no image where there are some; "
