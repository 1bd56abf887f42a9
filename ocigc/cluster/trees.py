"""The layouts of a tree on a cluster. Each is work for one worker, and small ones share a shard. A large layout is
worked on here, but all workers read its manifests.

A result counts only if the worker and this host see the same index.json, of the same times. A layout that a worker
cannot read, or leaves to this host, is worked on here; so is one of which it has seen other directories.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ocigc.cluster.layout_shard import LayoutResult, LayoutShard, Note
from ocigc.cluster.spread_layout import SpreadLayout
from ocigc.cluster.task_run import run_tasks
from ocigc.cluster.view import View, view
from ocigc.cluster.worker_pool import SHARD_SECONDS, SHARDS_PER_SLOT, Task, WorkerPool
from ocigc.errors import Message, printable
from ocigc.layout import discover
from ocigc.layout.discover import Found, Results, Tree, Work
from ocigc.layout.layout import INDEX, Layout
from ocigc.plain import restored
from ocigc.progress import Progress, Report, Watcher

_MOST_LAYOUTS = 64  # of a shard
_SECONDS = SHARD_SECONDS + 40  # of a shard: the last layout that is begun may have 4 GiB

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread(Generic[T]):
    """Work on the layouts of a tree. `there` makes what a worker runs for a layout: a value that can be pickled. If its
    result is None, the layout is left to `here`. `result` is the type that results are checked against, and `names` are
    classes as `restored` takes them. `doubt` tells what is wrong with a result; empty where nothing is.
    """

    there: Callable[[Found], Work[T | None]]
    here: Work[T]
    result: Any
    names: tuple[type, ...] = ()
    doubt: Callable[[Layout, T], str] | None = None


def same(work: Work[T], result: object, *names: type) -> Spread[T]:
    """The same work everywhere; it must be a value that can be pickled."""
    return Spread(lambda _: work, work, result, names)


def each_layout(
    pool: WorkerPool,
    root: str,
    tree: Tree,
    spread: Spread[T],
    watch: Watcher,
    *,
    large: int,
    among: Sequence[Found] | None = None,
) -> Results[T]:
    """Does what `discover.each_layout` does, on the workers that see the tree at the path `root`. A layout is large
    from `large` bytes of index.json on.
    """
    layouts = tree.found if among is None else among
    sizes = {found.path: _index_size(tree, found) for found in layouts if found.trouble is None}
    spreading = _Spreading(pool, root, tree, spread, watch)
    interrupted = spreading.run([found for found in layouts if sizes.get(found.path, large) < large], sizes)

    def opening(found: Found) -> Layout:
        if sizes[found.path] < large:
            return tree.open(found)
        return tree.open(found, partial(SpreadLayout, pool=pool, root=root, below=found.path))

    values = spreading.values

    def work(layout: Layout, found: Found, own_watch: Watcher) -> None:
        values[found.path] = spread.here(layout, found, own_watch)

    here: Results[None] = Results([], [])
    rest = [found for found in layouts if found.path not in values and found.path not in spreading.errors]
    if rest and not interrupted:
        here = discover.each_layout(tree, work, watch, among=rest, opening=opening)
    errors = iter(here.errors)
    all_errors = []
    for found in layouts:
        if found.path in spreading.errors:
            all_errors.append(spreading.errors[found.path])
        elif found.path not in values:
            all_errors.append(next(errors, f"{found.name}: interrupted; nothing is lost"))
    return Results(
        [(found.name, values[found.path]) for found in layouts if found.path in values],
        all_errors,
        interrupted or here.interrupted,
    )


def _index_size(tree: Tree, found: Found) -> int:
    try:
        with tree.dir.below(*found.path.split("/")) as layout:
            return layout.stat(INDEX).st_size
    except OSError:
        return 0


class _Spreading(Generic[T]):
    """One call of `each_layout`: the results of layouts so far, by path."""

    def __init__(self, pool: WorkerPool, root: str, tree: Tree, spread: Spread[T], watch: Watcher) -> None:
        self._pool = pool
        self._root = root
        self._tree = tree
        self._spread = spread
        self._watch = watch
        self._done = self._total = 0
        self._report: Report | None = None
        self.values: dict[str, T] = {}
        self.errors: dict[str, str] = {}
        self._left: set[str] = set()
        self._waiting: deque[Found] = deque()
        self._sizes: Mapping[str, int] = {}
        self._bytes_waiting = 0
        self._task_of: dict[str, Task] = {}
        self._notes: dict[str, Sequence[Note]] = {}

    def run(self, layouts: Sequence[Found], sizes: Mapping[str, int]) -> bool:
        """Works on layouts, given the bytes of their index.json by path. Returns whether an interrupt came."""
        self._total = len(layouts)
        self._report = self._watch("Layouts")
        self._sizes, self._bytes_waiting = sizes, sum(sizes[found.path] for found in layouts)
        self._waiting.extend(sorted(layouts, key=lambda found: -sizes[found.path]))
        troubles: list[str] = []
        try:
            troubles = run_tasks(self._pool, self._next, self._accept, self._tell)
        except KeyboardInterrupt:
            return True
        for found in layouts:
            for note in self._notes.get(found.path, ()):
                self._watch.note(Message(printable(note.text), note.remedy))
            if troubles and found.path not in self.values and found.path not in self._left:
                task = self._task_of.get(found.path)
                wrong = task.wrong if task is not None and task.wrong in troubles else troubles[-1]
                self.errors[found.path] = f"{found.name}: {wrong}"
        return False

    def _tell(self) -> None:
        if self._report is not None:
            self._report(Progress(self._done, 0, self._total, 0))

    def _place(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._root, path))

    def _next(self) -> Task | None:
        """The next shard: the largest index.json first, and small ones together."""
        if not self._waiting:
            return None
        parts = SHARDS_PER_SLOT * self._pool.slots
        most = min(_MOST_LAYOUTS, max(1, len(self._waiting) // parts))
        share = self._bytes_waiting // parts
        batch: list[Found] = []
        size = 0
        while self._waiting and len(batch) < most and (not batch or size < share):
            batch.append(self._waiting.popleft())
            size += self._sizes[batch[-1].path]
        self._bytes_waiting -= size
        works = tuple(map(self._spread.there, batch))
        shard = LayoutShard(self._root, self._tree.path, tuple(found.path for found in batch), works, SHARD_SECONDS)
        places = [self._place(each.path) for each in batch]
        task = Task("layouts", shard, ", ".join(places), _SECONDS, batch)
        self._task_of |= dict.fromkeys(shard.paths, task)
        return task

    def _accept(self, task: Task, value: object) -> str:
        batch: Sequence[Found] = task.context
        if not isinstance(value, list) or not 0 < len(value) <= len(batch):
            return "it lacks a layout"
        batch, late = batch[: len(value)], batch[len(value) :]
        results = [_result(each) for each in value]
        views = [view(self._tree.dir, found.path) for found in batch]
        for found, here, result in zip(batch, views, results, strict=True):
            if other := here.difference(result.view):
                return f"{found.name}: it sees {other}: its mount is another one, or stale"
        read = [None if each.value is None else self._read(each) for each in results]
        for found, one in zip(batch, read, strict=True):
            if one is not None and (wrong := self._doubt(found, one)):
                return f"{found.name}: {wrong}"
        for found, here, result, one in zip(batch, views, results, read, strict=True):
            del self._task_of[found.path]
            if one is None:
                self._left.add(found.path)
            elif here.directories != result.view.directories:
                self._left.add(found.path)
                self._watch.note(f"{found.name}: a worker has seen other directories in it; this host reads it")
            else:
                self.values[found.path] = one
                self._notes[found.path] = result.notes
        self._waiting.extendleft(reversed(late))
        self._bytes_waiting += sum(self._sizes[found.path] for found in late)
        self._done += len(batch)
        return ""

    def _doubt(self, found: Found, value: T) -> str:
        if self._spread.doubt is None:
            return ""
        with self._tree.open(found) as layout:
            return self._spread.doubt(layout, value)

    def _read(self, result: LayoutResult) -> T:
        ours = os.fstat(self._tree.fd).st_dev
        value = result.value if result.device == ours else _here(result.value, result.device, ours)
        found: T = restored(self._spread.result, value, *self._spread.names)
        return found


def _result(value: object) -> LayoutResult:
    """A result whose value is still plain. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("a layout's result has another form")
    head = restored(_Head, {name: value.get(name) for name in ("view", "device", "notes")})
    return LayoutResult(head.view, head.device, head.notes, value.get("value"))


def _here(value: object, theirs: int, ours: int) -> object:
    """A plain value with device numbers of this host, as hard links are identified by them."""
    if isinstance(value, list):
        return [_here(each, theirs, ours) for each in value]
    if isinstance(value, dict):
        found = {name: _here(each, theirs, ours) for name, each in value.items()}
        return {**found, "device": ours} if found.get("device") == theirs and "inode" in found else found
    return value


@dataclass(frozen=True, slots=True)
class _Head:
    view: View
    device: int
    notes: tuple[Note, ...]
