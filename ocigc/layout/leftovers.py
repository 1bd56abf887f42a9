"""Leftovers: temporary files of other tools that were killed.

Only known forms of names count; any other file that is not a blob belongs to somebody. No entry, label or lease can
name a leftover, and its tool starts over under another name. So leftovers are unlinked, and never go to the trash.

Sources of the forms: containers/image `oci/layout/oci_dest.go` (skopeo, podman, buildah), umoci `oci/cas/dir`, oras-go
`content/oci/storage.go`, containerd `plugins/content/local` (BuildKit), zot `pkg/storage/imagestore`,
go-containerregistry `pkg/v1/layout/write.go` (crane, cosign, ko), regclient `scheme/ocidir`, hauler
`pkg/content/oci.go`; rsync and rclone.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ocigc.digest import ENCODED_LENGTHS
from ocigc.errors import Refused
from ocigc.layout.dirfd import Dir
from ocigc.times import SECOND
from ocigc.values import frozen

AGE = 24 * 3600 * SECOND
"""Nothing with a newer mtime goes, as an upload to zot may take hours."""

_FILES = re.compile(r"oci-put-blob.*|index\.json\.[0-9]+\.tmp", re.DOTALL)  # in the layout's root
_DIRECTORIES = re.compile(r"\.umoci-.+", re.DOTALL)
_PARENTS = ("ingest", ".uploads")
_DEEPEST = 4
_MOST_KNOWN = 1000  # names of files that are not blobs, which a scan keeps

# The part of a temporary name that replaces the digits of the digest, or follows them.
_ALONE = r"[0-9]{1,20}(?:\.tmp)?"
_SUFFIXES = r"[0-9]{1,20}|\.(?:[0-9]+\.)?tmp|\.tmp-[0-9]+|(?:\.[0-9A-Za-z]+)?\.part(?:ial)?"
_PARTIAL = {
    algorithm: re.compile(
        rf"{_ALONE}|[0-9a-f]{{{length}}}(?:{_SUFFIXES})|\.[0-9a-f]{{{length}}}\.[0-9A-Za-z]{{6}}", re.ASCII
    )
    for algorithm, length in ENCODED_LENGTHS.items()
}


@frozen
class Leftover:
    """A file, or a directory with the files in it, by its path below the layout.

    `files` are the paths of its files, or its own path if it is a file or an empty directory. `size` is the bytes that
    go with it. `modified` is the newest of the mtimes, `touched` the newest of all mtimes and ctimes; `inodes` identify
    the files.
    """

    path: str
    files: Sequence[str]
    size: int
    modified: int
    touched: int
    inodes: Sequence[tuple[int, int]]

    def is_dead(self, now: int, grace: int) -> bool:
        """Whether its writer is gone: it is older than a day, and has not been touched for `grace` nanoseconds."""
        return self.modified <= now - AGE and (not grace or self.touched <= now - grace)


def partial_names(foreign: Iterable[str]) -> list[str]:
    """Those names below `blobs/` that tools give to unfinished files."""
    return [name for name in foreign if _is_partial(*name.partition("/")[::2])]


def _is_partial(algorithm: str, name: str) -> bool:
    return algorithm in _PARTIAL and _PARTIAL[algorithm].fullmatch(name) is not None


def find_leftovers(layout: Dir, foreign: Sequence[str]) -> list[Leftover]:
    """All leftovers in a layout, by path, however old. `foreign` are the first thousand names below `blobs/` that are
    not blobs, as a scan finds them. What cannot be read is not a leftover.
    """
    paths = [name for name in layout.names() if _FILES.fullmatch(name) or _DIRECTORIES.fullmatch(name)]
    for parent in _PARENTS:
        with suppress(OSError):
            paths += [f"{parent}/{name}" for name in layout.names_below(parent)]
    if len(foreign) < _MOST_KNOWN:
        paths += [f"blobs/{name}" for name in partial_names(foreign)]
    else:
        paths += [f"blobs/{name}" for name in partial_names(_below_blobs(layout))]
    found = (_leftover_at(layout, path) for path in paths)
    return sorted((each for each in found if each is not None), key=lambda each: os.fsencode(each.path))


def removable(layout: Dir, leftovers: Iterable[Leftover], now: int, grace: int) -> list[Leftover]:
    """The leftovers that a prune at the instant `now` removes: dead ones that nobody has locked."""
    return [each for each in leftovers if each.is_dead(now, grace) and _is_free(layout, each)]


def remove_leftovers(layout: Dir, leftovers: Iterable[Leftover]) -> tuple[list[Leftover], list[str]]:
    """Removes leftovers. Gives those that went, and errors for others. A leftover that has changed since it was found,
    or that somebody has locked, stays.
    """
    removed, troubles = [], []
    changed: set[str] = set()
    for each in leftovers:
        try:
            if _remove(layout, each):
                removed.append(each)
                changed.add(os.path.dirname(each.path))
        except OSError as error:
            troubles.append(f"{each.path}: {error.strerror or error}")
    for path in changed:
        with suppress(OSError), layout.below(*filter(None, path.split("/"))) as parent:
            parent.sync()
    return removed, troubles


def _below_blobs(layout: Dir) -> Iterator[str]:
    for algorithm in _PARTIAL:
        with suppress(OSError):
            yield from (f"{algorithm}/{name}" for name in layout.names_below("blobs", algorithm))


def _leftover_at(layout: Dir, path: str) -> Leftover | None:
    """Reads the status of a path; None if it is not a leftover: a symlink, for example, or a directory that must be a
    file.
    """
    parent, _, name = path.rpartition("/")
    try:
        with layout.below(*filter(None, parent.split("/"))) as directory:
            status = directory.stat(name)
            if stat.S_ISREG(status.st_mode) and not _DIRECTORIES.fullmatch(path):
                return _leftover(path, [(path, status)])
            if stat.S_ISDIR(status.st_mode) and (parent in _PARENTS or _DIRECTORIES.fullmatch(path)):
                files = list(_files(directory, name, path, status.st_dev, _DEEPEST))
                return _leftover(path, files or [(path, status)])
    except (OSError, Refused):
        pass
    return None


def _leftover(path: str, files: Sequence[tuple[str, os.stat_result]]) -> Leftover:
    statuses = [status for _, status in files]
    return Leftover(
        path,
        tuple(file for file, _ in files),
        sum(status.st_size for status in statuses if stat.S_ISREG(status.st_mode) and status.st_nlink == 1),
        max(status.st_mtime_ns for status in statuses),
        max(max(status.st_mtime_ns, status.st_ctime_ns) for status in statuses),
        tuple((status.st_dev, status.st_ino) for status in statuses),
    )


def _files(parent: Dir, name: str, path: str, device: int, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """All files in a directory. Raises Refused for a directory with anything but plain files and directories of its own
    file system.
    """
    with parent.below(name) as directory:
        for below in directory.names():
            status = directory.stat(below)
            if status.st_dev != device or depth == 0:
                raise Refused(path)
            if stat.S_ISDIR(status.st_mode):
                yield from _files(directory, below, f"{path}/{below}", device, depth - 1)
            elif stat.S_ISREG(status.st_mode):
                yield f"{path}/{below}", status
            else:
                raise Refused(path)


@contextmanager
def _locked(parent: Dir, name: str) -> Iterator[bool]:
    """Takes the lock that umoci has on its directory while it works; False if somebody else has it."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent.fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _is_free(layout: Dir, leftover: Leftover) -> bool:
    parent, _, name = leftover.path.rpartition("/")
    try:
        with layout.below(*filter(None, parent.split("/"))) as directory, _locked(directory, name) as free:
            return free
    except OSError:
        return False


def _remove(layout: Dir, leftover: Leftover) -> bool:
    parent, _, name = leftover.path.rpartition("/")
    with layout.below(*filter(None, parent.split("/"))) as directory, _locked(directory, name) as free:
        if not free or _leftover_at(layout, leftover.path) != leftover:
            return False
        if stat.S_ISREG(directory.stat(name).st_mode):
            os.unlink(name, dir_fd=directory.fd)
        else:
            _remove_directory(directory, name, leftover.path, frozenset(leftover.files))
    return True


def _remove_directory(parent: Dir, name: str, path: str, files: frozenset[str]) -> None:
    """Removes a directory and the given files in it. Raises OSError where another file has come, which stays."""
    with parent.below(name) as directory:
        for below in directory.names():
            if f"{path}/{below}" in files:
                os.unlink(below, dir_fd=directory.fd)
            elif stat.S_ISDIR(directory.stat(below).st_mode):
                _remove_directory(directory, below, f"{path}/{below}", files)
    os.rmdir(name, dir_fd=parent.fd)
