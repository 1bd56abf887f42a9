"""The journal of a run: what it needs to be finished or undone, whatever happens.

`.ocigc/run/` is there from the moment a run has been decided until all of it is done. Then it is removed, or, where
the run is to be kept for a while, becomes `.ocigc/trash/<id>/`.

    journal.json   the run's identity and what is to be done besides deleting
    to_delete         the blobs to delete, one digest a line
    index.before   index.json as it was
    index.json     index.json as it will be; behind the commit, what it has displaced (or nothing)
    blobs/ labels/ what has been taken out of the layout so far

The commit is one rename: of the new index.json into its place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.layout import dirfd, strict_json
from ocigc.layout.index import Index, IndexChange
from ocigc.layout.layout import INDEX, INDEX_LIMIT, STATE, Layout
from ocigc.native import NEVER, exchange, purge
from ocigc.printable import printable

RUN = "run"
TRASH = "trash"
_DRAFT = "draft"
REPAIR = "repair"
"""A blob that is being copied in."""

_DISCARDED = "discarded"
_JOURNAL = "journal.json"
_BEFORE = "index.before"
DOOMED = "doomed"
_LIMIT = 1 << 30
_VERSION = 1
_IDENTITY = re.compile("[0-9a-f]{8}")
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Unlease:
    """A label to take off a blob, and its value, for the one who wants it back."""

    digest: Digest
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Journal:
    """`started` is an instant; `before` and `after` are the SHA-256 of index.json, in hex. `removed` are the positions,
    in the index before, of entries that go or lose all their names; `renamed` those of entries that lose some names,
    with these. `expires` is the instant until which what is removed is kept in the trash, None where it is not."""

    id: str
    started: int
    expires: int | None
    before: str
    after: str
    removed: tuple[int, ...]
    unlease: tuple[Unlease, ...]
    renamed: tuple[tuple[int, tuple[str, ...]], ...] = ()


def pending(state: int) -> bool:
    """Whether a run is under way or was interrupted."""
    return dirfd.exists(state, RUN)


def pending_below(layout: Layout) -> bool:
    """The same for one who only reads. Raises OSError."""
    try:
        with dirfd.directory(layout.fd, STATE) as state:
            return pending(state)
    except FileNotFoundError:
        return False


def open_run(
    state: int, layout: Layout, journal: Journal, index: Index, change: IndexChange, to_delete: Iterable[str]
) -> Journal | None:
    """Puts the journal in place, synced, and gives it with its `after`; None where index.json is no longer `index`.
    Until then nothing has happened. Raises OSError.

    `change` is that of index.json; `to_delete` are the digests to delete.
    """
    discard(state)
    try:
        written = _write_draft(state, layout, journal, index, change, to_delete)
        if written is not None:
            os.rename(_DRAFT, RUN, src_dir_fd=state, dst_dir_fd=state)
    except OSError:
        # The disk is full, more often than not: what was written so far is in the way.
        with suppress(Refused):
            purge(state, _DRAFT)
        raise
    os.fsync(state)
    return written


def _write_draft(
    state: int, layout: Layout, journal: Journal, index: Index, change: IndexChange, to_delete: Iterable[str]
) -> Journal | None:
    like = os.stat(INDEX, dir_fd=layout.fd, follow_symlinks=False)
    dirfd.make_directory(state, _DRAFT, _PRIVATE)
    with dirfd.directory(state, _DRAFT) as draft:
        # All is made of this copy: others may write to index.json while it is read.
        if _write_hashed(draft, _BEFORE, dirfd.pieces(layout.fd, INDEX, INDEX_LIMIT), like) != journal.before:
            return None
        with open(dirfd.open_plain(draft, _BEFORE), "rb") as before:

            def read(start: int, end: int) -> bytes:
                before.seek(start)
                return before.read(end - start)

            journal = replace(journal, after=_write_hashed(draft, INDEX, index.changed(read, change), like))
        document = {"version": _VERSION, **asdict(journal)}
        dirfd.write(draft, _JOURNAL, json.dumps(document, indent=1).encode(), like)
        dirfd.write_pieces(draft, DOOMED, (f"{digest}\n".encode() for digest in to_delete), like)
        os.fsync(draft)
    return journal


def _write_hashed(parent: int, name: str, content: Iterable[bytes], like: os.stat_result) -> str:
    """Writes a new file; the SHA-256 of its content, in hex."""
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256()

    def hashed() -> Iterator[bytes]:
        for piece in content:
            digest.update(piece)
            yield piece

    dirfd.write_pieces(parent, name, hashed(), like)
    return digest.hexdigest()


def read(run: int, path: str = f"{STATE}/{RUN}") -> Journal:
    """The journal in an open run directory, which `path` names. Raises MalformedError.

    It may have come with the layout, from a stranger: nothing in it may lead out of the layout.
    """
    path = f"{path}/{_JOURNAL}"
    document: Any = strict_json.loads(dirfd.read(run, _JOURNAL, _LIMIT), path)
    try:
        if document.pop("version") != _VERSION:
            raise MalformedError(f"{path}: written by another version of ocigc, which has to finish this run")
        unlease = tuple(Unlease(**entry | {"digest": Digest(entry["digest"])}) for entry in document.pop("unlease"))
        renamed = tuple((position, tuple(names)) for position, names in document.pop("renamed", ()))
        journal = Journal(**document | {"removed": tuple(document["removed"])}, unlease=unlease, renamed=renamed)
        if _is_sound(journal):
            return journal
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise MalformedError(f"{path}: not a journal of ocigc; move its directory away to go on without it")


def _is_sound(journal: Journal) -> bool:
    instants = (journal.started, 0 if journal.expires is None else journal.expires)
    texts = [journal.id, journal.before, journal.after]
    texts += [text for each in journal.unlease for text in (each.digest, each.label, each.value)]
    texts += [name for _, names in journal.renamed for name in names]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in (*instants, *journal.removed, *dict(journal.renamed)))
        and all(-NEVER <= instant <= NEVER for instant in instants)
        and _IDENTITY.fullmatch(journal.id) is not None
        and all(Digest.parse_registered(each.digest) is not None for each in journal.unlease)
    )


def read_before(run: int) -> bytes:
    """index.json as it was before the run."""
    return dirfd.read(run, _BEFORE, INDEX_LIMIT)


def to_delete(run: int) -> Iterator[Digest]:
    """The digests to delete. Raises MalformedError."""
    with open(dirfd.open_plain(run, DOOMED), encoding="ascii", errors="replace") as file:
        for line in file:
            name = line.rstrip("\n")
            digest = Digest.parse_registered(name)
            if digest is None:
                raise MalformedError(
                    f"{STATE}/{RUN}/{DOOMED}: {printable(name)!r} is not the digest of a blob to delete"
                )
            yield digest


def committed(run: int, journal: Journal) -> bool:
    """Whether the new index.json has taken its place."""
    if journal.before == journal.after:
        return True
    try:
        return index_digest(run) != journal.after
    except FileNotFoundError:
        return True


def commit(layout: Layout, run: int, journal: Journal) -> bool:
    """Replaces index.json, if it is still the one that the run was decided on; otherwise nothing has changed.

    Raises OSError.
    """
    if index_digest(layout.fd) != journal.before:
        return False
    return journal.before == journal.after or _swap(layout, run, journal.before)


def add_entries(layout: Layout, state: int, index: Index, added: Sequence[bytes]) -> None:
    """Puts further entries into index.json outside of a run. Raises Refused where it is no longer `index`, and
    OSError."""
    with suppress(FileNotFoundError):
        os.unlink(INDEX, dir_fd=state)
    content = layout.content_of(index)
    if content is not None:
        like = os.stat(INDEX, dir_fd=layout.fd, follow_symlinks=False)
        dirfd.write(state, INDEX, index.with_entries(content, added), like)
    if content is None or index_digest(layout.fd) != index.sha256 or not _swap(layout, state, index.sha256):
        raise Refused(f"{layout.path}/{INDEX} has changed meanwhile; nothing is lost; run it again")
    with suppress(FileNotFoundError):
        os.unlink(INDEX, dir_fd=state)


def _swap(layout: Layout, parent: int, before: str) -> bool:
    """Puts the new index.json from an open directory in place of the old one, whose SHA-256 is `before`.

    Where the file system can swap two names, not even a writer in this very moment is lost: what is displaced is looked
    at, and put back if it is not what was expected.
    """
    if not exchange(parent, INDEX, layout.fd, INDEX):
        os.rename(INDEX, INDEX, src_dir_fd=parent, dst_dir_fd=layout.fd)
    elif index_digest(parent) != before:
        exchange(parent, INDEX, layout.fd, INDEX)
        return False
    os.fsync(layout.fd)
    os.fsync(parent)
    return True


def index_digest(parent: int) -> str:
    """The SHA-256, in hex, of the index.json in an open directory. Raises OSError and Refused."""
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256()
    for piece in dirfd.pieces(parent, INDEX, INDEX_LIMIT):
        digest.update(piece)
    return digest.hexdigest()


def close(state: int, journal: Journal) -> None:
    """Ends a run that is done: what it has taken out goes to the trash, or for good. Raises OSError."""
    if journal.expires is not None:
        with suppress(FileExistsError):
            dirfd.make_directory(state, TRASH, _PRIVATE)
        with dirfd.directory(state, TRASH) as trash:
            os.rename(RUN, journal.id, src_dir_fd=state, dst_dir_fd=trash)
            os.fsync(trash)
        os.fsync(state)
    discard(state)


def discard(state: int) -> None:
    """Removes a run that is done or that never began, and what is left of earlier ones."""
    if pending(state):
        purge(state, _DISCARDED)
        os.rename(RUN, _DISCARDED, src_dir_fd=state, dst_dir_fd=state)
        os.fsync(state)
    for name in (_DISCARDED, _DRAFT):
        purge(state, name)
    with suppress(FileNotFoundError):
        os.unlink(REPAIR, dir_fd=state)


def forget(state: int, identity: str) -> None:
    """Removes a run from the trash: by one rename, so that no half of one is ever left in it. Raises OSError."""
    purge(state, _DISCARDED)
    with dirfd.directory(state, TRASH) as trash:
        os.rename(identity, _DISCARDED, src_dir_fd=trash, dst_dir_fd=state)
        os.fsync(trash)
    os.fsync(state)
    purge(state, _DISCARDED)


def put_back(layout: Layout, run: int, digests: Iterable[Digest]) -> int:
    """Puts blobs that were taken out, and their sidecars, back in place; how many there were. Raises OSError."""
    wanted = [digest.parts for digest in digests]
    # The sidecars first, and durably: the blob is what a run that comes after an interruption looks for.
    if sum(_move(run, layout.fd, f"labels/{algorithm}", f"{encoded}.json") for algorithm, encoded in wanted):
        sync_directories(layout, "labels")
    count = sum(_move(run, layout.fd, f"blobs/{algorithm}", encoded) for algorithm, encoded in wanted)
    if count:
        sync_directories(layout, "blobs")
    return count


def take_out_sidecars(layout: Layout, run: int, digests: Iterable[Digest]) -> None:
    """Takes out the sidecars of blobs that an interrupted run has taken out. Raises OSError."""
    for digest in digests:
        algorithm, encoded = digest.parts
        _move(layout.fd, run, f"labels/{algorithm}", f"{encoded}.json")


def sync_directories(layout: Layout, top: str) -> None:
    """Makes what was moved below `blobs` or `labels` durable: one sync a directory, none a blob. Raises OSError."""
    for name in dirfd.listing(layout.fd, top):
        with suppress(NotADirectoryError), dirfd.directory(layout.fd, top) as parent:
            dirfd.sync(parent, name)


def _move(source: int, target: int, path: str, name: str) -> bool:
    top, _, below = path.partition("/")
    with suppress(FileNotFoundError):
        with (
            dirfd.directory(source, top) as source_top,
            dirfd.directory(source_top, below) as source_parent,
            dirfd.directory(target, top) as target_top,
            dirfd.directory(target_top, below) as target_parent,
        ):
            if dirfd.exists(target_parent, name):
                return False
            os.rename(name, name, src_dir_fd=source_parent, dst_dir_fd=target_parent)
        return True
    return False
