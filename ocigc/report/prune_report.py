"""What a prune did or would do, as the Docker Engine API's answer or as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ocigc.printable import printable
from ocigc.report.sizes import human_size
from ocigc.report.table import SHORT_DIGEST, columns
from ocigc.rules.explain import Explanation
from ocigc.rules.plan import Plan, Untagged

_ORPHANS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Unleased:
    """A snapshot label that goes."""

    digest: str
    label: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class PruneReport:
    """A plan as it was, or would be, carried out. `digest` names nodes; `spared` are digests that stayed after all;
    `explained` is None where nobody asked.
    """

    plan: Plan
    digest: Callable[[int], str]
    unleased: Sequence[Unleased]
    reclaimed: int
    dry_run: bool
    spared: frozenset[str] = frozenset()
    explained: Sequence[Explanation] | None = None

    def deleted(self, nodes: Iterable[int]) -> Iterator[str]:
        """The digests of those nodes that go."""
        return (digest for digest in map(self.digest, nodes) if digest not in self.spared)

    def items(self) -> Iterator[tuple[str, str]]:
        """moby's `ImagesDeleted`: Untagged and Deleted, in order."""
        for untagged in self.plan.untagged:
            yield "Untagged", untagged.image.familiar
            for digest in self.deleted(untagged.deleted):
                yield "Deleted", digest


def as_json(report: PruneReport) -> Iterator[str]:
    """One JSON object, in pieces: a report may be larger than what it speaks of should cost in memory."""

    def array(values: Iterable[object]) -> Iterator[str]:
        yield "["
        for number, value in enumerate(values):
            yield (", " if number else "") + json.dumps(value)
        yield "]"

    yield '{"ImagesDeleted": '
    yield from array({kind: value} for kind, value in report.items())
    yield f', "SpaceReclaimed": {report.reclaimed}, "Unleased": '
    yield from array({"Digest": u.digest, "Label": u.label, "Snapshot": u.snapshot} for u in report.unleased)
    yield ', "Orphans": '
    yield from array(report.deleted(report.plan.orphans))
    if report.explained is not None:
        yield ', "Explained": '
        yield from array(map(_explanation, report.explained))
    yield f', "DryRun": {json.dumps(report.dry_run)}, "Errors": []}}\n'


def failure_as_json(message: str, *, dry_run: bool) -> str:
    """The same object for a run that did nothing but fail."""
    document = {"ImagesDeleted": [], "SpaceReclaimed": 0, "Unleased": [], "Orphans": []}
    return json.dumps({**document, "DryRun": dry_run, "Errors": [message]}) + "\n"


def as_text(report: PruneReport) -> Iterator[str]:
    """Lines. What is done and what would be done read alike."""
    plan = report.plan
    if report.explained:
        yield "Rules:"
        yield from columns([_rule(explanation) for explanation in report.explained])
    if plan.untagged:
        yield "Images:"
    nameless = {image.sort_key for image in plan.dangling}
    yield from columns([_row(report, untagged, nameless) for untagged in plan.untagged])
    if report.unleased:
        yield "Snapshot labels:"
    for unleased in report.unleased:
        label = printable(f"{unleased.label}={unleased.snapshot}")
        yield f"  unlease   {unleased.digest[:SHORT_DIGEST]}   {label}"
    orphans = len(plan.orphans)
    if orphans:
        yield "Orphans:"
        for number, digest in enumerate(report.deleted(plan.orphans)):
            if number == _ORPHANS_SHOWN:
                yield f"  ...   and {orphans - _ORPHANS_SHOWN:,} more (--format json lists all)"
                break
            yield f"  delete   {digest[:SHORT_DIGEST]}"
    if plan.spared:
        yield f"{plan.spared:,} orphans are younger than --grace and stay."
    if report.spared:
        yield f"{len(report.spared):,} blobs came into use meanwhile and stay."
    blobs = sum(len(untagged.deleted) for untagged in plan.untagged) + orphans - len(report.spared)
    yield f"{len(plan.untagged):,} images, {blobs:,} blobs"
    yield f"Total {'reclaimable' if report.dry_run else 'reclaimed'} space: {human_size(report.reclaimed)}"


def _explanation(explanation: Explanation) -> dict[str, object]:
    image = explanation.image
    return {
        "Name": None if image.dangling else image.name,
        "Digest": image.target.digest,
        "Fate": explanation.fate.value,
        "Rule": explanation.rule,
        "By": explanation.by or None,
    }


def _rule(explanation: Explanation) -> tuple[str, str, str, str]:
    image = explanation.image
    name = "<none>" if image.dangling else printable(image.familiar)
    by = f" ({printable(explanation.by)})" if explanation.by else ""
    return f"  {explanation.fate.value}", name, image.target.digest[:SHORT_DIGEST], explanation.rule + by


def _row(report: PruneReport, untagged: Untagged, nameless: set[tuple[bytes, str]]) -> tuple[str, str, str, str]:
    image = untagged.image
    name = "<none>" if image.dangling else printable(image.familiar)
    blobs = sum(1 for _ in report.deleted(untagged.deleted))
    fate = "in use: stays without a name" if image.sort_key in nameless else f"{blobs} blobs"
    return "  untag", name, image.target.digest[:SHORT_DIGEST], fate
