"""How much one run may take at most."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ocigc.pruning.prune import Pruned

_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]+)?|100)\s?%")


@dataclass(frozen=True, slots=True)
class MaxDelete:
    """A limit on a run: `percent` of the images and of the bytes, `size` in bytes, or a number of `images`."""

    text: str
    percent: float | None = None
    size: int | None = None
    images: int | None = None

    def excess(self, planned: Pruned) -> str | None:
        """What of a plan is over the limit; None where all is within it."""
        store, plan = planned.snapshot.store, planned.plan
        images, size = len(plan.pruned), planned.reclaimed + planned.trashed
        of_images, of_size = len(plan.images), sum(map(store.size, range(len(store)))) if self.percent else 0
        if self.images is not None and images > self.images:
            return f"{images:,} images would go"
        if self.size is not None and size > self.size:
            return f"{size:,} bytes would go"
        if self.percent is not None and images * 100 > self.percent * of_images:
            return f"{images:,} of {of_images:,} images would go"
        if self.percent is not None and size * 100 > self.percent * of_size:
            return f"{size:,} of {of_size:,} bytes would go"
        return None


def parse_max_delete(text: str, parse_size: Callable[[str], int]) -> MaxDelete:
    """`20%`, `200GB` or `50` (images). Raises ValueError."""
    if (percent := _PERCENT.fullmatch(text)) is not None:
        return MaxDelete(text, percent=float(percent[1]))
    if text.isascii() and text.isdecimal():
        return MaxDelete(text, images=int(text))
    return MaxDelete(text, size=parse_size(text))
