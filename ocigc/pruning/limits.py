"""Limits: whether a plan would empty a layout, and whether it removes more than its caller allows.

Many tools write layouts whose only image has no name, and a pool of blobs for other layouts has no image at all. So a
run that would empty a layout is refused unless the caller allows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ocigc.gc.graph import NO_NODE
from ocigc.gc.images import Images, NameKind
from ocigc.gc.plan import Plan
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store
from ocigc.values import frozen

_NAMED = (NameKind.NAMED, NameKind.FALLBACK)
_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]+)?|100)\s?%")


def would_empty(snapshot: Snapshot, plan: Plan, *, in_tree: bool = False) -> str:
    """What would be gone if a plan emptied a layout; an empty text if it does not.

    An image whose content is absent does not count as one that is left. A layout in a tree may lose its last dangling
    images.
    """
    if not snapshot.index.entries:
        return _without_blobs(snapshot, plan)
    return _without_names(snapshot.store, plan) if in_tree else _without_images(snapshot.store, plan)


def _left(plan: Plan) -> list[Images]:
    return [plan.named, plan.images.picked(plan.judged.positions), plan.dangling]


def _without_images(store: Store, plan: Plan) -> str:
    if not plan.pruned or any(_have_content(images, store) for images in _left(plan)):
        return ""
    if plan.staying and not _have_content(plan.pruned, store):
        return ""
    return "this would leave no image where there are some"


def _without_names(store: Store, plan: Plan) -> str:
    going, left = plan.pruned.of_kind(*_NAMED), [images.of_kind(*_NAMED) for images in _left(plan)]
    if plan.dangling or not going or any(_have_content(images, store) for images in left):
        return ""
    if any(left) and not _have_content(going, store):  # all their content may be in a common blob directory
        return ""
    return "this would leave no image with a name where there are some"


def _have_content(images: Images, store: Store) -> bool:
    """Whether the content of any of them is present."""
    return any(target != NO_NODE for target in images.targets(store))


def _without_blobs(snapshot: Snapshot, plan: Plan) -> str:
    """Says so if a layout without any entry would lose all blobs that are old enough; else empty."""
    store = snapshot.store
    if plan.blob_count and plan.blob_count + plan.in_grace >= len(store.sweepable(range(len(store)))):
        return "it has no image, and this would delete every blob: other layouts may need them"
    return ""


@frozen
class MaxDelete:
    """A limit for a run: `percent` of the images and of the bytes, `size` in bytes, or a number of `images`. A limit of
    zero, in any unit, allows nothing to go.
    """

    text: str
    percent: float | None = None
    size: int | None = None
    images: int | None = None

    def excess(
        self, images: int, of_images: int, size: int, of_size: Callable[[], int], *, empty: bool = False
    ) -> str | None:
        """The part of a plan that exceeds the limit; None if the plan is within it. Of `of_images`, `images` go, and
        `size` bytes are freed or move to the trash. `of_size` gives the bytes of the store and of the leftovers; it is
        called only for a limit in percent. An `empty` plan does nothing.
        """
        if self.images is not None and images > self.images:
            return f"{images:,} image{'s' if images > 1 else ''} would go"
        if self.size is not None and size > self.size:
            return f"{size:,} bytes would go"
        if self.percent is not None and images * 100 > self.percent * of_images:
            return f"{images:,} of {of_images:,} images would go"
        if self.percent is not None and size * 100 > self.percent * (total := of_size()):
            return f"{size:,} of {total:,} bytes would go"
        if 0 in (self.images, self.size, self.percent) and not empty:
            return "something that is not an image would go"
        return None


def parse_max_delete(text: str, parse_size: Callable[[str], int]) -> MaxDelete:
    """Parses `20%`, `200GB` or `50` (images). Raises ValueError."""
    if (percent := _PERCENT.fullmatch(text)) is not None:
        return MaxDelete(text, percent=float(percent[1]))
    if text.isascii() and text.isdecimal():
        return MaxDelete(text, images=int(text))
    if text.rstrip()[-1:].isdecimal():
        raise ValueError(f"{text!r} has no unit, and is not a number of images")
    return MaxDelete(text, size=parse_size(text))
