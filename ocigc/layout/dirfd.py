"""Files below an open directory: no symlink is followed, nothing but a plain file is read, every write is atomic."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from ocigc.errors import MalformedError, Refused
from ocigc.printable import printable

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20

_YOUNG = 2.0  # seconds: a file that was written so recently may not be finished
_PATIENCE = 0.5  # seconds
_RETRY_SECONDS = 0.05

T = TypeVar("T")


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{printable(path)}: {error.strerror or error}") from error


@contextmanager
def directory(parent: int, name: str) -> Iterator[int]:
    """An open directory. Raises OSError (ENOTDIR or ELOOP for a symlink)."""
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        yield fd
    finally:
        # Of a directory nothing is written by closing it.
        with suppress(OSError):
            os.close(fd)


def open_plain(parent: int, name: str) -> int:
    """Opens a plain file for reading. Raises OSError, and Refused for what is no such file."""
    fd = os.open(name, _READ, dir_fd=parent)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise Refused(f"{printable(name)}: not a plain file; remove it or put the file in its place")


def read(parent: int, name: str, limit: int) -> bytes:
    """A plain file of at most `limit` bytes. Raises OSError, and Refused for what is no such file."""
    size = os.stat(name, dir_fd=parent, follow_symlinks=False).st_size
    # As a rule one piece, which join gives as it is.
    return b"".join(pieces(parent, name, limit, max(size, _CHUNK)))


def pieces(parent: int, name: str, limit: int, length: int = _CHUNK) -> Iterator[bytes]:
    """The same, in pieces of at most that length."""
    with open(open_plain(parent, name), "rb", buffering=0) as file:
        total = 0
        while piece := file.read(min(length, limit + 1 - total)):
            total += len(piece)
            if total > limit:
                raise Refused(f"{printable(name)}: larger than {limit} bytes")
            yield piece


def parsed(parent: int, name: str, limit: int, parse: Callable[[bytes], T]) -> T:
    """What `parse` makes of a plain file. Some writers (skopeo) write in place: what is malformed and was written just
    now is read again for a moment. Raises OSError, and Refused."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        content = read(parent, name, limit)
        try:
            return parse(content)
        except MalformedError:
            written = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mtime
            if abs(time.time() - written) > _YOUNG or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def write(parent: int, name: str, content: bytes, like: os.stat_result | None = None, mode: int | None = None) -> None:
    """Makes a new file and syncs it. With `like`, it gets that file's mode and, where we may, its owner; with `mode`,
    that mode whatever the umask."""
    write_pieces(parent, name, (content,), like, mode)


def write_pieces(
    parent: int, name: str, content: Iterable[bytes], like: os.stat_result | None = None, mode: int | None = None
) -> None:
    """The same, a piece at a time."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent)
    with open(fd, "wb") as file:
        file.writelines(content)
        file.flush()
        if like is not None:
            resemble(fd, like)
        if mode is not None:
            os.fchmod(fd, mode)
        os.fsync(fd)


def replace(parent: int, name: str, content: bytes, mode: int | None = None) -> None:
    """Puts a new file in the place of what is there, at once or not at all, and makes it durable. Raises OSError."""
    temporary = f".ocigc-{os.urandom(8).hex()}.tmp"
    try:
        write(parent, temporary, content, mode=mode)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def resemble(fd: int, like: os.stat_result, mode: int | None = None) -> None:
    """Gives an open file the mode of another, or `mode`, and, where we may, its owner."""
    with suppress(PermissionError):
        os.fchown(fd, like.st_uid, like.st_gid)
    os.fchmod(fd, stat.S_IMODE(like.st_mode) if mode is None else mode)


def make_directory(parent: int, name: str, mode: int | None = None) -> None:
    """Makes a directory that belongs to whom its parent does, with its parent's mode or `mode`, whatever the umask.
    Raises OSError."""
    like = os.fstat(parent)
    os.mkdir(name, stat.S_IMODE(like.st_mode) if mode is None else mode, dir_fd=parent)
    with directory(parent, name) as fd:
        resemble(fd, like, mode)


def sync(parent: int, name: str = ".") -> None:
    """Makes the names in a directory durable."""
    with directory(parent, name) as fd:
        os.fsync(fd)


def exists(parent: int, name: str) -> bool:
    """Whether there is a file of that name, be it what it may."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def listing(parent: int, name: str) -> list[str]:
    """The names in a directory, sorted; none where there is no such directory. Raises OSError."""
    try:
        with directory(parent, name) as fd:
            return sorted(os.listdir(fd))
    except FileNotFoundError:
        return []
