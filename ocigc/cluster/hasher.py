"""Hashes the blobs of a layout on a cluster: cuts them into shards, and checks what comes back.

A result counts only if the worker saw the same files as this host: with the same sizes and times. This host hashes
again what a worker reports as bad or sees differently. If that is more than a few blobs, another worker gets the shard
first. So a worker with a stale mount or a fault cannot hide a corrupt blob by mistake, nor report a sound one as
corrupt.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from ocigc.cluster.blob_shard import BlobResult, BlobShard, fault
from ocigc.cluster.task_run import run_tasks
from ocigc.cluster.worker_pool import SHARD_SECONDS, SHARDS_PER_SLOT, Task, WorkerPool
from ocigc.native import CHECKSUM, NEVER, Hashes, Store, Verdict
from ocigc.plain import restored
from ocigc.progress import Progress, Report
from ocigc.times import SECOND

_RATE = 3e8  # bytes that a worker is thought to hash in a second, while it has not hashed any
_SLOW_RATE = 3e7  # bytes that it may be expected to, for as long; ten times less is no fault
_PER_BLOB = 16 << 10  # opening a blob takes as long as hashing this many bytes
_LEAST_SECONDS = 0.5  # of a shard
_SHARDS_IN_A_SECOND = 50  # that all workers together may end
_MOST_BLOBS = 200_000  # of a shard: 13 MB of digests
_LEAST_BYTES = 64 << 20  # of the last shards
_LANES = 8  # blobs that a core hashes at once, or nearly as fast as more would be
_TOGETHER_SECONDS = 5.0  # that a shard of no more blobs may take
_DOUBTFUL = 64  # blobs of a shard


class HashRate:
    """How many bytes a worker hashes in a second, as shards have shown."""

    def __init__(self, known: float | None = None) -> None:
        self._known = known

    def or_else(self, unknown: float) -> float:
        """The rate; `unknown` while it is not known."""
        return unknown if self._known is None else self._known

    def learn(self, weight: int, seconds: float) -> None:
        """Takes note of how long a shard of that weight has taken. A worker that was suspended has not become slow."""
        if seconds > _LEAST_SECONDS / 10:
            rate = max(weight / seconds, _SLOW_RATE / 10)
            self._known = rate if self._known is None else self._known + (rate - self._known) / 4


class ClusterHasher:
    """Implements `Hasher` for the layout at a path below a root."""

    def __init__(self, pool: WorkerPool, root: str, path: str, rate: HashRate, most: int) -> None:
        """All layouts of a tree share the `rate`. A shard of several blobs has at most `most` bytes."""
        self._pool = pool
        self._root = root
        self._path = path
        self.rate = rate
        self.most = most

    def __call__(
        self,
        store: Store,
        nodes: array[int],
        report: Report | None,
        /,
        *,
        deadline: int = NEVER,
        in_order: bool = False,
        checksums: bool = False,
    ) -> Hashes:
        return _Hashing(self, store, nodes, report, deadline, checksums).run(in_order=in_order)

    @property
    def pool(self) -> WorkerPool:
        """The workers."""
        return self._pool

    def shard(self, algorithm: str, digests: str, *, checksums: bool, seconds: float | None) -> BlobShard:
        """A shard of the layout."""
        return BlobShard(self._root, self._path, algorithm, digests, checksums, seconds)

    @property
    def place(self) -> str:
        """The layout, for people."""
        return self._root if self._path == "." else f"{self._root}/{self._path}"


def take(sizes: Iterable[int], budget: float, together: float) -> tuple[int, int]:
    """How many blobs of some sizes make a shard, and their weight: at least one, and as many as the budget allows, in
    bytes. A shard of a few large blobs may weigh as much as `together`, as fewer do not keep all lanes of a core busy.
    """
    count = weight = 0
    for size in sizes:
        more = weight + size + _PER_BLOB
        if count == _MOST_BLOBS or (count and more > (together if count < _LANES else budget)):
            break
        count, weight = count + 1, more
    return count, weight


class _Hashing:
    """One call of a hasher. A position is one in `nodes`."""

    def __init__(
        self,
        hasher: ClusterHasher,
        store: Store,
        nodes: array[int],
        report: Report | None,
        deadline: int,
        checksums: bool,
    ) -> None:
        self._hasher = hasher
        self._store = store
        self._nodes = nodes
        self._report = report
        self._deadline = deadline
        self._hashes = Hashes(bytearray(len(nodes)), bytearray(CHECKSUM * len(nodes) if checksums else 0))
        self._checksums = checksums
        self._sizes = array("Q", map(store.size, nodes))
        self._total = sum(self._sizes)
        self._left = self._total
        self._done_items = self._done_bytes = 0

    def run(self, *, in_order: bool) -> Hashes:
        """Hashes all, and gives the errors. An interrupt leaves the rest UNCHECKED."""
        troubles: Sequence[str] = ()
        tasks = self._tasks(in_order=in_order)
        with suppress(KeyboardInterrupt):
            troubles = run_tasks(self._hasher.pool, partial(next, tasks, None), self._accept, self._tell)
        return Hashes(self._hashes.verdicts, self._hashes.checksums, troubles)

    def _tell(self) -> None:
        if self._report is not None:
            self._report(Progress(self._done_items, self._done_bytes, len(self._nodes), self._total))

    # Shards

    def _tasks(self, *, in_order: bool) -> Iterator[Task]:
        """The shards, each as large as the workers' speed asks for when its turn comes."""
        for algorithm, positions in self._by_algorithm(in_order=in_order):
            waiting = (
                positions if in_order else array("I", sorted(positions, key=self._sizes.__getitem__, reverse=True))
            )
            first = 0
            while first < len(waiting):
                count, seconds = self._take(waiting, first)
                if time.monotonic_ns() >= self._deadline:
                    return
                # Nodes are in the order of digests.
                yield self._task(
                    algorithm, sorted(waiting[first : first + count], key=self._nodes.__getitem__), seconds
                )
                first += count

    def _by_algorithm(self, *, in_order: bool) -> Iterator[tuple[str, array[int]]]:
        """The positions of each algorithm or, if their order matters, of each run of positions with the same one.
        Digests of an unregistered algorithm cannot be computed, and are left out."""
        found: dict[str, array[int]] = {}
        for position, digest in enumerate(self._store.digests(self._nodes)):
            if not digest.registered:
                self._hashes.verdicts[position] = Verdict.UNSUPPORTED
                continue
            if in_order and digest.algorithm not in found:
                yield from found.items()
                found.clear()
            found.setdefault(digest.algorithm, array("I")).append(position)
        yield from found.items()

    def _take(self, waiting: Sequence[int], first: int) -> tuple[int, float]:
        """How many blobs come next, and how long they should take."""
        slots, rate = self._hasher.pool.slots, self._hasher.rate.or_else(_RATE)
        share = self._total / (rate * slots * SHARDS_PER_SLOT)
        seconds = min(max(_LEAST_SECONDS, slots / _SHARDS_IN_A_SECOND, share), SHARD_SECONDS)
        most = min(max(self._left / (2 * slots), _LEAST_BYTES), self._hasher.most)
        sizes = (self._sizes[waiting[n]] for n in range(first, len(waiting)))
        count, weight = take(sizes, min(seconds * rate, most), min(max(seconds, _TOGETHER_SECONDS) * rate, most))
        self._left -= weight - count * _PER_BLOB
        return count, weight / self._hasher.rate.or_else(_SLOW_RATE)

    def _task(self, algorithm: str, positions: Sequence[int], seconds: float) -> Task:
        digests = "".join(each.encoded for each in self._store.digests(self._nodes[n] for n in positions))
        left = None if self._deadline == NEVER else max(0, self._deadline - time.monotonic_ns()) / SECOND
        shard = self._hasher.shard(algorithm, digests, checksums=self._checksums, seconds=left)
        return Task("blobs", shard, self._hasher.place, seconds, positions)

    # Results

    def _accept(self, task: Task, value: object) -> str:
        positions: Sequence[int] = task.context
        result = restored(BlobResult, value)
        if wrong := fault(result, len(positions), checksums=self._checksums):
            return wrong
        doubtful = [n for n, position in enumerate(positions) if self._is_doubtful(result, n, position)]
        elsewhere = [n for n in doubtful if not self._is_same_file(result, n, positions[n])]
        if Verdict.UNCHECKED in result.verdicts and self._deadline == NEVER:
            return "it has left blobs out"
        if len(elsewhere) > _DOUBTFUL:
            digest = self._store.digest(self._nodes[positions[elsewhere[0]]])
            return f"it sees other files than this host, such as {digest.path}: its mount is a different one, or stale"
        self._take_result(result, positions, frozenset(doubtful))
        self._hash_here([positions[n] for n in doubtful])
        weight = sum(self._sizes[n] + _PER_BLOB for n in positions)
        self._hasher.rate.learn(weight, result.seconds)
        self._done_items += len(positions)
        self._done_bytes += sum(self._sizes[n] for n in positions)
        return ""

    def _is_doubtful(self, result: BlobResult, n: int, position: int) -> bool:
        sure = (Verdict.SOUND, Verdict.UNSUPPORTED, Verdict.UNCHECKED)
        return result.verdicts[n] not in sure or not self._is_same_file(result, n, position)

    def _is_same_file(self, result: BlobResult, n: int, position: int) -> bool:
        node = self._nodes[position]
        return result.sizes[n] == self._sizes[position] and result.stamps[n] == self._store.stamp(node)

    def _take_result(self, result: BlobResult, positions: Sequence[int], doubtful: frozenset[int]) -> None:
        checksums = bytes.fromhex(result.checksums)
        for n, position in enumerate(positions):
            if n not in doubtful:
                self._put(position, result.verdicts[n], checksums[CHECKSUM * n : CHECKSUM * (n + 1)])

    def _hash_here(self, positions: Sequence[int]) -> None:
        """Hashes on this host what a worker reports as bad."""
        if not positions:
            return
        nodes = array("I", (self._nodes[n] for n in positions))
        hashes = self._store.verify(nodes, checksums=self._checksums)
        for n, position in enumerate(positions):
            self._put(position, hashes.verdicts[n], hashes.checksums[CHECKSUM * n : CHECKSUM * (n + 1)])

    def _put(self, position: int, verdict: int, checksum: bytes | bytearray) -> None:
        self._hashes.verdicts[position] = verdict
        if self._checksums:
            self._hashes.checksums[CHECKSUM * position : CHECKSUM * (position + 1)] = checksum
