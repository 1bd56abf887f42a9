"""Repairs a blob with a verified copy from another layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.layout.blob_check import WITHOUT_BLAKE3, hasher
from ocigc.layout.dirfd import Dir, copy_owner_and_mode
from ocigc.layout.layout import INDEX, Layout
from ocigc.pruning.run_directory import REPAIR

_CHUNK = 1 << 20


def repair(layout: Layout, state: Dir, digest: Digest, sources: list[Layout]) -> tuple[bool, list[str]]:
    """Puts a blob in place from the first source with a sound copy, over whatever is there. Also gives the sources
    whose copy is not sound or cannot be read.

    The blob is copied to a temporary file and verified meanwhile, synced and renamed, so that there is never half a
    blob.
    `state` is the open state directory, under the exclusive lock. Raises OSError where the layout cannot be written.
    """
    troubles = []
    for source in sources:
        try:
            found = _open(source, digest)
        except FileNotFoundError:
            continue
        except (OSError, Refused) as error:
            troubles.append(f"{digest}: {source.path}: {getattr(error, 'strerror', None) or error}")
            continue
        with found:
            trouble = _copy(found, layout, state, digest)
        if trouble is None:
            return True, troubles
        troubles.append(f"{digest}: {source.path}: {trouble}")
    return False, troubles


def _open(source: Layout, digest: Digest) -> BufferedReader:
    algorithm, encoded = digest.parts
    with source.dir.below("blobs", algorithm) as parent:
        return parent.reader(encoded)


def _copy(source: BufferedReader, layout: Layout, state: Dir, digest: Digest) -> str | None:
    """Why the copy failed; None if it did not."""
    algorithm = digest.algorithm
    hashed = hasher(algorithm)
    if hashed is None:
        return f"it {WITHOUT_BLAKE3}"
    state.remove(REPAIR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(REPAIR, flags, 0o600, dir_fd=state.fd)
    try:
        try:
            for chunk in _chunks(source):
                hashed.update(chunk)
                _write(fd, chunk)
        except _Unreadable as error:
            return str(error)
        if f"{algorithm}:{hashed.hexdigest()}" != digest:
            return "it is corrupt there too"
        copy_owner_and_mode(fd, layout.dir.stat(INDEX))
        os.fsync(fd)
        _put_in_place(layout, state, digest)
        return None
    finally:
        os.close(fd)
        state.remove(REPAIR)


class _Unreadable(Exception):
    """The source failed, not the layout."""


def _chunks(source: BufferedReader) -> Iterator[bytes]:
    while True:
        try:
            chunk = source.read(_CHUNK)
        except OSError as error:
            raise _Unreadable(error.strerror or str(error)) from None
        if not chunk:
            return
        yield chunk


def _write(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _put_in_place(layout: Layout, state: Dir, digest: Digest) -> None:
    algorithm, encoded = digest.parts
    for parents, name in (((), "blobs"), (("blobs",), algorithm)):
        with layout.dir.below(*parents) as directory, suppress(FileExistsError):
            os.mkdir(name, dir_fd=directory.fd)
            directory.sync()
    with layout.dir.below("blobs", algorithm) as target:
        state.rename(REPAIR, target, encoded)
        target.sync()
