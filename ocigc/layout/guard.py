"""Keeps a layout whole while a program that knows nothing of ocigc writes to it.

No prune can start meanwhile: the lock is held, and the program inherits it, so that it is held for as long as the
program runs whatever becomes of us. Where locks do not reach (another machine, a file system without them), leases on
all that is present do the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice

from ocigc.digest import Digest
from ocigc.errors import UsageError
from ocigc.labels import EXPIRE_LABEL, FLAT_LABEL, Lease
from ocigc.layout import leases, lock
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.native import Store
from ocigc.times import SECOND, format_rfc3339

_LEASED_FOR = 7 * 86_400 * SECOND  # what a crash leaves behind ends by itself
_PER_LEASE = 200_000  # digests: a file of some 20 MB


@contextmanager
def guard(layout: Layout, wait: float) -> Iterator[int]:
    """Holds off every prune of a layout until the block ends; waits up to `wait` seconds for one that runs.

    Gives the descriptor of the lock, for the program to inherit. Raises Refused.
    """
    with lock.writing(layout, wait) as (state, descriptor):
        made = _lease_all(layout, state)
        try:
            yield descriptor
        finally:
            for identity in made:
                with suppress(UsageError):  # somebody has released it
                    leases.release(layout.dir, identity)


def _lease_all(layout: Layout, state: Dir) -> list[str]:
    """Flat leases on every blob that is present; their names."""
    now = time.time_ns()
    run = f"run-{os.urandom(4).hex()}"
    labels = {EXPIRE_LABEL: format_rfc3339(now + _LEASED_FOR), FLAT_LABEL: "true"}
    made: list[str] = []
    with Store.scan(layout.fd) as store:
        present: Iterator[Digest] = store.digests(range(len(store)))
        for number in count(1):
            resources = tuple(islice(present, _PER_LEASE))
            if not resources:
                return made
            lease = Lease(f"{run}-{number}", labels, resources, format_rfc3339(now))
            leases.create(layout.dir, state, lease)
            made.append(lease.id)
    return made
