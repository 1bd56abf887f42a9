"""What prunes with a trash have removed, and how it comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ocigc.errors import UsageError
from ocigc.image import ImageRecord
from ocigc.layout import lock
from ocigc.layout.layout import STATE, Layout
from ocigc.printable import printable
from ocigc.progress import SILENT, Watcher
from ocigc.pruning import trash
from ocigc.pruning.execute import recover
from ocigc.pruning.trash import Trashed


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: images, and how many blobs. `missing` are digests of blobs that are nowhere any more."""

    images: Sequence[ImageRecord]
    blobs: int
    missing: Sequence[str]


def trashed(layout: Layout, *, wait: float = 0) -> list[Trashed]:
    """The runs that can be undone, the oldest first. `wait` is in seconds. Raises Refused."""
    with lock.shared(layout, wait):
        try:
            with layout.dir.below(STATE) as state:
                return trash.runs(state)
        except FileNotFoundError:
            return []


def restore(
    layout: Layout, *, run: str | None = None, image: str | None = None, wait: float = 0, watch: Watcher = SILENT
) -> Restored:
    """Brings back a run (the last one where none is named), or of it one image, by its name or digest.

    Raises UsageError where there is no such thing, and Refused.
    """
    now = time.time_ns()
    with lock.exclusive(layout, wait) as state:
        recovered = recover(layout, state, now, watch)
        if recovered:
            watch.note(f"{layout.path}: {recovered}")
        undone, images = _choose(trash.runs(state), run, image, layout.path)
        restored = trash.restore(layout, state, undone, images, now, watch)
    return Restored(images, restored.blobs, restored.missing)


def _choose(runs: list[Trashed], run: str | None, image: str | None, path: str) -> tuple[Trashed, list[ImageRecord]]:
    """The last run that fits, and its images that do."""
    for each in reversed(runs):
        if run is not None and each.journal.id != run:
            continue
        images = [
            record
            for record in each.images
            if image is None or record.is_called(image) or image == record.target.digest
        ]
        if images or image is None:
            return each, images
    what = "no such run" if image is None else f"no image {printable(image)!r}"
    raise UsageError(f"{path}: {what} in the trash; `ocigc trash ls` shows what there is")
