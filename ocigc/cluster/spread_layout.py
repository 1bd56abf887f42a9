"""A large layout whose manifests are read by the workers of a cluster, some thousands per shard. This host makes the
graph.

The workers only save time: this host verifies every content that they send, and reads what they leave out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate

from ocigc.cluster.manifest_shard import Manifests, ManifestShard
from ocigc.cluster.task_run import run_tasks
from ocigc.cluster.worker_pool import SHARD_SECONDS, SHARDS_PER_SLOT, Task, WorkerPool
from ocigc.errors import OcigcError
from ocigc.gc.graph import NO_NODE
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.native import Store
from ocigc.plain import restored
from ocigc.progress import Progress, Watcher

_MOST_ROOTS = 4096  # of a shard


class SpreadLayout(Layout):
    """The layout at a path below the root of a pool."""

    def __init__(self, shown: str, directory: Dir, pool: WorkerPool, root: str, below: str) -> None:
        super().__init__(shown, directory)
        self._pool = pool
        self._root = root
        self._below = below

    def read_ahead(self, store: Store, roots: array[int], medias: bytes, watch: Watcher) -> None:
        """Lets the workers read the manifests of the roots, and expands what they send."""
        report = watch("Reading manifests on workers")
        done, total = 0, len(roots)

        def tell() -> None:
            if report is not None:
                report(Progress(done, 0, total, 0))

        def accept(task: Task, value: object) -> str:
            nonlocal done
            try:
                found = restored(Manifests, value).unpacked()
            except ValueError as error:
                return str(error)
            start, end = task.context
            # What is wrong with the layout is told when all roots are read.
            with suppress(OcigcError):
                with store.ahead(*_here(store, *found)):
                    store.expand(roots[start:end], medias[start:end])
            done += end - start
            return ""

        tasks = self._tasks(store, roots)
        for trouble in dict.fromkeys(run_tasks(self._pool, partial(next, tasks, None), accept, tell)):
            watch.note(f"{trouble}; this host reads it")

    def _tasks(self, store: Store, roots: array[int]) -> Iterator[Task]:
        count = max(1, min(_MOST_ROOTS, len(roots) // (SHARDS_PER_SLOT * self._pool.slots)))
        for start in range(0, len(roots), count):
            digests = store.digests(node for node in roots[start : start + count] if node != NO_NODE)
            shard = ManifestShard(self._root, self._below, " ".join(dict.fromkeys(digests)))
            yield Task("manifests", shard, self.path, SHARD_SECONDS, (start, start + count))


def _here(
    store: Store, digests: Sequence[str], sizes: Sequence[int], content: bytes
) -> tuple[array[int], Sequence[int], bytes]:
    """The nodes, sizes and contents of those digests that the store has."""
    nodes = [store.find(digest) for digest in digests]
    there = array("I", (node for node in nodes if node is not None))
    if len(there) == len(nodes):
        return there, sizes, content
    ends = [0, *accumulate(sizes)]
    wanted = [number for number, node in enumerate(nodes) if node is not None]
    return there, [sizes[n] for n in wanted], b"".join(content[ends[n] : ends[n + 1]] for n in wanted)
