"""Whether a layout is consistent, without hashing its layers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from ocigc.api.watch import SILENT, Watcher
from ocigc.errors import CorruptError, MalformedError
from ocigc.rules.holding import holding
from ocigc.store import files, journal, lock, sidecars, trash
from ocigc.store.contents import Loaded, load
from ocigc.store.layout import STATE, Layout
from ocigc.store.verification import wrong_sizes

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is not as it should be. `absent` (digests that something refers to) and `orphans` (a count) are normal, and
    no finding; `unknown_files` names at most a thousand.
    """

    absent: Sequence[str]
    orphans: int
    absent_images: Sequence[str]
    wrong_size: Sequence[str]
    malformed: Sequence[str]
    unknown_files: Sequence[str]
    stray_sidecars: Sequence[str]
    expired_leases: Sequence[str]
    leases_of_absent: Sequence[str]
    interrupted_runs: Sequence[str]
    expired_trash: Sequence[str]
    errors: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not any(getattr(self, field.name) for field in fields(self) if field.name not in ("absent", "orphans"))


def check(layout: Layout, *, wait: float = 0, watch: Watcher = SILENT) -> Findings:
    """Checks a layout. Raises UsageError where it is none, and Refused where it cannot be read."""
    now = time.time_ns()
    with lock.shared(layout, wait):
        loaded = load(layout, None, now, watch, record=True)
        with loaded.store as store:
            faults = [(f"{store.digest(node)}: {error}", error) for node, error in store.faults()]
            bad = (MalformedError, CorruptError)
            active = [lease for lease in loaded.leases if lease.active(now)]
            holders = store.holders(holding(loaded.images.roots(store), active, store.label_roots(), store))
            return Findings(
                absent=sorted(set(store.missing())),
                orphans=len(holders.unheld()),
                absent_images=[i.familiar for i in loaded.images if store.find(i.target.digest) is None],
                wrong_size=wrong_sizes(loaded),
                malformed=sorted(line for line, error in faults if isinstance(error, bad)),
                unknown_files=[f"blobs/{name}" for name in store.foreign()[1]],
                stray_sidecars=list(_stray_sidecars(loaded)),
                expired_leases=[lease.id for lease in loaded.leases if not lease.active(now)],
                leases_of_absent=[
                    f"{lease.id}: {digest}"
                    for lease in active
                    for digest in lease.resources
                    if store.find(digest) is None
                ],
                interrupted_runs=[f"{STATE}/{journal.RUN}"] if journal.pending_below(layout) else [],
                expired_trash=_expired_trash(layout, now),
                errors=sorted(line for line, error in faults if not isinstance(error, bad)),
            )


def _stray_sidecars(loaded: Loaded) -> Iterator[str]:
    """Sidecars of blobs that are not there, and what is no sidecar."""
    layout = loaded.layout.fd
    with files.naming(sidecars.DIRECTORY):
        for algorithm in files.listing(layout, sidecars.DIRECTORY):
            with files.directory(layout, sidecars.DIRECTORY) as labels:
                names = files.listing(labels, algorithm)
            for name in names:
                digest = f"{algorithm}:{name.removesuffix(_SUFFIX)}"
                if not name.endswith(_SUFFIX) or loaded.store.find(digest) is None:
                    yield f"{sidecars.DIRECTORY}/{algorithm}/{name}"


def _expired_trash(layout: Layout, now: int) -> list[str]:
    try:
        with files.directory(layout.fd, STATE) as state:
            journals = [trashed.journal for trashed in trash.runs(state)]
    except FileNotFoundError:
        return []
    return [each.id for each in journals if each.expires is not None and each.expires < now]
