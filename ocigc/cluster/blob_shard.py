"""Blobs of one layout, hashed by workers: the form of a shard, and of its result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ocigc.layout import blob_check
from ocigc.layout.dirfd import Dir
from ocigc.native import CHECKSUM, NEVER, Store, Verdict
from ocigc.progress import Report
from ocigc.times import SECOND


@dataclass(frozen=True, slots=True)
class BlobShard:
    """Blobs of the layout at a path below the root: digests of one algorithm, in ascending order and hexadecimal,
    without separators. No blob is begun after `seconds` seconds. A shard may run twice, even at the same time.
    """

    root: str
    path: str
    algorithm: str
    digests: str
    checksums: bool
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class BlobResult:
    """For each blob the Verdict, the size (bytes) and the stamp that the worker saw, and, if wanted, the XXH3-128, in
    hexadecimal, without separators. It took `seconds` seconds.
    """

    verdicts: tuple[int, ...]
    sizes: tuple[int, ...]
    stamps: tuple[int, ...]
    checksums: str
    seconds: float


def run(shard: BlobShard, report: Report) -> BlobResult:
    """Hashes a shard on one thread. Raises Refused and OSError where its layout cannot be read."""
    began = time.monotonic()
    deadline = NEVER if shard.seconds is None else time.monotonic_ns() + int(shard.seconds * SECOND)
    with Dir.at(shard.root) as root, root.below(*shard.path.split("/")) as layout:
        with Store.listed(layout.fd, shard.algorithm, bytes.fromhex(shard.digests)) as store:
            nodes = range(len(store))
            hashes = store.verify(nodes, 1, report, deadline=deadline, checksums=shard.checksums)
            for node, verdict in enumerate(hashes.verdicts):
                if verdict == Verdict.UNSUPPORTED:
                    hashes.verdicts[node] = blob_check.verdict(layout, store.digest(node))
            return BlobResult(
                tuple(hashes.verdicts),
                tuple(map(store.size, nodes)),
                tuple(map(store.stamp, nodes)),
                hashes.checksums.hex(),
                time.monotonic() - began,
            )


def fault(result: BlobResult, count: int, *, checksums: bool) -> str:
    """What is wrong with the form of a result for a shard of `count` blobs; empty if nothing is."""
    lists: Sequence[Sequence[int]] = (result.verdicts, result.sizes, result.stamps)
    if any(len(each) != count for each in lists):
        return "it does not have one entry per blob"
    known = frozenset(map(int, Verdict))
    if not known.issuperset(result.verdicts):
        return "it has an unknown verdict"
    try:
        found = len(bytes.fromhex(result.checksums))
    except ValueError:
        return "its checksums are not hexadecimal"
    if found != (CHECKSUM * count if checksums else 0):
        return "it does not have one checksum per blob"
    return "" if 0 <= result.seconds < inf else "its duration is not a number of seconds"
