"""The trash: what runs have taken out of a layout and keep for a while, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.image import ImageRecord, Media
from ocigc.layout import label_files
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.index import Index, parse, without_names
from ocigc.layout.index_images import image_records
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.snapshot import load
from ocigc.native import parse_document
from ocigc.printable import printable
from ocigc.progress import Watcher
from ocigc.pruning import journal
from ocigc.pruning.journal import TRASH, Journal
from ocigc.pruning.put_back import put_back, reload
from ocigc.reference import split_names

MANIFEST_LIMIT = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Trashed:
    """A run in the trash: index.json before it, the images that it removed, and what it holds. `size` is in bytes."""

    journal: Journal
    content: bytes
    before: Index
    images: Sequence[ImageRecord]
    blobs: int
    size: int


def runs(state: Dir) -> list[Trashed]:
    """What is in the trash, the oldest run first. Raises Refused."""
    found = []
    with naming(f"{STATE}/{TRASH}"):
        names = state.names_below(TRASH)
    for name in names:
        with naming(f"{STATE}/{TRASH}/{name}"), state.below(TRASH, name) as run:
            found.append(_read(run, name))
    return sorted(found, key=lambda trashed: trashed.journal.started)


def _read(run: Dir, name: str) -> Trashed:
    path = f"{STATE}/{TRASH}/{printable(name)}"
    record = journal.read(run, path)
    if record.id != name:
        raise MalformedError(f"{path}: holds the journal of another run")
    content = journal.read_before(run)
    before = parse(content)
    removed, renamed = set(record.removed), dict(record.renamed)
    images = []
    for image in image_records(before.entries):
        if removed.intersection(image.entries):
            images.append(image)
        elif names := {name for each in image.entries for name in renamed.get(each, ()) if name in image.names}:
            images.append(image.called(names))
    sizes = [parent.stat(name).st_size for parent, _, name in _blobs(run)]
    return Trashed(record, content, before, images, len(sizes), sum(sizes))


def _blobs(run: Dir) -> Iterator[tuple[Dir, str, str]]:
    """Every blob that a run has taken out: its open directory, its algorithm and its name."""
    for algorithm in run.names_below("blobs"):
        with run.below("blobs", algorithm) as parent:
            for name in parent.names():
                yield parent, algorithm, name


def empty(state: Dir, now: int) -> None:
    """Removes the runs whose time is over at the instant `now`. Raises Refused."""
    for trashed in runs(state):
        if trashed.journal.expires is not None and trashed.journal.expires < now:
            _remove(state, trashed.journal.id)


def _remove(state: Dir, name: str) -> None:
    with naming(f"{STATE}/{TRASH}/{name}"):
        journal.forget(state, name)


@dataclass(frozen=True, slots=True)
class PutBack:
    """How many blobs of the run came back, and the digests of those that restored images refer to but that are nowhere:
    a later run has removed them for good, or they were never here."""

    blobs: int
    missing: Sequence[str]


def restore(
    layout: Layout, state: Dir, trashed: Trashed, images: Iterable[ImageRecord], now: int, watch: Watcher
) -> PutBack:
    """Brings back images of a run, or, where they are all of its images, the whole run. What they share with images
    that later runs have removed comes out of the trash of those.

    Blobs come first, index.json last: whatever happens on the way, nothing is lost and no image lacks a blob that it
    had. Raises Refused.
    """
    asked = list(images)
    # An entry whose target is nowhere would be of no use to anybody.
    wanted = [image for image in asked if _is_anywhere(layout, state, image.target.digest)]
    whole = len(asked) == len(trashed.images)
    index = layout.read_index()
    present: dict[str, set[str]] = {}
    for image in image_records(index.entries):
        for name in image.names:
            present.setdefault(name, set()).add(image.target.digest)
    for view in chain.from_iterable(image.by_name() for image in wanted):
        if view.target.digest not in present.get(view.name, {view.target.digest}):
            raise Refused(f"{view.familiar}: another image has that name now; nothing was changed")
    entries = []
    for image in wanted:
        absent = [name for name in image.names if name not in present]
        for entry in (trashed.before.entries[position] for position in image.entries if absent):
            written = trashed.content[entry.start : entry.end]
            others = set() if entry.name is None else set(split_names(entry.name)).difference(absent)
            entries.append(without_names(written, others) if others else written)
    name = trashed.journal.id
    with naming(layout.path), state.below(TRASH, name) as run:
        digests = (
            [Digest(f"{algorithm}:{encoded}") for _, algorithm, encoded in _blobs(run)]
            if whole
            else _reached(run, wanted)
        )
        count = put_back(layout, run, digests)
        journal.add_entries(layout, state, index, entries)
        for other in state.names_below(TRASH):
            with state.below(TRASH, other) as other_run:
                snapshot, _ = reload(layout, other_run, now, watch)
                snapshot.store.close()
        if whole:
            for unlease in trashed.journal.unlease:
                label_files.add_label(layout.dir, run, unlease.digest, unlease.label, unlease.value)
    if whole:
        _remove(state, name)
    return PutBack(count, _missing(layout, asked, now, watch))


def _is_anywhere(layout: Layout, state: Dir, digest: str) -> bool:
    """Whether a blob is in the layout or in the trash of some run."""
    place = f"blobs/{digest.replace(':', '/')}"
    runs_below = (f"{TRASH}/{name}/{place}" for name in state.names_below(TRASH))
    return layout.dir.exists(place) or any(state.exists(path) for path in runs_below)


def _missing(layout: Layout, images: Iterable[ImageRecord], now: int, watch: Watcher) -> list[str]:
    """What images refer to that is not in the layout."""
    snapshot = load(layout, None, now, watch)
    missing: set[str] = set()
    with snapshot.store as store:
        for image in images:
            if store.find(image.target.digest) is None:
                missing.add(image.target.digest)
            for node, media in store.walk(image.target):
                if media in (Media.MANIFEST, Media.INDEX):
                    children = parse_document(store.read(node, MANIFEST_LIMIT), media)
                    missing.update(child.digest for child in children if store.find(child.digest) is None)
    return sorted(missing)


def _reached(run: Dir, images: Iterable[ImageRecord]) -> Iterator[Digest]:
    """What the images reach among the blobs of a run."""
    pending = [(image.target.digest, image.target.media) for image in images]
    pending += [(Digest(digest), Media.NONE) for image in images for digest in image.references]
    seen: set[str] = set()
    while pending:
        digest, media = pending.pop()
        if digest in seen or not Digest.recognises(digest):
            continue
        seen.add(digest)
        yield digest
        if media in (Media.MANIFEST, Media.INDEX, Media.JSON):
            algorithm, encoded = digest.parts
            with suppress(FileNotFoundError), run.below("blobs", algorithm) as parent:
                content = parent.read(encoded, MANIFEST_LIMIT)
                pending += [(child.digest, child.media) for child in parse_document(content, media)]
