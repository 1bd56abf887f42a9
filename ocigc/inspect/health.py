"""The health of a layout: what is damaged or missing, when it was verified, what its trash takes, and the disk."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

from ocigc.errors import Refused
from ocigc.layout import history
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.history import Run
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Ledger, Selection, Store
from ocigc.pruning import trash
from ocigc.verification.ledger import NAME as LEDGER


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a layout. `device` identifies it; `total` and `free` are in bytes."""

    device: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Health:
    """Every blob has been verified since the instant `verified`, or was added since; None where that is unknown.
    `corrupt` is how many blobs the last verification found corrupt. `damaged` are messages, each about one manifest
    that cannot be read or trusted; `incomplete` is how many images lack something that they need. `refused` says why a
    prune would do nothing; empty where it would not be refused. The trash has `runs` runs, of `trashed` bytes.
    """

    verified: int | None = None
    corrupt: int = 0
    incomplete: int = 0
    damaged: Sequence[str] = field(default_factory=tuple)
    refused: str = ""
    runs: int = 0
    trashed: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is known to be wrong."""
        return not (self.corrupt or self.incomplete or self.damaged or self.refused)


def health_of(layout: Layout, snapshot: Snapshot, now: int, refused: str = "") -> Health:
    """The health of a layout at the instant `now`. `refused` is why there is no plan, if there is none. A ledger tells
    when blobs were verified, if the layout was read with their identities.
    """
    verified, corrupt = _verification(layout, snapshot.store, history.read(layout), now)
    incomplete = {each.image.position for each in incomplete_images(snapshot)}
    faults = [str(error) for _, error in snapshot.store.faults()]
    return Health(verified, corrupt, len(incomplete), faults, refused, *trash_of(layout))


def disk_of(layout: Layout) -> Disk | None:
    """The disk of a layout; None where the system does not tell."""
    try:
        status = os.fstatvfs(layout.fd)
        return Disk(os.fstat(layout.fd).st_dev, status.f_frsize * status.f_blocks, status.f_frsize * status.f_bavail)
    except OSError:
        return None


def trash_of(layout: Layout) -> tuple[int, int]:
    """The number of runs in the trash, and their bytes. What cannot be read does not count."""
    with suppress(OSError, Refused), layout.dir.below(STATE) as state:
        runs = trash.runs(state)
        return len(runs), sum(run.size for run in runs)
    return 0, 0


def _by_ledger(layout: Layout, store: Store, now: int) -> int | None:
    """The instant from which the blob that has waited longest for its verification has waited: when it was last
    verified, or when it came. None where the ledger of verify does not tell.
    """
    with suppress(OSError, Refused), layout.dir.below(STATE) as state:
        fd = state.open_plain(LEDGER)
        try:
            with closing(Ledger(store)) as ledger:
                ledger.read(fd, now)
                return _longest_wait(store, ledger, now)
        finally:
            os.close(fd)
    return None


def _longest_wait(store: Store, ledger: Ledger, now: int) -> int | None:
    nodes = array("I", range(len(store)))
    first = ledger.select(nodes, Selection.OLDER, now + 1)[:1]
    new = ledger.select(nodes, Selection.UNRECORDED)
    if len(new) == len(nodes):
        return None

    def older(instant: int) -> bool:
        return bool(ledger.select(first, Selection.OLDER, instant + 1))

    # A ledger can only select what is older than an instant, so a binary search finds the oldest.
    return min([bisect_left(range(now), True, key=older), *map(store.stamp, new)])


def _verification(layout: Layout, store: Store, runs: Sequence[Run], now: int) -> tuple[int | None, int]:
    """The instant since which every blob was verified or added, by the ledger or by the last run of verify that hashed
    everything; and how many blobs the last run found corrupt. None where neither tells.
    """
    verified = [run for run in runs if run.command == "verify"]
    corrupt = verified[-1].line.get("corrupt", 0) if verified else 0
    whole = [run.time for run in verified if run.line.get("whole", True)]
    times = [_by_ledger(layout, store, now), whole[-1] if whole else None]
    known = max((time for time in times if time is not None), default=None)
    return known, corrupt if isinstance(corrupt, int) else 0
