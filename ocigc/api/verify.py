"""Verifying one layout, and mending it."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ocigc.api.watch import SILENT, Watcher
from ocigc.errors import UsageError
from ocigc.store import files, lock
from ocigc.store.contents import Loaded, load
from ocigc.store.deep import look_into
from ocigc.store.layout import STATE, Layout
from ocigc.store.repair import repair
from ocigc.store.verification import Verification, reachable
from ocigc.store.verification import verify as verify_nodes


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`jobs` threads, 0 for one a core; with `reachable` only what an image, a lease or a `gc.root` label holds is
    hashed; with `deep` layers are unpacked too; `repair_from` are layouts to copy sound blobs from; `wait` is in
    seconds.
    """

    jobs: int = 0
    reachable: bool = False
    wait: float = 0
    deep: bool = False
    repair_from: Sequence[Layout] = ()


def verify(layout: Layout, options: VerifyOptions, *, watch: Watcher = SILENT) -> Verification:
    """What is found in a layout. Raises UsageError where it is none, and Refused where nothing can be checked."""
    with ExitStack() as stack:
        if options.repair_from:
            _refuse_itself(layout, options.repair_from)
            state = stack.enter_context(lock.exclusive(layout, options.wait))
            for source in options.repair_from:
                stack.enter_context(lock.shared(source, options.wait))
            return _mend(layout, options, state, watch)
        stack.enter_context(lock.shared(layout, options.wait))
        loaded, result, _ = _look(layout, options, frozenset(), watch)
        with loaded.store:
            return _deepened(loaded, result, options, watch)


def _refuse_itself(layout: Layout, sources: Sequence[Layout]) -> None:
    for source in sources:
        if os.path.sameopenfile(layout.fd, source.fd):
            raise UsageError(f"{source.path}: a layout cannot be repaired from itself")


def _look(
    layout: Layout, options: VerifyOptions, hashed: frozenset[str], watch: Watcher
) -> tuple[Loaded, Verification, array[int]]:
    """Verifies all that is to be, but not what has been `hashed` before. The caller closes the store."""
    now = time.time_ns()
    loaded = load(layout, None, now, watch, record=True)
    try:
        store = loaded.store
        nodes = reachable(loaded, now) if options.reachable else array("I", range(len(store)))
        if hashed:
            nodes = array("I", (node for node in nodes if store.digest(node) not in hashed))
        return loaded, verify_nodes(loaded, nodes, options.jobs, watch), nodes
    except BaseException:
        loaded.store.close()
        raise


def _deepened(loaded: Loaded, result: Verification, options: VerifyOptions, watch: Watcher) -> Verification:
    if not options.deep or result.unchecked:
        return result
    return replace(result, deep=look_into(loaded, options.jobs, watch))


def _mend(layout: Layout, options: VerifyOptions, state: int, watch: Watcher) -> Verification:
    """Verifies and repairs, until nothing more comes of it: a manifest that is back may refer to what is missing."""
    repaired: list[str] = []
    troubles: list[str] = []
    tried: set[str] = set()
    hashed: frozenset[str] = frozenset()
    total: Verification | None = None
    while True:
        loaded, result, nodes = _look(layout, options, hashed, watch)
        with loaded.store as store:
            total = result if total is None else _added(total, result, repaired)
            wanted = [digest for digest in (*total.corrupt, *total.missing) if digest not in tried]
            if total.unchecked or not wanted:
                total = _deepened(loaded, total, options, watch)
                break
            hashed |= frozenset(map(store.digest, nodes))
        for digest in wanted:
            tried.add(digest)
            with files.naming(f"{layout.path}/{STATE}"):
                done, failed = repair(layout, state, digest, list(options.repair_from))
            troubles += failed
            if done:
                repaired.append(digest)
        hashed -= frozenset(repaired)
    return replace(total, repaired=sorted(repaired), errors=sorted([*total.errors, *troubles]))


def _added(before: Verification, after: Verification, repaired: Sequence[str]) -> Verification:
    """What is found by now: `after` has looked at the whole graph again, but hashed only what is new."""
    corrupt = set(before.corrupt) - set(repaired)
    return replace(
        after,
        checked=before.checked + after.checked,
        bytes=before.bytes + after.bytes,
        corrupt=sorted(corrupt | set(after.corrupt)),
        unsupported=sorted({*before.unsupported, *after.unsupported}),
        errors=sorted({*before.errors, *after.errors}),
    )
