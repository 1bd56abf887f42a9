"""A shard of whole layouts of a tree: its form, how a worker runs it, and the form of the result."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from ocigc.cluster.view import View, view
from ocigc.errors import OcigcError, Remedy
from ocigc.layout.dirfd import Dir
from ocigc.layout.discover import Found, Work
from ocigc.layout.layout import Layout
from ocigc.plain import plain
from ocigc.progress import Report


@dataclass(frozen=True, slots=True)
class LayoutShard:
    """Layouts at some paths below a `root`, which messages call `shown`, and what to do with each. After `seconds`
    seconds, no further one is begun.
    """

    root: str
    shown: str
    paths: tuple[str, ...]
    works: tuple[Work[object], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """What a worker has noted, and the remedy, if there is one."""

    text: str
    remedy: Remedy | None


@dataclass(frozen=True, slots=True)
class LayoutResult:
    """The result for one layout: what the worker saw of it before, the number of the root's device there, notes, and
    the plain form of the result; None where the worker could not read it.
    """

    view: View
    device: int
    notes: tuple[Note, ...]
    value: object


class _Listening:
    """Watches work on a worker."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.notes: list[Note] = []

    def __call__(self, _: str, /) -> Report:
        return self._report

    def note(self, message: str) -> None:
        """Keeps a note for the host that waits for the shard."""
        self.notes.append(Note(str(message), getattr(message, "remedy", None)))


def run(shard: LayoutShard, report: Report) -> list[LayoutResult]:
    """Works on a shard: at least on the first layout. Raises OSError where the root does not exist."""
    end = time.monotonic() + shard.seconds
    found: list[LayoutResult] = []
    with Dir.at(shard.root) as root:
        for path, work in zip(shard.paths, shard.works, strict=True):
            if found and time.monotonic() >= end:
                break
            watch = _Listening(report)
            seen = view(root, path)
            device = os.fstat(root.fd).st_dev
            value: object = None
            try:
                shown = os.path.normpath(os.path.join(shard.shown, path))
                with Layout(shown, root.below(*path.split("/"))) as layout:
                    value = plain(work(layout, Found(path), watch))
            except (OcigcError, OSError):
                pass  # the host sees this layout by itself
            found.append(LayoutResult(seen, device, tuple(watch.notes), value))
    return found
