"""What a verification of 10^9 blobs and 10 PB by many workers takes: a simulation with constants that it measures here.

Measured: CPU of the coordinator per blob (cutting shards, checking results) and its memory, CPU of dask's scheduler per
shard, bytes on the wire per blob, and the rate of the hash core. Assumed, and given as options: how fast a worker
reads, how fast the storage is, and how often a worker dies.

Simulated, event by event: workers draw shards; each shard passes the scheduler and the coordinator, which serve one
after the other; a worker that dies loses its shard and is away for a while.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path += map(str, Path(__file__).parents[:2])

from curves import Curve, draw

from ocigc.cluster.hasher import ClusterHasher, HashRate
from ocigc.cluster.worker import work
from ocigc.cluster.worker_pool import Task, WorkerPool
from ocigc.layout.layout import Layout
from ocigc.native import Detail, Store, map_blobs
from tests.helpers.cluster import Cluster

SAMPLE = 100_000  # blobs
TASKS = 1000
AWAY = 60.0  # seconds that a worker is away when it has died
SHARD_SECONDS = 20.0
RESULTS_A_SECOND = 50.0


@dataclass(frozen=True)
class Constants:
    """Seconds of CPU, and bytes."""

    coordinator_per_blob: float
    coordinator_memory_per_blob: float
    scheduler_per_shard: float
    wire_per_blob: float
    hash_rate: float


class Inline:
    """Runs shards in this process, and keeps what it took apart: what is left is the coordinator's share."""

    slots = 1000

    def __init__(self) -> None:
        self.working = 0.0
        self.wire = 0

    def run(
        self,
        _: WorkerPool,
        following: Callable[[], Task | None],
        accept: Callable[[Task, Any], str],
        poll: Callable[[], None],
    ) -> list[str]:
        """In place of `run_tasks`."""
        while (task := following()) is not None:
            began = time.process_time()
            answer = work(task.name, task.argument)
            self.working += time.process_time() - began
            self.wire += len(answer) + len(task.argument.digests)
            wrong = accept(task, json.loads(answer)["value"])
            assert not wrong, wrong
            poll()
        return []


def measure(directory: Path) -> Constants:
    sample = directory / "sample"
    command = [sys.executable, "-P", "-m", "ocigc", "synth", "--blobs", str(SAMPLE), str(sample)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Layout(str(sample)) as layout, Store.scan(layout.fd, detail=Detail.IDENTITY) as store:
        nodes = array("I", range(len(store)))
        pool = Inline()
        hasher = ClusterHasher(pool, str(sample), ".", HashRate(3e8), 1 << 40)  # type: ignore[arg-type]
        began = time.process_time()
        with patch("ocigc.cluster.hasher.run_tasks", pool.run):
            hasher(store, nodes, None, checksums=True)
        used = time.process_time() - began - pool.working
        blobs = len(store)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    return Constants(
        used / blobs, memory / blobs, scheduler_seconds(directory), pool.wire / blobs, hash_rate(directory)
    )


def scheduler_seconds(directory: Path) -> float:
    """CPU seconds of a scheduler per task."""
    from distributed import Client

    with Cluster(directory) as cluster:
        for name in ("one", "two"):
            cluster.worker(name)
        client = Client(cluster.address, set_as_default=False)
        process = Path(f"/proc/{cluster.scheduler.pid}/stat")

        def used() -> float:
            fields = process.read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / 100

        before = used()
        for first in range(0, TASKS, 100):
            client.gather([client.submit(str, first + n, pure=False) for n in range(100)])
        spent = used() - before
        client.close()
    return spent / TASKS


def hash_rate(directory: Path) -> float:
    """Bytes per second that one thread hashes, of content in memory."""
    (path := directory / "large").mkdir()
    (path / "blobs" / "sha256").mkdir(parents=True)
    for number in range(16):
        (path / "blobs" / "sha256" / f"{number:064x}").write_bytes(bytes(16 << 20))
    map_blobs()
    with Store.scan(_open(path), detail=Detail.STATUS) as store:
        nodes = range(len(store))
        store.verify(nodes, 1)
        began = time.process_time()
        store.verify(nodes, 1)
        return 16 * (16 << 20) / (time.process_time() - began)


def _open(path: Path) -> int:
    import os

    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@dataclass(frozen=True)
class Outcome:
    """Seconds that it takes, and how busy the parts are."""

    seconds: float
    shards: int
    scheduler: float
    coordinator: float
    lost: float


def simulate(
    constants: Constants, blobs: float, size: float, workers: int, rate: float, storage: float, mean_life: float
) -> Outcome:
    """One coordinator. `rate` and `storage` are bytes per second of a worker and of all, `mean_life` of a worker is in
    seconds."""
    choice = random.Random(1)
    each = min(rate, storage / workers)
    seconds = min(max(0.5, workers / RESULTS_A_SECOND, size / (each * workers * 8)), SHARD_SECONDS)
    shard = seconds * each
    per_shard = blobs * shard / size
    left = size
    scheduler = coordinator = scheduler_used = coordinator_used = lost = end = 0.0
    shards = 0
    free = [(0.0, number) for number in range(workers)]
    heapq.heapify(free)
    while left > 0:
        now, number = heapq.heappop(free)
        work_size = min(shard, max(left / (2 * workers), 64 << 20))
        share = work_size / shard
        # The coordinator cuts the shard, the scheduler hands it out.
        coordinator = max(coordinator, now) + constants.coordinator_per_blob * per_shard * share / 2
        scheduler = max(scheduler, coordinator) + constants.scheduler_per_shard
        takes = work_size / each
        if choice.random() < takes / mean_life:
            lost += work_size / 2
            heapq.heappush(free, (scheduler + takes / 2 + AWAY, number))
            continue
        done = scheduler + takes
        coordinator_used += constants.coordinator_per_blob * per_shard * share
        scheduler_used += constants.scheduler_per_shard
        # What the coordinator does with the result delays whoever waits for a shard next.
        coordinator += constants.coordinator_per_blob * per_shard * share / 2
        left -= work_size
        shards += 1
        end = max(end, done)
        heapq.heappush(free, (done, number))
    end = max(end, coordinator)
    return Outcome(end, shards, scheduler_used / end, coordinator_used / end, lost)


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--blobs", type=float, default=1e9)
    parser.add_argument("--petabytes", type=float, default=10)
    parser.add_argument("--worker-gbit", type=float, default=10, help="of a worker's link (default: 10)")
    parser.add_argument("--storage-gbyte", type=float, default=2000, help="of all storage (default: 2,000 GB/s)")
    parser.add_argument("--life", type=float, default=30, help="days after which a worker dies (default: 30)")
    parser.add_argument("--directory", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--svg", type=Path, help="draw the time by the number of workers into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        constants = measure(Path(directory))
    size, storage = options.petabytes * 1e15, options.storage_gbyte * 1e9
    rate = min(constants.hash_rate, options.worker_gbit * 1e9 / 8)
    per_blob, memory = constants.coordinator_per_blob * 1e6, constants.coordinator_memory_per_blob
    print(f"measured: in the coordinator {per_blob:.1f} us and {memory:.0f} bytes per blob;")
    print(f"in the scheduler {constants.scheduler_per_shard * 1e3:.2f} ms per shard;")
    print(f"on the wire {constants.wire_per_blob:.0f} bytes per blob; {constants.hash_rate / 1e9:.2f} GB/s per thread")
    print(f"{options.blobs:.0e} blobs, {options.petabytes:g} PB; a worker reads {rate / 1e9:.2f} GB/s\n")

    def plan(workers: int, parts: int, part: float = 1) -> Outcome:
        """So many workers and coordinators, for a part of it all."""
        share = options.blobs * part / parts, size * part / parts, workers // parts or 1, rate, storage / parts
        return simulate(constants, *share, options.life * 86_400)

    print("coordinators  workers      time   shards/s  scheduler  coordinator     memory  bytes/s  read twice")
    for workers, parts in ((1, 1), (10, 1), (100, 1), (1000, 1), (1000, 16), (4000, 64)):
        found = plan(workers, parts)
        held = memory * options.blobs / parts / 1e9
        wire = constants.wire_per_blob * options.blobs / parts / found.seconds / 1e6
        print(
            f"{parts:12}  {workers:7}  {hours(found.seconds):>8}  {found.shards / found.seconds:9.1f}  "
            f"{found.scheduler:9.1%}  {found.coordinator:11.1%}  {held:6.1f} GB  {wire:4.0f} MB  "
            f"{found.lost * parts / size:10.4%}"
        )
    if options.svg is not None:
        steps = [n * 10**power for power in range(4) for n in (1, 2, 5)]
        curves = [
            Curve(
                f"{options.petabytes * part:g} PB", [(n, plan(n, 1, part).seconds / 3600) for n in steps if n <= 2000]
            )
            for part in (1, 0.1, 0.01)
        ]
        title = f"Hours to verify, by the number of workers; {options.petabytes:g} PB are {options.blobs:,.0f} blobs"
        links = f"simulated: {options.worker_gbit:g} Gbit/s each, {options.storage_gbyte:g} GB/s from the storage"
        options.svg.write_text(draw(title, links, curves))


if __name__ == "__main__":
    main()
