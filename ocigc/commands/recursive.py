"""`ocigc prune --recursive`: every layout below a directory, one after the other, each under its own lock."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass, field

from ocigc.commands import options
from ocigc.commands.prune import Pruning
from ocigc.errors import OcigcError, Refused, UsageError
from ocigc.native import confine
from ocigc.printable import printable
from ocigc.report.prune_report import PruneReport, as_json
from ocigc.report.sizes import human_size
from ocigc.report.table import table
from ocigc.report.terminal import ProgressLine
from ocigc.rules.prune import Request
from ocigc.store import files, trees
from ocigc.store.layout import Layout

_KEYS = ("ImagesDeleted", "Unleased", "Orphans")
_FAILED = 3


@dataclass(slots=True)
class _Tree:
    """What has come of the layouts so far."""

    answers: dict[str, dict[str, object]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    links: dict[tuple[int, int], int] = field(default_factory=dict)


def prune_tree(args: argparse.Namespace, progress: ProgressLine, request: Request) -> int:
    """Prunes all layouts below a root; those that fail are named, and the others go on."""
    with trees.root(args.layout) as top:
        confine(None if args.dry_run else top)
        found = trees.find(top)
        if not found:
            raise UsageError(f"{printable(args.layout)}: no image layout in it or below it")
        if args.dry_run or args.force:
            tree = _run(args, progress, request, top, found, {})
        else:
            looked = argparse.Namespace(**{**vars(args), "dry_run": True})
            planned = _run(looked, progress, request, top, found, {})
            _confirm(planned)
            tree = _run(args, progress, request, top, found, planned.answers)
    args.answered = True
    if args.format == "json":
        sys.stdout.write(json.dumps(_document(tree, args.dry_run)) + "\n")
    else:
        for line in _text(tree, args.dry_run):
            print(line)
    return _FAILED if tree.errors else 0


def _run(
    args: argparse.Namespace,
    progress: ProgressLine,
    request: Request,
    top: int,
    found: list[trees.Found],
    planned: dict[str, dict[str, object]],
) -> _Tree:
    tree = _Tree()
    for each in found:
        shown = os.path.join(args.layout, each.path) if each.path else args.layout
        name = printable(each.path or ".")
        try:
            if each.trouble is not None:
                raise Refused(each.trouble)
            own = argparse.Namespace(**{**vars(args), "repository": trees.repository(args.repository, each)})
            with trees.open_found(top, shown, each) as layout:

                def show(report: PruneReport, layout: Layout = layout, name: str = name) -> None:
                    answer = json.loads("".join(as_json(report)))
                    if args.dry_run:
                        answer["SpaceReclaimed"] = _freed(tree, layout, report)
                    tree.answers[name] = answer

                def confirm(report: PruneReport, name: str = name) -> None:
                    answer = json.loads("".join(as_json(report)))
                    if any(answer[key] != planned.get(name, {}).get(key) for key in _KEYS):
                        raise Refused("it has changed since the plan was shown; run it again")

                Pruning(own, layout, progress, request, show, confirm).run()
        except OcigcError as error:
            _failed(tree, name, str(error))
        except OSError as error:
            _failed(tree, name, error.strerror or str(error))
    return tree


def _failed(tree: _Tree, name: str, message: str) -> None:
    tree.errors.append(f"{name}: {message}")
    options.note(f"{name}: skipped: {message}")


def _freed(tree: _Tree, layout: Layout, report: PruneReport) -> int:
    """What a dry run promises: a file with several names is freed where the last of them goes, in whatever layout."""
    freed = 0
    with files.directory(layout.fd, "blobs") as blobs:
        for digest in report.deleted(report.plan.blobs):
            facts = os.stat(digest.replace(":", "/", 1), dir_fd=blobs, follow_symlinks=False)
            key = facts.st_dev, facts.st_ino
            left = tree.links.get(key, facts.st_nlink) - 1
            tree.links[key] = left
            freed += facts.st_size if left == 0 else 0
    return freed


def _document(tree: _Tree, dry_run: bool) -> dict[str, object]:
    answers = tree.answers.values()
    totals: dict[str, list[object]] = {key: [each for a in answers for each in _list(a[key])] for key in _KEYS}
    return {
        "ImagesDeleted": totals["ImagesDeleted"],
        "SpaceReclaimed": _space(tree),
        "Unleased": totals["Unleased"],
        "Orphans": totals["Orphans"],
        "DryRun": dry_run,
        "Errors": tree.errors,
        "Layouts": [{"Layout": name, **answer} for name, answer in tree.answers.items()],
    }


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _space(tree: _Tree) -> int:
    return sum(_number(answer["SpaceReclaimed"]) for answer in tree.answers.values())


def _text(tree: _Tree, dry_run: bool) -> list[str]:
    rows, names = [], []
    images = blobs = 0
    for name, answer in tree.answers.items():
        items = [item for item in _list(answer["ImagesDeleted"]) if isinstance(item, dict)]
        untagged = [printable(str(item["Untagged"])) for item in items if "Untagged" in item]
        gone = len(items) - len(untagged) + len(_list(answer["Orphans"]))
        images, blobs = images + len(untagged), blobs + gone
        names += [f"  untag   {image}" for image in untagged]
        size = human_size(_number(answer["SpaceReclaimed"]))
        rows.append((name, f"{len(untagged):,}", f"{gone:,}", size))
    lines = ["Images:", *names] if names else []
    if rows:
        lines += table(("LAYOUT", "IMAGES", "BLOBS", "SPACE"), rows)
    lines.append(f"{len(rows):,} layouts, {images:,} images, {blobs:,} blobs; {len(tree.errors):,} skipped")
    lines.append(f"Total {'reclaimable' if dry_run else 'reclaimed'} space: {human_size(_space(tree))}")
    return lines


def _confirm(planned: _Tree) -> None:
    for line in _text(planned, dry_run=True):
        print(line, file=sys.stderr)
    options.ask()
