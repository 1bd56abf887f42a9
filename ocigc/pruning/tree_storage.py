"""A limit on storage for a tree of layouts. The oldest images of all of them go, until all blobs together fit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from ocigc.gc.graph import all_but
from ocigc.hard_links import Files, on_disk
from ocigc.image import ImageRecord
from ocigc.layout.discover import Found, Tree, each_layout
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import OtherLayouts
from ocigc.progress import Quiet, Watcher
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions

Age = tuple[bool, int, str, tuple[str, ...], str, bool]
"""Sorts the oldest images first, and those of unknown age last."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The files of a layout before a prune and after it, and the ages of the images that go."""

    before: Files
    after: Files
    ages: list[Age]


def options_that_fit(
    tree: Tree,
    limit: int,
    options: Callable[[Found], PruneOptions],
    elsewhere: Callable[[Found], OtherLayouts],
    watch: Watcher,
) -> Callable[[Found], PruneOptions]:
    """The `options` for each layout with which all blobs together, each file once, take at most `limit` bytes, and no
    more images go than necessary. They are found by trial, as an image may free nothing until others go. What cannot be
    read does not count. What other layouts need now (`elsewhere`) stays.
    """

    def keeping(found: Found, kept: Callable[[Age], bool]) -> PruneOptions:
        return replace(options(found), keeps=lambda image: kept(_age(found, image)))

    def trial(kept: Callable[[Age], bool]) -> list[_Part]:
        def work(layout: Layout, found: Found, member: Watcher) -> _Part:
            own = replace(keeping(found, kept), dry_run=True)
            with prune(layout, own, watch=member, elsewhere=elsewhere(found)) as pruned:
                return _part(found, pruned)

        results = each_layout(tree, work, Quiet(watch))
        if results.interrupted:
            raise KeyboardInterrupt
        return [part for _, part in results.values]

    def size_with(kept: Callable[[Age], bool]) -> int:
        return on_disk(part.after for part in trial(kept))

    parts = trial(lambda _: False)
    if on_disk(part.before for part in parts) <= limit:
        return lambda found: _idle(keeping(found, lambda _: True))
    excess = on_disk(part.after for part in parts) - limit
    if excess > 0:
        watch.note(f"{tree.path}: {excess:,} bytes over the limit on storage will remain")
        return options
    ages = sorted(age for part in parts for age in part.ages)
    going = bisect_left(range(len(ages)), True, key=lambda count: size_with(lambda age: age >= ages[count]) <= limit)
    return (lambda found: keeping(found, lambda age: age >= ages[going])) if going < len(ages) else options


def _idle(options: PruneOptions) -> PruneOptions:
    return replace(options, request=replace(options.request, orphans=False))


def _part(found: Found, pruned: Pruned) -> _Part:
    store = pruned.snapshot.store
    return _Part(
        before=store.files(range(len(store))),
        after=store.files(all_but(pruned.plan.blobs, store)),
        ages=[_age(found, image) for image in pruned.plan.pruned],
    )


def _age(found: Found, image: ImageRecord) -> Age:
    return *image.age, found.path, *image.sort_key
