"""The answers of a prune of each layout of a tree, and the one report that they make: as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ocigc.cli import log
from ocigc.cli.output.plan_json import document_of
from ocigc.cli.output.plan_table import Context, done_lines, explanation_lines, layout_lines, plan_lines
from ocigc.gc.explain import Explanation
from ocigc.hard_links import RemovedLinks
from ocigc.inspect.plan_summary import PlanSummary, together
from ocigc.layout.discover import Results
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.saved_plan import LayoutNow
from ocigc.pruning.what_goes import WhatGoes, what_goes

_LISTS = ("ImagesDeleted", "Unleased", "Orphans", "Leftovers")


@dataclass(frozen=True, slots=True)
class LayoutAnswer:
    """The answer of a prune of one layout, kept after its store is closed. `reclaimed` and `trashed` are in bytes;
    `kept` blobs came into use meanwhile; `explained` is None unless it was asked for. `now` is the layout with its
    plan, if the run saves a plan or follows a saved one.
    """

    goes: WhatGoes
    reclaimed: int
    trashed: int
    dry_run: bool
    summary: PlanSummary
    kept: int
    explained: Sequence[Explanation] | None
    now: LayoutNow | None

    @property
    def size(self) -> int:
        """The bytes that it frees, or moves to the trash."""
        return self.reclaimed + self.trashed

    @property
    def document(self) -> dict[str, Any]:
        """As JSON."""
        return document_of(
            self.goes,
            reclaimed=self.reclaimed,
            trashed=self.trashed,
            dry_run=self.dry_run,
            explained=self.explained,
        )


def answer_of(pruned: Pruned, summary: PlanSummary, now: LayoutNow | None = None) -> LayoutAnswer:
    """The answer for one layout, whose plan was made or carried out."""
    if pruned.stayed:
        store = pruned.snapshot.store
        going = [node for node in pruned.plan.blobs if store.digest(node) not in pruned.stayed]
        summary = replace(summary, leaving=[store.files(going)])
    return LayoutAnswer(
        goes=what_goes(pruned),
        reclaimed=pruned.reclaimed,
        trashed=pruned.trashed,
        dry_run=pruned.dry_run,
        summary=summary,
        kept=len(pruned.stayed),
        explained=None if pruned.explained is None else list(pruned.explained),
        now=now,
    )


def counted(answers: Iterable[tuple[str, LayoutAnswer]], *, trash: bool) -> Iterator[tuple[str, LayoutAnswer]]:
    """The answers with the bytes that each layout frees, or moves to the trash. A file with several names counts in
    the layout that loses the last of them.
    """
    links = RemovedLinks()
    for name, answer in answers:
        size, leftovers = sum(map(links.remove, answer.summary.leaving)), answer.summary.leftover_bytes
        freed, trashed = (0, size) if trash else (size, 0)
        yield name, replace(answer, reclaimed=freed + leftovers, trashed=trashed)


def total_document(results: Results[LayoutAnswer], dry_run: bool) -> dict[str, Any]:
    """One JSON object for the tree: the lists and bytes of all layouts together, and the answer of each layout."""
    documents = [(name, answer.document) for name, answer in results.values]
    lists = {key: [item for _, each in documents for item in each[key]] for key in _LISTS}
    return {
        "ImagesDeleted": lists["ImagesDeleted"],
        "SpaceReclaimed": sum(answer.reclaimed for _, answer in results.values),
        "SpaceTrashed": sum(answer.trashed for _, answer in results.values),
        "Unleased": lists["Unleased"],
        "Orphans": lists["Orphans"],
        "Leftovers": lists["Leftovers"],
        "DryRun": dry_run,
        "Errors": [log.with_hint(error) for error in results.errors],
        "Layouts": [{"Layout": name, **each} for name, each in documents],
    }


def explained_lines(results: Results[LayoutAnswer], told: Context) -> Iterator[str]:
    """The rule that keeps or removes each image, where that was asked for."""
    explained = [(name, each) for name, answer in results.values for each in answer.explained or ()]
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
    size = sum(answer.reclaimed if told.expires is None else answer.trashed for _, answer in results.values)
    kept = sum(answer.kept for _, answer in results.values)
    yield from done_lines(summary, told, size=size, kept=kept, shown=shown, first=_by_layout(results, told, most))
    yield from _skipped(results)


def _by_layout(results: Results[LayoutAnswer], told: Context, most: int | None) -> Iterator[str]:
    changed = [(name, answer.summary, answer.size) for name, answer in results.values if not answer.summary.empty]
    if changed:
        yield ""
        yield from layout_lines(changed, told, most)


def _skipped(results: Results[LayoutAnswer]) -> Iterator[str]:
    if results.errors:
        yield f"{len(results.errors):,} of {len(results.errors) + len(results.values):,} layouts were skipped."
