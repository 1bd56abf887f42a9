"""Verification: every blob against its name, every descriptor's size, every reachable manifest's form."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocigc.errors import CorruptError, MalformedError, OcigcError
from ocigc.native import NO_NODE, Ledger, Store, Verdict
from ocigc.rules.holding import holding
from ocigc.store import blake3_blobs, scrub
from ocigc.store.contents import Loaded, Phase

if TYPE_CHECKING:
    from ocigc.store.deep import Deep

_UNSOUND = {
    Verdict.CHANGED: "changed while it was read",
    Verdict.UNREADABLE: "cannot be read",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """Digests by what was found of them. `checked` counts the blobs that were hashed, `bytes` what they hold.

    `malformed` are reachable manifests that are no such thing though their digest is right; `errors` tell what could
    not be checked. `unchecked` blobs were left when an interrupt came. Where a ledger is used, `skipped` blobs were not
    touched (or verified recently enough), `compared` ones have the content that the ledger knows, and for `left` there
    was no time. `repaired` and `deep` are None where nobody asked for that.
    """

    checked: int
    bytes: int
    corrupt: Sequence[str]
    wrong_size: Sequence[str]
    missing: Sequence[str]
    unsupported: Sequence[str]
    malformed: Sequence[str]
    errors: Sequence[str]
    unchecked: int = 0
    skipped: int = 0
    compared: int = 0
    left: int = 0
    repaired: Sequence[str] | None = None
    deep: Deep | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with what was checked."""
        return not (self.corrupt or self.wrong_size or self.malformed) and (self.deep is None or self.deep.sound)


def together(layouts: Sequence[Verification], errors: Sequence[str]) -> Verification:
    """What was found in several layouts, and what went wrong besides."""

    def union(lists: Iterable[Sequence[str]]) -> list[str]:
        return sorted({digest for each in lists for digest in each})

    return Verification(
        checked=sum(each.checked for each in layouts),
        bytes=sum(each.bytes for each in layouts),
        corrupt=union(each.corrupt for each in layouts),
        wrong_size=union(each.wrong_size for each in layouts),
        missing=union(each.missing for each in layouts),
        unsupported=union(each.unsupported for each in layouts),
        malformed=union(each.malformed for each in layouts),
        errors=[*union(each.errors for each in layouts), *errors],
        unchecked=sum(each.unchecked for each in layouts),
        skipped=sum(each.skipped for each in layouts),
        compared=sum(each.compared for each in layouts),
        left=sum(each.left for each in layouts),
    )


def reachable(loaded: Loaded, now: int) -> array[int]:
    """The nodes that an image, a lease that is active at the instant `now`, or a `gc.root` label holds."""
    store = loaded.store
    active = [lease for lease in loaded.leases if lease.active(now)]
    groups = holding(loaded.images.roots(store), active, store.label_roots(), store)
    return store.holders(groups).held(0, len(groups))


def verify(
    loaded: Loaded,
    nodes: array[int],
    jobs: int,
    phase: Phase,
    ledger: Ledger | None = None,
    terms: scrub.Terms = scrub.ALL,
) -> Verification:
    """Verifies nodes of a layout that was loaded with `record`; `jobs` threads, 0 for one a core."""
    store = loaded.store
    outcome = scrub.verify(store, ledger, nodes, jobs, phase, terms)
    nodes, verdicts = outcome.nodes, outcome.verdicts
    by_verdict: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        if verdicts[number] == Verdict.UNSUPPORTED:
            verdicts[number] = blake3_blobs.verdict(loaded.layout.fd, store.digest(node))
        if verdicts[number] != Verdict.SOUND:
            by_verdict.setdefault(verdicts[number], []).append(node)

    corrupt = set(store.digests(by_verdict.get(Verdict.CORRUPT, ())))
    malformed, errors = _faults(store, corrupt)
    for verdict, what in _UNSOUND.items():
        errors += [f"{store.digest(node)}: {what}" for node in by_verdict.get(verdict, ())]
    checked = [
        node for node, verdict in zip(nodes, verdicts, strict=True) if verdict in (Verdict.SOUND, Verdict.CORRUPT)
    ]
    return Verification(
        checked=len(checked),
        bytes=sum(map(store.size, checked)),
        corrupt=sorted(corrupt),
        wrong_size=wrong_sizes(loaded),
        missing=sorted(loaded.absent | set(store.missing())),
        unsupported=list(store.digests(by_verdict.get(Verdict.UNSUPPORTED, ()))),
        malformed=sorted(malformed),
        errors=sorted(errors),
        unchecked=len(by_verdict.get(Verdict.UNCHECKED, ())),
        skipped=outcome.skipped,
        compared=outcome.compared,
        left=outcome.left,
    )


def _faults(store: Store, corrupt: set[str]) -> tuple[list[str], list[str]]:
    """What is wrong with manifests besides a digest that the hashing reports anyway."""
    malformed: list[str] = []
    errors: list[str] = []
    for node, fault in store.faults():
        digest = store.digest(node)
        if digest in corrupt or isinstance(fault, CorruptError):
            corrupt.add(digest)
        else:
            (malformed if isinstance(fault, MalformedError) else errors).append(_naming(digest, fault))
    return malformed, errors


def _naming(digest: str, fault: OcigcError) -> str:
    message = str(fault)
    return message if digest in message else f"{digest}: {message}"


def wrong_sizes(loaded: Loaded) -> list[str]:
    """The digests of blobs whose size is not what a descriptor says, of a layout that was loaded with `record`."""
    store = loaded.store
    wrong = set(store.digests(store.wrong_sizes()))
    for node, size in zip(loaded.targets, loaded.index.entries.sizes(), strict=True):
        if node != NO_NODE and store.size(node) != size:
            wrong.add(store.digest(node))
    return sorted(wrong)
