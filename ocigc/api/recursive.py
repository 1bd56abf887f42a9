"""Every layout of a tree, each under its own lock: one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Generic, TypeVar

from ocigc.api.watch import Watcher
from ocigc.errors import OcigcError, Refused
from ocigc.native import Progress, Report
from ocigc.printable import printable
from ocigc.store.layout import Layout
from ocigc.store.trees import Found, Tree

AT_ONCE = 2
"""While one waits for the disk, the other works."""
_POLL_SECONDS = 0.2

T = TypeVar("T")
Work = Callable[[Layout, Found, Watcher], T]


@dataclass(frozen=True, slots=True)
class Results(Generic[T]):
    """What came of each layout, by its path below the root, and what went wrong, each beginning with such a path; both
    in the order of the paths.
    """

    values: Sequence[tuple[str, T]]
    errors: Sequence[str]
    interrupted: bool = False


class _Member:
    """Watches one layout of many: no progress of its own, but an ear for the end."""

    def __init__(self, watch: Watcher, stop: Event) -> None:
        self.note = watch.note
        self._stop = stop

    def __call__(self, _: str, /) -> Report:
        def report(_: Progress) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt

        return report


def each_layout(tree: Tree, work: Work[T], watch: Watcher, *, at_once: int = AT_ONCE) -> Results[T]:
    """Does a piece of work on every layout of a tree, `at_once` of them at a time. An interrupt lets what has begun
    come to an orderly end, and is among the errors."""
    stop = Event()
    member = _Member(watch, stop)

    def one(found: Found) -> T:
        if found.trouble is not None:
            raise Refused(found.trouble)
        with tree.open(found) as layout:
            return work(layout, found, member)

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, found) for found in tree.found]
        try:
            _await(running, watch("Layouts"))
        except BaseException as error:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
    return _gather(tree, running, stop.is_set())


def _await(running: Sequence[Future[T]], report: Report | None) -> None:
    left: set[Future[T]] = set(running)
    while left:
        _, left = wait(left, _POLL_SECONDS, FIRST_COMPLETED)
        if report is not None:
            report(Progress(len(running) - len(left), 0, len(running), 0))


def _gather(tree: Tree, running: Sequence[Future[T]], interrupted: bool) -> Results[T]:
    values, errors = [], []
    for found, future in zip(tree.found, running, strict=True):
        name = printable(found.path)
        try:
            values.append((name, future.result()))
        except OcigcError as error:
            errors.append(f"{name}: {error}")
        except OSError as error:
            errors.append(f"{name}: {error.strerror or error}")
        except (KeyboardInterrupt, CancelledError):
            errors.append(f"{name}: interrupted; nothing is lost")
    return Results(values, errors, interrupted)
