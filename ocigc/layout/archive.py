"""An archive of a layout, as `docker save`, `skopeo copy` to oci-archive: and tar write it, read in place.

It reads what tar would unpack: the last of several members with one name, and for a hard link the file that had its
target's name at that point. The layout is the archive itself, or the only directory in it that is a layout. The state
of ocigc in it is ignored: locks, journals and ledgers belong to the layout that they were made in, not to a copy.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from errno import EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO
from typing import Any

from ocigc.digest import ENCODED_LENGTHS, Digest
from ocigc.errors import CutOffArchive, MalformedError, NotALayout, Refused, printable
from ocigc.layout.dirfd import Dir
from ocigc.layout.label_files import DIRECTORY as LABELS
from ocigc.layout.label_files import SUFFIX
from ocigc.layout.layout import INDEX, MARKER, STATE, Layout
from ocigc.layout.tar import Kind, Member, NotATar, Tar
from ocigc.native import ArchiveMember, MemberKind, Store
from ocigc.progress import SILENT, Progress, Report, Watcher

_BETWEEN_REPORTS = 1000  # members
_BUFFER = 1 << 15  # bytes; headers of small members are read many at a time
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NOT_KEPT = 2**64 - 1
"""The offset of content that was read once and not kept."""
_DEEPEST = 16  # directories above the layout
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


_Directory = dict[str, "File | Kind | dict[str, Any]"]
"""What is in a directory, by name: files, what is neither a file nor a directory, and directories."""


class ArchiveDir(Dir):
    """A directory in an archive. Methods that would change it, or need the descriptor of a file in it, raise OSError:
    to the system it is not a directory."""

    __slots__ = ("_entries", "_owns")

    def __init__(self, fd: int, entries: _Directory, *, owns: bool = False) -> None:
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


# What is below blobs/ and labels/


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


def _directory(entry: object, path: str) -> _Directory:
    if isinstance(entry, dict):
        return entry
    raise Refused(f"{printable(path)} is {_kind(entry)}")


def _plain(entry: object, path: str) -> File:
    if isinstance(entry, File):
        return entry
    raise Refused(f"{printable(path)} is {_kind(entry)}")


def _kind(entry: object) -> str:
    if isinstance(entry, dict):
        return "a directory"
    if isinstance(entry, File):
        return "a regular file"
    return "a symlink" if entry == Kind.SYMLINK else "a device or a fifo"


# The archive


class Archive(Layout):
    """An open archive of a layout, which can be read like a layout. `trouble` says how it ends, if not as it should:
    then members may be missing, and are missing if it `is_cut_off`.
    """

    is_archive = True

    def __init__(self, path: str | os.PathLike[str], watch: Watcher = SILENT) -> None:
        """Reads the headers of all members. Raises UsageError if it is not an archive of a layout, CutOffArchive if it
        ends before that is known, and MalformedError for a kind of member that is not supported.
        """
        fd = open_archive(path)
        with open(fd, "rb", buffering=_BUFFER, closefd=False) as file:
            tar = Tar(file, os.fstat(fd).st_size)
            self._take(path, fd, tar, _in_place(tar, watch("Reading the archive")))

    def _take(self, path: str | os.PathLike[str], fd: int, tar: Tar, members: Iterable[tuple[Member, File]]) -> None:
        """Takes ownership of the file that has the contents of members."""
        try:
            where = _layout_in(_root(printable(os.fspath(path)), os.fspath(path), members))
            if where is None or (tar.trouble and not {MARKER, INDEX} <= where.keys()):
                raise _no_layout(tar, printable(os.fspath(path)), os.fspath(path))
        except BaseException:
            os.close(fd)
            raise
        self.trouble, self.is_cut_off = tar.trouble, tar.is_cut_off
        where.pop(STATE, None)
        super().__init__(path, ArchiveDir(fd, where, owns=True))

    def scan(self, *_: object) -> Store:
        """Its blobs. Their statuses are already known."""
        directory = self.dir
        assert isinstance(directory, ArchiveDir)
        return Store.of_archive(self.fd, directory.members())

    def _advice(self) -> str:
        return ""


def _in_place(tar: Tar, report: Report | None) -> Iterator[tuple[Member, File]]:
    """The members, each with where its content is."""
    for number, member in enumerate(tar):
        if report is not None and number % _BETWEEN_REPORTS == 0:
            report(Progress(number, 0, 0, 0))
        yield member, File(member.start, member.size, member.modified)


def open_archive(path: str | os.PathLike[str]) -> int:
    """Opens the file for reading. Raises UsageError."""
    try:
        return os.open(path, _READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise NotALayout(f"{printable(os.fspath(path))}: {reason}: expected an image layout", os.fspath(path)) from None


def _root(shown: str, path: str, members: Iterable[tuple[Member, File]]) -> _Directory:
    """What tar would make of the members."""
    root: _Directory = {}
    try:
        for member, file in members:
            _add(root, member, file)
    except NotATar:
        reason = "neither the directory of an image layout nor a tar archive of one"
        raise NotALayout(f"{shown}: {reason}", path) from None
    except MalformedError as error:
        raise MalformedError(f"{shown}: {error}") from None
    return root


def _add(root: _Directory, member: Member, file: File) -> None:
    """Does to a directory what tar would do. Raises MalformedError for a name that leads out of it."""
    if member.kind == Kind.DIRECTORY:
        parts = _parts(member.name)
        if parts and not isinstance(_parent(root, parts, member.name).get(parts[-1]), dict):
            _parent(root, parts, member.name)[parts[-1]] = {}
        return
    parts = _parts(member.name)
    if not parts:
        raise MalformedError(f"{printable(member.name)!r} is not the name of a file")
    parent = _parent(root, parts, member.name)
    entry: File | Kind | None
    if member.kind == Kind.FILE:
        entry = file
    elif member.kind == Kind.LINK:
        entry = _linked(root, member)
    else:
        entry = member.kind
    before = parent.get(parts[-1])
    if isinstance(before, dict):
        raise MalformedError(f"{printable(member.name)!r} is a directory and something else")
    if isinstance(before, File) and before is not entry:
        before.links -= 1
    if entry is None:
        parent.pop(parts[-1], None)
    else:
        parent[parts[-1]] = entry


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise MalformedError(f"{printable(name)!r} is a name that leads out of the archive: do not unpack it")
    return parts


def _parent(root: _Directory, parts: list[str], name: str) -> _Directory:
    directory = root
    for part in parts[:-1]:
        below = directory.get(part)
        if below is None:
            below = directory[part] = {}
        elif not isinstance(below, dict):
            raise MalformedError(f"{printable(name)!r} lies below {_kind(below)}")
        directory = below
    return directory


def _linked(root: _Directory, member: Member) -> File | Kind | None:
    """What a hard link links to; None where tar would find nothing."""
    parts = _parts(member.target)
    found = _parent(root, parts, member.target).get(parts[-1]) if parts else None
    if isinstance(found, dict):
        raise MalformedError(f"{printable(member.name)!r} is a hard link to a directory")
    if isinstance(found, File) and parts != _parts(member.name):
        found.links += 1
    return found


def _layout_in(root: _Directory) -> _Directory | None:
    """The layout: the archive's own directory, or the only one in it that has the marker."""
    if MARKER in root or INDEX in root:
        return root
    found = list(_layouts(root, _DEEPEST))
    return found[0] if len(found) == 1 else None


def _layouts(directory: _Directory, depth: int) -> Iterator[_Directory]:
    if MARKER in directory:
        yield directory
    elif depth:
        for below in directory.values():
            if isinstance(below, dict):
                yield from _layouts(below, depth - 1)


def _no_layout(tar: Tar, shown: str, path: str) -> NotALayout:
    if tar.trouble:
        reason = f"{tar.trouble}; without {MARKER} and {INDEX}, it is unknown what it should have: copy it again"
        return CutOffArchive(f"{shown}: {reason}", path)
    return NotALayout(f"{shown}: not an archive of an OCI image layout: no file {MARKER!r} in it", path)


def look_into(path: str) -> tuple[Collection[str], int]:
    """What is in an archive: the names at its top, and how many layouts. Raises UsageError and MalformedError."""
    fd = open_archive(path)
    with open(fd, "rb", buffering=_BUFFER) as file:
        tar = Tar(file, os.fstat(fd).st_size)
        root = _root(printable(path), path, _in_place(tar, None))
    return root.keys(), sum(1 for _ in _layouts(root, _DEEPEST))
