"""The layout that a command's arguments name, opened with no more rights than the command needs. Every error names its
layout. `several` is for more than one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ocigc.cli import log
from ocigc.cli.output.terminal import progress_line
from ocigc.errors import Message, OcigcError, Refused, Remedy, UsageError, printable
from ocigc.layout.layout import Layout
from ocigc.layout.opening import open_layout
from ocigc.native import confine as confine_to

if TYPE_CHECKING:
    from ocigc.cluster.connect import Workers
    from ocigc.layout.dirfd import Dir
    from ocigc.layout.discover import Tree
    from ocigc.progress import Watcher

T = TypeVar("T")


def confine(args: argparse.Namespace, *directories: int) -> None:
    """Gives up for good the right to change anything outside of some open directories, except --metrics-file."""
    network = getattr(args, "cluster", None) is not None
    confine_to(*directories, *_metrics_directory(args), network=network)


@contextmanager
def workers(args: argparse.Namespace, layouts: Sequence[str], watch: Watcher) -> Iterator[Workers | None]:
    """The cluster that --cluster names, to work on some layouts below LAYOUT; None without the option. Open it before
    this process gives up its rights. Raises OcigcError."""
    if getattr(args, "cluster", None) is None:
        yield None
        return
    if not os.path.isdir(args.layout):
        raise UsageError("--cluster: an archive is read by this machine alone")
    from ocigc.cluster.connect import connect

    with connect(args.cluster, args.layout, layouts, watch) as found:
        yield found


@contextmanager
def layout(
    args: argparse.Namespace,
    path: str | None = None,
    *,
    writable: bool,
    archives: bool = False,
    also: Sequence[int] = (),
) -> Iterator[Layout]:
    """Opens LAYOUT, or the one at a path; with `archives`, it may be an archive of one. From then on, this process can
    change only the layout (if it is `writable`), what is below the open directories `also`, and --metrics-file. Errors
    name the layout. Raises UsageError."""
    path = args.layout if path is None else path
    also = [*also, *_metrics_directory(args)]
    with progress_line() as reading:
        opened = open_layout(path, writable=writable, archives=archives, also=also, watch=reading)
    with opened, naming_layout(opened):
        share(args, opened)
        note_trouble(opened)
        yield opened


def share(args: argparse.Namespace, opened: Layout | Tree) -> None:
    """Lets a layout, or all below a directory, find blobs in --shared-blobs. Without that option, notes that it may be
    needed. Raises UsageError.
    """
    path = getattr(args, "shared_blobs", None)
    if path is None:
        if hasattr(args, "shared_blobs"):
            _note_absence(opened)
        return
    if getattr(args, "cluster", None) is not None:
        raise UsageError("--shared-blobs: workers cannot look there; leave out --cluster")
    from ocigc.layout.shared_blobs import SharedBlobs

    opened.share(SharedBlobs.at(path))


def _note_absence(opened: Layout | Tree) -> None:
    """Notes layouts that have none of their blobs: the user may not know that these are elsewhere."""
    from ocigc.layout.shared_blobs import lacks_all_blobs

    bare = []
    for name, directory in _directories(opened):
        with suppress(OSError, OcigcError):
            with directory() as opened_directory:
                if lacks_all_blobs(opened_directory):
                    bare.append(name)
    if bare:
        more = f" and {len(bare) - 1:,} more" if len(bare) > 1 else ""
        where = "they may be in a directory that several layouts share"
        log.note(Message(f"{bare[0]}{more}: none of the blobs are here: {where}", Remedy.NAME_SHARED_BLOBS))


def _directories(opened: Layout | Tree) -> Iterator[tuple[str, Callable[[], Dir]]]:
    """The directories of one or more layouts, each with the name of the layout."""
    if isinstance(opened, Layout):
        if not opened.is_archive:
            yield opened.path, opened.dir.below
        return
    for found in opened.found:
        yield printable(found.path), partial(opened.dir.below, *found.path.split("/"))


def note_trouble(opened: Layout) -> None:
    """Prints what is wrong with an archive as a whole."""
    if opened.trouble:
        log.note(f"{opened.path}: {opened.trouble}")


@contextmanager
def naming_layout(opened: Layout) -> Iterator[None]:
    """Makes every error name the layout."""
    try:
        yield
    except OcigcError as error:
        if not _names(str(error), opened.path):
            error.args = (f"{opened.path}: {error}",)
        raise
    except OSError as error:
        from ocigc.layout.dirfd import reason

        name = error.filename
        if not isinstance(name, str) or name.startswith("/"):
            raise  # not a file of the layout
        raise Refused(f"{opened.path}/{printable(name)}: {reason(error)}") from error


def _names(message: str, path: str) -> bool:
    """Whether a message has a path, or one below it, as a word of its own."""
    import re

    return re.search(rf"(?<![^\s'\"(=]){re.escape(path)}(?![^\s'\"),:;/])", message) is not None


def _metrics_directory(args: argparse.Namespace) -> list[int]:
    return [] if args.metrics is None else [args.metrics.directory]


def repository(args: argparse.Namespace) -> str | None:
    """--repository for one layout, normalised. For a tree it is a prefix, which means something only with the path of a
    layout after it. Raises UsageError.
    """
    if args.repository is None:
        return None
    from ocigc.layout.index_images import repository_name

    return repository_name(args.repository)
