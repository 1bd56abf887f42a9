"""`ocigc prune`: remove images and everything that nothing holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace

from ocigc.api.prune import Pruned, PruneOptions, prune, request
from ocigc.commands import options
from ocigc.errors import UsageError
from ocigc.report.prune_report import as_json, as_metrics, as_text, failure_as_json
from ocigc.report.terminal import ProgressLine, progress_line
from ocigc.times import SECOND

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
    options.add_recursive(parser)
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
    options.add_metrics_file(parser, "prune")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prunes one layout, or a tree of them."""
    if not args.dry_run and not args.force and ("-" in args.in_use or not sys.stdin.isatty()):
        raise UsageError("there is no terminal to ask on: give --force to prune, or --dry-run to look")
    wanted = _options(args)
    if args.recursive:
        from ocigc.commands.prune_tree import prune_tree  # noqa: PLC0415

        return prune_tree(args, wanted)
    wanted = replace(wanted, repository=options.repository(args))
    with options.layout(args, writable=not args.dry_run) as layout, progress_line() as progress:
        with prune(layout, wanted, confirm=None if args.force else _confirmation(progress), watch=progress) as pruned:
            progress.clear()
            _show(args, pruned)
    return 0


def _options(args: argparse.Namespace) -> PruneOptions:
    """What the arguments ask for. Raises UsageError."""
    in_use = options.read_in_use(args.in_use, allow_none=args.allow_none_in_use)
    return PruneOptions(
        request=request(args.filter, prune_all=args.all, in_use=in_use, grace=args.grace),
        driver=args.driver,
        dry_run=args.dry_run,
        allow_empty=args.allow_empty,
        explain=args.explain,
        trash=args.trash,
        wait=args.wait / SECOND,
    )


def failure(message: str, args: argparse.Namespace) -> str:
    """The JSON answer of a run that failed; `args` may be empty."""
    return failure_as_json(message, dry_run=getattr(args, "dry_run", False))


def _confirmation(progress: ProgressLine) -> Callable[[Pruned], None]:
    def confirm(planned: Pruned) -> None:
        progress.clear()
        for line in as_text(planned):
            print(line, file=sys.stderr)
        options.ask()

    return confirm


def _show(args: argparse.Namespace, pruned: Pruned) -> None:
    options.measure(args, {**as_metrics(pruned), "reclaimed_bytes": pruned.reclaimed})
    args.answered = True
    if args.format == "json":
        sys.stdout.writelines(as_json(pruned))
    else:
        for line in as_text(pruned):
            print(line)
