"""The ledger on disk, `.ocigc/ledger`: what verify has found sound, so that it need not hash it again soon.

The file is never changed: a new one takes its place by one rename, so that no reader needs a lock. Every record is true
by itself, so a run that writes adds what others have written since it read. `docs/ledger.md` describes the format.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from ocigc.errors import Refused, UsageError
from ocigc.layout.dirfd import Dir, copy_owner_and_mode
from ocigc.layout.layout import INDEX, STATE, Layout
from ocigc.layout.lock import lock_file, make_state
from ocigc.native import Ledger, Store
from ocigc.times import SECOND

NAME = "ledger"
_NEW = "ledger.new"
_PATIENCE = 60 * SECOND  # to write ten million records takes some seconds


def _refuse_archive(layout: Layout) -> None:
    if layout.is_archive:
        raise UsageError(f"{layout.path}: an archive has no ledger of what was verified: verify all of it")


@contextmanager
def writable_state(layout: Layout, *, make: bool) -> Iterator[list[int]]:
    """The open directory in which verify changes something: ocigc's own state, for the ledger and the history. It is
    made only for a ledger."""
    if make:
        _refuse_archive(layout)
    with ExitStack() as stack:
        directories = []
        with suppress(OSError):
            if make:
                make_state(layout)
            directories.append(stack.enter_context(layout.dir.below(STATE)).fd)
        yield directories


def has_ledger(layout: Layout) -> bool:
    """Whether a layout has a ledger, as far as can be seen."""
    with suppress(OSError), layout.dir.below(STATE) as state:
        return state.exists(NAME)
    return False


@contextmanager
def open_ledger(
    layout: Layout, store: Store, began: int, note: Callable[[str], None], *, make: bool
) -> Iterator[Ledger | None]:
    """The ledger of a layout, which is written again at the end if it differs. Without `make`, gives None where there
    is none. If it cannot be read or written, that is noted, and only costs time.
    """
    if make:
        _refuse_archive(layout)
    if layout.is_archive:
        yield None
        return
    where = f"{layout.path}/{STATE}/{NAME}"
    ledger = Ledger(store)
    try:
        before = _version(layout)
        there = _read(layout, ledger, began, where, note)
        yield ledger if make or there else None
        if ledger.differs:
            try:
                _write(layout, store, ledger, before, began)
            except (OSError, Refused) as error:
                reason = getattr(error, "strerror", None) or error
                note(f"{where}: {reason}: the ledger is not kept, so the next run finds nothing in it")
    finally:
        ledger.close()


def _read(layout: Layout, ledger: Ledger, began: int, where: str, note: Callable[[str], None]) -> bool:
    """Whether there is a ledger."""
    try:
        with layout.dir.below(STATE) as state:
            fd = state.open_plain(NAME)
        try:
            # Another run may have begun after this one, and have ended.
            damaged = ledger.read(fd, max(began, time.time_ns()))
        finally:
            os.close(fd)
    except FileNotFoundError:
        return False
    except (OSError, Refused) as error:
        note(f"{where}: {getattr(error, 'strerror', None) or error}: it is ignored; what it knew is hashed again")
        return True
    if damaged:
        note(f"{where}: {damaged:,} parts of it are damaged and were dropped; what they knew is hashed again")
    return True


def _version(layout: Layout) -> tuple[int, ...]:
    """The identity of the ledger file, which differs from that of the next one."""
    try:
        with layout.dir.below(STATE) as state:
            found = state.stat(NAME)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _take_over(state: Dir, store: Store, ledger: Ledger, began: int) -> None:
    """Adds what another run has written meanwhile. What cannot be read of it is hashed again."""
    theirs = Ledger(store)
    try:
        fd = state.open_plain(NAME)
        try:
            theirs.read(fd, max(began, time.time_ns()))
        finally:
            os.close(fd)
        ledger.take_over(theirs)
    except (OSError, Refused):
        pass
    finally:
        theirs.close()


def _write(layout: Layout, store: Store, ledger: Ledger, before: tuple[int, ...], began: int) -> None:
    make_state(layout)
    with layout.dir.below(STATE) as state:
        fd = _open_new(state)
        try:
            if _version(layout) != before:
                _take_over(state, store, ledger, began)
            copy_owner_and_mode(fd, layout.dir.stat(INDEX))
            ledger.write(fd)
            os.fsync(fd)
            state.rename(_NEW, state, NAME)
            state.sync()
        finally:
            os.close(fd)


def _open_new(state: Dir) -> int:
    """The file that will become the ledger: empty, and locked while it is open. One that a killed run has left is used
    again."""
    while True:
        fd = os.open(
            _NEW, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=state.fd
        )
        try:
            lock_file(fd, _PATIENCE)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise Refused(f"{_NEW} beside it is not a file of ocigc; remove it")
            if status.st_nlink == 1 and state.stat(_NEW).st_ino == status.st_ino:
                os.ftruncate(fd, 0)
                return fd
        except FileNotFoundError:
            pass  # another run has just renamed it
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
