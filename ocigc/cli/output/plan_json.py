"""What a prune did or would do, as the answer of the Docker Engine API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ocigc.pruning.layout_plan import Pruned

if TYPE_CHECKING:
    from ocigc.gc.explain import Explanation
    from ocigc.pruning.what_goes import WhatGoes


def document(pruned: Pruned) -> dict[str, object]:
    """The answer, in order. Lists that may be long are iterators, each to be read once."""
    return {
        "ImagesDeleted": ({kind: value} for kind, value in pruned.items()),
        "SpaceReclaimed": pruned.reclaimed,
        "SpaceTrashed": pruned.trashed,
        "Unleased": (_unleased(each.digest, each.label, each.value) for each in pruned.unleased),
        "Orphans": pruned.orphans(),
        "Leftovers": (file for each in pruned.leftovers for file in each.files),
        **_explained(pruned.explained),
        "DryRun": pruned.dry_run,
        "Errors": iter(()),
    }


def document_of(
    goes: WhatGoes, *, reclaimed: int, trashed: int, dry_run: bool, explained: Iterable[Explanation] | None
) -> dict[str, object]:
    """The same after the layout has been closed. Sizes are in bytes."""
    return {
        "ImagesDeleted": [{kind: value} for kind, value in goes.images],
        "SpaceReclaimed": reclaimed,
        "SpaceTrashed": trashed,
        "Unleased": [_unleased(*each) for each in goes.unleased],
        "Orphans": list(goes.orphans),
        "Leftovers": list(goes.leftovers),
        **{key: list(value) for key, value in _explained(explained).items()},
        "DryRun": dry_run,
        "Errors": [],
    }


def _unleased(digest: str, label: str, snapshot: str) -> dict[str, str]:
    return {"Digest": digest, "Label": label, "Snapshot": snapshot}


def _explained(explained: Iterable[Explanation] | None) -> dict[str, Iterator[object]]:
    return {} if explained is None else {"Explained": map(_explanation, explained)}


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
