"""A run after its commit: blobs that go are moved out, and those that somebody has come to need are put back."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import Busy, Interrupted, OcigcError, Refused, Remedy
from ocigc.layout import docker_list, label_files
from ocigc.layout.dirfd import Dir, cause
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import OtherLayouts, Snapshot
from ocigc.native import Store, Swept
from ocigc.progress import Progress, Watcher
from ocigc.pruning import run_directory
from ocigc.pruning.commit import RunState, roll_back, run_state
from ocigc.pruning.journal import Journal
from ocigc.pruning.put_back import blobs_in, sync_directories, take_out_sidecars
from ocigc.pruning.roots import Roots, label_number, put_back_labelled, reload, still_to_delete
from ocigc.pruning.run_directory import UNLEASED
from ocigc.times import Duration

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class RunTerms:
    """How to carry out a plan that was made at the instant `now`. What is removed stays in the trash until the instant
    `expires`, if there is one. What has come since the instant `in_grace_after` is in grace. `elsewhere` says what
    other layouts need; that stays. `wait` is for the lock.
    """

    now: int
    in_grace_after: int
    expires: int | None = None
    wait: Duration = 0
    elsewhere: OtherLayouts | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """What a run has done: its id, the digests of the blobs that were to go but stayed, the nodes of those that went,
    and their bytes.
    """

    run: str
    stayed: frozenset[str]
    gone: Sequence[int]
    size: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A prune that a later run has finished: its journal, the digests of the blobs that went, and their bytes."""

    record: Journal
    gone: Sequence[Digest]
    size: int


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has its journal. `check` raises KeyboardInterrupt once a signal has come."""

    layout: Layout
    state: Dir
    run: Dir
    record: Journal
    terms: RunTerms
    watch: Watcher
    check: Callable[[], None]

    def carry_out(self, planned: Snapshot, nodes: array[int], roots: Roots) -> Executed | None:
        """The steps after the commit. Gives None if another program wrote index.json, so that the run was undone."""
        run_directory.release_room(self.run)
        if docker_list.cut(self.layout.dir, self.run):
            roots = roots.with_list_of(self.layout)
        roots = roots.with_labels_changed(self._unlease())
        self.check()
        snapshot, to_delete = planned, nodes
        gone: Sequence[Digest] = ()
        if self._has_moved_on(roots, planned.store):
            snapshot, roots = self._reload()
            to_delete, gone = self._still_to_delete(snapshot, planned.store.digests(nodes))
        try:
            moved = self._sweep(snapshot, to_delete, gone, roots)
            if moved is None:
                self._undo()
                return None
            done = _executed(self.record.id, planned, nodes, snapshot, moved)
        finally:
            if snapshot is not planned:
                snapshot.store.close()
        run_directory.close(self.state, self.record)
        return done

    def finish(self) -> Finished | None:
        """The same for a run that was cut off: everything is read again."""
        run_directory.release_room(self.run)
        docker_list.cut(self.layout.dir, self.run)
        self._unlease()
        snapshot, roots = self._reload()
        with snapshot.store:
            to_delete, gone = self._still_to_delete(snapshot, run_directory.to_delete(self.run))
            if self._sweep(snapshot, to_delete, gone, roots) is None:
                self._undo()
                return None
        found = list(blobs_in(self.run))
        size = sum(status.st_size for _, status in found if status.st_nlink == 1)
        run_directory.close(self.state, self.record)
        return Finished(self.record, [digest for digest, _ in found], size)

    @contextmanager
    def undone_on_failure(self) -> Iterator[None]:
        """Rolls the run back if it fails or is interrupted before its end, and says so."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if not run_directory.pending(self.state):
                raise Refused(
                    f"{cause(error)}; the run is complete, and the next one frees what it has removed"
                ) from error
            try:
                roll_back(self.layout, self.state, self.run, self.record, self.terms.wait)
            except (OcigcError, OSError) as trouble:
                raise Refused(
                    f"{cause(error)}; it cannot be rolled back ({cause(trouble)}); nothing is lost, and the next "
                    "one finishes what was begun",
                    Remedy.UNDO_RUN,
                ) from error
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(
                    f"{self.layout.path}: interrupted; the run was rolled back: index.json, labels and blobs are as "
                    "before"
                ) from None
            if isinstance(error, (OcigcError, OSError)):
                kind = Busy if isinstance(error, Busy) else Refused
                raise kind(f"{cause(error)}; the run was rolled back: nothing was changed") from error
            raise

    def _unlease(self) -> int:
        """Removes labels from configs. Gives by how much that changes the number `Roots.labels`."""
        change = 0
        with self.run.ensure(UNLEASED) as kept:
            for each in self.record.unlease:
                change -= label_number(self.layout.dir, each.digest)
                label_files.remove_label(self.layout.dir, kept, each.digest, each.label)
                change += label_number(self.layout.dir, each.digest)
        return change

    def _reload(self) -> tuple[Snapshot, Roots]:
        terms = self.terms
        return reload(self.layout, self.run, self.record.in_grace_after, terms.now, self.watch, terms.elsewhere)

    def _has_moved_on(self, roots: Roots, store: Store) -> bool:
        """Whether this layout or another one may have come to need blobs since the roots were read."""
        elsewhere = self.terms.elsewhere
        return roots.has_moved_on(self.layout, self.run, store) or (elsewhere is not None and elsewhere.changed())

    def _still_to_delete(self, snapshot: Snapshot, digests: Iterable[Digest]) -> tuple[array[int], list[Digest]]:
        return still_to_delete(snapshot, digests, self.record.started, self.record.in_grace_after, self.terms.now)

    def _sweep(
        self, snapshot: Snapshot, to_delete: array[int], gone: Sequence[Digest], roots: Roots
    ) -> array[int] | None:
        """Moves blobs out of the layout, and puts back what somebody has come to need. Gives the nodes of those that
        are gone. `gone` are the digests of blobs that an earlier attempt has moved.
        """
        store, report = snapshot.store, self.watch("Removing blobs")

        def tick(progress: Progress) -> None:
            self.check()
            if report is not None:
                report(progress)

        results = store.sweep(to_delete, self.run.fd, tick, durable=self.record.expires is not None)
        # After the sweep, which has made the directories for them.
        take_out_sidecars(self.layout, self.run, gone)
        sync_directories(self.run)
        tick(Progress(len(to_delete), 0, len(to_delete), 0))
        moved = _with_result(to_delete, results, Swept.MOVED)
        sync_directories(self.layout.dir)
        return self._put_back_needed(store, moved, roots, skipped=Swept.SKIPPED in results)

    def _put_back_needed(self, store: Store, moved: array[int], roots: Roots, *, skipped: bool) -> array[int] | None:
        """Puts back what somebody has come to need since the roots were read, and repeats this until nothing changes
        any more. Gives the nodes of `store` that are gone; None where another program has written into the displaced
        index.json. Raises Refused."""
        with ExitStack() as stack:
            known = store
            for _ in range(_ATTEMPTS):
                self.check()
                if run_state(self.layout, self.run, self.record) is RunState.CONTESTED:
                    return None
                # The last thing before the end.
                if not skipped and not self._has_moved_on(roots, known):
                    return moved
                skipped = False
                if roots.differs_in_labels(self.layout, self.run):
                    put_back_labelled(self.layout, self.run)
                again, roots = self._reload()
                known = stack.enter_context(again.store)
                moved = array("I", (node for node in moved if known.find(store.digest(node)) is None))
        raise Refused(f"{self.layout.path}: what it needs keeps changing; run it again when nothing writes to it")

    def _undo(self) -> None:
        roll_back(self.layout, self.state, self.run, self.record, self.terms.wait)


def _executed(run: str, planned: Snapshot, nodes: array[int], snapshot: Snapshot, moved: array[int]) -> Executed:
    """What happened to the planned nodes, given the nodes of a later snapshot that were moved."""
    size = snapshot.store.freed(moved)
    if len(moved) == len(nodes):
        return Executed(run, frozenset(), nodes, size)
    gone = set(snapshot.store.digests(moved))
    stayed = {digest for digest in planned.store.digests(nodes) if digest not in gone}
    still = frozenset(digest for digest in stayed if snapshot.store.find(digest) is not None)
    found = array("I", (node for node in map(planned.store.find, gone) if node is not None))
    return Executed(run, still, found, size)


def _with_result(nodes: array[int], results: bytearray, wanted: Swept) -> array[int]:
    if results.count(wanted) == len(results):
        return nodes
    return array("I", (node for node, result in zip(nodes, results, strict=True) if result == wanted))
