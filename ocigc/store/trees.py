"""Layouts below a directory: found by openat alone, so that no symlink leads out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ocigc.errors import UsageError
from ocigc.printable import printable
from ocigc.store import files
from ocigc.store.images import repository_name
from ocigc.store.layout import MARKER, Layout

_DEPTH = 64
_OWN = frozenset(("blobs", "labels", "leases"))


@dataclass(frozen=True, slots=True)
class Found:
    """A layout, by its path below the root; "." is the root itself. With `trouble` a directory that could not be
    searched."""

    path: str
    trouble: str | None = None

    def repository(self, prefix: str | None) -> str | None:
        """The normalised repository that owns its bare tags: the prefix, as the user gave it, and the path. Raises
        UsageError."""
        name = "/".join(filter(None, (prefix and prefix.rstrip("/"), self.path if self.path != "." else None)))
        try:
            return repository_name(name) if name else None
        except UsageError:
            raise UsageError(
                f"{printable(name)!r} is no name of a repository, so its tags have none; work on it alone"
            ) from None


class Tree:
    """An open directory and the layouts in it and below it, by path. Hidden directories are left alone: tools keep
    there what is not finished.
    """

    def __init__(self, path: str) -> None:
        """Raises UsageError where there is no layout."""
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{printable(path)}: {reason}: expected a directory with layouts below it") from None
        self.found = sorted(_below(self.fd, ".", 0), key=lambda found: os.fsencode(found.path))
        if not self.found:
            os.close(self.fd)
            raise UsageError(f"{printable(path)}: no image layout in it or below it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.fd)

    def open(self, found: Found) -> Layout:
        """Opens a layout that was found. Raises UsageError and OSError."""
        fd = os.dup(self.fd)
        for name in found.path.split("/"):
            try:
                with files.directory(fd, name) as child:
                    below = os.dup(child)
            finally:
                os.close(fd)
            fd = below
        return Layout(os.path.normpath(os.path.join(self.path, found.path)), fd)


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
        below = os.path.normpath(os.path.join(path, name))
        try:
            with files.directory(fd, name) as child:
                yield from _below(child, below, depth + 1)
        except OSError as error:
            yield Found(below, f"cannot be searched: {error.strerror}")
