"""Explanations: the rule that keeps or removes each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from ocigc.gc.graph import Graph, flags
from ocigc.gc.plan import KeepReason, Kept, Plan
from ocigc.gc.referrers import Relations
from ocigc.image import ImageRecord
from ocigc.values import frozen


class Decision(Enum):
    """What becomes of an image."""

    STAYS = "stays"
    GOES = "goes"
    LOSES_NAME = "loses its name"


@frozen
class Explanation:
    """`rule` says why. `by` names who or what caused it, and may be empty."""

    image: ImageRecord
    decision: Decision
    rule: str
    by: str


class Explanations(Iterable[Explanation]):
    """The explanations of a plan, one per image, in the order of names. Each is made on demand."""

    def __init__(self, plan: Plan, relations: Relations, graph: Graph) -> None:
        self._plan = plan
        self._relations = relations
        self._graph = graph

    def __iter__(self) -> Iterator[Explanation]:
        plan = self._plan
        kept = {each.position: each for each in plan.judged}
        pruned = flags(plan.pruned.positions, max(plan.images.positions, default=-1) + 1)
        nameless = frozenset(plan.dangling.positions)
        leaving = flags(plan.blobs, len(self._graph))
        for image in plan.images.in_order():
            if image.position in nameless:
                by = plan.released.get(image.position, "")
                yield Explanation(image, Decision.LOSES_NAME, "in use by digest alone", by)
            elif pruned[image.position]:
                yield self._taken(image, leaving)
            else:
                why = kept.get(image.position) or Kept(image.position, KeepReason.NOT_DANGLING)
                yield Explanation(image, Decision.STAYS, why.reason.value, why.by)

    def _taken(self, image: ImageRecord, leaving: bytearray) -> Explanation:
        target = self._graph.find(image.target.digest)
        subject = next(filter(leaving.__getitem__, self._relations.subjects.get(image.position, ())), None)
        if subject is not None:
            return Explanation(image, Decision.GOES, "refers to an image that goes", self._graph.digest(subject))
        rule = "has no name, and is not in use" if image.dangling else "is not in use"
        if target is None:
            rule += "; its content is absent"
        elif not leaving[target]:
            rule += "; its content stays, because something else reaches it"
        return Explanation(image, Decision.GOES, rule, self._plan.released.get(image.position, ""))
