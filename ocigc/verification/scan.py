"""Verifies blobs: every blob against its name, the size in every descriptor, and the form of every reachable
manifest.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError, OcigcError
from ocigc.layout import blob_check
from ocigc.layout.snapshot import Snapshot
from ocigc.native import NO_NODE, Ledger, Store, Verdict
from ocigc.progress import Watcher
from ocigc.values import frozen, replace
from ocigc.verification.hashing import ALL_TERMS, Hasher, HashTerms, read_blobs

if TYPE_CHECKING:
    from ocigc.layout.completeness import Incomplete
    from ocigc.layout.damage import Affected
    from ocigc.verification.layers import LayerFindings


T = TypeVar("T", bound=str)

_UNSOUND = {
    Verdict.CHANGED: "changed while it was read",
    Verdict.UNREADABLE: "cannot be read",
}


@frozen
class Verification:
    """The result of a verification: digests by finding. `checked` blobs, of `bytes` bytes, were hashed. `malformed` are
    reachable manifests whose digest is right but whose form is not; `errors` say what could not be checked. `unchecked`
    blobs were left when an interrupt came.

    With a ledger, `skipped` blobs were verified recently enough and not read, `compared` ones have the content that the
    ledger knows, and `left` ones were not reached in time. `repaired` and `deep` are None if they were not asked for.
    `incomplete` are images that lack something; `affected` says for each bad or missing blob which images have it. The
    run took `seconds`. `cut_off` says where an archive ends too soon.
    """

    checked: int
    bytes: int
    corrupt: Sequence[Digest]
    wrong_size: Sequence[Digest]
    missing: Sequence[Digest]
    unsupported: Sequence[Digest]
    malformed: Sequence[str]
    errors: Sequence[str]
    unchecked: int = 0
    skipped: int = 0
    compared: int = 0
    left: int = 0
    repaired: Sequence[str] | None = None
    deep: LayerFindings | None = None
    incomplete: Sequence[Incomplete] = ()
    affected: Sequence[Affected] = ()
    seconds: float = 0
    cut_off: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with what was checked, and no image lacks anything."""
        found = self.corrupt or self.wrong_size or self.malformed or self.incomplete or self.cut_off
        return not found and (self.deep is None or self.deep.sound)


def fault(result: Verification) -> str:
    """What no verification finds, in a result that has come from elsewhere; empty where all may be true."""
    counts = (result.checked, result.bytes, result.unchecked, result.skipped, result.compared, result.left)
    if min(*counts, result.seconds) < 0:
        return "it has counted less than nothing"
    lines = (*result.malformed, *result.errors, result.cut_off)
    return "" if all(line.isprintable() for line in lines) else "its messages have characters that nobody can read"


def together(members: Sequence[tuple[str, Verification]], errors: Sequence[str]) -> Verification:
    """The results of several layouts, each by its path, and other errors."""
    layouts = [each for _, each in members]

    def union(lists: Iterable[Sequence[T]]) -> list[T]:
        return sorted({item for each in lists for item in each})

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
        incomplete=[replace(found, layout=name) for name, each in members for found in each.incomplete],
        affected=[found for each in layouts for found in each.affected],
    )


def reachable(snapshot: Snapshot, now: int) -> array[int]:
    """The nodes that an image, a lease that is active at the instant `now`, or a `gc.root` label reaches."""
    groups = snapshot.roots(now)
    return snapshot.store.mark(groups).owned(0, len(groups))


def verify_nodes(
    snapshot: Snapshot,
    nodes: array[int],
    watch: Watcher,
    ledger: Ledger | None = None,
    terms: HashTerms = ALL_TERMS,
    hasher: Hasher | None = None,
) -> Verification:
    """Verifies nodes of a layout that was loaded with `Tolerated.ALL`, on threads or by the hasher."""
    store = snapshot.store
    outcome = read_blobs(store, ledger, nodes, watch, terms, hasher)
    nodes, verdicts = outcome.nodes, outcome.verdicts
    by_verdict: dict[int, list[int]] = {}
    for number in [number for number, verdict in enumerate(verdicts) if verdict != Verdict.SOUND]:
        node = nodes[number]
        if verdicts[number] == Verdict.UNSUPPORTED:
            verdicts[number] = blob_check.verdict(snapshot.layout.dir, store.digest(node))
        if verdicts[number] != Verdict.SOUND:
            by_verdict.setdefault(verdicts[number], []).append(node)

    corrupt = set(store.digests(by_verdict.get(Verdict.CORRUPT, ())))
    malformed, errors = _faults(store, corrupt)
    errors += outcome.troubles
    for verdict, what in _UNSOUND.items():
        errors += [f"{store.digest(node)}: {what}" for node in by_verdict.get(verdict, ())]
    hashed = (Verdict.SOUND, Verdict.CORRUPT)
    checked = [node for node, verdict in zip(nodes, verdicts, strict=True) if verdict in hashed]
    sizes = store.sizes() if checked else ()
    return Verification(
        checked=len(checked),
        bytes=sum(map(sizes.__getitem__, checked)),
        corrupt=sorted(corrupt),
        wrong_size=wrong_sizes(snapshot),
        missing=sorted(snapshot.absent | set(store.missing())),
        unsupported=sorted(store.digests(by_verdict.get(Verdict.UNSUPPORTED, ()))),
        malformed=sorted(malformed),
        errors=sorted(errors),
        unchecked=len(by_verdict.get(Verdict.UNCHECKED, ())),
        skipped=outcome.skipped,
        compared=outcome.compared,
        left=outcome.left,
    )


def _faults(store: Store, corrupt: set[Digest]) -> tuple[list[str], list[str]]:
    """What is wrong with manifests, apart from digests, which the hashing reports."""
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


def wrong_sizes(snapshot: Snapshot) -> list[Digest]:
    """The digests of blobs whose size differs from a descriptor. The layout must have been read with `record`."""
    store = snapshot.store
    wrong, sizes = set(store.digests(store.wrong_sizes())), store.sizes()
    for node, size in zip(snapshot.targets, snapshot.index.entries.sizes(), strict=True):
        if node != NO_NODE and sizes[node] != size:
            wrong.add(store.digest(node))
    return sorted(wrong)
