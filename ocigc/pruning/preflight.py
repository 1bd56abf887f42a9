"""Finds out, before a run changes anything, what would stop it halfway.

Every directory that files will leave is probed: whether files may be removed from it, and, with an empty file, whether
they can be moved between it and the state directory. This finds missing permissions, immutable and append-only
directories, read-only mounts, other devices, bind mounts and project quotas. index.json is probed too, if it will
change.

On a full disk, a run has to write its journal before it can free anything. If there is no room for that, it frees
orphans first. That needs no journal: no image has them, so losing them at any moment changes nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from ocigc.digest import ENCODED_LENGTHS, Digest
from ocigc.errors import Refused
from ocigc.gc.plan import Plan
from ocigc.layout import docker_list, label_files, lock
from ocigc.layout.dirfd import Dir, is_full, naming
from ocigc.layout.layout import INDEX, STATE, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Store
from ocigc.pruning.roots import Roots
from ocigc.pruning.run_directory import TRASH, TRASH_PLACE

PROBE = ".ocigc-probe"
_REASONS = {
    errno.EPERM: "its files cannot be removed: not yours, or immutable or append-only (see lsattr)",
    errno.EACCES: "no permission to write",
    errno.EXDEV: f"files cannot be moved between there and {STATE}: another device, mount or quota",
}
BLOCK = 4096  # bytes
_DIRECTORIES = 16  # that a run makes
_FILES = 32  # and directories that a run makes, besides label files
JOURNAL_SIZE = 1024  # bytes of an empty one, at most
_POSITION = 32  # bytes of an entry in the journal
UNLEASE_SIZE = 512  # bytes of a label in the journal
LONG_LINE = 137  # bytes of the longest digest in the list of blobs to delete
_LINE = 80  # bytes of a digest in the list of blobs to delete, and as much of a name in a directory


def check(layout: Layout, state: Dir, store: Store, to_delete: Sequence[int]) -> None:
    """Raises Refused where the files of the blobs to delete (nodes), or label files, cannot leave their directory, and
    OSError on a full disk.
    """
    for top, algorithm, name in _leaving(layout, store, to_delete):
        with refusing(f"{layout.path}/{top}/{algorithm}", _REASONS), layout.dir.below(top, algorithm) as directory:
            try_to_remove(directory, name)
            there_and_back(state, directory)


def check_index(layout: Layout, state: Dir) -> None:
    """Raises Refused where another file, from the state directory, cannot take the place of index.json."""
    if not on_one_mount(state, layout.dir):
        raise Refused(f"{layout.path}/{INDEX}: {_REASONS[errno.EXDEV]}; nothing was changed")
    try:
        try_to_remove(layout.dir, INDEX)
        if _is_mount(layout.dir, INDEX):
            raise OSError(errno.EBUSY, "it is a mount of its own: mount the directory instead")
    except OSError as error:
        reason = "not yours, or immutable or append-only (see lsattr)" if error.errno == errno.EPERM else error.strerror
        raise Refused(f"{layout.path}/{INDEX}: it cannot be replaced: {reason}; nothing was changed") from None


def check_state(layout: Layout, state: Dir) -> None:
    """Raises Refused where files cannot be made in the state directory, or removed from it, or where somebody has
    removed its lock, so that another run may have begun.
    """
    with refusing(f"{layout.path}/{STATE}", {**_REASONS, errno.ENOENT: "another program has removed the lock in it"}):
        state.stat(lock.NAME)
        try_to_remove(state, lock.NAME)


def check_trash(layout: Layout, state: Dir) -> None:
    """Raises Refused where a run cannot be moved from the state directory to the trash. Raises OSError."""
    with suppress(FileNotFoundError), state.below(TRASH) as trash:
        if not on_one_mount(state, trash):
            raise Refused(f"{layout.path}/{TRASH_PLACE}: {_REASONS[errno.EXDEV]}; nothing was changed")
        # No probe, which could not be removed if the trash is append-only; runs can come into such a one.
        if not os.access(".", os.W_OK, dir_fd=trash.fd, effective_ids=True):
            what = "nothing can be put there: read-only, not yours, or immutable (see lsattr)"
            raise Refused(f"{layout.path}/{TRASH_PLACE}: {what}; nothing was changed")


def clean(layout: Layout, state: Dir) -> None:
    """Removes the file that a run left if it was killed while probing. Raises OSError and Refused."""
    for top in ("blobs", label_files.DIRECTORY):
        for algorithm in ENCODED_LENGTHS:
            with suppress(FileNotFoundError, NotADirectoryError), layout.dir.below(top, algorithm) as directory:
                if directory.exists(PROBE):  # to remove what is absent is an error on a read-only mount
                    with naming(f"{top}/{algorithm}/{PROBE}"):
                        directory.remove(PROBE)
    with naming(f"{STATE}/{PROBE}"):
        state.remove(PROBE)


def _leaving(layout: Layout, store: Store, to_delete: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Each directory that files will leave (`blobs` or `labels`, and the algorithm), with the name of a file in it."""
    for algorithm in ENCODED_LENGTHS:
        # Nodes are sorted by algorithm.
        first = bisect_left(range(len(store)), algorithm, key=lambda node: store.digest(node).algorithm)
        end = bisect_right(range(len(store)), algorithm, key=lambda node: store.digest(node).algorithm)
        node = next((node for node in to_delete if first <= node < end), None)
        if node is not None:
            yield "blobs", algorithm, store.digest(node).encoded
            with suppress(FileNotFoundError), layout.dir.below(label_files.DIRECTORY, algorithm) as directory:
                with os.scandir(directory.fd) as entries:
                    names = [entry.name for entry in islice(entries, 1)]
                for name in names:
                    yield label_files.DIRECTORY, algorithm, name


@contextmanager
def refusing(path: str, reasons: Mapping[int, str]) -> Iterator[None]:
    """Turns an OSError of a probe into one line with the reason. That of a full disk stays: `asking_for` says what is
    needed.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise Refused(f"{path}: {reason}; nothing was changed") from None


def try_to_remove(directory: Dir, name: str) -> None:
    """Raises OSError where a plain file cannot be removed from a directory. The file stays."""
    with suppress(NotADirectoryError, FileNotFoundError):
        if stat.S_ISREG(directory.stat(name).st_mode):
            # The kernel checks the permission before it notices that this is not a directory.
            os.rmdir(name, dir_fd=directory.fd)


def _is_mount(directory: Dir, name: str) -> bool:
    """Whether a file is on another mount than its directory, as far as /proc tells."""
    with directory.reader(name) as file:
        return _mount_of(file.fileno()) != _mount_of(directory.fd)


def on_one_mount(first: Dir, second: Dir) -> bool:
    """Whether two directories are on one device and one mount of it, as far as /proc tells."""
    devices = {os.fstat(each.fd).st_dev for each in (first, second)}
    return len(devices) == 1 and _mount_of(first.fd) == _mount_of(second.fd)


def _mount_of(fd: int) -> str | None:
    with suppress(OSError), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
        return next((line for line in lines if line.startswith("mnt_id:")), None)
    return None


def there_and_back(state: Dir, directory: Dir) -> None:
    """Moves an empty file from the state directory to another one, and back. Raises OSError."""
    state.remove(PROBE)
    os.close(os.open(PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=state.fd))
    try:
        state.rename(PROBE, directory)
        directory.rename(PROBE, state)
    finally:
        for each in (directory, state):
            with suppress(OSError):
                each.remove(PROBE)


class NoRoom(Refused):
    """The disk is full. Either `needed` bytes or `files` inodes are needed; the other is 0. `short` is how much of it
    is not free, as far as the file system tells.
    """

    def __init__(self, layout: Layout, needed: int, files: int) -> None:
        free = os.statvfs(layout.fd)
        if free.f_files and free.f_ffree < files:
            self.needed, self.files, self.short = 0, files, files - free.f_ffree
            what = f"no inodes are free on the disk: this needs {files:,} there"
        else:
            self.needed, self.files, self.short = needed, 0, needed - free.f_bavail * free.f_frsize
            what = f"the disk is full: this needs {needed:,} bytes free there"
        self.what = f"{layout.path}/{STATE}: {what}"
        super().__init__(f"{self.what}; nothing was changed")


def needed_after(blobs: int, labels: int) -> int:
    """Bytes that a run needs after its commit: for new directories and for label files."""
    return BLOCK * (_DIRECTORIES + 2 * labels) + 2 * _LINE * blobs


def needed(snapshot: Snapshot, entries: int, blobs: int, labels: int) -> int:
    """Bytes that a run needs in all, before it has freed any. It takes out or renames `entries` entries."""
    layout = snapshot.layout
    listed = list_size(layout)
    journal = JOURNAL_SIZE + _POSITION * entries + UNLEASE_SIZE * labels
    files = [snapshot.index.size, snapshot.index.size, listed, listed, journal, LONG_LINE * blobs]
    files += [needed_after(blobs, labels)]
    return sum(map(in_blocks, files)) + 3 * BLOCK


def list_size(layout: Layout) -> int:
    """Bytes of the list of `docker save`; 0 if there is none. Raises OSError."""
    return layout.dir.stat(docker_list.NAME).st_size if layout.dir.exists(docker_list.NAME) else 0


def in_blocks(size: int) -> int:
    """Bytes that a file of this size takes on the disk."""
    return -(-size // BLOCK) * BLOCK


@contextmanager
def asking_for(layout: Layout, size: int, files: int) -> Iterator[None]:
    """Turns the error of a full disk into one that says how many bytes, or inodes, are needed. Raises NoRoom."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise NoRoom(layout, size, files) from error
        raise


def needed_files(labels: int) -> int:
    """Inodes that a run needs."""
    return _FILES + 2 * labels


def free_orphans(snapshot: Snapshot, plan: Plan, roots: Roots, size: int, files: int) -> list[tuple[Digest, int]]:
    """Removes orphans of a plan for good, the largest first, until `size` bytes and `files` inodes are free. Gives each
    digest with its bytes. Nothing goes if anything has changed since `roots` were read. Raises Refused and OSError.
    """
    layout, store = snapshot.layout, snapshot.store
    if roots.has_moved_on(layout, None, store):
        return []
    gone: list[tuple[Digest, int]] = []
    for node in sorted(plan.orphans, key=store.size, reverse=True):
        if sum(freed for _, freed in gone) >= size and len(gone) >= files:
            break
        digest = store.digest(node)
        algorithm, encoded = digest.parts
        with layout.dir.below("blobs", algorithm) as directory:
            with suppress(FileNotFoundError):
                status = directory.stat(encoded)
                if status.st_size != store.size(node) or _stamp(status) != store.stamp(node):
                    continue
                # The label file first: without its blob, nobody would find it again.
                with suppress(FileNotFoundError), layout.dir.below(label_files.DIRECTORY, algorithm) as labels:
                    labels.remove(f"{encoded}{label_files.SUFFIX}")
                directory.remove(encoded)
                gone.append((digest, status.st_size if status.st_nlink == 1 else 0))
    return gone


def _stamp(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
