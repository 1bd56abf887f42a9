"""What a prune did or would do, as the answer of the Docker Engine API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ocigc.pruning.layout_plan import Pruned

if TYPE_CHECKING:
    from ocigc.gc.explain import Explanation


def document(pruned: Pruned) -> dict[str, object]:
    """The answer, in order. Lists that may be long are iterators, each to be read once."""
    explained = {} if pruned.explained is None else {"Explained": map(_explanation, pruned.explained)}
    return {
        "ImagesDeleted": ({kind: value} for kind, value in pruned.items()),
        "SpaceReclaimed": pruned.reclaimed,
        "SpaceTrashed": pruned.trashed,
        "Unleased": iter([{"Digest": u.digest, "Label": u.label, "Snapshot": u.value} for u in pruned.unleased]),
        "Orphans": pruned.orphans(),
        "Leftovers": (file for each in pruned.leftovers for file in each.files),
        **explained,
        "DryRun": pruned.dry_run,
        "Errors": iter(()),
    }


def as_metrics(pruned: Pruned) -> dict[str, int]:
    """What was removed and what is left, by the names of `ocigc.cli.output.metrics`."""
    plan = pruned.plan
    return {
        "images": plan.staying,
        "blobs": len(pruned.snapshot.store) - pruned.removed,
        "removed_images": len(plan.pruned),
        "removed_blobs": pruned.removed,
        "young_orphans": plan.in_grace,
    }


def failure_as_json(message: str, *, dry_run: bool) -> str:
    """The same object, for a run that failed and did nothing."""
    document = {
        "ImagesDeleted": [],
        "SpaceReclaimed": 0,
        "SpaceTrashed": 0,
        "Unleased": [],
        "Orphans": [],
        "Leftovers": [],
    }
    return json.dumps({**document, "DryRun": dry_run, "Errors": [message]}) + "\n"


def _explanation(explanation: Explanation) -> dict[str, object]:
    image = explanation.image
    return {
        "Name": None if image.dangling else image.name,
        "Digest": image.target.digest,
        "Fate": explanation.decision.value,
        "Rule": explanation.rule,
        "By": explanation.by or None,
    }
