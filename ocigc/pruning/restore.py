"""Restores what prunes have moved to the trash."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused, Remedy, UsageError, printable
from ocigc.gc.resolve import resolve_images
from ocigc.image import ImageRecord, Media
from ocigc.interrupts import interrupts_deferred
from ocigc.layout import history, lock
from ocigc.layout.dirfd import Dir, cause, naming
from ocigc.layout.index import parse
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import TOLERATING_ALL, load
from ocigc.native import parse_document
from ocigc.progress import SILENT, Watcher
from ocigc.pruning import journal, preflight, restore_preflight, run_directory, trash
from ocigc.pruning.after_commit import RunTerms
from ocigc.pruning.commit import roll_back
from ocigc.pruning.index_merge import add_others
from ocigc.pruning.journal import RUN, RestoreJournal
from ocigc.pruning.preflight import asking_for
from ocigc.pruning.recover import recover
from ocigc.pruning.restore_plan import plan_restore
from ocigc.pruning.restore_steps import carry_out_restore
from ocigc.pruning.trash import MANIFEST_LIMIT, Trashed
from ocigc.times import Duration


class NothingToRestore(UsageError):
    """The trash has no such run or image."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: images, and the number of blobs; `is_new` says whether anything was not in place before.
    `missing` are the digests of blobs that have no copy any more, `damaged` those of blobs whose copy in the trash
    cannot be read or is not sound. `moved_on` are the names that belong to another image by now; the images that had
    them came back without them.
    """

    images: Sequence[ImageRecord]
    blobs: int
    missing: Sequence[Digest]
    damaged: Sequence[Digest] = ()
    moved_on: Sequence[str] = ()
    is_new: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether every image that came back has all its blobs."""
        return not (self.missing or self.damaged)


@accepts_path
def trashed(layout: Layout, *, wait: Duration = 0) -> list[Trashed]:
    """The runs in the trash, the oldest first. `wait` is for the lock. Raises Refused."""
    with lock.shared(layout, wait):
        try:
            with layout.dir.below(STATE) as state:
                return trash.runs(state)
        except FileNotFoundError:
            return []


def empty_trash(
    layout: Layout, identities: Sequence[str] = (), *, wait: Duration = 0, watch: Watcher = SILENT
) -> list[Trashed]:
    """Removes runs from the trash for good; all of them if none is named. Gives what was removed. Raises UsageError
    where there is no such run, and Refused.
    """
    terms = _terms(wait)
    with lock.exclusive(layout, wait) as state:
        _recover(layout, state, terms, watch)
        found = trash.runs(state)
        for identity in identities:
            named(found, identity, layout.path)
        gone: list[Trashed] = []
        try:
            for each in found:
                if not identities or each.id in identities:
                    trash.remove(state, each.id)
                    gone.append(each)
        finally:
            if gone:
                freed = sum(each.size for each in gone)
                history.append(layout, state, journal.new_id(), "trash empty", {"freed": freed}, watch)
    return gone


@accepts_path
def restore(
    layout: Layout,
    *,
    run: str | None = None,
    image: str | None = None,
    name: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Restored:
    """Brings back what a run has removed, or only one image of it, given by its name, or its digest or the beginning of
    it. Without a run, takes the last one that is not restored yet. If one image comes back, it gets the new `name`, if
    given. An image whose name belongs to another image by now comes back without it. The trash keeps its content.

    `wait` is for the lock. Raises UsageError where there is no such run or image. Raises Refused: then nothing is lost,
    and nothing was changed or the next command finishes the restore.
    """
    terms = _terms(wait)
    with lock.exclusive(layout, wait) as state, naming(f"{layout.path}/{STATE}"):
        _recover(layout, state, terms, watch)
        found = trash.runs(state)
        chosen, images = _choose(layout, found, run, image)
        record, wanted = plan_restore(layout, state, chosen, images, name)
        if record.entries:
            preflight.check_index(layout, state)
            with lock.index_lock(layout, wait):
                pass  # nobody else has it: better to wait now than halfway
        with interrupts_deferred() as check:
            check()
            places, labels = restore_preflight.arriving(layout, state, wanted)
            room = restore_preflight.needed_later(layout, record, labels)
            size = restore_preflight.needed_in_all(record, wanted, room)
            with asking_for(layout, size, restore_preflight.needed_files(labels)):
                preflight.check_state(layout, state)
                restore_preflight.check(layout, state, record, places)
                run_directory.open_restore(state, layout, record, wanted, room)
            try:
                with state.below(RUN) as directory:
                    came = carry_out_restore(layout, state, directory, record, wait)
            except (OcigcError, OSError) as error:
                message = f"{cause(error)}; nothing is lost, and the next run finishes the restore"
                raise Refused(message, Remedy.UNDO_RUN) from error
        try:
            missing = _missing(layout, images, terms.now, watch)
        except (Refused, OSError) as error:
            what = "everything came back, but it is unknown whether images lack anything"
            raise Refused(f"{what}: {cause(error)}") from error
        back = {position for position, _ in record.entries}
        images = [image for image in images if not back.isdisjoint(image.entries)]
        figures = {"images": len(images), "blobs": came.blobs}
        history.append(layout, state, chosen.id, "restore", figures, watch)
    missing = [digest for digest in missing if digest not in came.damaged]
    return Restored(images, came.blobs, missing, came.damaged, came.moved_on, came.blobs + came.entries > 0)


def undo_interrupted(layout: Layout, *, wait: Duration = 0, watch: Watcher = SILENT) -> Restored:
    """Undoes the run that was interrupted, so that the next run does not finish it. `wait` is for the lock. Raises
    UsageError where there is no such run, and Refused: then nothing is lost.
    """
    with lock.exclusive(layout, wait) as state, naming(f"{layout.path}/{STATE}"):
        preflight.clean(layout, state)
        lock.clear_index_lock(layout)
        if not run_directory.pending(state):
            raise NothingToRestore(f"{layout.path}: no run was interrupted", Remedy.LIST_TRASH)
        with interrupts_deferred(), run_directory.interrupted_run(layout, state) as (run, record):
            if isinstance(record, RestoreJournal):
                add_others(layout, run, wait)
                run_directory.discard(state)
                watch.note(f"{layout.path}: gave up a restore that was interrupted; the trash still has everything")
                return Restored((), 0, ())
            images = _images_of(run, record)
            blobs = roll_back(layout, state, run, record, wait)
        history.append(layout, state, record.id, "restore --interrupted", {"blobs": len(blobs)}, watch)
    return Restored(images, len(blobs), ())


def _terms(wait: Duration) -> RunTerms:
    now = time.time_ns()
    return RunTerms(now, now, wait=wait)


def _recover(layout: Layout, state: Dir, terms: RunTerms, watch: Watcher) -> None:
    recovered = recover(layout, state, terms, watch)
    if recovered is not None:
        watch.note(f"{layout.path}: {recovered.message}")


def named(runs: Sequence[Trashed], identity: str, path: str) -> Trashed:
    """The run with that id, of those in the trash of the layout at a path. Raises UsageError where there is none."""
    for each in runs:
        if each.id == identity:
            return each
    raise NothingToRestore(f"{path}: no such run in the trash: {printable(identity)!r}", Remedy.LIST_TRASH)


def _choose(
    layout: Layout, runs: Sequence[Trashed], identity: str | None, image: str | None
) -> tuple[Trashed, Sequence[ImageRecord]]:
    """The last matching run that is not restored yet, or else the last matching run; and the images that match."""
    if not runs:
        raise NothingToRestore(f"{layout.path}: the trash is empty")
    candidates = runs if identity is None else [named(runs, identity, layout.path)]
    fitting = []
    for each in candidates:
        found = each.images if image is None else _resolved(each, image)
        if found or image is None:
            fitting.append((each, found))
    if not fitting:
        raise NothingToRestore(f"{layout.path}: no image {printable(image or '')!r} in the trash", Remedy.LIST_TRASH)
    return next((each for each in reversed(fitting) if not each[0].is_restored), fitting[-1])


def _resolved(trashed: Trashed, reference: str) -> list[ImageRecord]:
    try:
        return resolve_images(trashed.images, reference)
    except UsageError:
        if any(image.target.digest.startswith((reference, f"sha256:{reference}")) for image in trashed.images):
            raise  # the beginning of several digests
        return []


def _images_of(run: Dir, record: journal.Journal) -> list[ImageRecord]:
    changed = {*record.removed, *(position for position, _ in record.renamed)}
    before = parse(run_directory.read_before(run, record))
    return [image for image in image_records(before.entries) if changed.intersection(image.entries)]


def _missing(layout: Layout, images: Iterable[ImageRecord], now: int, watch: Watcher) -> list[Digest]:
    """What images refer to and the layout lacks."""
    snapshot = load(layout, None, now, watch, TOLERATING_ALL)
    missing: set[Digest] = set()
    with snapshot.store as store:
        for image in images:
            if store.find(image.target.digest) is None:
                missing.add(image.target.digest)
            for node, media in store.walk(image.target):
                if media in (Media.MANIFEST, Media.INDEX):
                    with suppress(Refused):
                        children = parse_document(store.read(node, MANIFEST_LIMIT), media)
                        missing.update(child.digest for child in children if store.find(child.digest) is None)
    return sorted(missing)
