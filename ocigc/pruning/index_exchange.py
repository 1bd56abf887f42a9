"""Exchanges index.json with a file in the directory of a run, among writers that take no lock.

A new index.json is written beside the old one, and the two exchange their names. Then the file that was displaced is
compared with what was expected. If it differs, another program has written at the same moment, and the two are
exchanged back. Where the file system cannot exchange two names, a second name (a hard link) keeps the old file for that
comparison.

Between the two exchanges, a third program may open our file to write it anew, and go on after they are over. Then that
file goes back into its place.
"""

from __future__ import annotations

from contextlib import suppress

from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import INDEX, INDEX_LIMIT, Layout
from ocigc.layout.lock import index_lock
from ocigc.native import exchange
from ocigc.pruning.journal import PLACE, naming_run
from ocigc.times import Duration

_DISPLACED = "index.old"


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
        if aside_digest(run) in (expected, None):
            return True
        _swap(layout, run)
        if aside_digest(run) not in (new, None):
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


def aside_digest(aside: Dir) -> str | None:
    """The same of the index.json in the directory of a run."""
    with naming_run(PLACE):
        return index_digest(aside)
