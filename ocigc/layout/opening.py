"""Opens what a command is given: the directory of a layout, or an archive of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from stat import S_ISREG

from ocigc.layout.layout import Layout
from ocigc.native import confine, return_memory
from ocigc.progress import SILENT, Watcher


def open_either(path: str | os.PathLike[str], watch: Watcher = SILENT) -> Layout:
    """Opens the directory of a layout, or an archive of one. Raises UsageError, and MalformedError for an archive that
    cannot be read."""
    try:
        is_file = S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return Layout(path)
    from ocigc.layout.archive import Archive  # noqa: PLC0415

    return Archive(path, watch)


def open_layout(
    path: str, *, writable: bool, archives: bool = False, also: Sequence[int] = (), watch: Watcher = SILENT
) -> Layout:
    """Opens a layout for a command. The process returns unused memory, and gives up, for good, the right to change
    anything except in the layout, if it is `writable`, and below the open directories `also`. A kernel without Landlock
    is not an error. With `archives`, it may be an archive. Raises UsageError.
    """
    return_memory()
    layout = open_either(path, watch) if archives else Layout(path)
    confine(*([layout.fd] if writable else []), *also)
    return layout
