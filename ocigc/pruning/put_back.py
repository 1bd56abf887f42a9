"""The way of a blob between the layout and a run's directory, besides the sweep: back, and its sidecar after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from ocigc.digest import Digest
from ocigc.labels import Lease
from ocigc.layout import leases
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import Snapshot, load
from ocigc.progress import Watcher
from ocigc.pruning import journal


def put_back(layout: Layout, run: Dir, digests: Iterable[Digest]) -> int:
    """Puts blobs that were taken out, and their sidecars, back in place; how many there were. Raises OSError."""
    wanted = [digest.parts for digest in digests]
    # The sidecars first, and durably: the blob is what a run that comes after an interruption looks for.
    if sum(_move(run, layout.dir, f"labels/{algorithm}", f"{encoded}.json") for algorithm, encoded in wanted):
        sync_directories(layout, "labels")
    count = sum(_move(run, layout.dir, f"blobs/{algorithm}", encoded) for algorithm, encoded in wanted)
    if count:
        sync_directories(layout, "blobs")
    return count


def take_out_sidecars(layout: Layout, run: Dir, digests: Iterable[Digest]) -> None:
    """Takes out the sidecars of blobs that an interrupted run has taken out. Raises OSError."""
    for digest in digests:
        algorithm, encoded = digest.parts
        _move(layout.dir, run, f"labels/{algorithm}", f"{encoded}.json")


def sync_directories(layout: Layout, top: str) -> None:
    """Makes what was moved below `blobs` or `labels` durable: one sync a directory, none a blob. Raises OSError."""
    for name in layout.dir.names_below(top):
        with suppress(NotADirectoryError), layout.dir.below(top, name) as directory:
            directory.sync()


def _move(source: Dir, target: Dir, path: str, name: str) -> bool:
    with suppress(FileNotFoundError):
        with source.below(*path.split("/")) as source_parent, target.below(*path.split("/")) as target_parent:
            if target_parent.exists(name):
                return False
            source_parent.rename(name, target_parent)
        return True
    return False


@dataclass(frozen=True, slots=True)
class Roots:
    """What other tools may change to hold blobs while we run: index.json (its SHA-256) and the leases."""

    index: str
    leases: Sequence[Lease]

    @classmethod
    def read(cls, layout: Layout) -> Roots:
        return cls(journal.index_digest(layout.dir), leases.load(layout.dir))


def reload(layout: Layout, run: Dir, now: int, watch: Watcher) -> tuple[Snapshot, Roots]:
    """Reads the layout anew and puts back all that it needs of what has been taken out."""
    while True:
        snapshot = load(layout, None, now, watch, record=True)
        with snapshot.store as store:
            named = set(chain.from_iterable(snapshot.index.entries.references().values()))
            named |= {digest for lease in snapshot.leases if lease.active(now) for digest in lease.resources}
            # A label may hold anything, but a path is made of digests only.
            digests = {Digest(each) for each in named if Digest.recognises(each)}
            missing = {digest for digest in digests if store.find(digest) is None}
            missing |= snapshot.absent | set(store.missing())
        # What comes back may be a manifest that needs more.
        if not put_back(layout, run, missing):
            break
    snapshot = load(layout, None, now, watch)
    return snapshot, Roots(snapshot.index.sha256, snapshot.leases)
