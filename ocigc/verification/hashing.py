"""Hashes blobs: all of them, or those for which the ledger has no good record."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from ocigc.native import NEVER, Hashes, Ledger, Selection, Store, Verdict
from ocigc.progress import Report, Watcher
from ocigc.values import frozen, replace


class Scope(Enum):
    """Which blobs are read."""

    ALL = auto()
    CHANGED = auto()
    """Blobs that are new or were touched since they were verified."""
    QUICK = auto()
    """All blobs; those that the ledger knows are only compared with it."""
    OLDER = auto()
    """Blobs that were verified before an instant, the oldest first."""


@frozen
class HashTerms:
    """`before` is the instant of OLDER; `began` one before the scan. No blob is begun once the monotonic clock (in
    nanoseconds) is past the deadline. Threads are `jobs` (0: one per core).
    """

    scope: Scope = Scope.ALL
    began: int = 0
    before: int = 0
    deadline: int = NEVER
    jobs: int = 0


ALL_TERMS = HashTerms()


class Hasher(Protocol):
    """Hashes blobs of a layout: threads of this process do (`Store.verify`), or workers elsewhere."""

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
    ) -> Hashes: ...


@frozen
class Threads:
    """`jobs` threads of the core (0: one per core)."""

    jobs: int = 0

    def __call__(
        self,
        store: Store,
        nodes: array[int],
        report: Report | None,
        /,
        *,
        deadline: int = NEVER,
        in_order: bool = False,
        checksums: bool = False,
    ) -> Hashes:
        return store.verify(nodes, self.jobs, report, deadline=deadline, in_order=in_order, checksums=checksums)


@frozen
class BlobVerdicts:
    """The nodes to hash, with a Verdict for each; how many others were skipped, how many were compared and found
    unchanged, and how many were left because time was up.
    """

    nodes: array[int]
    verdicts: bytearray
    skipped: int = 0
    compared: int = 0
    left: int = 0
    troubles: Sequence[str] = ()


def read_blobs(
    store: Store,
    ledger: Ledger | None,
    nodes: array[int],
    watch: Watcher,
    terms: HashTerms,
    hasher: Hasher | None = None,
) -> BlobVerdicts:
    """Reads what the terms say, on threads or by the hasher, and records in the ledger what it finds. Without a ledger,
    the only scope is ALL.
    """
    by = Threads(terms.jobs) if hasher is None else hasher
    if ledger is None:
        hashes = by(store, nodes, watch("Verifying"), deadline=NEVER, in_order=False, checksums=False)
        return BlobVerdicts(nodes, hashes.verdicts, troubles=hashes.troubles)
    if terms.scope == Scope.QUICK:
        return _quick(store, ledger, nodes, watch, terms)
    wanted = nodes
    if terms.scope == Scope.CHANGED:
        wanted = ledger.select(nodes, Selection.CHANGED)
    elif terms.scope == Scope.OLDER:
        wanted = ledger.select(nodes, Selection.OLDER, terms.before)
    return replace(_hash(store, ledger, wanted, by, watch, terms), skipped=len(nodes) - len(wanted))


def _hash(
    store: Store, ledger: Ledger, nodes: array[int], by: Hasher, watch: Watcher, terms: HashTerms
) -> BlobVerdicts:
    in_order = terms.scope == Scope.OLDER
    hashes = by(store, nodes, watch("Verifying"), deadline=terms.deadline, in_order=in_order, checksums=True)
    ledger.update(nodes, hashes, terms.began)
    verdicts, left = hashes.verdicts, 0
    if Verdict.UNCHECKED in verdicts and _is_late(terms):
        done = [number for number, verdict in enumerate(verdicts) if verdict != Verdict.UNCHECKED]
        left = len(nodes) - len(done)
        nodes, verdicts = array("I", (nodes[n] for n in done)), bytearray(verdicts[n] for n in done)
    return BlobVerdicts(nodes, verdicts, left=left, troubles=hashes.troubles)


def _quick(store: Store, ledger: Ledger, nodes: array[int], watch: Watcher, terms: HashTerms) -> BlobVerdicts:
    """Compares blobs with the ledger, and hashes those that differ from it or are not in it."""
    known = ledger.select(nodes, Selection.RECORDED)
    unknown = ledger.select(nodes, Selection.UNRECORDED)
    verdicts = ledger.compare(known, terms.jobs, terms.deadline, watch("Comparing"))
    suspect = array("I", (node for node, verdict in zip(known, verdicts, strict=True) if verdict == Verdict.CORRUPT))
    same, open_ = verdicts.count(Verdict.SOUND), verdicts.count(Verdict.UNCHECKED)
    if open_ and not _is_late(terms):  # an interrupt
        rest = array("I", (node for node, verdict in zip(known, verdicts, strict=True) if verdict != Verdict.SOUND))
        return BlobVerdicts(rest + unknown, bytearray(len(rest) + len(unknown)), compared=same)
    hashed = _hash(store, ledger, suspect + unknown, Threads(terms.jobs), watch, terms)
    return replace(hashed, compared=same, left=hashed.left + open_)


def _is_late(terms: HashTerms) -> bool:
    return time.monotonic_ns() >= terms.deadline
