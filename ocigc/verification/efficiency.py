"""Measures how close verification comes to the limits of the machine.

Verify is compared with the machine, not with another program: `efficiency` is the larger of two ratios. One compares
the rate of verify with that of the hash core for messages in memory, on all cores at once. The other compares it with
the rate at which many readers that do nothing else read the same files. The larger ratio shows which of the two is the
limit; 1 means that it is reached.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable

from ocigc.errors import Refused
from ocigc.layout.layout import Layout
from ocigc.native import Detail, Store, Verdict, hash_core, hash_messages, map_blobs
from ocigc.progress import SILENT, Watcher
from ocigc.values import frozen

_MESSAGES, _MESSAGE_BYTES = 64, 1 << 18  # of a core: 16 MiB, so more than its own caches have
_READERS = 8  # for each core
_SEED = 1  # of the sample


@frozen
class Rate:
    """A rate: the bytes or files of one round, and the seconds that each round took."""

    amount: int
    seconds: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """The median of the rounds."""
        return self.amount / max(statistics.median(self.seconds), 1e-9)


@frozen
class Efficiency:
    """What was measured on so many `cores`, with the hash core that is called `kernel`.

    `core` is the rate of all cores in memory; `reading` and `verifying` are of the same blobs, in bytes. With `whole`,
    the command verified all blobs, and its start-up counts; otherwise a sample was verified, without start-up. With
    `cold`, the blobs were not in memory. `names` and `statuses` are of a scan, in blobs.
    """

    cores: int
    kernel: str
    core: Rate
    reading: Rate
    verifying: Rate
    whole: bool
    cold: bool
    names: Rate
    statuses: Rate

    @property
    def of_core(self) -> float:
        """The rate of verify, as a part of that of the hash core."""
        return self.verifying.per_second / self.core.per_second

    @property
    def of_reading(self) -> float:
        """The rate of verify, as a part of that of reading."""
        return self.verifying.per_second / self.reading.per_second

    @property
    def efficiency(self) -> float:
        """The larger of both."""
        return max(self.of_core, self.of_reading)


def measure_efficiency(layout: Layout, *, rounds: int, limit: int, cold: bool, watch: Watcher = SILENT) -> Efficiency:
    """Measures each rate in several rounds. If the store has more than `limit` bytes, a random sample is read and
    verified. With `cold`, the kernel is asked to forget the blobs before each round; it keeps those that others use.

    Raises UsageError where it is not a layout, and Refused where there is nothing to measure or a blob is not sound.
    """
    cores = len(os.sched_getaffinity(0))
    names = Rate(*_scans(layout, Detail.NAMES, rounds))
    statuses = Rate(*_scans(layout, Detail.STATUS, rounds))
    with Store.scan(layout.fd, watch("Scanning blobs"), Detail.STATUS) as store:
        nodes, whole = _sample(store, limit)
        hash_on_all, hashed = _core_work(cores)

        def fresh() -> None:
            if cold:
                store.forget(nodes)

        size = store.read_all(nodes, _READERS * cores, watch("Reading blobs"))
        if not size:
            raise Refused(f"{layout.path}: there is nothing to read, so there is nothing to measure")
        watch("Hashing, reading and verifying in turns")
        map_blobs()
        verify = (lambda: _command(layout.path)) if whole else (lambda: _verify(store, nodes, layout.path))
        # In turns, so that other work on the machine affects all of them alike.
        turns = [
            (
                _timed(1, _nothing, hash_on_all),
                _timed(1, fresh, lambda: store.read_all(nodes, _READERS * cores)),
                _timed(1, fresh, verify),
            )
            for _ in range(rounds)
        ]
    core_seconds, read_seconds, verify_seconds = (sum(each, ()) for each in zip(*turns, strict=True))
    core, read, verifying = Rate(hashed, core_seconds), Rate(size, read_seconds), Rate(size, verify_seconds)
    return Efficiency(cores, hash_core(), core, read, verifying, whole, cold, names, statuses)


def _nothing() -> None:
    """Prepares nothing."""


def _timed(rounds: int, before: Callable[[], None], work: Callable[[], object]) -> tuple[float, ...]:
    seconds = []
    for _ in range(rounds):
        before()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return tuple(seconds)


def _scans(layout: Layout, detail: Detail, rounds: int) -> tuple[int, tuple[float, ...]]:
    count = 0

    def scan() -> None:
        nonlocal count
        with Store.scan(layout.fd, detail=detail) as store:
            count = len(store)

    seconds = _timed(rounds, _nothing, scan)
    return count, seconds


def _sample(store: Store, limit: int) -> tuple[array[int], bool]:
    """Nodes of at most the given number of bytes, but at least one; and whether these are all."""
    sizes = store.sizes()
    if sum(sizes) <= limit:
        return array("I", range(len(sizes))), True
    order = list(range(len(sizes)))
    random.Random(_SEED).shuffle(order)
    found, left = array("I"), limit
    for node in order:
        if sizes[node] <= left:
            found.append(node)
            left -= sizes[node]
    return found or array("I", order[:1]), False


def _core_work(cores: int) -> tuple[Callable[[], None], int]:
    """Hashes in memory on all cores for a while; gives how many bytes."""
    messages = [[os.urandom(_MESSAGE_BYTES) for _ in range(_MESSAGES)] for _ in range(cores)]
    repeats = _repeats(messages[0])

    def hash_repeatedly(own: list[bytes]) -> None:
        for _ in range(repeats):
            hash_messages(own)

    def hash_on_all() -> None:
        threads = [threading.Thread(target=hash_repeatedly, args=(own,)) for own in messages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return hash_on_all, cores * repeats * _MESSAGES * _MESSAGE_BYTES


def _repeats(messages: list[bytes]) -> int:
    """How many rounds of hashing these messages take a third of a second."""
    hash_messages(messages)
    start = time.perf_counter()
    hash_messages(messages)
    return max(1, int(0.3 / (time.perf_counter() - start)))


def _command(path: str) -> None:
    """Runs `ocigc verify` itself, from start to end: that is the time for which people wait."""
    command = [sys.executable, "-P", "-m", "ocigc", "verify", "--", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise Refused(f"{path}: verify failed: {done.stderr.strip()}")


def _verify(store: Store, nodes: array[int], path: str) -> None:
    if set(store.verify(nodes).verdicts) - {Verdict.SOUND}:
        raise Refused(f"{path}: not every blob is sound: verify it first")
