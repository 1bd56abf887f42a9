"""Explanations: of each image, the rule that kept or took it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from ocigc.image import ImageRecord
from ocigc.rules.graph import Graph
from ocigc.rules.plan import Plan
from ocigc.rules.referrers import subject_of


class Fate(Enum):
    """What becomes of an image."""

    STAYS = "stays"
    GOES = "goes"
    LOSES_NAME = "loses its name"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`rule` says why; `by` names who or what it was, and may be empty."""

    image: ImageRecord
    fate: Fate
    rule: str
    by: str


def explain(plan: Plan, graph: Graph) -> list[Explanation]:
    """One explanation an image, by name."""
    kept = (Explanation(plan.images[kept.position], Fate.STAYS, kept.reason.value, kept.by) for kept in plan.kept)
    return sorted([*kept, *_taken(plan, graph)], key=lambda explanation: explanation.image.sort_key)


def _taken(plan: Plan, graph: Graph) -> Iterator[Explanation]:
    nameless = set(plan.dangling.positions)
    leaving = set(plan.blobs)
    for untagged in plan.untagged:
        image = untagged.image
        target = graph.find(image.target.digest)
        subject = subject_of(image, target, graph)
        if image.position in nameless:
            yield Explanation(image, Fate.LOSES_NAME, "in use by digest alone", untagged.by)
            continue
        if subject is not None and subject in leaving:
            yield Explanation(image, Fate.GOES, "refers to what goes", graph.digest(subject))
            continue
        rule = "has no name, and is not in use" if image.dangling else "is not in use"
        if target is None:
            rule += "; its content is absent"
        elif target not in leaving:
            rule += "; its content stays, as something else holds it"
        yield Explanation(image, Fate.GOES, rule, untagged.by)
