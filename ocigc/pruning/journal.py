"""The journal of a run: what it needs to be finished or undone, whatever happens.

`.ocigc/run/` is there from the moment a run has been decided until all of it is done. Then it is removed, or, where
the run is to be kept for a while, becomes `.ocigc/trash/<id>/`.

    journal.json   the run's identity and what is to be done besides deleting
    to-delete      the blobs to delete, one digest a line
    index.before   index.json as it was
    index.json     index.json as it will be; after the commit, what it has displaced (or nothing)
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
from ocigc.layout import strict_json
from ocigc.layout.dirfd import Dir
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
TO_DELETE = "to-delete"
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


def pending(state: Dir) -> bool:
    """Whether a run is under way or was interrupted."""
    return state.exists(RUN)


def pending_below(layout: Layout) -> bool:
    """The same for one who only reads. Raises OSError."""
    try:
        with layout.dir.below(STATE) as state:
            return pending(state)
    except FileNotFoundError:
        return False


def open_run(
    state: Dir, layout: Layout, journal: Journal, index: Index, change: IndexChange, to_delete: Iterable[str]
) -> Journal | None:
    """Puts the journal in place, synced, and gives it with its `after`; None where index.json is no longer `index`.
    Until then nothing has happened. Raises OSError.

    `change` is that of index.json; `to_delete` are the digests to delete.
    """
    discard(state)
    try:
        written = _write_draft(state, layout, journal, index, change, to_delete)
        if written is not None:
            state.rename(_DRAFT, state, RUN)
    except OSError:
        # The disk is full, more often than not: what was written so far is in the way.
        with suppress(Refused):
            purge(state.fd, _DRAFT)
        raise
    state.sync()
    return written


def _write_draft(
    state: Dir, layout: Layout, journal: Journal, index: Index, change: IndexChange, to_delete: Iterable[str]
) -> Journal | None:
    like = layout.dir.stat(INDEX)
    state.make(_DRAFT, _PRIVATE)
    with state.below(_DRAFT) as draft:
        # All is made of this copy: others may write to index.json while it is read.
        if _write_hashed(draft, _BEFORE, layout.dir.pieces(INDEX, INDEX_LIMIT), like) != journal.before:
            return None
        with open(draft.open_plain(_BEFORE), "rb") as before:

            def read(start: int, end: int) -> bytes:
                before.seek(start)
                return before.read(end - start)

            journal = replace(journal, after=_write_hashed(draft, INDEX, index.changed(read, change), like))
        document = {"version": _VERSION, **asdict(journal)}
        draft.write(_JOURNAL, json.dumps(document, indent=1).encode(), like)
        draft.write_pieces(TO_DELETE, (f"{digest}\n".encode() for digest in to_delete), like)
        draft.sync()
    return journal


def _write_hashed(parent: Dir, name: str, content: Iterable[bytes], like: os.stat_result) -> str:
    """Writes a new file; the SHA-256 of its content, in hex."""
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256()

    def hashed() -> Iterator[bytes]:
        for piece in content:
            digest.update(piece)
            yield piece

    parent.write_pieces(name, hashed(), like)
    return digest.hexdigest()


def read(run: Dir, path: str = f"{STATE}/{RUN}") -> Journal:
    """The journal in an open run directory, which `path` names. Raises MalformedError.

    It may have come with the layout, from a stranger: nothing in it may lead out of the layout.
    """
    path = f"{path}/{_JOURNAL}"
    document: Any = strict_json.loads(run.read(_JOURNAL, _LIMIT), path)
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


def read_before(run: Dir) -> bytes:
    """index.json as it was before the run."""
    return run.read(_BEFORE, INDEX_LIMIT)


def to_delete(run: Dir) -> Iterator[Digest]:
    """The digests to delete. Raises MalformedError."""
    with open(run.open_plain(TO_DELETE), encoding="ascii", errors="replace") as file:
        for line in file:
            name = line.rstrip("\n")
            digest = Digest.parse_registered(name)
            if digest is None:
                raise MalformedError(
                    f"{STATE}/{RUN}/{TO_DELETE}: {printable(name)!r} is not the digest of a blob to delete"
                )
            yield digest


def committed(run: Dir, journal: Journal) -> bool:
    """Whether the new index.json has taken its place."""
    if journal.before == journal.after:
        return True
    try:
        return index_digest(run) != journal.after
    except FileNotFoundError:
        return True


def commit(layout: Layout, run: Dir, journal: Journal) -> bool:
    """Replaces index.json, if it is still the one that the run was decided on; otherwise nothing has changed.

    Raises OSError.
    """
    if index_digest(layout.dir) != journal.before:
        return False
    return journal.before == journal.after or _swap(layout, run, journal.before)


def add_entries(layout: Layout, state: Dir, index: Index, added: Sequence[bytes]) -> None:
    """Puts further entries into index.json outside of a run. Raises Refused where it is no longer `index`, and
    OSError."""
    state.remove(INDEX)
    content = layout.content_of(index)
    if content is not None:
        state.write(INDEX, index.with_entries(content, added), layout.dir.stat(INDEX))
    if content is None or index_digest(layout.dir) != index.sha256 or not _swap(layout, state, index.sha256):
        raise Refused(f"{layout.path}/{INDEX} has changed meanwhile; nothing is lost; run it again")
    state.remove(INDEX)


def _swap(layout: Layout, parent: Dir, before: str) -> bool:
    """Puts the new index.json from an open directory in place of the old one, whose SHA-256 is `before`.

    Where the file system can swap two names, not even a writer in this very moment is lost: what is displaced is looked
    at, and put back if it is not what was expected.
    """
    if not exchange(parent.fd, INDEX, layout.fd, INDEX):
        parent.rename(INDEX, layout.dir)
    elif index_digest(parent) != before:
        exchange(parent.fd, INDEX, layout.fd, INDEX)
        return False
    layout.dir.sync()
    parent.sync()
    return True


def index_digest(parent: Dir) -> str:
    """The SHA-256, in hex, of the index.json in an open directory. Raises OSError and Refused."""
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256()
    for piece in parent.pieces(INDEX, INDEX_LIMIT):
        digest.update(piece)
    return digest.hexdigest()


def close(state: Dir, journal: Journal) -> None:
    """Ends a run that is done: what it has taken out goes to the trash, or for good. Raises OSError."""
    if journal.expires is not None:
        with suppress(FileExistsError):
            state.make(TRASH, _PRIVATE)
        with state.below(TRASH) as trash:
            state.rename(RUN, trash, journal.id)
            trash.sync()
        state.sync()
    discard(state)


def discard(state: Dir) -> None:
    """Removes a run that is done or that never began, and what is left of earlier ones."""
    if pending(state):
        purge(state.fd, _DISCARDED)
        state.rename(RUN, state, _DISCARDED)
        state.sync()
    for name in (_DISCARDED, _DRAFT):
        purge(state.fd, name)
    state.remove(REPAIR)


def forget(state: Dir, identity: str) -> None:
    """Removes a run from the trash: by one rename, so that no half of one is ever left in it. Raises OSError."""
    purge(state.fd, _DISCARDED)
    with state.below(TRASH) as trash:
        trash.rename(identity, state, _DISCARDED)
        trash.sync()
    state.sync()
    purge(state.fd, _DISCARDED)
