"""Verifying one layout."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass

from ocigc.api.watch import SILENT, Watcher
from ocigc.store import lock
from ocigc.store.contents import load
from ocigc.store.layout import Layout
from ocigc.store.verification import Verification, reachable
from ocigc.store.verification import verify as verify_nodes


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`jobs` threads, 0 for one a core; with `reachable` only what an image, a lease or a `gc.root` label holds is
    hashed; `wait` is in seconds.
    """

    jobs: int = 0
    reachable: bool = False
    wait: float = 0


def verify(layout: Layout, options: VerifyOptions, *, watch: Watcher = SILENT) -> Verification:
    """What is found in a layout. Raises UsageError where it is none, and Refused where nothing can be checked."""
    with lock.shared(layout, options.wait):
        now = time.time_ns()
        loaded = load(layout, None, now, watch, record=True)
        with loaded.store as store:
            nodes = reachable(loaded, now) if options.reachable else array("I", range(len(store)))
            return verify_nodes(loaded, nodes, options.jobs, watch)
