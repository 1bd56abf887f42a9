"""The images of an overview, as columns, because there may be a million."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from ocigc.gc.explain import Decision, Explanations
from ocigc.gc.images import Images
from ocigc.gc.plan import Plan
from ocigc.image import ImageRecord
from ocigc.inspect.overview_values import Fate, ImageSummary
from ocigc.inspect.usage import Usage
from ocigc.layout.snapshot import Snapshot
from ocigc.reference import InvalidReference, parse_normalized
from ocigc.sequences import Lazy

T = TypeVar("T")
Place = tuple[str, str, bool]
"""A registry and a repository, and whether a name is not a reference."""
_FATES = tuple(map(Fate, range(8)))
_REFUSED = "it would be refused: something is damaged"


def image_summaries(
    snapshot: Snapshot,
    usages: Sequence[Usage],
    units: Sequence[int],
    plans: Mapping[Fate, Plan],
    said: Sequence[Plan | None],
    repository: str | None,
) -> ImageSummaries:
    """The images of a layout, in order. `units` are the numbers of their units. `plans` may remove images. The plans
    `said` give the reasons why images stay or go; they are None where a prune would be refused. Bare tags belong to
    the `repository`.
    """
    images = snapshot.images.in_order()
    fates = _fates(plans, len(snapshot.targets))
    return ImageSummaries(
        usages,
        units,
        _Interned(_places(images, repository)),
        bytes(map(fates.__getitem__, images.positions)),
        _Interned(_reasons(said, snapshot, images)),
    )


def _places(images: Images, own: str | None) -> Iterator[Place]:
    """For each image, the registry and the repository in its name, and whether the name is not a reference."""
    domains: dict[str, str] = {}
    for position, repository in zip(images.positions, images.repositories(own), strict=True):
        if not repository:
            yield "", "", _is_odd(images[position])
            continue
        if repository not in domains:
            domains[repository] = parse_normalized(repository).domain
        yield domains[repository], repository, False


def _is_odd(image: ImageRecord) -> bool:
    if image.dangling or image.bare_tag:
        return False
    try:
        parse_normalized(image.name)
    except InvalidReference:
        return True
    return False


def _fates(plans: Mapping[Fate, Plan], entries: int) -> bytearray:
    """By position, what removes an image."""
    found = bytearray(entries)
    for bit, plan in plans.items():
        number = int(bit)  # looking it up in the enum takes longer
        for position in plan.pruned.positions:
            found[position] |= number
    return found


def _reasons(plans: Sequence[Plan | None], snapshot: Snapshot, images: Images) -> Iterator[tuple[str, ...]]:
    """For each image, what each plan says about it."""
    told = [[_REFUSED] * len(snapshot.targets) for _ in plans]
    for plan, words in zip(plans, told, strict=True):
        if plan is not None:
            for position, decision, rule, by in Explanations(plan, snapshot.relations, snapshot.store).rules():
                words[position] = _worded(decision, rule, by)
    return ((*(words[position] for words in told),) for position in images.positions)


def _worded(decision: Decision, rule: str, by: str) -> str:
    said = f"{rule} ({by})" if by else rule
    return f"loses its name: {said}" if decision is Decision.LOSES_NAME else said


class _Interned(Lazy[T]):
    """Values of images. Many images have the same value, so each is kept only once."""

    def __init__(self, values: Iterable[T]) -> None:
        numbers: dict[T, int] = {}
        self._numbers = array("I", (numbers.setdefault(value, len(numbers)) for value in values))
        self._values = list(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def _make(self, place: int) -> T:
        return self._values[self._numbers[place]]

    def __iter__(self) -> Iterator[T]:
        return map(self._values.__getitem__, self._numbers)


class ImageSummaries(Lazy[ImageSummary]):
    """The images of a layout, each made when it is asked for. The columns have an item per image."""

    def __init__(
        self,
        usages: Sequence[Usage],
        units: Sequence[int],
        places: Sequence[Place],
        fates: bytes,
        reasons: Sequence[tuple[str, ...]],
    ) -> None:
        self._usages = usages
        self._units = units
        self._places = places
        self._fates = fates
        self._reasons = reasons

    def __len__(self) -> int:
        return len(self._units)

    def _make(self, place: int) -> ImageSummary:
        return self._made(
            self._usages[place], self._units[place], self._places[place], self._fates[place], self._reasons[place]
        )

    def __iter__(self) -> Iterator[ImageSummary]:
        return map(self._made, self._usages, self._units, self._places, self._fates, self._reasons)

    @staticmethod
    def _made(usage: Usage, unit: int, place: Place, fate: int, reasons: tuple[str, ...]) -> ImageSummary:
        registry, repository, odd = place
        prune, prune_all = reasons
        return ImageSummary(usage, unit, registry, repository, odd, _FATES[fate], (prune, prune_all))

    def in_repositories(self) -> Iterator[tuple[tuple[str, str], int]]:
        """The registry and repository of each image, and the number of its unit."""
        return (((registry, name), unit) for (registry, name, _), unit in zip(self._places, self._units, strict=True))
