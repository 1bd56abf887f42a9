"""How a layout fares: what is damaged or lacking, when it was verified, what its trash takes, and what the disk has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ocigc.errors import Refused
from ocigc.inspect.history import Run
from ocigc.layout.layout import STATE, Layout
from ocigc.pruning import trash


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a layout: `device` tells it from others; `total` and `free` are in bytes."""

    device: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Health:
    """`verified` is the instant of the last verification of all blobs that the history knows, None where it knows none;
    `corrupt` is how many blobs that found corrupt. `damaged` are messages, each of one manifest that cannot be read or
    believed; `incomplete` is how many images lack something that they need. `refused` says why a prune would do
    nothing; empty where it would not. The trash has so many `runs`, of `trashed` bytes.
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


def disk_of(layout: Layout) -> Disk | None:
    """The disk of a layout, None where the system does not say."""
    try:
        status = os.fstatvfs(layout.fd)
        return Disk(os.fstat(layout.fd).st_dev, status.f_frsize * status.f_blocks, status.f_frsize * status.f_bavail)
    except OSError:
        return None


def trash_of(layout: Layout) -> tuple[int, int]:
    """How many runs are in the trash, and the bytes that they take. What cannot be read does not count."""
    with suppress(OSError, Refused), layout.dir.below(STATE) as state:
        runs = trash.runs(state)
        return len(runs), sum(run.size for run in runs)
    return 0, 0


def last_verified(runs: Sequence[Run]) -> tuple[int | None, int]:
    """When everything was verified for the last time, and how many blobs that found corrupt."""
    for run in reversed(runs):
        if run.command == "verify":
            corrupt = run.line.get("corrupt", 0)
            return run.time, corrupt if isinstance(corrupt, int) else 0
    return None, 0
