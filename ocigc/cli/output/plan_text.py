"""What a prune did or would do, as the Docker Engine API's answer or as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ocigc.cli.output.tables import columns, human_size
from ocigc.gc.explain import Explanation
from ocigc.gc.plan import Untagged
from ocigc.layout.leftovers import Leftover
from ocigc.printable import printable
from ocigc.pruning.prune import Pruned

_ORPHANS_SHOWN = 10
_LEFTOVERS_SHOWN = 5
_BATCH = 1000  # values that are made into JSON at once


def as_json(pruned: Pruned) -> Iterator[str]:
    """One JSON object, in pieces: a report may be larger than what it speaks of should cost in memory."""

    def array(values: Iterable[object]) -> Iterator[str]:
        yield "["
        remaining = iter(values)
        separator = ""
        while batch := list(islice(remaining, _BATCH)):
            yield separator + json.dumps(batch)[1:-1]
            separator = ", "
        yield "]"

    yield '{"ImagesDeleted": '
    yield from array({kind: value} for kind, value in pruned.items())
    yield f', "SpaceReclaimed": {pruned.reclaimed}, "SpaceTrashed": {pruned.trashed}, "Unleased": '
    yield from array({"Digest": u.digest, "Label": u.label, "Snapshot": u.value} for u in pruned.unleased)
    yield ', "Orphans": '
    yield from array(pruned.orphans())
    yield ', "Leftovers": '
    yield from array(file for each in pruned.leftovers for file in each.files)
    if pruned.explained is not None:
        yield ', "Explained": '
        yield from array(map(_explanation, pruned.explained))
    yield f', "DryRun": {json.dumps(pruned.dry_run)}, "Errors": []}}\n'


def as_metrics(pruned: Pruned) -> dict[str, int]:
    """What was removed and what is left, by the names of `ocigc.cli.output.metrics`."""
    plan = pruned.plan
    return {
        "images": plan.staying,
        "blobs": len(pruned.snapshot.store) - pruned.removed,
        "removed_images": len(plan.pruned),
        "removed_blobs": pruned.removed,
        "young_orphans": plan.spared,
    }


def failure_as_json(message: str, *, dry_run: bool) -> str:
    """The same object for a run that did nothing but fail."""
    document = {
        "ImagesDeleted": [],
        "SpaceReclaimed": 0,
        "SpaceTrashed": 0,
        "Unleased": [],
        "Orphans": [],
        "Leftovers": [],
    }
    return json.dumps({**document, "DryRun": dry_run, "Errors": [message]}) + "\n"


def as_text(pruned: Pruned) -> Iterator[str]:
    """Lines. What is done and what would be done read alike."""
    plan = pruned.plan
    if (explained := pruned.explained) is not None and plan.images:
        yield "Rules:"
        yield from columns(lambda: map(_rule, explained))
    if plan.pruned or plan.renamed:
        yield "Images:"
    nameless = set(plan.dangling.positions)
    yield from columns(lambda: (_row(pruned, untagged, nameless) for untagged in plan.untagged))
    if pruned.unleased:
        yield "Snapshot labels:"
    for unleased in pruned.unleased:
        label = printable(f"{unleased.label}={unleased.value}")
        yield f"  unlease   {unleased.digest.short}   {label}"
    orphans = len(plan.orphans)
    if orphans:
        yield "Orphans:"
        for number, digest in enumerate(pruned.deleted(plan.orphans)):
            if number == _ORPHANS_SHOWN:
                yield f"  ...   and {orphans - _ORPHANS_SHOWN:,} more (--format json lists all)"
                break
            yield f"  delete   {digest.short}"
    if pruned.leftovers:
        yield _leftovers(pruned.leftovers)
    if plan.spared:
        yield f"{plan.spared:,} orphans are younger than --grace and stay."
    if pruned.spared:
        yield f"{len(pruned.spared):,} blobs came into use meanwhile and stay."
    yield f"{len(plan.pruned):,} images, {pruned.removed:,} blobs"
    yield f"Total {'reclaimable' if pruned.dry_run else 'reclaimed'} space: {human_size(pruned.reclaimed)}"
    if pruned.trashed:
        yield f"To the trash: {human_size(pruned.trashed)}"


def _leftovers(leftovers: Sequence[Leftover]) -> str:
    names = [file for each in leftovers for file in each.files]
    shown = printable(", ".join(names[:_LEFTOVERS_SHOWN])) + (", ..." if len(names) > _LEFTOVERS_SHOWN else "")
    size = human_size(sum(each.size for each in leftovers))
    return f"Leftovers of other tools: {len(names):,} files, {size}: {shown}"


def _explanation(explanation: Explanation) -> dict[str, object]:
    image = explanation.image
    return {
        "Name": None if image.dangling else image.name,
        "Digest": image.target.digest,
        "Fate": explanation.decision.value,
        "Rule": explanation.rule,
        "By": explanation.by or None,
    }


def _rule(explanation: Explanation) -> tuple[str, str, str, str]:
    image = explanation.image
    name = "<none>" if image.dangling else printable(image.familiar)
    by = f" ({printable(explanation.by)})" if explanation.by else ""
    return f"  {explanation.decision.value}", name, image.target.digest.short, explanation.rule + by


def _row(pruned: Pruned, untagged: Untagged, nameless: set[int]) -> tuple[str, str, str, str]:
    image = untagged.image
    name = "<none>" if image.dangling else printable(image.familiar)
    blobs = pruned.count(untagged.deleted) + pruned.count(untagged.unnamed)
    fate = f"{blobs} blobs"
    if image.position in nameless:
        fate = "in use: stays without a name"
    elif image.position in pruned.plan.renamed:
        fate = "stays under its other names"
    return "  untag", name, image.target.digest.short, fate
