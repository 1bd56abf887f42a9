"""Opens what a caller gives for a layout: its directory, an archive of one, or a layout that is open already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from stat import S_ISREG
from typing import Concatenate, ParamSpec, TypeVar

from ocigc.layout.layout import Layout
from ocigc.native import confine, return_memory
from ocigc.progress import SILENT, Watcher

P = ParamSpec("P")
R = TypeVar("R")
LayoutOrPath = Layout | str | os.PathLike[str]


def open_either(path: str | os.PathLike[str], watch: Watcher = SILENT) -> Layout:
    """Opens the directory of a layout, or an archive of one. Raises UsageError, and MalformedError for an archive that
    cannot be read."""
    try:
        is_file = S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return Layout(path)
    from ocigc.layout.archive import Archive

    return Archive(path, watch)


@contextmanager
def opened(given: LayoutOrPath) -> Iterator[Layout]:
    """Gives an open layout as it is, and leaves it open. Opens a path, and closes it at the end. Raises as
    `open_either`.
    """
    if isinstance(given, Layout):
        yield given
        return
    with open_either(given) as layout:
        yield layout


def accepts_path(work: Callable[Concatenate[Layout, P], R]) -> Callable[Concatenate[LayoutOrPath, P], R]:
    """Lets a function that takes an open layout take a path, too."""

    @wraps(work)
    def with_path(layout: LayoutOrPath, *args: P.args, **kwargs: P.kwargs) -> R:
        with opened(layout) as found:
            return work(found, *args, **kwargs)

    return with_path  # type: ignore[return-value]  # that says nothing of `layout` by name


def open_layout(
    path: str, *, writable: bool, archives: bool = False, also: Sequence[int] = (), watch: Watcher = SILENT
) -> Layout:
    """Opens a layout for a command; with `archives`, it may be an archive. From then on the process returns unused
    memory to the system, and can change only the layout, if it is `writable`, and what is below the open directories
    `also`. A kernel without Landlock is not an error. Raises UsageError.
    """
    return_memory()
    layout = open_either(path, watch) if archives else Layout(path)
    confine(*([layout.fd] if writable else []), *also)
    return layout
