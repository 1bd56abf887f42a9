"""Adds entries to index.json while other programs may write it: those that come back, and those that another program
has written into the directory of a run.

What is there and not known to be ours is somebody's. It stays until its entries are in index.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count

from ocigc.errors import MalformedError, Refused
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import Index, parse, without_names
from ocigc.layout.layout import INDEX, INDEX_LIMIT, Layout
from ocigc.native import sha256
from ocigc.pruning.index_exchange import aside_digest, end_exchange, put_in_place
from ocigc.pruning.journal import PLACE, Journal, naming_run
from ocigc.reference import split_names
from ocigc.times import Duration

_THEIRS = "index.theirs."
"""What other programs have written, numbered, until these entries are in index.json."""
_KNOWN = "index.known"
"""The SHA-256, in hex, of each index.json that entries were added to, before and after."""

_ATTEMPTS = 20


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
        if is_theirs(run, record, aside_digest(run)):
            _keep_theirs(run)
        theirs = [whole(run, name) for name in their_files(run)]
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
            for name in their_files(run):
                run.remove(name)
            return
    raise Refused(f"{layout.path}/{INDEX} keeps changing; run it again when nothing writes to it")


def _replace(layout: Layout, run: Dir, expected: str, new: bytes, wait: Duration) -> bool:
    known = {*_known(run), expected, sha256(new)}
    run.replace(_KNOWN, "".join(f"{digest}\n" for digest in sorted(known)).encode())
    # At once: a file that is still empty would be taken for another program's.
    run.replace(INDEX, new, layout.dir.stat(INDEX))
    return put_in_place(layout, run, expected, sha256(new), wait)


def has_begun(run: Dir) -> bool:
    """Whether entries may have been added to index.json by the run. Raises OSError."""
    return run.exists(_KNOWN)


def _known(run: Dir) -> list[str]:
    with naming_run(PLACE):
        try:
            return run.read(_KNOWN, INDEX_LIMIT).decode("ascii", "replace").split()
        except FileNotFoundError:
            return []


def is_theirs(run: Dir, record: Journal | None, aside: str | None) -> bool:
    """Whether the run's index.json, which has the digest `aside`, is not known to be ours or the one that we have
    displaced.
    """
    expected = () if record is None else (record.before, record.after)
    return aside is not None and aside not in (*expected, *_known(run))


def their_files(run: Dir) -> list[str]:
    return [name for name in run.names() if name.startswith(_THEIRS)]


def _keep_theirs(run: Dir) -> None:
    """Gives the run's index.json a name of its own, so that it stays."""
    number = next(number for number in count() if not run.exists(f"{_THEIRS}{number}"))
    run.rename(INDEX, run, f"{_THEIRS}{number}")
    run.sync()


def whole(run: Dir, name: str) -> tuple[Index, bytes]:
    """What another program has written, and waits a moment until it is whole."""
    try:
        return run.parsed(name, INDEX_LIMIT, lambda content: (parse(content), content))
    except MalformedError as error:
        raise MalformedError(
            f"{PLACE}/{name}: another program was cut off while it wrote this {INDEX} ({error}); if it has "
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
