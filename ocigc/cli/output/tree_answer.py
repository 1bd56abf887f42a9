"""The answers of a prune of each layout of a tree, and the one report that they make: as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ocigc.cli import log
from ocigc.cli.output.plan_json import document
from ocigc.cli.output.plan_table import Context, done_lines, explanation_lines, layout_lines, plan_lines
from ocigc.gc.explain import Explanation
from ocigc.hard_links import HardLinks
from ocigc.inspect.plan_summary import PlanSummary, together
from ocigc.layout.discover import Results
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.saved_plan import LayoutNow
from ocigc.pruning.what_goes import Goes

_LISTS = ("ImagesDeleted", "Unleased", "Orphans", "Leftovers")


@dataclass(frozen=True, slots=True)
class LayoutAnswer:
    """The answer of a prune of one layout, kept after its store is closed. `kept` blobs came into use meanwhile. `now`
    is the layout with its plan, if the run saves a plan or follows a saved one.
    """

    document: dict[str, Any]
    summary: PlanSummary
    kept: int
    explained: Sequence[Explanation]
    now: LayoutNow | None


def answer_of(pruned: Pruned, summary: PlanSummary, now: LayoutNow | None = None) -> LayoutAnswer:
    """The answer for one layout, whose plan was made or carried out."""
    answer = {key: list(value) if isinstance(value, Iterator) else value for key, value in document(pruned).items()}
    if pruned.stayed:
        store = pruned.snapshot.store
        going = [node for node in pruned.plan.blobs if store.digest(node) not in pruned.stayed]
        summary = replace(summary, leaving=[store.files(going)])
    explained = [] if pruned.explained is None else list(pruned.explained)
    return LayoutAnswer(answer, summary, len(pruned.stayed), explained, now)


def counted(answers: Iterable[tuple[str, LayoutAnswer]], space: str) -> Iterator[tuple[str, LayoutAnswer]]:
    """The answers with the bytes that each layout frees, under the key `space`. A file with several names counts in the
    layout that loses the last of them.
    """
    links = HardLinks()
    for name, answer in answers:
        going = {"SpaceReclaimed": 0, space: sum(links.remove(files) for files in answer.summary.leaving)}
        going["SpaceReclaimed"] += answer.summary.leftover_bytes
        yield name, replace(answer, document={**answer.document, **going})


def goes_of(answer: LayoutAnswer) -> Goes:
    """All that goes by an answer."""
    told = answer.document
    images = tuple(pair for each in told["ImagesDeleted"] for pair in each.items())
    unleased = tuple((each["Digest"], each["Label"], each["Snapshot"]) for each in told["Unleased"])
    return Goes(images, tuple(told["Orphans"]), unleased, tuple(told["Leftovers"]))


def total_document(results: Results[LayoutAnswer], dry_run: bool) -> dict[str, Any]:
    """One JSON object for the tree: the lists and bytes of all layouts together, and each layout's own answer."""
    answers = [answer.document for _, answer in results.values]
    lists = {key: [item for answer in answers for item in answer[key]] for key in _LISTS}
    return {
        "ImagesDeleted": lists["ImagesDeleted"],
        "SpaceReclaimed": sum(answer["SpaceReclaimed"] for answer in answers),
        "SpaceTrashed": sum(answer["SpaceTrashed"] for answer in answers),
        "Unleased": lists["Unleased"],
        "Orphans": lists["Orphans"],
        "Leftovers": lists["Leftovers"],
        "DryRun": dry_run,
        "Errors": [log.with_hint(error) for error in results.errors],
        "Layouts": [{"Layout": name, **answer.document} for name, answer in results.values],
    }


def explained_lines(results: Results[LayoutAnswer], told: Context) -> Iterator[str]:
    """The rule that keeps or removes each image, where that was asked for."""
    explained = [(name, each) for name, answer in results.values for each in answer.explained]
    if explained:
        yield from explanation_lines(explained, told.width)
        yield ""


def tree_plan_lines(results: Results[LayoutAnswer], told: Context, most: int | None, *, dry_run: bool) -> Iterator[str]:
    """What would go, of the tree and of each layout, and how many layouts were skipped."""
    if not results.values:
        yield from _skipped(results)
        return
    summary = together([answer.summary for _, answer in results.values], most)
    yield from plan_lines(summary, told, dry_run=dry_run, first=_by_layout(results, told, most))
    yield from _skipped(results)


def tree_done_lines(results: Results[LayoutAnswer], told: Context, most: int | None, *, shown: bool) -> Iterator[str]:
    """What went; only the sums, if the plan was `shown` before."""
    if not results.values:
        yield from _skipped(results)
        return
    summary = together([answer.summary for _, answer in results.values], most)
    space = "SpaceReclaimed" if told.expires is None else "SpaceTrashed"
    size = sum(answer.document[space] for _, answer in results.values)
    kept = sum(answer.kept for _, answer in results.values)
    yield from done_lines(summary, told, size=size, kept=kept, shown=shown, first=_by_layout(results, told, most))
    yield from _skipped(results)


def _by_layout(results: Results[LayoutAnswer], told: Context, most: int | None) -> Iterator[str]:
    changed = [
        (name, answer.summary, answer.document["SpaceReclaimed"] + answer.document["SpaceTrashed"])
        for name, answer in results.values
        if not answer.summary.empty
    ]
    if changed:
        yield ""
        yield from layout_lines(changed, told, most)


def _skipped(results: Results[LayoutAnswer]) -> Iterator[str]:
    if results.errors:
        yield f"{len(results.errors):,} of {len(results.errors) + len(results.values):,} layouts were skipped."
