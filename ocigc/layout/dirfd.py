"""Open directories. Everything below one is reached by name from its descriptor.

Symlinks are never followed, only plain files are read, and every write is atomic.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import Self, TypeVar

from ocigc.closing import Closing
from ocigc.errors import MalformedError, Refused, printable

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CHUNK = 1 << 20

_RECENT = 2.0  # seconds: a file written more recently may be unfinished
_PATIENCE = 0.5  # seconds
_RETRY_SECONDS = 0.05

_NOT_PLAIN = "not a plain file; remove it or put the file in its place"
_MEANINGS = {
    errno.ELOOP: "a symbolic link, which is not followed; put the file itself in its place",
    # Also for a symbolic link in place of a directory.
    errno.ENOTDIR: "not a directory; put the directory itself in its place, or move away what is there",
    errno.EISDIR: "a directory, not a plain file; move it away",
    errno.ENXIO: _NOT_PLAIN,  # a socket, or a device that does not exist
}
_LIKELY = {
    errno.EPERM: "it may be immutable or append-only (see lsattr)",
    errno.EBUSY: "it may be a mount of its own; unmount it",
}

T = TypeVar("T")


def reason(error: OSError) -> str:
    """What an OSError means, in words."""
    number = error.errno or 0
    what = _MEANINGS.get(number) or error.strerror or str(error)
    return f"{what}: {_LIKELY[number]}" if number in _LIKELY else what


def cause(error: BaseException) -> str:
    """What stopped a run, in words: an interrupt, or an error with the file that it names (of a rename, the target)."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if not isinstance(error, OSError):
        return str(error)
    name = error.filename if error.filename2 is None else error.filename2
    return reason(error) if name is None else f"{printable(str(name))}: {reason(error)}"


class NotPlain(Refused):
    """A name is not that of a plain file."""


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{printable(path)}: {reason(error)}") from error


def is_full(error: OSError) -> bool:
    """Whether the disk, or the quota of a user or project, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _failing_at(names: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = "/".join(names)
        raise


class Dir(Closing):
    """An open directory. Methods take names in it, never paths, and raise OSError unless they say otherwise.

    `fd` is its descriptor. Close it, or use it as a context manager.
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        """Takes over `fd`, an open directory."""
        self.fd = fd

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """Opens the directory of a path that the user gave. Raises OSError, and ValueError for what is not a path."""
        return cls(os.open(path, _DIRECTORY))

    def close(self) -> None:
        """Closes the descriptor. This writes nothing, so a failure does not matter."""
        with suppress(OSError):
            os.close(self.fd)

    # Directories below

    def below(self, *names: str) -> Dir:
        """Opens the directory at the end of a chain of names; ENOTDIR where one of them is a symlink. An OSError names
        the chain up to the name that failed.
        """
        directory = Dir(os.dup(self.fd))
        for place, name in enumerate(names, 1):
            with directory, _failing_at(names[:place]):
                directory = Dir(os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory.fd))
        return directory

    def make(self, name: str, mode: int | None = None) -> None:
        """Makes a directory with the owner of this one, and with the same mode or `mode`, whatever the umask is."""
        like = os.fstat(self.fd)
        os.mkdir(name, stat.S_IMODE(like.st_mode) if mode is None else mode, dir_fd=self.fd)
        with self.below(name) as made:
            copy_owner_and_mode(made.fd, like, mode)

    def ensure(self, *names: str, mode: int | None = None) -> Dir:
        """The same as `below`, but makes missing directories, durably. Only a new directory gets the `mode`."""
        directory = Dir(os.dup(self.fd))
        for place, name in enumerate(names, 1):
            with directory, _failing_at(names[:place]):
                with suppress(FileExistsError):
                    directory.make(name, mode)
                    directory.sync()
                directory = directory.below(name)
        return directory

    # What is in it

    def names(self) -> list[str]:
        """The names in it, sorted."""
        return sorted(os.listdir(self.fd))

    def names_below(self, *names: str) -> list[str]:
        """The names in a directory below, sorted; empty where the directory does not exist."""
        try:
            with self.below(*names) as directory:
                return directory.names()
        except FileNotFoundError:
            return []

    def stat(self, name: str) -> os.stat_result:
        """The status of a name. A symlink is not followed."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        """Whether the name exists, as any kind of file."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def samefile(self, name: str, directory: Dir) -> bool:
        """Whether a name is the same file in another directory."""
        return os.path.samestat(self.stat(name), directory.stat(name))

    # Files

    def open_plain(self, name: str) -> int:
        """Opens a plain file for reading. Raises Refused for any other kind of file."""
        fd = os.open(name, _READ, dir_fd=self.fd)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise NotPlain(f"{printable(name)}: {_NOT_PLAIN}")

    def reader(self, name: str) -> BufferedReader:
        """The same as a file object, which the caller closes."""
        return open(self.open_plain(name), "rb")

    def read(self, name: str, limit: int) -> bytes:
        """Reads a plain file of at most `limit` bytes. Raises Refused if it is larger, or not a plain file."""
        # Usually there is only one piece, which join returns without a copy.
        return b"".join(self.pieces(name, limit, max(self.stat(name).st_size, _CHUNK)))

    def pieces(self, name: str, limit: int, length: int = _CHUNK) -> Iterator[bytes]:
        """The same, in pieces of at most `length` bytes."""
        with self.reader(name) as file:
            total = 0
            while piece := file.read(min(length, limit + 1 - total)):
                total += len(piece)
                if total > limit:
                    raise Refused(f"{printable(name)}: larger than {limit} bytes")
                yield piece

    def parsed(self, name: str, limit: int, parse: Callable[[bytes], T]) -> T:
        """Parses a plain file with `parse`. Some writers (skopeo, oras) truncate a file and write it anew. So for a
        moment, a malformed file that was written just now is read again. Raises Refused.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            content = self.read(name, limit)
            try:
                return parse(content)
            except MalformedError:
                if abs(time.time() - self.stat(name).st_mtime) > _RECENT or time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_SECONDS)

    def write(self, name: str, content: bytes, like: os.stat_result | None = None, mode: int | None = None) -> None:
        """Makes a new file and syncs it. With `like`, it gets the mode of that file and, where permitted, its owner;
        with `mode`, that mode whatever the umask is.
        """
        self.write_pieces(name, (content,), like, mode)

    def write_pieces(
        self, name: str, content: Iterable[bytes], like: os.stat_result | None = None, mode: int | None = None
    ) -> None:
        """The same, piece by piece."""
        with open(os.open(name, _CREATE, 0o666, dir_fd=self.fd), "wb") as file:
            file.writelines(content)
            file.flush()
            if like is not None:
                copy_owner_and_mode(file.fileno(), like)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())

    def replace(self, name: str, content: bytes, like: os.stat_result | None = None, mode: int | None = None) -> None:
        """Replaces a file atomically, and makes that durable."""
        self.replace_pieces(name, (content,), like, mode)

    def replace_pieces(
        self, name: str, content: Iterable[bytes], like: os.stat_result | None = None, mode: int | None = None
    ) -> None:
        """The same, piece by piece."""
        temporary = f".ocigc-{os.urandom(8).hex()}.tmp"
        try:
            self.write_pieces(temporary, content, like, mode)
            self.rename(temporary, self, name)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise
        self.sync()

    def rename(self, name: str, target: Dir, new_name: str | None = None) -> None:
        """Moves a file into another directory, over a file of that name."""
        os.rename(name, name if new_name is None else new_name, src_dir_fd=self.fd, dst_dir_fd=target.fd)

    def link(self, name: str, target: Dir, new_name: str | None = None) -> None:
        """Gives a file another name, in another directory. Raises FileExistsError where that name exists."""
        os.link(
            name,
            name if new_name is None else new_name,
            src_dir_fd=self.fd,
            dst_dir_fd=target.fd,
            follow_symlinks=False,
        )

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Makes its names durable."""
        os.fsync(self.fd)


def copy_owner_and_mode(fd: int, like: os.stat_result, mode: int | None = None) -> None:
    """Gives an open file the mode of another, or `mode`, and, where permitted, the owner and the group."""
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
    except PermissionError:
        with suppress(PermissionError):
            os.fchown(fd, -1, like.st_gid)  # for a member of the group who is not the owner
    os.fchmod(fd, stat.S_IMODE(like.st_mode) if mode is None else mode)
