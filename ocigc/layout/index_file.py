"""The file index.json, changed beside writers that take no lock.

A new index.json is written aside and takes its place by an exchange of the two names. What it displaces is looked at
then: if that is not what was expected, another program has written in this very moment, and they are exchanged back.
Where the file system cannot exchange two names, a second name for the old file serves to look at it.
"""

from __future__ import annotations

from contextlib import suppress

from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import INDEX, INDEX_LIMIT, Layout
from ocigc.layout.lock import index_lock
from ocigc.native import exchange

_OLD = "index.old"


def index_digest(directory: Dir) -> str | None:
    """The SHA-256, in hex, of the index.json in a directory; None where there is none. Raises OSError and Refused."""
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256()
    try:
        for piece in directory.pieces(INDEX, INDEX_LIMIT):
            digest.update(piece)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def put_in_place(layout: Layout, aside: Dir, expected: str, wait: float) -> bool:
    """Puts the index.json in the directory `aside` in place of that of the layout, if the SHA-256 of that is still
    `expected`; what it has displaced is in `aside` then, or nothing. Waits up to `wait` seconds for BuildKit.

    If it returns False, the layout has what another program has written. `aside` has ours, or what yet another program
    has made of it while it was in place. Raises Refused and OSError.
    """
    with index_lock(layout, wait):
        if index_digest(layout.dir) != expected:
            return False
        _swap(layout, aside)
        if index_digest(aside) in (expected, None):
            return True
        _swap(layout, aside)
        return False


def settle(aside: Dir) -> None:
    """Ends an exchange that was cut off, so that `aside` has what `put_in_place` says. Raises OSError."""
    if aside.exists(INDEX):
        aside.remove(_OLD)
    elif aside.exists(_OLD):
        aside.rename(_OLD, aside, INDEX)


def _swap(layout: Layout, aside: Dir) -> None:
    if not exchange(aside.fd, INDEX, layout.fd, INDEX):
        aside.remove(_OLD)
        with suppress(OSError):  # not every file system has links
            layout.dir.link(INDEX, aside, _OLD)
        aside.rename(INDEX, layout.dir)
        with suppress(FileNotFoundError):
            aside.rename(_OLD, aside, INDEX)
    layout.dir.sync()
    aside.sync()
