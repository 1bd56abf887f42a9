"""Explanations: the rule that keeps or removes each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from ocigc.gc.graph import NO_NODE, Graph, flags
from ocigc.gc.images import NameKind
from ocigc.gc.plan import KeepReason, Plan
from ocigc.gc.referrers import Relations
from ocigc.image import ImageRecord
from ocigc.values import frozen


class Decision(Enum):
    """The decision about an image."""

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
        images = self._plan.images
        for position, decision, rule, by in self.rules():
            yield Explanation(images[position], decision, rule, by)

    def rules(self) -> Iterator[tuple[int, Decision, str, str]]:
        """The same without records: for each image its position, the decision, the rule, and what caused it."""
        plan = self._plan
        kept = {each.position: each for each in plan.judged}
        size = max(plan.images.positions, default=-1) + 1
        pruned = flags(plan.pruned.positions, size)
        released = frozenset(plan.dangling.positions)
        dangling = flags(plan.images.of_kind(NameKind.NAMELESS).positions, size)
        for image in plan.images.of_kind(NameKind.DANGLING):
            dangling[image.position] = image.dangling
        leaving = flags(plan.blobs, len(self._graph))
        images = plan.images.in_order()
        named = (Decision.STAYS, KeepReason.NOT_DANGLING.value, "")  # looking it up in the enum takes longer
        for position, target in zip(images.positions, images.targets(self._graph), strict=True):
            if position in released:
                by = plan.released.get(position, "")
                yield position, Decision.LOSES_NAME, "in use by digest alone", by
            elif pruned[position]:
                yield position, Decision.GOES, *self._taken(position, target, leaving, dangling)
            elif (why := kept.get(position)) is not None:
                yield position, Decision.STAYS, why.reason.value, why.by
            else:
                yield position, *named

    def _taken(self, position: int, target: int, leaving: bytearray, dangling: bytearray) -> tuple[str, str]:
        subject = next(filter(leaving.__getitem__, self._relations.subjects.get(position, ())), None)
        if subject is not None:
            return "refers to an image that goes", self._graph.digest(subject)
        rule = "has no name, and is not in use" if dangling[position] else "is not in use"
        if target == NO_NODE:
            rule += "; its content is absent"
        elif not leaving[target]:
            rule += "; its content stays, because something else reaches it"
        return rule, self._plan.released.get(position, "")
