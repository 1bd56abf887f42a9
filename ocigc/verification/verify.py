"""Verifies one layout, and repairs it."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from ocigc.errors import MalformedError, UsageError
from ocigc.layout import history, lock
from ocigc.layout.completeness import incomplete_images
from ocigc.layout.damage import affected
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import TOLERATING_ALL, Snapshot, load, load_listed
from ocigc.native import NEVER, Detail, Store, Verdict
from ocigc.progress import SILENT, Watcher
from ocigc.times import Duration, nanoseconds
from ocigc.values import frozen, replace
from ocigc.verification import ledger
from ocigc.verification.hashing import Hasher, HashTerms, Scope
from ocigc.verification.scan import Verification, fault, reachable, verify_nodes

if TYPE_CHECKING:
    from datetime import timedelta

    from ocigc.layout.discover import Found
    from ocigc.verification.begin import Begun
    from ocigc.verification.fragment import Seen
    from ocigc.verification.shard import Shard


@frozen
class VerifyOptions:
    """How to verify, on `jobs` threads (0: one per core).

    With `reachable`, only what an image, a lease or a `gc.root` label reaches is hashed; with `deep`, layers are
    unpacked too; with `sparse`, no image has to be complete. `repair_from` are layouts to copy sound blobs from. `wait`
    is for the lock.

    A ledger in the layout records what was verified and when; each of the following makes one. `changed` hashes what is
    new or was touched since. `quick` compares content with what the ledger knows about it. `older_than` hashes what was
    verified longer ago than that, the oldest first. No blob is begun once the `budget` is used up. Both are nanoseconds
    or a `timedelta`.
    """

    jobs: int = 0
    reachable: bool = False
    wait: Duration = 0
    changed: bool = False
    quick: bool = False
    older_than: int | timedelta | None = None
    budget: int | timedelta | None = None
    deep: bool = False
    sparse: bool = False
    repair_from: Sequence[Layout] = ()

    @property
    def keeps_ledger(self) -> bool:
        """Whether a ledger is made where there is none."""
        return self.changed or self.quick or self.older_than is not None or self.budget is not None

    @property
    def way(self) -> dict[str, str]:
        """The options that all shards of one verification must have in common, as texts."""
        spans = {"older_than": self.older_than, "budget": self.budget}
        return {
            "reachable": str(self.reachable),
            "sparse": str(self.sparse),
            "changed": str(self.changed),
            "quick": str(self.quick),
            "ledger": str(self.keeps_ledger),
            **{name: "" if span is None else str(nanoseconds(span)) for name, span in spans.items()},
        }

    def terms(self, now: int) -> HashTerms:
        """What to read in a run that begins now. With only a budget, the oldest come first."""
        deadline = NEVER if self.budget is None else min(time.monotonic_ns() + nanoseconds(self.budget), NEVER)
        terms = HashTerms(began=now, deadline=deadline, jobs=self.jobs)
        if self.changed:
            return replace(terms, scope=Scope.CHANGED)
        if self.quick:
            return replace(terms, scope=Scope.QUICK)
        if self.older_than is not None or self.budget is not None:
            return replace(terms, scope=Scope.OLDER, before=now - nanoseconds(self.older_than or 0))
        return terms


@accepts_path
def verify(
    layout: Layout,
    options: VerifyOptions | None = None,
    *,
    watch: Watcher = SILENT,
    hasher: Hasher | None = None,
) -> Verification:
    """Verifies a layout, on threads or by the hasher if there is one. Raises UsageError where it is not a layout, and
    Refused where nothing can be checked."""
    began = time.monotonic()
    options = VerifyOptions() if options is None else options
    if layout.is_streamed and options.deep:
        raise UsageError(f"{layout.path}: layers of a compressed archive cannot be unpacked: decompress it first")
    if layout.is_archive and options.repair_from:
        raise UsageError(f"{layout.path}: an archive cannot be repaired: unpack it first")
    with ExitStack() as stack:
        if options.repair_from:
            _refuse_itself(layout, options.repair_from)
            state = stack.enter_context(lock.exclusive(layout, options.wait))
            for source in options.repair_from:
                stack.enter_context(lock.shared(source, options.wait))
            result = _mend(layout, options, state, watch)
            figures = {"corrupt": len(result.corrupt), "repaired": len(result.repaired or ())}
            history.append(layout, state, os.urandom(8).hex(), "verify --repair-from", figures, watch)
        else:
            stack.enter_context(lock.shared(layout, options.wait))
            snapshot, result, _ = _verified(layout, options, frozenset(), watch, hasher)
            result = _finished(snapshot, result, options, watch)
    return replace(result, seconds=round(time.monotonic() - began, 3))


def verify_begun(layout: Layout, begun: Begun, options: VerifyOptions, *, watch: Watcher = SILENT) -> Verification:
    """Goes on with a verification of all blobs that has begun. Raises as `verify`."""
    snapshot, result, _ = _verified(layout, options, frozenset(), watch, begun, begun=begun)
    result = _finished(snapshot, result, options, watch)
    return replace(result, seconds=round(time.monotonic() - begun.clock, 3))


def _finished(snapshot: Snapshot, result: Verification, options: VerifyOptions, watch: Watcher) -> Verification:
    """The result with the findings about images, and written into the history. Closes the store."""
    with snapshot.store:
        result = _completed(snapshot, result, options, watch)
        _record(snapshot, result, options, watch)
    return result


@frozen
class VerifySmall:
    """Verifies one layout of a tree on one thread. Gives None for a layout of more than `most` bytes, which is not
    read.
    """

    options: VerifyOptions
    most: int = 4 << 30

    def __call__(self, layout: Layout, _: Found, watch: Watcher) -> Verification | None:
        with Store.scan(layout.fd, detail=Detail.STATUS) as store:
            if sum(store.sizes()) > self.most:
                return None
        return verify(layout, replace(self.options, jobs=1), watch=watch)


def doubt(layout: Layout, result: Verification) -> str:
    """What is wrong with a result that another process has given of a layout; empty where nothing is. What it calls
    corrupt is hashed once more. Raises Refused and OSError where that cannot be done."""
    if wrong := fault(result):
        return wrong
    for algorithm in {digest.algorithm for digest in result.corrupt if digest.registered}:
        digests = [digest for digest in result.corrupt if digest.algorithm == algorithm]
        with Store.listed(layout.fd, algorithm, b"".join(bytes.fromhex(each.encoded) for each in digests)) as store:
            verdicts = store.verify(range(len(store)), 1).verdicts
            if Verdict.SOUND in verdicts:
                return f"it calls {store.digest(verdicts.index(Verdict.SOUND))} corrupt, which is sound"
    return ""


def verify_shard(
    layout: Layout, options: VerifyOptions, shard: Shard, *, path: str = "", watch: Watcher = SILENT
) -> Seen:
    """What a shard finds in a layout, which is at that path of a tree. Raises as `verify` does."""
    from ocigc.verification.fragment import Seen
    from ocigc.verification.shard import inventory

    began, clock = time.time_ns(), time.monotonic()
    with lock.shared(layout, options.wait):
        snapshot, result, _ = _verified(layout, options, frozenset(), watch, shard=shard)
        with snapshot.store as store:
            result = _completed(snapshot, result, options, watch)
            blobs = inventory(store, shard.of)
    result = replace(result, seconds=round(time.monotonic() - clock, 3))
    return Seen(path, snapshot.index.sha256, blobs, began, result)


def _refuse_itself(layout: Layout, sources: Sequence[Layout]) -> None:
    for source in sources:
        if os.path.sameopenfile(layout.fd, source.fd):
            raise UsageError(f"{source.path}: a layout cannot be repaired from itself")


def _verified(
    layout: Layout,
    options: VerifyOptions,
    hashed: frozenset[str],
    watch: Watcher,
    hasher: Hasher | None = None,
    shard: Shard | None = None,
    begun: Begun | None = None,
) -> tuple[Snapshot, Verification, array[int]]:
    """Verifies all that the options ask for, or a shard of it, except what has been `hashed` before. The caller closes
    the store.
    """
    now = time.time_ns() if begun is None else begun.began
    snapshot = _load(layout, now, watch, begun)
    try:
        store = snapshot.store
        nodes = reachable(snapshot, now) if options.reachable else array("I", range(len(store)))
        if hashed:
            nodes = array("I", (node for node in nodes if store.digest(node) not in hashed))
        if shard is not None:
            nodes = shard.pick(store, nodes)
        terms = options.terms(now)
        with ledger.open_ledger(layout, store, now, watch.note, make=options.keeps_ledger) as known:
            return snapshot, verify_nodes(snapshot, nodes, watch, known, terms, hasher), nodes
    except BaseException:
        snapshot.store.close()
        raise


def _load(layout: Layout, now: int, watch: Watcher, begun: Begun | None) -> Snapshot:
    if begun is not None:
        with suppress(MalformedError):  # somebody may be about to write index.json
            return load_listed(layout, begun.listing, now, watch)
    return load(layout, None, now, watch, TOLERATING_ALL)


def _completed(snapshot: Snapshot, result: Verification, options: VerifyOptions, watch: Watcher) -> Verification:
    """The result with the findings about images: what they lack, and what is wrong with them and with their layers."""
    faulty = {snapshot.store.digest(node) for node, _ in snapshot.store.faults()}
    states = {
        "corrupt": result.corrupt,
        "wrong size": result.wrong_size,
        "malformed": sorted(faulty.difference(result.corrupt)),
    }
    result = replace(
        result,
        incomplete=() if options.sparse else incomplete_images(snapshot),
        affected=affected(snapshot, states, result.missing),
        cut_off=_cut_off(snapshot.layout),
    )
    if not options.deep or result.unchecked:
        return result
    from ocigc.verification.layers import verify_layers

    return replace(result, deep=verify_layers(snapshot, options.jobs, watch))


def _cut_off(layout: Layout) -> str:
    return f"{layout.path}: {layout.trouble}" if layout.is_cut_off else ""


def _record(snapshot: Snapshot, result: Verification, options: VerifyOptions, watch: Watcher) -> None:
    """Writes the run into the history, if the layout has a state directory that may be written to. `whole` says that
    every blob was hashed."""
    layout, blobs = snapshot.layout, len(snapshot.store)
    with suppress(OSError), layout.dir.below(STATE) as state:
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=state.fd, effective_ids=True):
            return
        figures = {
            "images": len(snapshot.images),
            "blobs": blobs,
            "bytes": sum(snapshot.store.sizes()),
            "freed": 0,
            "trashed": 0,
            "whole": not options.reachable and result.checked == blobs,
            "corrupt": len(result.corrupt),
            "wrong_size": len(result.wrong_size),
            "incomplete": len({each.image.position for each in result.incomplete}),
        }
        history.append(layout, state, os.urandom(8).hex(), "verify", figures, watch)


def _mend(layout: Layout, options: VerifyOptions, state: Dir, watch: Watcher) -> Verification:
    """Verifies and repairs in turns, as a repaired manifest may refer to more missing blobs."""
    from ocigc.verification.repair import repair

    repaired: list[str] = []
    troubles: list[str] = []
    tried: set[str] = set()
    hashed: frozenset[str] = frozenset()
    total: Verification | None = None
    while True:
        snapshot, result, nodes = _verified(layout, options, hashed, watch)
        with snapshot.store as store:
            total = result if total is None else _added(total, result, repaired)
            wanted = [digest for digest in (*total.corrupt, *total.missing) if digest not in tried]
            if total.unchecked or not wanted:
                total = _completed(snapshot, total, options, watch)
                _record(snapshot, total, options, watch)
                break
            hashed |= frozenset(store.digests(nodes))
        for digest in wanted:
            tried.add(digest)
            with naming(f"{layout.path}/{STATE}"):
                done, failed = repair(layout, state, digest, list(options.repair_from))
            troubles += failed
            if done:
                repaired.append(digest)
        hashed -= frozenset(repaired)
    return replace(total, repaired=sorted(repaired), errors=sorted([*total.errors, *troubles]))


def _added(before: Verification, after: Verification, repaired: Sequence[str]) -> Verification:
    """Both results as one: `after` has read the whole graph again, but hashed only blobs new since `before`."""
    corrupt = set(before.corrupt) - set(repaired)
    return replace(
        after,
        checked=before.checked + after.checked,
        bytes=before.bytes + after.bytes,
        corrupt=sorted(corrupt | set(after.corrupt)),
        skipped=before.skipped + after.skipped,
        compared=before.compared + after.compared,
        left=before.left + after.left,
        unsupported=sorted({*before.unsupported, *after.unsupported}),
        errors=sorted({*before.errors, *after.errors}),
    )
