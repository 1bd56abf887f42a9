"""The lock of a layout: `flock` on `.ocigc/lock`. Two runs that change a layout exclude each other; readers share.

Source of the refusal: moby `errPruneRunning`.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ocigc.errors import Refused
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import MARKER, STATE, Layout

_NAME = "lock"
_RETRY_SECONDS = 0.1


@contextmanager
def exclusive(layout: Layout, wait: float) -> Iterator[Dir]:
    """Excludes every other run that changes the layout; gives the open state directory. Waits up to `wait` seconds.

    Raises Refused.
    """
    with naming(f"{layout.path}/{STATE}"):
        state, fd = _open_state(layout)
    try:
        _acquire(fd, fcntl.LOCK_EX, wait)
        yield state
    finally:
        os.close(fd)
        state.close()


@contextmanager
def writing(layout: Layout, wait: float) -> Iterator[tuple[Dir, int]]:
    """Excludes runs of ocigc that change the layout, but no reader and no other writer; gives the open state directory
    and the descriptor of the lock: a process that inherits it holds the lock too. Raises Refused.
    """
    with naming(f"{layout.path}/{STATE}"):
        state, fd = _open_state(layout)
    try:
        _acquire(fd, fcntl.LOCK_SH, wait)
        yield state, fd
    finally:
        os.close(fd)
        state.close()


def make_state(layout: Layout) -> None:
    """Makes the state directory where there is none. Raises OSError."""
    with suppress(FileExistsError):
        layout.dir.make(STATE)
        layout.dir.sync()


def _open_state(layout: Layout) -> tuple[Dir, int]:
    make_state(layout)
    state = layout.dir.below(STATE)
    path = f"{layout.path}/{STATE}/{_NAME}"
    try:
        with naming(path):
            with suppress(FileExistsError):
                state.write(_NAME, b"", layout.dir.stat(MARKER))
            fd = os.open(_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state.fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused(f"{path}: not a plain file; remove it")
    except BaseException:
        state.close()
        raise
    return state, fd


@contextmanager
def shared(layout: Layout, wait: float) -> Iterator[None]:
    """Excludes runs that change the layout. A layout that no run has changed yet needs no lock. Raises Refused."""
    try:
        with layout.dir.below(STATE) as state:
            fd = os.open(_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state.fd)
    except OSError:
        # Nobody has ever locked it, or we may not: reading alone does no harm.
        yield
        return
    try:
        _acquire(fd, fcntl.LOCK_SH, wait)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, operation: int, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            return fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Refused("a prune operation is already running: wait for it, or use --wait") from None
        time.sleep(_RETRY_SECONDS)
