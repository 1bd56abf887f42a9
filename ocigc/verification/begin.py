"""Begins to verify a layout, before the modules that understand it are loaded: meanwhile, large blobs are hashed.

Most runs verify little, and spend a third of their time on what comes before the hashing. It keeps one core busy; now
the others do not wait for it.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

from ocigc.layout import lock
from ocigc.layout.layout import Layout
from ocigc.layout.listing import Listing, list_layout
from ocigc.native import Hashes, HashRun, Store
from ocigc.progress import Report, Watcher
from ocigc.times import Duration
from ocigc.values import frozen
from ocigc.verification.ledger import has_ledger


@frozen
class Begun:
    """A verification that began at the instant `began`, at `clock` seconds of the monotonic clock: the layout is
    listed, and all its blobs are being hashed. It is a `Hasher` of them, on `jobs` threads."""

    began: int
    clock: float
    jobs: int
    listing: Listing
    hashing: HashRun
    checksums: bool

    def __call__(
        self,
        store: Store,
        nodes: array[int],
        report: Report | None,
        /,
        *,
        deadline: int,
        in_order: bool,
        checksums: bool,
    ) -> Hashes:
        if store is self.listing.store and checksums <= self.checksums:
            return self.hashing.finish(report)
        # The layout was listed again, or has got a ledger since.
        return store.verify(nodes, self.jobs, report, deadline=deadline, in_order=in_order, checksums=checksums)


@contextmanager
def begin(layout: Layout, jobs: int, wait: Duration, watch: Watcher) -> Iterator[Begun]:
    """Begins to verify all of a layout on `jobs` threads (0: one per core), under its lock, for which this waits up to
    `wait`. Raises UsageError and Refused."""
    with lock.shared(layout, wait):
        began, clock = time.time_ns(), time.monotonic()
        listing = list_layout(layout, watch)
        with listing.store:
            checksums = has_ledger(layout)
            yield Begun(began, clock, jobs, listing, listing.store.begin_verify(jobs, checksums=checksums), checksums)
