"""Which blobs a verification reads, what for, and for how long: with a ledger, it need not be all of them."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from ocigc.native import NEVER, Ledger, Report, Selection, Store, Verdict


class Scope(Enum):
    """What is read."""

    ALL = auto()
    CHANGED = auto()
    """What is new or was touched since it was verified."""
    QUICK = auto()
    """All, but only compared where the ledger knows the content."""
    OLDER = auto()
    """What was verified before an instant, the oldest first."""


@dataclass(frozen=True, slots=True)
class Terms:
    """`before` is the instant of OLDER; `began` one before the scan. No blob is begun once the monotonic clock (in
    nanoseconds) is past the deadline.
    """

    scope: Scope = Scope.ALL
    began: int = 0
    before: int = 0
    deadline: int = NEVER


ALL = Terms()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The nodes that were to be hashed, and a Verdict for each; how many others were skipped, were compared and found
    the same, or were left as time was up.
    """

    nodes: array[int]
    verdicts: bytearray
    skipped: int = 0
    compared: int = 0
    left: int = 0


def verify(
    store: Store,
    ledger: Ledger | None,
    nodes: array[int],
    jobs: int,
    phase: Callable[[str], Report | None],
    terms: Terms,
) -> Outcome:
    """Reads what the terms say; records in the ledger what it finds. Without one there is only ALL."""
    if ledger is None:
        return Outcome(nodes, store.verify(nodes, jobs, phase("Verifying")))
    if terms.scope == Scope.QUICK:
        return _quick(ledger, nodes, jobs, phase, terms)
    wanted = nodes
    if terms.scope == Scope.CHANGED:
        wanted = ledger.select(nodes, Selection.CHANGED)
    elif terms.scope == Scope.OLDER:
        wanted = ledger.select(nodes, Selection.OLDER, terms.before)
    return _hash(ledger, wanted, jobs, phase, terms, skipped=len(nodes) - len(wanted))


def _hash(
    ledger: Ledger,
    nodes: array[int],
    jobs: int,
    phase: Callable[[str], Report | None],
    terms: Terms,
    *,
    skipped: int = 0,
    compared: int = 0,
    left: int = 0,
) -> Outcome:
    in_order = terms.scope == Scope.OLDER
    verdicts = ledger.verify(nodes, jobs, terms.deadline, terms.began, phase("Verifying"), in_order=in_order)
    if Verdict.UNCHECKED in verdicts and _is_late(terms):
        done = [number for number, verdict in enumerate(verdicts) if verdict != Verdict.UNCHECKED]
        left += len(nodes) - len(done)
        nodes, verdicts = array("I", (nodes[n] for n in done)), bytearray(verdicts[n] for n in done)
    return Outcome(nodes, verdicts, skipped, compared, left)


def _quick(
    ledger: Ledger, nodes: array[int], jobs: int, phase: Callable[[str], Report | None], terms: Terms
) -> Outcome:
    """What is not the same as the ledger says, or is not in it, is hashed."""
    known = ledger.select(nodes, Selection.RECORDED)
    unknown = ledger.select(nodes, Selection.UNRECORDED)
    verdicts = ledger.compare(known, jobs, terms.deadline, phase("Comparing"))
    suspect = array("I", (node for node, verdict in zip(known, verdicts, strict=True) if verdict == Verdict.CORRUPT))
    same, open_ = verdicts.count(Verdict.SOUND), verdicts.count(Verdict.UNCHECKED)
    if open_ and not _is_late(terms):  # an interrupt
        rest = array("I", (node for node, verdict in zip(known, verdicts, strict=True) if verdict != Verdict.SOUND))
        return Outcome(rest + unknown, bytearray(len(rest) + len(unknown)), compared=same)
    return _hash(ledger, suspect + unknown, jobs, phase, terms, compared=same, left=open_)


def _is_late(terms: Terms) -> bool:
    return time.monotonic_ns() >= terms.deadline
