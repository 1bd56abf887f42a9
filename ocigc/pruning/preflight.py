"""What would stop a run halfway, found before it has changed anything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ocigc.errors import Refused
from ocigc.layout import label_files
from ocigc.layout.dirfd import Dir, naming
from ocigc.layout.layout import Layout
from ocigc.native import Store


def check(layout: Layout, store: Store, to_delete: Iterable[int]) -> None:
    """Raises Refused where a directory that blobs or sidecars must leave is not ours to write."""
    locked = []
    for top in ("blobs", label_files.DIRECTORY):
        with naming(f"{layout.path}/{top}"):
            names = layout.dir.names_below(top)
            locked += [(top, name) for name in names if not _writable(layout.dir, top, name)]
    leaving = {digest.algorithm for digest in store.digests(to_delete)} if locked else ()
    for top, name in locked:
        if name in leaving:
            raise Refused(f"{layout.path}/{top}/{name}: not ours to write; nothing was changed")


def _writable(layout: Dir, top: str, name: str) -> bool:
    """Whether names may be taken out of a directory; also true of what is no directory."""
    try:
        with layout.below(top, name) as directory:
            return os.access(".", os.W_OK | os.X_OK, dir_fd=directory.fd, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
