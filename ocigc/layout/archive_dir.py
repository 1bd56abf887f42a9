"""The directories of an archive, which are read like those of a file system."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO
from typing import Any

from ocigc.digest import ENCODED_LENGTHS, Digest
from ocigc.errors import Refused, printable
from ocigc.layout.dirfd import Dir
from ocigc.layout.label_files import DIRECTORY as LABELS
from ocigc.layout.label_files import SUFFIX
from ocigc.layout.tar import Kind
from ocigc.native import ArchiveMember, MemberKind

NOT_KEPT = 2**64 - 1
"""The offset of content that was read once and not kept."""
_BLOBS = "blobs"


@dataclass(slots=True)
class File:
    """A plain file of an archive: where its content begins (NOT_KEPT: it is gone), and how many names it has. `digest`
    is that of content that was hashed as it was read, else empty."""

    start: int
    size: int
    modified: int
    links: int = 1
    digest: str = ""


Directory = dict[str, "File | Kind | Directory"]
"""What is in a directory, by name: files, what is neither a file nor a directory, and directories."""


class ArchiveDir(Dir):
    """A directory in an archive. Methods that would change it, or need the descriptor of a file in it, raise OSError:
    to the system it is not a directory."""

    __slots__ = ("_entries", "_owns")

    def __init__(self, fd: int, entries: Directory, *, owns: bool = False) -> None:
        """A directory of the archive that is open as `fd`, which this object closes if it `owns` it."""
        super().__init__(fd)
        self._entries = entries
        self._owns = owns

    def close(self) -> None:
        """Closes the archive, if this object owns it."""
        if self._owns:
            super().close()

    def below(self, *names: str) -> ArchiveDir:
        entries = self._entries
        for name in names:
            found = entries.get(name)
            if not isinstance(found, dict):
                raise _error(ENOENT if found is None else ENOTDIR, name)
            entries = found
        return ArchiveDir(self.fd, entries)

    def names(self) -> list[str]:
        return sorted(self._entries)

    def stat(self, name: str) -> os.stat_result:
        entry = self._entries if name == "." else self._entries.get(name)
        if entry is None:
            raise _error(ENOENT, name)
        archive = os.fstat(self.fd)
        modified, size, links, inode = archive.st_mtime_ns, 0, 1, 0
        if isinstance(entry, File):
            kind = stat.S_IFREG
            modified, size, links, inode = entry.modified, entry.size, entry.links, entry.start
        elif isinstance(entry, dict):
            kind = stat.S_IFDIR
        else:
            kind = stat.S_IFLNK if entry == Kind.SYMLINK else stat.S_IFCHR
        mode = kind | stat.S_IMODE(archive.st_mode)
        plain = (mode, inode, archive.st_dev, links, archive.st_uid, archive.st_gid, size)
        seconds = (int(archive.st_atime), modified // 10**9, int(archive.st_ctime))
        exact = {"st_mtime": modified / 1e9, "st_mtime_ns": modified, "st_ctime_ns": archive.st_ctime_ns}
        return os.stat_result((*plain, *seconds), exact)

    def reader(self, name: str) -> io.BufferedReader:
        entry = self._entries.get(name)
        if isinstance(entry, File) and entry.start == NOT_KEPT:
            raise Refused(f"{printable(name)}: a stream's content is not kept")
        if isinstance(entry, File):
            return io.BufferedReader(_Content(self.fd, entry))
        if entry is None or isinstance(entry, dict):
            raise _error(ENOENT if entry is None else EISDIR, name)
        raise _error(ELOOP if entry == Kind.SYMLINK else ENXIO, name)

    def files(self) -> Mapping[str, File]:
        """The plain files in it, by name."""
        return {name: entry for name, entry in self._entries.items() if isinstance(entry, File)}

    def members(self) -> Iterator[ArchiveMember]:
        """What there is below blobs/ and labels/. Raises Refused for a file of the wrong kind."""
        blobs, labels = self._entries.get(_BLOBS), self._entries.get(LABELS)
        if blobs is not None:
            yield from _blobs(blobs)
        if labels is not None:
            yield from _labels(labels)


def _error(number: int, name: str) -> OSError:
    return OSError(number, os.strerror(number), name)


class _Content(io.RawIOBase):
    """The content of a member. Any number of threads may read others."""

    def __init__(self, fd: int, file: File) -> None:
        self._fd = fd
        self._next = file.start
        self._end = file.start + file.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._end - self._next]
        count = os.preadv(self._fd, [view], self._next) if view else 0
        self._next += count
        return count


def _blobs(blobs: object) -> Iterator[ArchiveMember]:
    for algorithm, below in _directory(blobs, _BLOBS).items():
        if not isinstance(below, dict):
            _plain(below, f"{_BLOBS}/{algorithm}")
            yield _foreign(algorithm)
            continue
        if algorithm not in ENCODED_LENGTHS and not Digest.recognises(f"{algorithm}:0"):
            yield _foreign(algorithm)
            continue
        for name, entry in below.items():
            digest = f"{algorithm}:{name}"
            path = f"{_BLOBS}/{algorithm}/{name}"
            is_blob = Digest.recognises(digest)
            if isinstance(entry, dict) and not (is_blob and algorithm in ENCODED_LENGTHS):
                yield _foreign(f"{algorithm}/{name}")
            elif is_blob:
                file = _plain(entry, path)
                yield ArchiveMember(MemberKind.BLOB, digest, file.start, file.size, file.modified, file.links)
            else:
                _plain(entry, path)
                yield _foreign(f"{algorithm}/{name}")


def _labels(labels: object) -> Iterator[ArchiveMember]:
    for algorithm, below in _directory(labels, LABELS).items():
        for name, entry in _directory(below, f"{LABELS}/{algorithm}").items():
            digest = f"{algorithm}:{name.removesuffix(SUFFIX)}"
            if name.endswith(SUFFIX) and Digest.recognises(digest):
                file = _plain(entry, f"{LABELS}/{algorithm}/{name}")
                yield ArchiveMember(MemberKind.LABEL, digest, file.start, file.size, file.modified, file.links)


def _foreign(name: str) -> ArchiveMember:
    return ArchiveMember(MemberKind.FOREIGN, name, 0, 0, 0, 1)


def _directory(entry: object, path: str) -> Directory:
    if isinstance(entry, dict):
        return entry
    raise Refused(f"{printable(path)} is {in_words(entry)}")


def _plain(entry: object, path: str) -> File:
    if isinstance(entry, File):
        return entry
    raise Refused(f"{printable(path)} is {in_words(entry)}")


def in_words(entry: object) -> str:
    if isinstance(entry, dict):
        return "a directory"
    if isinstance(entry, File):
        return "a regular file"
    return "a symlink" if entry == Kind.SYMLINK else "a device or a fifo"
