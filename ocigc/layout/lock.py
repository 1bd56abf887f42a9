"""The lock of a layout: `flock` on `.ocigc/lock`. Runs that change a layout exclude each other, and readers share the
lock. Also the lock under which BuildKit changes index.json.

Sources: moby `errPruneRunning`; BuildKit client/ociindex/ociindex.go, `StoreIndex.Put`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from ocigc.errors import Busy, Refused, UsageError
from ocigc.layout.dirfd import Dir, is_full, naming
from ocigc.layout.layout import INDEX, MARKER, STATE, Layout
from ocigc.times import SECOND, Duration, nanoseconds
from ocigc.values import frozen

NAME = "lock"
"""The file of the lock, in the state directory."""
_RETRY = SECOND // 10
_FILE_RETRY = SECOND // 100
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_STATE_SIZE = 8192  # bytes that the state directory takes
_STATE_FILES = 2
_INDEX_LOCK = f"{INDEX}.lock"
_INDEX_WAIT = SECOND  # the least wait: BuildKit has its lock for some milliseconds
_INDEX_RETRY = SECOND // 200
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@frozen
class _Lock:
    """The open state directory, the descriptor of the lock, and whether this process has just made the directory."""

    state: Dir
    fd: int
    is_new: bool


class _NoLock(Exception):
    """Nobody has ever locked the layout, or locking it is not permitted."""


@contextmanager
def exclusive(layout: Layout, wait: Duration) -> Iterator[Dir]:
    """Excludes every other run that changes the layout, and gives the open state directory. Waits up to `wait`.

    Raises Refused.
    """
    with _locked(layout, _make_lock, fcntl.LOCK_EX, wait) as lock:
        try:
            yield lock.state
        finally:
            if lock.is_new:
                _remove_unused(layout, lock.state)


@contextmanager
def writing(layout: Layout, wait: Duration | None) -> Iterator[tuple[Dir, int]]:
    """Excludes runs of ocigc that change the layout, but not readers and other writers. Gives the open state directory,
    and the descriptor of the lock: a process that inherits it has the lock too. Waits without limit if `wait` is None.
    Where the file system has no locks, nothing is excluded; but then no run changes the layout.
    Raises Refused.
    """
    with _locked(layout, _make_lock, fcntl.LOCK_SH, wait) as lock:
        yield lock.state, lock.fd


@contextmanager
def shared(layout: Layout, wait: Duration) -> Iterator[None]:
    """Excludes runs that change the layout. A layout that no run has changed yet needs no lock. Waits up to `wait`.
    Raises Refused.
    """
    with ExitStack() as stack:
        with suppress(_NoLock):  # reading does no harm then
            stack.enter_context(_locked(layout, _find_lock, fcntl.LOCK_SH, wait))
        yield


@contextmanager
def _locked(
    layout: Layout, open_lock: Callable[[Layout], _Lock], operation: int, wait: Duration | None
) -> Iterator[_Lock]:
    """Locks the file that `open_lock` opens.

    A run that made the state directory and left nothing in it removes it, with the lock. So a lock counts only if its
    file still has the name, as with BuildKit's lock.
    """
    deadline = None if wait is None else time.monotonic_ns() + nanoseconds(wait)
    while True:
        lock = open_lock(layout)
        try:
            with naming(f"{layout.path}/{STATE}/{NAME}"):
                acquired = _acquire(lock.fd, operation, deadline)
            if not acquired and operation == fcntl.LOCK_EX:
                raise Refused(
                    f"{layout.path}/{STATE}/{NAME}: the file system has no locks, so that two runs could not exclude "
                    "each other: run it on the machine that has the files, or mount it with locks; nothing was changed"
                )
            if _has_name(lock.fd, layout.dir, STATE, NAME):
                yield lock
                return
        finally:
            with suppress(OSError):
                os.close(lock.fd)
            lock.state.close()


def _has_name(fd: int, directory: Dir, *path: str) -> bool:
    """Whether an open file has this name below a directory."""
    *above, name = path
    with suppress(FileNotFoundError), directory.below(*above) as parent:
        return os.path.samestat(os.fstat(fd), parent.stat(name))
    return False


def _remove_unused(layout: Layout, state: Dir) -> None:
    """Removes a state directory that has nothing but the lock, which this process has exclusively."""
    with suppress(OSError):
        if state.names() == [NAME]:
            state.remove(NAME)
            os.rmdir(STATE, dir_fd=layout.fd)


def make_state(layout: Layout) -> bool:
    """Makes the state directory if it is missing; whether it was. Raises OSError, and UsageError for an archive."""
    if layout.is_archive:
        raise UsageError(f"{layout.path}: an archive is only read: unpack it into a directory first")
    with suppress(FileExistsError):
        layout.dir.make(STATE)
        layout.dir.sync()
        return True
    return False


def _make_state(layout: Layout) -> bool:
    try:
        return make_state(layout)
    except OSError as error:
        if not is_full(error):
            raise
        raise Refused(
            f"{layout.path}/{STATE}: the disk is full: this needs {_STATE_SIZE:,} bytes and {_STATE_FILES} inodes free "
            "there; nothing was changed"
        ) from error


def _make_lock(layout: Layout) -> _Lock:
    """Opens the lock, and makes what is missing."""
    is_new = False
    while True:
        with naming(f"{layout.path}/{STATE}"):
            is_new |= _make_state(layout)
            opened = _open_lock(layout)
        if opened is not None:
            return _Lock(*opened, is_new)


def _open_lock(layout: Layout) -> tuple[Dir, int] | None:
    """The state directory and the file of the lock, open; None if another process has removed them just now."""
    like = layout.dir.stat(MARKER)
    try:
        state = layout.dir.below(STATE)
    except FileNotFoundError:
        return None
    path = f"{layout.path}/{STATE}/{NAME}"
    try:
        with naming(path):
            with suppress(FileExistsError):
                state.write(NAME, b"", like)
            fd = os.open(NAME, _OPEN, dir_fd=state.fd)
        _check_plain(fd, path)
    except BaseException as error:
        state.close()
        if isinstance(error, Refused) and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return state, fd


def _check_plain(fd: int, path: str) -> None:
    """Closes the file of a lock, and raises Refused, if it is not a plain one."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused(f"{path}: not a plain file; remove it")


def _find_lock(layout: Layout) -> _Lock:
    """Opens the lock for reading, if there is one. Raises _NoLock."""
    try:
        state = layout.dir.below(STATE)
    except OSError:
        raise _NoLock from None
    try:
        return _Lock(state, os.open(NAME, _READ, dir_fd=state.fd), is_new=False)
    except OSError:
        state.close()
        raise _NoLock from None


def _acquire(fd: int, operation: int, deadline: int | None) -> bool:
    """Takes a lock. False if the file system has none. Raises Busy and OSError."""
    try:
        return _try_to_acquire(fd, operation, deadline)
    except BlockingIOError:
        raise Busy("a prune operation is already running") from None


def _try_to_acquire(fd: int, operation: int, deadline: int | None = 0) -> bool:
    """The same, by default without waiting. Raises BlockingIOError if another process has the lock."""
    try:
        _flock(fd, operation, deadline, _RETRY)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def lock_file(fd: int, patience: int) -> None:
    """Locks an open file that other runs have for a moment. Raises Refused if another program has it for longer than
    `patience`, in nanoseconds, and OSError.
    """
    try:
        _flock(fd, fcntl.LOCK_EX, time.monotonic_ns() + patience, _FILE_RETRY)
    except BlockingIOError:
        raise Refused("another program has locked it") from None


def _flock(fd: int, operation: int, deadline: int | None, retry: int) -> None:
    """Waits for a lock up to the deadline of the monotonic clock, or without limit, and asks for it every `retry`
    nanoseconds. Raises BlockingIOError if another process still has it, and OSError.
    """
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline is not None and time.monotonic_ns() >= deadline:
                raise
            time.sleep(retry / SECOND)
        else:
            return


@contextmanager
def index_lock(layout: Layout, wait: Duration) -> Iterator[None]:
    """Excludes BuildKit while index.json is changed. BuildKit does not wait for this lock but fails, so have it as
    briefly as possible. Waits up to `wait`, and always for a moment. Raises Refused and OSError.

    BuildKit removes the file when it is done, and so does this function. So a lock counts only if its file still has
    the name.
    """
    deadline = time.monotonic_ns() + max(nanoseconds(wait), _INDEX_WAIT)
    while (fd := _try_index_lock(layout)) is None:
        if time.monotonic_ns() >= deadline:
            raise Busy(f"{layout.path}/{_INDEX_LOCK}: another program is changing {INDEX}")
        time.sleep(_INDEX_RETRY / SECOND)
    try:
        yield
    finally:
        with suppress(OSError):
            layout.dir.remove(_INDEX_LOCK)
        with suppress(OSError):
            os.close(fd)


def clear_index_lock(layout: Layout) -> None:
    """Removes the lock file that a killed process has left, if nobody has it locked. Raises OSError."""
    if layout.dir.exists(_INDEX_LOCK) and (fd := _try_index_lock(layout)) is not None:
        layout.dir.remove(_INDEX_LOCK)
        os.close(fd)


def _try_index_lock(layout: Layout) -> int | None:
    """Takes the lock if nobody has it. Gives its descriptor."""
    path = f"{layout.path}/{_INDEX_LOCK}"
    with naming(path):
        fd = os.open(_INDEX_LOCK, _OPEN | os.O_CREAT, 0o600, dir_fd=layout.fd)
    _check_plain(fd, path)
    try:
        # Where there are no locks, nobody else can lock it either.
        if not _try_to_acquire(fd, fcntl.LOCK_EX) or _has_name(fd, layout.dir, _INDEX_LOCK):
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
