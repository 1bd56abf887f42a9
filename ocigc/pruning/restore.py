"""Restores what prunes have moved to the trash."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, Remedy, UsageError, printable
from ocigc.gc.images import fallback_subject
from ocigc.gc.resolve import resolve_images
from ocigc.image import DANGLING_PREFIX, ImageRecord, Media
from ocigc.interrupts import held_back
from ocigc.labels import PREFIX
from ocigc.layout import docker_list, history, label_files, lock
from ocigc.layout.blob_check import hasher
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.index import Index, parse, with_name
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import load
from ocigc.native import Role, parse_children, parse_document
from ocigc.progress import SILENT, Watcher
from ocigc.pruning import journal, trash
from ocigc.pruning.bring_back import carry_out
from ocigc.pruning.commit import roll_back
from ocigc.pruning.execute import RunTerms
from ocigc.pruning.journal import RUN, TRASH, RestoreJournal
from ocigc.pruning.put_back import blobs_in
from ocigc.pruning.recover import recover
from ocigc.pruning.trash import MANIFEST_LIMIT, Trashed
from ocigc.reference import split_names
from ocigc.times import Duration


class NothingToRestore(UsageError):
    """The trash has no such run or image."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: images, and the number of blobs. `missing` are the digests of blobs of which no copy exists any
    longer, `damaged` of those whose copy in the trash cannot be read or is not sound. `moved_on` are the names that
    belong to another image by now; the images that had them came back without them.
    """

    images: Sequence[ImageRecord]
    blobs: int
    missing: Sequence[Digest]
    damaged: Sequence[Digest] = ()
    moved_on: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every image that came back has all its blobs."""
        return not (self.missing or self.damaged)


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
    """Removes runs from the trash for good, all of them where none is named. Gives what was removed. Raises UsageError
    where there is no such run, and Refused.
    """
    terms = _terms(wait)
    with lock.exclusive(layout, wait) as state:
        _recover(layout, state, terms, watch)
        found = trash.runs(state)
        for identity in identities:
            _named(found, identity, layout.path)
        gone = [each for each in found if not identities or each.id in identities]
        for each in gone:
            trash.remove(state, each.id)
        if gone:
            freed = sum(each.size for each in gone)
            history.append(layout, state, journal.new_id(), "trash empty", {"freed": freed}, watch)
    return gone


def restore(
    layout: Layout,
    *,
    run: str | None = None,
    image: str | None = None,
    name: str | None = None,
    wait: Duration = 0,
    watch: Watcher = SILENT,
) -> Restored:
    """Brings back what a run has removed, or one image of it, which is named by its name, its digest or the beginning
    of that. Without a run, it is the last one that is not restored yet. If one image comes back, it gets the new
    `name`, if given. An image whose name belongs to another image by now comes back without it. The trash keeps its
    content.

    `wait` is for the lock. Raises UsageError where there is no such run or image. Raises Refused: then nothing is lost,
    and nothing was changed or the next command finishes the restore.
    """
    terms = _terms(wait)
    with lock.exclusive(layout, wait) as state, naming(f"{layout.path}/{STATE}"):
        _recover(layout, state, terms, watch)
        found = trash.runs(state)
        chosen, images = _choose(layout, found, run, image)
        record, wanted = _plan(layout, state, chosen, images, name)
        with held_back() as check:
            check()
            journal.open_restore(state, layout, record, wanted)
            with state.below(RUN) as directory:
                came = carry_out(layout, state, directory, record, wait)
        missing = _missing(layout, images, terms.now, watch)
        back = {position for position, _ in record.entries}
        images = [image for image in images if not back.isdisjoint(image.entries)]
        figures = {"images": len(images), "blobs": came.blobs}
        history.append(layout, state, chosen.id, "restore", figures, watch)
    missing = [digest for digest in missing if digest not in came.damaged]
    return Restored(images, came.blobs, missing, came.damaged, came.moved_on)


def undo_interrupted(layout: Layout, *, wait: Duration = 0, watch: Watcher = SILENT) -> Restored:
    """Undoes the run that was interrupted, so that the next run does not finish it. `wait` is for the lock. Raises
    UsageError where there is no such run, and Refused: then nothing is lost.
    """
    with lock.exclusive(layout, wait) as state, naming(f"{layout.path}/{STATE}"):
        if not journal.pending(state):
            raise NothingToRestore(f"{layout.path}: no run was interrupted", Remedy.LIST_TRASH)
        with held_back(), state.below(RUN) as run:
            record = journal.read(run)
            if isinstance(record, RestoreJournal):
                journal.discard(state)
                watch.note(
                    f"{layout.path}: gave up a restore that was interrupted; the trash has everything that it had"
                )
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


def _named(runs: Sequence[Trashed], identity: str, path: str) -> Trashed:
    for each in runs:
        if each.id == identity:
            return each
    raise NothingToRestore(f"{path}: no such run in the trash: {printable(identity)!r}", Remedy.LIST_TRASH)


def _choose(
    layout: Layout, runs: Sequence[Trashed], identity: str | None, image: str | None
) -> tuple[Trashed, Sequence[ImageRecord]]:
    """The last matching run that is not restored yet, or else the last matching run; and the images that are meant."""
    if not runs:
        raise NothingToRestore(f"{layout.path}: the trash is empty")
    candidates = runs if identity is None else [_named(runs, identity, layout.path)]
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


def _plan(
    layout: Layout, state: Dir, chosen: Trashed, images: Sequence[ImageRecord], name: str | None
) -> tuple[RestoreJournal, list[Digest]]:
    """What has to be done, and the digests of the blobs that come back."""
    if name is not None:
        _check_name(layout, images, name)
    whole = len(images) == len(chosen.images)
    with ExitStack() as stack:
        run = stack.enter_context(state.below(TRASH, chosen.id))
        others = [stack.enter_context(state.below(TRASH, each)) for each in trash.names(state) if each != chosen.id]
        places = (layout.dir, run, *others)
        content = journal.read_before(run)
        before = parse(content)
        wanted = dict.fromkeys(_reached(places, images))
        for each in docker_list.taken_out(run):
            if each.config in wanted:
                wanted |= dict.fromkeys(each.layers)
        if whole:
            wanted |= dict.fromkeys(digest for digest, _ in blobs_in(run))
        entries = [
            (position, _written(content, before, position, name)) for image in images for position in image.entries
        ]
        for image in _belonging(places, [each for each in chosen.images if each not in images], wanted):
            entries += [(position, _written(content, before, position, None)) for position in image.entries]
        # An entry is useless if the run has taken its target, and that is lost. A target that the run has not taken may
        # be in another layout that shares its blobs.
        targets = {position: before.entries[position].descriptor.digest for position, _ in entries}
        absent = {each for each in targets.values() if not any(_has(place, each) for place in places)}
        lost = absent.intersection(journal.to_delete(run)) if absent else ()
        entries = [(position, entry) for position, entry in entries if targets[position] not in lost]
    unlease = chosen.journal.unlease if whole else ()
    record = RestoreJournal(journal.new_id(), time.time_ns(), chosen.id, tuple(entries), tuple(unlease))
    return record, list(wanted)


def _written(content: bytes, before: Index, position: int, name: str | None) -> str:
    entry = before.entries[position]
    written = content[entry.start : entry.end]
    return (written if name is None else with_name(written, name)).decode()


def _check_name(layout: Layout, images: Sequence[ImageRecord], name: str) -> None:
    digests = {image.target.digest for image in images}
    if len(digests) != 1:
        raise UsageError(f"{layout.path}: a new name is for one image, but {len(digests):,} would come back")
    if not name or "," in name or not name.isprintable() or name.startswith(DANGLING_PREFIX):
        raise UsageError(f"{printable(name)!r} is not a name of an image")
    index = layout.read_index()
    for position, there in enumerate(index.entries.names()):
        if there is not None and name in split_names(there) and index.entries.target(position)[0].digest not in digests:
            raise UsageError(f"{layout.path}: another image has the name {printable(name)!r}; choose another")


def _images_of(run: Dir, record: journal.Journal) -> list[ImageRecord]:
    changed = {*record.removed, *(position for position, _ in record.renamed)}
    before = parse(journal.read_before(run))
    return [image for image in image_records(before.entries) if changed.intersection(image.entries)]


# What an image needs


def _has(place: Dir, digest: Digest) -> bool:
    algorithm, encoded = digest.parts
    try:
        with place.below("blobs", algorithm) as directory:
            return directory.exists(encoded)
    except FileNotFoundError:
        return False


def _reached(places: Sequence[Dir], images: Iterable[ImageRecord]) -> Iterator[Digest]:
    """What images reach, wherever the blobs are."""
    pending = [(image.target.digest, Media.NONE) for image in images]
    pending += [(Digest(digest), Media.NONE) for image in images for digest in image.references]
    seen: set[str] = set()
    while pending:
        digest, media = pending.pop()
        if digest in seen or not Digest.recognises(digest):
            continue
        seen.add(digest)
        yield digest
        pending += [(Digest(each), Media.NONE) for each in _labelled(places, digest)]
        if media not in (Media.UNKNOWN, Media.CONFIG):
            with suppress(MalformedError):
                content = _read_sound(places, digest)
                pending += [(child.digest, child.media) for child in parse_document(content, media)]


def _belonging(
    places: Sequence[Dir], others: Sequence[ImageRecord], wanted: dict[Digest, None]
) -> Iterator[ImageRecord]:
    """Among the other images that a run has removed: the parts and referrers of the `wanted` blobs. What they reach is
    wanted too.
    """
    left = list(others)
    while found := [image for image in left if _belongs(places, image, wanted)]:
        left = [image for image in left if image not in found]
        wanted |= dict.fromkeys(_reached(places, found))
        yield from found


def _belongs(places: Sequence[Dir], image: ImageRecord, wanted: Container[str]) -> bool:
    if not image.nameless:
        subjects = [fallback_subject(name) for name in image.names]
        return all(subject is not None and subject in wanted for subject in subjects)
    if image.target.digest in wanted:
        return True
    with suppress(MalformedError):
        children = parse_children(_read_sound(places, image.target.digest), Media.NONE)
        return any(role is Role.SUBJECT and child.digest in wanted for role, child, _ in children)
    return False


def _read_sound(places: Sequence[Dir], digest: Digest) -> bytes:
    """The content of a blob with the right digest, from the first place that has it; None where none has it."""
    for place in places:
        with suppress(OSError, Refused), place.below("blobs", digest.algorithm) as directory:
            content = directory.read(digest.encoded, MANIFEST_LIMIT)
            hashed = hasher(digest.algorithm)
            if hashed is None:
                return content
            hashed.update(content)
            if hashed.hexdigest() == digest.encoded:
                return content
    return b""


def _labelled(places: Sequence[Dir], digest: Digest) -> Iterator[str]:
    """The digests that a blob's labels name."""
    for place in places:
        with suppress(Refused):
            for label, value in label_files.read(place, digest).items():
                if label.startswith(PREFIX) and Digest.recognises(value):
                    yield value


def _missing(layout: Layout, images: Iterable[ImageRecord], now: int, watch: Watcher) -> list[Digest]:
    """What images refer to and the layout lacks."""
    snapshot = load(layout, None, now, watch, record=True)
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
