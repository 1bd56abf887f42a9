"""`ocigc verify`: find blobs that do not have their digest."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from ocigc.cli import options, targets
from ocigc.cli.command import Command, OneOf, Option
from ocigc.cli.output.terminal import progress_line
from ocigc.errors import CutOffArchive, UsageError, printable
from ocigc.interrupts import interrupts_deferred
from ocigc.layout.layout import Layout
from ocigc.native import map_blobs
from ocigc.verification import ledger
from ocigc.verification.begin import begin

if TYPE_CHECKING:
    from ocigc.cluster.connect import Workers
    from ocigc.cluster.trees import Spread
    from ocigc.layout.discover import Found
    from ocigc.progress import Watcher
    from ocigc.verification.scan import Verification
    from ocigc.verification.shard import Shard
    from ocigc.verification.verify import VerifyOptions


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"invalid number of jobs: {text!r}")
    return int(text)


def _shard(text: str) -> Shard:
    from ocigc.verification.shard import Shard

    return Shard.parse(text)


def _options(args: argparse.Namespace, sources: Sequence[Layout]) -> VerifyOptions:
    from ocigc.verification.verify import VerifyOptions

    return VerifyOptions(
        jobs=args.jobs,
        reachable=args.reachable,
        wait=args.wait,
        changed=args.changed,
        quick=args.quick,
        older_than=args.older_than,
        budget=args.budget,
        deep=args.deep,
        sparse=args.sparse,
        repair_from=sources,
    )


def run(args: argparse.Namespace) -> int:
    """Verifies one layout, or a tree of them, or a shard of either."""
    if args.shard is not None:
        return _run_shard(args)
    if args.cluster is not None and (args.quick or args.repair_from):
        raise UsageError("--cluster hashes: leave out --quick and --repair-from, which are for this machine")
    members: Sequence[tuple[str, Verification]] = ()
    if args.shared_blobs is not None and args.repair_from:
        raise UsageError("--repair-from repairs what lies in the layout: leave out --shared-blobs")
    map_blobs()
    if _is_simple(args):
        return _report(args, _verify_simply(args))
    from ocigc.cli import several
    from ocigc.layout.opening import open_either
    from ocigc.verification.scan import together
    from ocigc.verification.verify import verify

    with ExitStack() as stack:
        sources = [stack.enter_context(open_either(path)) for path in args.repair_from]
        wanted = _options(args, sources)
        if args.recursive:
            if sources:
                raise UsageError("--repair-from repairs one layout at a time: leave out --recursive")
            results = several.each_layout(
                args,
                lambda layout, _, watch: verify(layout, wanted, watch=watch),
                writable=True,
                spread=lambda workers: _spread(wanted, workers),
            )
            members = results.values
            result = together(members, results.errors)
            options.measure(args, options.layouts(results))
        elif sources:
            with targets.layout(args, writable=True) as layout, progress_line() as progress:
                result = verify(layout, wanted, watch=progress)
        else:
            result = _verify_one(args, wanted)
    return _report(args, result, members if args.recursive else None, keeps_ledger=wanted.keeps_ledger)


def _report(
    args: argparse.Namespace,
    result: Verification,
    members: Sequence[tuple[str, Verification]] | None = None,
    *,
    keeps_ledger: bool = False,
) -> int:
    from ocigc.cli.output.verification import as_metrics, code_of, show

    options.measure(args, as_metrics(result))
    args.answered = True
    show(result, members, as_json=args.format == "json", ledger=keeps_ledger)
    return code_of(result)


def _is_simple(args: argparse.Namespace) -> bool:
    """Whether all blobs of one directory are to be hashed here, which can begin at once."""
    flags = (args.recursive, args.reachable, args.changed, args.quick, args.repair_from)
    values = (args.cluster, args.shared_blobs, args.older_than, args.budget)
    return not any(flags) and all(value is None for value in values) and not os.path.isfile(args.layout)


def _verify_simply(args: argparse.Namespace) -> Verification:
    with progress_line() as progress, Layout(args.layout) as layout, targets.naming_layout(layout):
        targets.share(args, layout)
        with ledger.writable_state(layout, make=False) as directories:
            targets.confine(args, *directories)
        with begin(layout, args.jobs, args.wait, progress) as begun:
            # The other threads are busy by now, so this is the time to load what comes later.
            with interrupts_deferred() as check:
                import_module("ocigc.cli.output.verification")
                from ocigc.verification.verify import verify_begun

                check()
            return verify_begun(layout, begun, _options(args, ()), watch=progress)


def _spread(wanted: VerifyOptions, workers: Workers) -> Spread[Verification]:
    """Which part of a tree the workers verify layout by layout, and which blob by blob."""
    from ocigc.cluster.trees import Spread
    from ocigc.layout.completeness import Incomplete
    from ocigc.layout.damage import Affected
    from ocigc.verification.layers import LayerFindings
    from ocigc.verification.scan import Verification
    from ocigc.verification.verify import VerifySmall, doubt, verify

    def here(layout: Layout, found: Found, watch: Watcher) -> Verification:
        return verify(layout, wanted, watch=watch, hasher=workers.hasher(found.path))

    small = VerifySmall(wanted)
    return Spread(lambda _: small, here, Verification, (Affected, LayerFindings, Incomplete), doubt)


def _run_shard(args: argparse.Namespace) -> int:
    """Verifies a shard, and writes its fragment."""
    from ocigc.cli import several
    from ocigc.cli.output.verification import as_metrics, code_of
    from ocigc.layout.opening import open_either
    from ocigc.verification import fragment
    from ocigc.verification.scan import together
    from ocigc.verification.verify import verify_shard

    if args.deep or args.repair_from or (args.cluster, args.shared_blobs) != (None, None):
        others = "--deep, --repair-from, --shared-blobs and --cluster"
        raise UsageError(f"--shard: leave out {others}, which are for one run of all")
    map_blobs()
    wanted = _options(args, ())
    errors: Sequence[str] = ()
    if args.recursive:
        results = several.each_layout(
            args,
            lambda layout, found, watch: verify_shard(layout, wanted, args.shard, path=found.name, watch=watch),
            writable=True,
        )
        layouts, errors = [seen for _, seen in results.values], results.errors
    else:
        with open_either(args.layout) as layout, progress_line() as progress:
            with ledger.writable_state(layout, make=wanted.keeps_ledger) as directories:
                targets.confine(args, *directories)
            layouts = [verify_shard(layout, wanted, args.shard, watch=progress)]
    result = together([(seen.path, seen.result) for seen in layouts], errors)
    options.measure(args, as_metrics(result))
    args.answered = True
    way = {**wanted.way, "recursive": str(args.recursive)}
    root = printable(os.path.abspath(args.layout))
    print(fragment.dump(fragment.make(root, args.shard, way, layouts, errors)), end="")
    return code_of(result)


def _open(args: argparse.Namespace, progress: Watcher) -> Layout:
    """Opens LAYOUT, which may be any archive."""
    if not os.path.isfile(args.layout):
        return Layout(args.layout)
    from ocigc.verification.streamed import open_any

    return open_any(args.layout, progress, lambda: targets.confine(args))


def _verify_one(args: argparse.Namespace, wanted: VerifyOptions) -> Verification:
    """Verifies a layout, or an archive of one. That an archive is cut off is a finding, not an error."""
    from ocigc.verification.scan import Verification
    from ocigc.verification.verify import verify

    try:
        with ExitStack() as stack:
            progress = stack.enter_context(progress_line())
            layout = stack.enter_context(_open(args, progress))
            stack.enter_context(targets.naming_layout(layout))
            targets.share(args, layout)
            if not layout.is_cut_off:
                targets.note_trouble(layout)
            workers = stack.enter_context(targets.workers(args, ["."], progress))
            with ledger.writable_state(layout, make=wanted.keeps_ledger) as directories:
                targets.confine(args, *directories)
            return verify(layout, wanted, watch=progress, hasher=None if workers is None else workers.hasher())
    except CutOffArchive as error:
        return Verification(0, 0, (), (), (), (), (), (), cut_off=str(error))


def _failure(message: str, args: argparse.Namespace) -> str:
    from ocigc.cli.output.verification import failure_as_json

    return failure_as_json(message, args)


COMMAND = Command(
    "Checks every blob against its digest, the size in every descriptor against its blob, and the form of every "
    "reachable manifest. An archive may be compressed by gzip or zstd. An image that lacks its config or a layer is "
    "incomplete; one that lacks whole platforms is sparse, which is fine. Nothing is changed, except what "
    "--repair-from repairs, and the ledger in .ocigc that --changed, --quick, --older-than and --budget keep.",
    (
        options.READABLE,
        options.RECURSIVE,
        Option(
            "-j", "--jobs", metavar="N", type=_jobs, default=0, help="number of hashing threads (default: one per core)"
        ),
        Option(
            "--reachable",
            action="store_true",
            help="hash only what an image, a lease or a gc.root label reaches",
        ),
        Option(
            "--deep",
            action="store_true",
            help="also unpack the layers of every image and compare them with its config",
        ),
        options.SPARSE,
        options.CLUSTER,
        Option(
            "--repair-from",
            metavar="LAYOUT",
            action="append",
            default=[],
            help="replace corrupt and missing blobs with verified copies from another layout or archive; may be "
            "repeated",
        ),
        OneOf(
            Option(
                "--changed",
                action="store_true",
                help="hash only blobs that are new or touched since they were verified",
            ),
            Option(
                "--quick",
                action="store_true",
                help="read everything, but check blobs that were verified before by XXH3-128: finds bit rot, not "
                "forgery",
            ),
            Option(
                "--older-than",
                metavar="DURATION",
                type=options.duration,
                help="hash only blobs that were last verified longer ago than this, for example 30d; the oldest first",
            ),
        ),
        Option(
            "--budget",
            metavar="DURATION",
            type=options.duration,
            help="begin no more blobs after this long, for example 10m; without other options, the blobs verified "
            "longest ago come first",
        ),
        Option(
            "--shard",
            metavar="I/N",
            type=options.argument_type(_shard),
            help="hash only the I-th of N shards, and write the result as a fragment; `ocigc merge` merges the N "
            "fragments",
        ),
        options.SHARED_BLOBS,
        options.WAIT,
        options.FORMAT,
        options.METRICS_FILE,
    ),
    run,
    examples=(
        ("ocigc verify mirror", "hash every blob, check every size and manifest"),
        ("ocigc verify --format json mirror", "one JSON object"),
        ("ocigc verify delivery.tar.gz", "whether a delivery is complete, before it is unpacked"),
        ("ocigc verify --reachable mirror", "leave out what the next prune removes anyway"),
        ("ocigc verify --changed mirror", "hash only what is new or was touched since the last run"),
        ("ocigc verify --older-than 30d --budget 10m mirror", "every night: everything is hashed once a month"),
        ("ocigc verify --deep mirror", "also unpack every layer"),
        ("ocigc verify --cluster tcp://head:8786 /mnt/mirror", "on the workers of a dask cluster"),
        ("ocigc verify --shard 3/8 mirror > 3.json", "an eighth of it, for `ocigc merge`"),
        ("ocigc verify --repair-from /mnt/other mirror", "repair corrupt and missing blobs"),
    ),
    exit_status="0 sound, 1 something is corrupt, incomplete or has the wrong size, 2 wrong usage or not a layout, 3 "
    "something could not be checked; an exhausted budget is not a failure",
    failure=_failure,
)
