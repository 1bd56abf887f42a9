"""The images of one layout."""

from __future__ import annotations

import time

from ocigc.api.watch import SILENT, Watcher
from ocigc.container import InUse
from ocigc.rules.usage import Usage, usage
from ocigc.store import lock
from ocigc.store.contents import load, with_created
from ocigc.store.layout import Layout


def images(
    layout: Layout,
    *,
    in_use: InUse | None = None,
    repository: str | None = None,
    wait: float = 0,
    watch: Watcher = SILENT,
) -> list[Usage]:
    """The images by name, and what each costs. `repository` (normalised) owns bare tags; `wait` is in seconds.

    Raises UsageError where it is no layout, and Refused where it cannot be read.
    """
    now = time.time_ns()
    with lock.shared(layout, wait):
        loaded = with_created(load(layout, repository, now, watch))
        with loaded.store:
            loaded.store.survey(report=watch("Reading sizes"))
            leases = [lease for lease in loaded.leases if lease.active(now)]
            ordered = list(loaded.images.in_order())
            return usage(ordered, loaded.store, leases, InUse() if in_use is None else in_use)
