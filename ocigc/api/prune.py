"""Pruning one layout: plan, confirm, carry out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from ocigc.api.watch import SILENT, Watcher
from ocigc.container import InUse
from ocigc.errors import Refused
from ocigc.labels import SNAPSHOT_LABEL
from ocigc.native import NEVER
from ocigc.printable import printable
from ocigc.rules.explain import Explanation, explain
from ocigc.rules.filters import Filters, parse_filters
from ocigc.rules.plan import Plan
from ocigc.rules.prune import Request, decide
from ocigc.rules.selection import select_images
from ocigc.store import journal, lock, sidecars, trash
from ocigc.store.contents import Loaded, labels_of, load, with_created
from ocigc.store.execute import execute, recover
from ocigc.store.journal import Unlease
from ocigc.store.layout import STATE, Layout
from ocigc.times import SECOND

_ATTEMPTS = 5


def request(
    filters: Iterable[str] = (), *, prune_all: bool = False, in_use: InUse | None = None, grace: int = 3600 * SECOND
) -> Request:
    """A request of this moment: filters as `--filter` takes them, durations of `until` counted from now, dates in the
    local zone. `grace` is in nanoseconds. Raises UsageError."""
    now = time.time_ns()
    local_offset = time.localtime(now // SECOND).tm_gmtoff
    parsed = parse_filters(filters, prune_all=prune_all, now=now, local_offset=local_offset)
    return Request(parsed, InUse() if in_use is None else in_use, now, grace)


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """How to prune, besides the request to the rules.

    With `references`, exactly these images go, by the request's rules otherwise, and nothing that no image held.
    `repository` (normalised) owns bare tags; `driver` is the snapshotter of the unlease rule; what is removed is kept
    in the trash for `trash` nanoseconds (None: freed at once); `wait` is in seconds.
    """

    request: Request
    repository: str | None = None
    driver: str = "overlayfs"
    dry_run: bool = False
    allow_empty: bool = False
    explain: bool = False
    trash: int | None = None
    wait: float = 0
    references: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """A plan as it was, or would be, carried out. Holds the store, as digests are looked up in it: close it, or use it
    as a context manager.

    `reclaimed` is in bytes; `spared` are digests that stayed after all; `explained` is None where nobody asked.
    """

    loaded: Loaded
    plan: Plan
    unleased: Sequence[Unlease]
    reclaimed: int
    dry_run: bool
    spared: frozenset[str] = frozenset()
    explained: Sequence[Explanation] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the store."""
        self.loaded.store.close()

    def items(self) -> Iterator[tuple[str, str]]:
        """moby's `ImagesDeleted`: Untagged and Deleted, in order."""
        for untagged in self.plan.untagged:
            yield "Untagged", untagged.image.familiar
            for digest in self.deleted(untagged.deleted):
                yield "Deleted", digest

    def orphans(self) -> Iterator[str]:
        """The digests of all other blobs that go."""
        return self.deleted(self.plan.orphans)

    def deleted(self, nodes: Iterable[int]) -> Iterator[str]:
        """The digests of those nodes that go."""
        return (digest for digest in map(self.loaded.store.digest, nodes) if digest not in self.spared)


def prune(
    layout: Layout,
    options: PruneOptions,
    *,
    confirm: Callable[[Pruned], None] | None = None,
    watch: Watcher = SILENT,
) -> Pruned:
    """Prunes a layout, or says what would go. `confirm` sees what is to go, and raises Refused to keep it.

    Raises UsageError where it is no layout, and Refused where nothing may be changed or a step failed; nothing is lost
    then, and the next prune finishes what was begun.
    """
    if options.dry_run:
        with lock.shared(layout, options.wait):
            return _dry_run(layout, options, watch)
    with lock.exclusive(layout, options.wait) as state:
        return _real_run(layout, options, confirm, watch, state)


def _dry_run(layout: Layout, options: PruneOptions, watch: Watcher) -> Pruned:
    if journal.pending_below(layout):
        watch.note(f"an interrupted run waits in {layout.path}/{STATE}; the next prune finishes it")
    planned = _plan(layout, options, watch)
    if planned.plan.leaves_no_image and not options.allow_empty:
        watch.note(_no_image_left(layout) + "a real run is refused without --allow-empty")
    return planned


def _real_run(
    layout: Layout,
    options: PruneOptions,
    confirm: Callable[[Pruned], None] | None,
    watch: Watcher,
    state: int,
) -> Pruned:
    now = options.request.now
    recovered = recover(layout, state, now, watch)
    if recovered:
        watch.note(f"{layout.path}: {recovered}")
    trash.empty(state, now)
    expires = None if options.trash is None else now + options.trash
    for _ in range(_ATTEMPTS):
        planned = _plan(layout, options, watch)
        try:
            if planned.plan.leaves_no_image and not options.allow_empty:
                raise Refused(_no_image_left(layout) + "nothing was changed; give --allow-empty if that is meant")
            if planned.plan.empty:
                return replace(planned, dry_run=False, reclaimed=0)
            if confirm is not None:
                confirm(planned)
            outcome = execute(planned.loaded, planned.plan, planned.unleased, state, now, expires, watch)
        except BaseException:
            planned.close()
            raise
        if outcome is not None:
            return replace(planned, dry_run=False, reclaimed=outcome.reclaimed, spared=outcome.spared)
        planned.close()
        if confirm is not None:
            raise Refused(f"{layout.path}: index.json has changed since the plan was shown; run it again")
    raise Refused(f"{layout.path}: index.json keeps changing; nothing was changed; run it when writers rest")


def _plan(layout: Layout, options: PruneOptions, watch: Watcher) -> Pruned:
    """What would go, as a dry run says it."""
    request = options.request
    young_after = NEVER if request.young_after is None else request.young_after
    loaded = load(layout, options.repository, request.now, watch, young_after=young_after)
    try:
        if request.filters.until:
            loaded = with_created(loaded)
        if options.references is not None:
            request = _selecting(request, loaded, options.references)
        plan = decide(loaded.contents, request, labels_of(loaded))
        if request.filters.selected is not None:
            _refuse_what_is_used(plan, request.filters.selected)
        label = SNAPSHOT_LABEL + options.driver
        unleased = []
        for digest in map(loaded.store.digest, plan.unlease):
            snapshot = sidecars.read(layout.fd, digest).get(label)
            if snapshot is not None:
                unleased.append(Unlease(digest, label, snapshot))
        explained = explain(plan, loaded.store) if options.explain else None
    except BaseException:
        loaded.store.close()
        raise
    return Pruned(loaded, plan, unleased, plan.reclaimed, dry_run=True, explained=explained)


def _selecting(request: Request, loaded: Loaded, references: Sequence[str]) -> Request:
    """The request, for the images that references name. Raises UsageError."""
    selected = {image.sort_key for each in references for image in select_images(loaded.images, each)}
    filters = Filters(dangling_only=False, until=(), labels=(), selected=frozenset(selected))
    return replace(request, filters=filters, grace=0, orphans=False)


def _refuse_what_is_used(plan: Plan, selected: Collection[tuple[bytes, str]]) -> None:
    used = [f"{kept.image.familiar} ({kept.by})" for kept in plan.kept if kept.image.sort_key in selected]
    used += [image.familiar for image in plan.dangling]
    if used:
        raise Refused(f"in use: {printable(', '.join(used))}; nothing was changed")


def _no_image_left(layout: Layout) -> str:
    return f"{layout.path}: this would leave no image where there are some; "
