"""The directory of a run: everything that is needed to finish or undo it, whatever happens.

`.ocigc/run/` exists from the moment a run is decided until it is complete. Then it is removed, or, if a prune keeps
what it has removed for a while, becomes `.ocigc/trash/<id>/`.

    journal.json   the run's identity and what is to be done besides deleting
    to-delete      the digests of the blobs to delete, one per line; of a restore `to-restore`, of those to bring back
    index.before   index.json as it was
    index.json     index.json as it will be; after the commit, the file that it has displaced (or nothing)
    index.theirs.* what other programs have written meanwhile, until these entries are in index.json
    index.known    the digests of index.json before and after entries were added to it
    blobs/ labels/ what has been taken out of the layout so far
    manifest.*     the list of `docker save`, before and after, if it changes
    unleased/      label files from which a label has been removed, as they were
    room           bytes that the steps after the commit may need
    restored       in the trash: what has been restored, and when

The commit of a prune is one rename: of the new index.json into its place.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from ocigc.digest import ENCODED_LENGTHS, Digest
from ocigc.errors import MalformedError, Message, OcigcError, Refused, Remedy, printable
from ocigc.layout.dirfd import Dir, NotPlain, naming
from ocigc.layout.index import Index, IndexChange
from ocigc.layout.layout import INDEX, INDEX_LIMIT, STATE, Layout
from ocigc.native import purge, sha256
from ocigc.progress import Watcher
from ocigc.pruning.journal import PLACE, RUN, Journal, RestoreJournal, naming_run, without, write
from ocigc.pruning.journal import read as read_journal

TRASH = "trash"
TRASH_PLACE = f"{STATE}/{TRASH}"
"""The trash, relative to the layout."""
REPAIR = "repair"
"""A blob that is being copied in."""
UNLEASED = "unleased"
DISCARDED = "discarded"
"""What is being removed for good, in the state directory and in the trash."""

_DRAFT = "draft"
_BEFORE = "index.before"
_TO_DELETE = "to-delete"
_TO_DELETE_OF_0_1 = "doomed"
_TO_RESTORE = "to-restore"
_ROOM = "room"
_DIRECTORIES = ("blobs", "labels", UNLEASED)
_FILE = re.compile(r"(journal|index|manifest)\..*|to-delete|doomed|to-restore|room")
_LINE_LIMIT = 256  # bytes of a digest and its newline
_BLOB = re.compile("[0-9a-f]{64}|[0-9a-f]{128}")
_PRIVATE = 0o700


def check(state: Dir, path: str) -> None:
    """Raises Refused where anything but a directory has the name of a directory of runs; `path` is that of the state
    directory.
    """
    for name in (RUN, TRASH, _DRAFT, DISCARDED):
        with naming(f"{path}/{name}"), suppress(FileNotFoundError):
            state.below(name).close()


def pending(state: Dir) -> bool:
    """Whether a run is under way or was interrupted."""
    return state.exists(RUN)


def pending_below(layout: Layout) -> bool:
    """The same, for a command that only reads. Raises OSError."""
    try:
        with layout.dir.below(STATE) as state:
            return pending(state)
    except FileNotFoundError:
        return False


def note_pending(layout: Layout, watch: Watcher) -> None:
    """Notes an interrupted run, and both ways to deal with it."""
    with suppress(OSError):
        if pending_below(layout):
            what = "a run was interrupted, and the next prune finishes it"
            watch.note(Message(f"{layout.path}/{STATE}: {what}", Remedy.UNDO_RUN))


# Writing


class _IndexMovedOn(Exception):
    """index.json has changed since the plan was made."""


def open_run(
    state: Dir,
    layout: Layout,
    journal: Journal,
    index: Index,
    change: IndexChange,
    to_delete: Iterable[Digest],
    room: int,
    prepare: Callable[[Dir], None],
) -> Journal | None:
    """Puts the journal of a prune in place, synced, and gives it with its `after`. Gives None if index.json is no
    longer `index`; nothing has changed then. Raises OSError.

    `change` is the change of index.json; `to_delete` are the digests to delete. `room` bytes are reserved until
    `release_room`. `prepare` writes what else the run needs into its directory.
    """
    like = layout.dir.stat(INDEX)
    with suppress(_IndexMovedOn), _draft(state) as draft:
        # Everything is made from this copy, as others may write to index.json while it is read.
        if _write_hashed(draft, _BEFORE, layout.dir.pieces(INDEX, INDEX_LIMIT), like) != journal.before:
            raise _IndexMovedOn
        with open(draft.open_plain(_BEFORE), "rb") as before:

            def read(start: int, end: int) -> bytes:
                before.seek(start)
                return before.read(end - start)

            after = _write_hashed(draft, INDEX, index.changed(read, change), like)
        written = replace(journal, after=after)
        write(draft, written, like)
        draft.write_pieces(_TO_DELETE, _lines(to_delete), like)
        prepare(draft)
        _reserve(draft, room)
        return written
    return None


def open_restore(state: Dir, layout: Layout, journal: RestoreJournal, to_restore: Iterable[Digest], room: int) -> None:
    """Puts the journal of a restore in place, synced. `to_restore` are the digests to bring back. `room` bytes are
    reserved until `release_room`. Raises OSError.
    """
    like = layout.dir.stat(INDEX)
    with _draft(state) as draft:
        write(draft, journal, like)
        draft.write_pieces(_TO_RESTORE, _lines(to_restore), like)
        _reserve(draft, room)


def _reserve(draft: Dir, size: int) -> None:
    fd = os.open(_ROOM, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=draft.fd)
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(fd)


def release_room(run: Dir) -> None:
    """Frees the reserved bytes. Raises OSError."""
    run.remove(_ROOM)


@contextmanager
def _draft(state: Dir) -> Iterator[Dir]:
    """A new directory that becomes that of the run when the block ends without an error."""
    discard(state)
    try:
        state.make(_DRAFT, _PRIVATE)
        with state.below(_DRAFT) as draft:
            yield draft
            draft.sync()
        state.rename(_DRAFT, state, RUN)
    except BaseException:
        # Usually because the disk is full, so what was written so far must go.
        with suppress(OcigcError):
            purge(state.fd, _DRAFT)
        raise
    state.sync()


def _write_hashed(parent: Dir, name: str, content: Iterable[bytes], like: os.stat_result) -> str:
    """Writes a new file, and gives the SHA-256 of its content, in hex."""
    from hashlib import sha256

    digest = sha256()

    def hashed() -> Iterator[bytes]:
        for piece in content:
            digest.update(piece)
            yield piece

    parent.write_pieces(name, hashed(), like)
    return digest.hexdigest()


def _lines(digests: Iterable[Digest]) -> Iterator[bytes]:
    return (f"{digest}\n".encode() for digest in digests)


# Reading


def read_before(run: Dir, record: Journal, path: str = PLACE) -> bytes:
    """index.json as it was before the run with this journal, whose directory `path` names. Raises MalformedError if the
    file has changed since, and Refused.
    """
    with naming_run(path):
        content = run.read(_BEFORE, INDEX_LIMIT)
    if sha256(content) != record.before:
        raise MalformedError(f"{path}/{_BEFORE}: damaged: not {INDEX} as it was before the run; {without(path)}")
    return content


def to_delete(run: Dir, path: str = PLACE) -> Iterator[Digest]:
    """The digests to delete by the run whose directory `path` names. Raises MalformedError and Refused."""
    return _digests(run, _TO_DELETE_OF_0_1 if run.exists(_TO_DELETE_OF_0_1) else _TO_DELETE, path)


def to_restore(run: Dir) -> Iterator[Digest]:
    """The digests to bring back. Raises MalformedError and Refused."""
    return _digests(run, _TO_RESTORE, PLACE)


def _digests(run: Dir, name: str, path: str) -> Iterator[Digest]:
    with naming_run(path):
        descriptor = run.open_plain(name)
    with open(descriptor, encoding="ascii", errors="replace") as file:
        while line := file.readline(_LINE_LIMIT):
            digest = Digest.parse_registered(line.removesuffix("\n"))
            if digest is None:
                what = f"{printable(line.strip())!r} is not the digest of a blob"
                raise MalformedError(f"{path}/{name}: {what}; {without(path)}")
            yield digest


@contextmanager
def interrupted_run(layout: Layout, state: Dir) -> Iterator[tuple[Dir, Journal | RestoreJournal]]:
    """The directory of the run that was cut off, and its journal, both checked. Errors, also of the caller, name the
    directory. Raises MalformedError and Refused.
    """
    with naming(f"{layout.path}/{PLACE}"), state.below(RUN) as run:
        _check_run(run)
        yield run, read_journal(run)


def _check_run(run: Dir) -> None:
    """Raises MalformedError where something in the directory of an interrupted run is of the wrong kind."""
    with naming_run(PLACE):
        for name in run.names():
            if name in _DIRECTORIES:
                for each in ENCODED_LENGTHS.keys() & run.names_below(name):  # a kill may leave a draft beside them
                    run.below(name, each).close()
            elif _FILE.fullmatch(name) and not stat.S_ISREG(run.stat(name).st_mode):
                raise NotPlain(f"{name}: not a plain file")


# The end


def close(state: Dir, journal: Journal) -> None:
    """Ends a prune that is complete: what it has taken out goes to the trash, or is removed for good. Raises OSError
    and Refused.
    """
    if journal.expires is not None:
        with naming(f"{TRASH_PLACE}/{journal.id}"), state.ensure(TRASH, mode=_PRIVATE) as trash:
            state.rename(RUN, trash, journal.id)
            trash.sync()
        state.sync()
    discard(state)


def discard(state: Dir) -> None:
    """Removes a run that is complete or has never begun, and what is left of earlier ones. Raises OSError and
    Refused.
    """
    if pending(state):
        _purge(state, DISCARDED)
        state.rename(RUN, state, DISCARDED)
        state.sync()
    for name in (DISCARDED, _DRAFT):
        _purge(state, name)
    with suppress(FileNotFoundError), state.below(TRASH) as trash:
        _purge(trash, DISCARDED, TRASH_PLACE)
    with naming(f"{STATE}/{REPAIR}"):
        state.remove(REPAIR)


def _purge(parent: Dir, name: str, path: str = STATE) -> None:
    """Removes a directory that nothing needs any more; `path` is that of its parent. Raises Refused and OSError."""
    try:
        purge(parent.fd, name)
    except Refused as error:
        raise Refused(f"{path}/{name}: {error}; nothing needs it any more: remove it") from error


def being_freed(state: Dir) -> int:
    """The bytes that complete runs, and runs from the trash, have not freed yet. Raises OSError."""
    freed = _size_below(state, DISCARDED, 3)
    with suppress(FileNotFoundError), state.below(TRASH) as trash:
        freed += _size_below(trash, DISCARDED, 3)
    return freed


def _size_below(parent: Dir, name: str, depth: int) -> int:
    """Bytes of the blobs with one name in a directory, or that many levels below it."""
    total = 0
    with suppress(FileNotFoundError, NotADirectoryError), parent.below(name) as directory:
        for each in directory.names():
            status = directory.stat(each)
            if stat.S_ISREG(status.st_mode) and _BLOB.fullmatch(each) and status.st_nlink == 1:
                total += status.st_size
            elif depth:
                total += _size_below(directory, each, depth - 1)
    return total


def forget(state: Dir, identity: str) -> None:
    """Removes a run from the trash. One rename does it, so that the trash never has half a run; it stays within the
    trash, which may be a mount of its own. Raises OSError and Refused.
    """
    with state.below(TRASH) as trash:
        _purge(trash, DISCARDED, TRASH_PLACE)
        trash.rename(identity, trash, DISCARDED)
        trash.sync()
        _purge(trash, DISCARDED, TRASH_PLACE)
