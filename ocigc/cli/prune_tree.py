"""`ocigc prune --recursive`: every layout below a directory, in one report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ocigc.cli import log, options
from ocigc.cli.output.plan_text import as_json, as_metrics
from ocigc.cli.output.tables import columns, human_size, table
from ocigc.cli.output.terminal import progress_line
from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.hard_links import Files, HardLinks
from ocigc.layout.discover import AT_ONCE, Found, Results, Tree, each_layout
from ocigc.layout.layout import Layout
from ocigc.printable import printable
from ocigc.progress import Watcher
from ocigc.pruning.planning import PruneOptions
from ocigc.pruning.policy_file import own_policy
from ocigc.pruning.prune import Pruned, prune
from ocigc.pruning.quota import fit
from ocigc.reference import familiar_name

_LISTS = ("ImagesDeleted", "Unleased", "Orphans", "Leftovers")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a prune of one layout answers, as its JSON object, for the store that it was made of is closed; the files
    that go; and the bytes of leftovers.
    """

    document: dict[str, Any]
    files: Files
    leftovers: int


def prune_tree(args: argparse.Namespace, wanted: PruneOptions) -> int:
    """Prunes all layouts below a root; those that fail are named, and the others go on."""
    with progress_line() as progress, Tree(args.layout, progress.note) as tree:
        options.confine(args, *([] if args.dry_run else [tree.fd]))
        if wanted.own_policy and wanted.policy is None:
            wanted = replace(wanted, default_policy=own_policy(tree.dir, tree.path, progress))

        repositories = {each: each.repository(args.repository, progress.note) for each in tree.found}

        def plain(found: Found) -> PruneOptions:
            return replace(wanted, keep_storage=None, repository=repositories[found])

        limit = wanted.keep_storage
        options_of = plain if limit is None else fit(tree, limit, plain, progress)

        def run(confirm: Callable[[str, Pruned], None] | None, *, dry_run: bool) -> Results[dict[str, Any]]:
            taken = HardLinks(trash=wanted.trash is not None)

            def work(layout: Layout, found: Found, watch: Watcher) -> _Answer:
                own = replace(options_of(found), dry_run=dry_run)
                check = None if confirm is None else lambda planned: confirm(printable(found.path), planned)
                with prune(layout, own, confirm=check, watch=watch, taken=taken) as pruned:
                    answer = _answer(pruned)
                    if not pruned.dry_run:
                        taken.remove(answer.files)
                        options.measure(args, as_metrics(pruned))
                    return answer

            # Where a name of a file goes, the ctime of its others moves, and what moves while a prune runs is spared.
            results = each_layout(tree, work, progress, at_once=AT_ONCE if dry_run else 1)
            progress.clear()
            space = "SpaceReclaimed" if wanted.trash is None else "SpaceTrashed"
            return Results(list(_counted(results.values, space)), results.errors)

        if args.dry_run or args.force:
            results = run(None, dry_run=args.dry_run)
        else:
            planned = run(None, dry_run=True)
            for line in _text(planned, dry_run=True):
                print(line, file=sys.stderr)
            options.ask()
            results = run(_unchanged(dict(planned.values)), dry_run=False)
    for error in results.errors:
        log.error(error)
    total = _total(results, args.dry_run)
    options.measure(args, {**options.layouts(results), "reclaimed_bytes": total["SpaceReclaimed"]})
    args.answered = True
    if args.format == "json":
        json.dump(total, sys.stdout)
        print()
    else:
        for line in _text(results, args.dry_run):
            print(line)
    return options.FAILED if results.errors else 0


def _answer(pruned: Pruned) -> _Answer:
    store = pruned.snapshot.store
    going = [node for node in pruned.plan.blobs if not pruned.spared or store.digest(node) not in pruned.spared]
    document = json.loads("".join(as_json(pruned)))
    return _Answer(document, store.files(going), sum(each.size for each in pruned.leftovers))


def _counted(answers: Iterable[tuple[str, _Answer]], space: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answers, each with the bytes (under the key `space`) that go with it and with those before it."""
    links = HardLinks()
    for name, answer in answers:
        going = {"SpaceReclaimed": 0, space: links.remove(answer.files)}
        going["SpaceReclaimed"] += answer.leftovers
        yield name, {**answer.document, **going}


def _unchanged(planned: dict[str, dict[str, Any]]) -> Callable[[str, Pruned], None]:
    """Nobody can be asked layout by layout: a layout goes on if it would lose what was shown."""

    def confirm(name: str, now: Pruned) -> None:
        answer = json.loads("".join(as_json(now)))
        if any(answer[key] != planned.get(name, {}).get(key) for key in _LISTS):
            raise Refused("it has changed since the plan was shown; run it again")

    return confirm


def _total(results: Results[dict[str, Any]], dry_run: bool) -> dict[str, Any]:
    answers = [answer for _, answer in results.values]
    lists = {key: [item for answer in answers for item in answer[key]] for key in _LISTS}
    return {
        "ImagesDeleted": lists["ImagesDeleted"],
        "SpaceReclaimed": sum(answer["SpaceReclaimed"] for answer in answers),
        "SpaceTrashed": sum(answer["SpaceTrashed"] for answer in answers),
        "Unleased": lists["Unleased"],
        "Orphans": lists["Orphans"],
        "Leftovers": lists["Leftovers"],
        "DryRun": dry_run,
        "Errors": list(results.errors),
        "Layouts": [{"Layout": name, **answer} for name, answer in results.values],
    }


def _text(results: Results[dict[str, Any]], dry_run: bool) -> Iterator[str]:
    rules, names, rows = [], [], []
    images = blobs = 0
    for name, answer in results.values:
        untagged = [item["Untagged"] for item in answer["ImagesDeleted"] if "Untagged" in item]
        gone = len(answer["ImagesDeleted"]) - len(untagged) + len(answer["Orphans"])
        rules += [_rule(name, each) for each in answer.get("Explained", ())]
        names += [("  untag", name, printable(image)) for image in untagged]
        rows.append(
            (name, f"{len(untagged):,}", f"{gone:,}", human_size(answer["SpaceReclaimed"] + answer["SpaceTrashed"]))
        )
        images, blobs = images + len(untagged), blobs + gone
    if rules:
        yield "Rules:"
        yield from columns(lambda: rules)
    if names:
        yield "Images:"
        yield from columns(lambda: names)
    if rows:
        yield from table(("LAYOUT", "IMAGES", "BLOBS", "SPACE"), rows)
    total = _total(results, dry_run)
    yield f"{len(rows):,} layouts, {images:,} images, {blobs:,} blobs; {len(results.errors):,} skipped"
    yield f"Total {'reclaimable' if dry_run else 'reclaimed'} space: {human_size(total['SpaceReclaimed'])}"
    if total["SpaceTrashed"]:
        yield f"To the trash: {human_size(total['SpaceTrashed'])}"


def _rule(layout: str, explained: dict[str, Any]) -> tuple[str, ...]:
    """The line of one image under --explain."""
    name = "<none>" if explained["Name"] is None else printable(familiar_name(explained["Name"]))
    by = f" ({printable(explained['By'])})" if explained["By"] else ""
    return f"  {explained['Fate']}", layout, name, Digest(explained["Digest"]).short, explained["Rule"] + by
