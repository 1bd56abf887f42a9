"""Layouts below a directory: found by openat alone, so that no symlink leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ocigc.errors import UsageError
from ocigc.printable import printable
from ocigc.store import files
from ocigc.store.images import repository_name
from ocigc.store.layout import MARKER, Layout

_DEPTH = 64
_OWN = frozenset(("blobs", "labels", "leases"))


@dataclass(frozen=True, slots=True)
class Found:
    """A layout by its path below the root, "" for the root itself; or, with `trouble`, what could not be searched."""

    path: str
    trouble: str | None = None


@contextmanager
def root(path: str) -> Iterator[int]:
    """The open root of a tree. Raises UsageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{printable(path)}: {reason}: expected a directory with layouts below it") from None
    try:
        yield fd
    finally:
        os.close(fd)


def find(top: int) -> list[Found]:
    """All layouts below an open directory, by path. Hidden directories are left alone: tools keep there what is not
    finished.
    """
    return sorted(_below(top, "", 0), key=lambda found: os.fsencode(found.path))


def _below(fd: int, path: str, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(fd) as entries:
            kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError as error:
        yield Found(path, f"cannot be searched: {error.strerror}")
        return
    if depth > _DEPTH:
        yield Found(path, f"deeper than {_DEPTH} directories; give it as a root of its own")
        return
    own = MARKER in kinds
    if own:
        yield Found(path)
    for name in sorted(name for name, is_directory in kinds.items() if is_directory):
        if name.startswith(".") or (own and name in _OWN):
            continue
        below = os.path.join(path, name)
        try:
            with files.directory(fd, name) as child:
                yield from _below(child, below, depth + 1)
        except OSError as error:
            yield Found(below, f"cannot be searched: {error.strerror}")


def open_found(top: int, shown: str, found: Found) -> Layout:
    """Opens a layout that was found; `shown` names it in messages. Raises UsageError, and OSError."""
    fd = os.dup(top)
    for name in filter(None, found.path.split("/")):
        try:
            with files.directory(fd, name) as child:
                below = os.dup(child)
        finally:
            os.close(fd)
        fd = below
    return Layout(shown, fd)


def repository(prefix: str | None, found: Found) -> str | None:
    """The normalised repository of a layout: the prefix, as the user gave it, and the path. Raises UsageError."""
    name = "/".join(filter(None, (prefix and prefix.rstrip("/"), found.path)))
    try:
        return repository_name(name) if name else None
    except UsageError:
        raise UsageError(
            f"{printable(name)!r} is no name of a repository, so its tags have none; prune it on its own"
        ) from None
