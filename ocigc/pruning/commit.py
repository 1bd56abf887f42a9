"""The commit of a run: index.json changes, and may have to change back.

`before` is the index.json that the plan was made for, `after` the one that the run writes. Any other content is another
program's, and none of its entries is ever lost: they are in the file that stays, or are added to it.

Some writers take no lock. So a new index.json is written beside the old one, and the two exchange their names. Then the
file that was displaced is compared with what was expected. If it differs, another program has written at the same
moment, and the two are exchanged back. Where the file system cannot exchange two names, a second name (a hard link)
keeps the old file for that comparison.

Between the two exchanges, a third program may open our file to write it anew, and go on after they are over. Then that
file goes back into its place. What is in the directory of a run and not known to be ours is somebody's: its entries are
added too, once it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from itertools import count

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.layout import docker_list, label_files
from ocigc.layout.blob_check import has_blob
from ocigc.layout.dirfd import Dir, naming_directory
from ocigc.layout.index import Index, parse, without_names
from ocigc.layout.layout import INDEX, INDEX_LIMIT, STATE, Layout
from ocigc.layout.lock import index_lock
from ocigc.native import exchange, sha256
from ocigc.pruning import run_directory
from ocigc.pruning.journal import RUN, Journal
from ocigc.pruning.put_back import blobs_in, put_back
from ocigc.pruning.run_directory import UNLEASED, read_before
from ocigc.reference import split_names
from ocigc.times import Duration

_THEIRS = "index.theirs."
"""What other programs have written, numbered, until these entries are in index.json."""
_KNOWN = "index.known"
"""The SHA-256, in hex, of each index.json that entries were added to, before and after."""

_ATTEMPTS = 20
_DISPLACED = "index.old"


class RunState(Enum):
    """How far a run has come."""

    OPEN = "index.json is not changed"
    COMMITTED = "index.json is changed"
    CONTESTED = "another program has written index.json while it was changed"


def run_state(layout: Layout, run: Dir, record: Journal) -> RunState:
    """How far a run has come, as the files in place show. Raises OSError and Refused."""
    end_exchange(run)
    current, aside = index_digest(layout.dir), _aside_digest(run)
    if _their_files(run) or _is_theirs(run, record, aside):
        return RunState.CONTESTED
    if record.before == record.after:
        return RunState.COMMITTED
    if current == record.before or (aside == record.after and current != record.after):
        return RunState.OPEN
    return RunState.CONTESTED if run.exists(_KNOWN) else RunState.COMMITTED


def commit(layout: Layout, run: Dir, record: Journal, wait: Duration) -> bool:
    """Replaces index.json, if it is still the one that the plan was made for. Otherwise nothing changes. Waits up to
    `wait` for BuildKit. Raises Refused and OSError.
    """
    if record.before == record.after:
        return index_digest(layout.dir) == record.before
    if put_in_place(layout, run, record.before, record.after, wait):
        return True
    add_others(layout, run, wait, record)
    return False


def undo(layout: Layout, run: Dir, record: Journal, wait: Duration) -> None:
    """Restores index.json as it was before the run. If another program has written it since, that version stays, and
    gets the entries that the run has taken out. May be repeated. Raises Refused and OSError.
    """
    for _ in range(_ATTEMPTS):
        state = run_state(layout, run, record)
        current, aside = index_digest(layout.dir), _aside_digest(run)
        if record.before == record.after or state is RunState.OPEN:
            return
        if current != record.after or _their_files(run):
            _add_missing(layout, run, record, wait)
            return
        if _is_theirs(run, record, aside):
            new = _whole(run, INDEX)[0].sha256
        else:
            new = record.before
            if aside != new:
                run.replace(INDEX, read_before(run, record), layout.dir.stat(INDEX))
        if put_in_place(layout, run, record.after, new, wait):
            return
    raise Refused(f"{layout.path}/{INDEX} keeps changing; run it again when nothing writes to it")


def _add_missing(layout: Layout, run: Dir, record: Journal, wait: Duration) -> None:
    """Adds to another program's index.json what the run has taken out of the earlier one, and what yet another program
    has written.
    """
    content = read_before(run, record)
    before = parse(content)
    positions = (*record.removed, *(position for position, _ in record.renamed))
    add_entries(layout, run, lambda index: missing_entries(before, content, positions, index)[0], wait, record)


def add_others(layout: Layout, run: Dir, wait: Duration, record: Journal | None = None) -> None:
    """Adds to index.json only what other programs have written into the directory of the run. Raises Refused and
    OSError.
    """
    add_entries(layout, run, lambda _: (), wait, record)


def add_entries(
    layout: Layout,
    run: Dir,
    entries: Callable[[Index], Sequence[bytes]],
    wait: Duration,
    record: Journal | None = None,
) -> None:
    """Adds to index.json the entries that `entries` gives for its present content, and those that other programs have
    written into the directory of the run. `record` is the journal of a prune. May be repeated. Raises Refused and
    OSError; the directory of the run keeps then what is not in index.json.
    """
    for _ in range(_ATTEMPTS):
        end_exchange(run)
        if _is_theirs(run, record, _aside_digest(run)):
            _keep_theirs(run)
        theirs = [_whole(run, name) for name in _their_files(run)]
        index = layout.read_index()
        content = layout.content_of(index)
        if content is None:
            continue
        new = index.with_entries(content, entries(index))
        for found, written in theirs:
            present = parse(new)
            added, _moved = missing_entries(found, written, range(len(found.entries)), present)
            new = present.with_entries(new, added)
        if new == content or _replace(layout, run, index.sha256, new, wait):
            for name in _their_files(run):
                run.remove(name)
            return
    raise Refused(f"{layout.path}/{INDEX} keeps changing; run it again when nothing writes to it")


def _replace(layout: Layout, run: Dir, expected: str, new: bytes, wait: Duration) -> bool:
    known = {*_known(run), expected, sha256(new)}
    run.replace(_KNOWN, "".join(f"{digest}\n" for digest in sorted(known)).encode())
    # At once: a file that is still empty would be taken for another program's.
    run.replace(INDEX, new, layout.dir.stat(INDEX))
    return put_in_place(layout, run, expected, sha256(new), wait)


def _known(run: Dir) -> list[str]:
    try:
        with naming_directory(f"{STATE}/{RUN}"):
            return run.read(_KNOWN, INDEX_LIMIT).decode("ascii", "replace").split()
    except FileNotFoundError:
        return []


def _is_theirs(run: Dir, record: Journal | None, aside: str | None) -> bool:
    """Whether the run's index.json, which has the digest `aside`, is not known to be ours or the one that we have
    displaced.
    """
    expected = () if record is None else (record.before, record.after)
    return aside is not None and aside not in (*expected, *_known(run))


def _their_files(run: Dir) -> list[str]:
    return [name for name in run.names() if name.startswith(_THEIRS)]


def _keep_theirs(run: Dir) -> None:
    """Gives the run's index.json a name of its own, so that it stays."""
    number = next(number for number in count() if not run.exists(f"{_THEIRS}{number}"))
    run.rename(INDEX, run, f"{_THEIRS}{number}")
    run.sync()


def _whole(run: Dir, name: str) -> tuple[Index, bytes]:
    """What another program has written, and waits a moment until it is whole."""
    try:
        return run.parsed(name, INDEX_LIMIT, lambda content: (parse(content), content))
    except MalformedError as error:
        raise MalformedError(
            f"{STATE}/{RUN}/{name}: another program was cut off while it wrote this {INDEX} ({error}); if it has "
            "ended, remove the file to go on without it"
        ) from None


def missing_entries(
    source: Index, content: bytes, positions: Iterable[int], index: Index
) -> tuple[list[bytes], list[str]]:
    """The entries of one index.json, by position, that another one lacks, without names that the other already has; and
    those of these names that have another target there.
    """
    there: dict[str, set[bytes]] = {}
    nameless = set()
    for position in range(len(index.entries)):
        text, target = index.entries.name(position)
        if text is None:
            nameless.add(target)
        for name in () if text is None else split_names(text):
            there.setdefault(name, set()).add(target)
    added, moved = [], []
    back: set[tuple[str, bytes]] = set()
    for position in sorted(set(positions)):
        text, target = source.entries.name(position)
        names = () if text is None else split_names(text)
        entry = source.entries[position]
        written = content[entry.start : entry.end]
        absent = [name for name in names if name not in there and (name, target) not in back]
        moved += [name for name in names if target not in there.get(name, (target,))]
        if absent:
            others = set(names).difference(absent)
            added.append(without_names(written, others) if others else written)
            back.update((name, target) for name in absent)
        elif (
            not any((name, target) in back or target in there.get(name, ()) for name in names)
            and target not in nameless
        ):
            added.append(without_names(written) if names else written)
            nameless.add(target)
    return added, moved


def _aside_digest(aside: Dir) -> str | None:
    """The same for the index.json in the directory of a run."""
    with naming_directory(f"{STATE}/{RUN}"):
        return index_digest(aside)


def index_digest(directory: Dir) -> str | None:
    """The SHA-256, in hex, of the index.json in a directory; None where there is none. Raises OSError and Refused."""
    from hashlib import sha256

    digest = sha256()
    try:
        for piece in directory.pieces(INDEX, INDEX_LIMIT):
            digest.update(piece)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def put_in_place(layout: Layout, run: Dir, expected: str, new: str, wait: Duration) -> bool:
    """Replaces the layout's index.json with the one in the directory of the run, whose SHA-256 is `new`, if that of the
    layout's is still `expected`. Then the run has the displaced one, or nothing. Waits up to `wait` for BuildKit.

    If it returns False, the layout has what another program has written, or still writes. The run has our own file, or
    what yet another program has written. Raises Refused and OSError.
    """
    with index_lock(layout, wait):
        if index_digest(layout.dir) != expected:
            return False
        _swap(layout, run)
        if _aside_digest(run) in (expected, None):
            return True
        _swap(layout, run)
        if _aside_digest(run) not in (new, None):
            # Our file was opened while it was in place: it has to be there when that program has written it.
            _swap(layout, run)
        return False


def end_exchange(aside: Dir) -> None:
    """Completes an exchange that was cut off, so that `aside` has what `put_in_place` says. Raises OSError."""
    if aside.exists(INDEX):
        aside.remove(_DISPLACED)
    elif aside.exists(_DISPLACED):
        aside.rename(_DISPLACED, aside, INDEX)


def _swap(layout: Layout, aside: Dir) -> None:
    if not exchange(aside.fd, INDEX, layout.fd, INDEX):
        aside.remove(_DISPLACED)
        with suppress(OSError):  # not every file system has links
            layout.dir.link(INDEX, aside, _DISPLACED)
        aside.rename(INDEX, layout.dir)
        with suppress(FileNotFoundError):
            aside.rename(_DISPLACED, aside, INDEX)
    layout.dir.sync()
    aside.sync()


def roll_back(layout: Layout, state: Dir, run: Dir, record: Journal, wait: Duration) -> list[Digest]:
    """Undoes a run whose blobs are not freed yet, and removes its journal. Gives the digests of the blobs that came
    back.

    index.json comes last, so that a run whose undo was interrupted can still be finished or undone. Waits up to `wait`
    for BuildKit. Raises Refused and OSError; nothing is lost then.
    """
    taken = [digest for digest, _ in blobs_in(run)]
    put_back(layout, run, [*taken, *_labelled(run)])
    with run.ensure(UNLEASED) as kept:
        for unlease in record.unlease:
            label_files.return_label(layout.dir, kept, unlease.digest, unlease.label, unlease.value)
    docker_list.undo(layout.dir, run)
    undo(layout, run, record, wait)
    for digest in taken:
        if not has_blob(layout.dir, digest):
            raise Refused(f"blobs/{digest.path}: did not come back")
    run_directory.discard(state)
    return taken


def _labelled(run: Dir) -> list[Digest]:
    """The digests whose label files a run has taken out."""
    found = []
    for algorithm in run.names_below(label_files.DIRECTORY):
        for name in run.names_below(label_files.DIRECTORY, algorithm):
            digest = Digest.parse_registered(f"{algorithm}:{name.removesuffix(label_files.SUFFIX)}")
            if digest is not None:
                found.append(digest)
    return found
