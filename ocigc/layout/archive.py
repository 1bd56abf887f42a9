"""An archive of a layout, as `docker save`, `skopeo copy` to oci-archive: and tar write it, read in place.

It reads what tar would unpack: the last of several members with one name, and for a hard link the file that had its
target's name at that point. The layout is the archive itself, or the only directory in it that is a layout. The state
of ocigc in it is ignored: locks, journals and ledgers belong to the layout that they were made in, not to a copy.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from ocigc.errors import CutOffArchive, MalformedError, NotALayout, printable
from ocigc.layout.archive_dir import ArchiveDir, Directory, File, in_words
from ocigc.layout.layout import INDEX, MARKER, STATE, Layout
from ocigc.layout.tar import Kind, Member, NotATar, Tar
from ocigc.native import Store
from ocigc.progress import SILENT, Progress, Report, Watcher

_BETWEEN_REPORTS = 1000  # members
_BUFFER = 1 << 15  # bytes; headers of small members are read many at a time
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DEEPEST = 16  # directories above the layout


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


def _root(shown: str, path: str, members: Iterable[tuple[Member, File]]) -> Directory:
    """What tar would make of the members."""
    root: Directory = {}
    try:
        for member, file in members:
            _add(root, member, file)
    except NotATar:
        reason = "neither the directory of an image layout nor a tar archive of one"
        raise NotALayout(f"{shown}: {reason}", path) from None
    except MalformedError as error:
        raise MalformedError(f"{shown}: {error}") from None
    return root


def _add(root: Directory, member: Member, file: File) -> None:
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


def _parent(root: Directory, parts: list[str], name: str) -> Directory:
    directory = root
    for part in parts[:-1]:
        below = directory.get(part)
        if below is None:
            below = directory[part] = {}
        elif not isinstance(below, dict):
            raise MalformedError(f"{printable(name)!r} lies below {in_words(below)}")
        directory = below
    return directory


def _linked(root: Directory, member: Member) -> File | Kind | None:
    """What a hard link links to; None where tar would find nothing."""
    parts = _parts(member.target)
    found = _parent(root, parts, member.target).get(parts[-1]) if parts else None
    if isinstance(found, dict):
        raise MalformedError(f"{printable(member.name)!r} is a hard link to a directory")
    if isinstance(found, File) and parts != _parts(member.name):
        found.links += 1
    return found


def _layout_in(root: Directory) -> Directory | None:
    """The layout: the archive's own directory, or the only one in it that has the marker."""
    if MARKER in root or INDEX in root:
        return root
    found = list(_layouts(root, _DEEPEST))
    return found[0] if len(found) == 1 else None


def _layouts(directory: Directory, depth: int) -> Iterator[Directory]:
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


def list_archive(path: str) -> tuple[Collection[str], int]:
    """What is in an archive: the names at its top, and how many layouts. Raises UsageError and MalformedError."""
    fd = open_archive(path)
    with open(fd, "rb", buffering=_BUFFER) as file:
        tar = Tar(file, os.fstat(fd).st_size)
        root = _root(printable(path), path, _in_place(tar, None))
    return root.keys(), sum(1 for _ in _layouts(root, _DEEPEST))
