"""Trees of layouts: which layouts lie below a directory, and how work runs over all of them.

They are found only with openat, so that no symlink leads out of the tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from ocigc.errors import Interrupted, Message, NotALayout, OcigcError, Refused, Remedy, UsageError, printable
from ocigc.gc.resolve import NoSuchImage, no_such_image, resolve_images
from ocigc.interrupts import Stop, stopped_by
from ocigc.layout.dirfd import Dir, reason
from ocigc.layout.index_images import IndexImages, repository_name
from ocigc.layout.layout import INDEX, MARKER, STATE, Layout, OpenDirectory
from ocigc.progress import Progress, Report, Watcher
from ocigc.values import frozen

if TYPE_CHECKING:
    from concurrent.futures import Future

_DEPTH = 64
_BLOBS = "blobs"
_OWN = frozenset((_BLOBS, "labels", "leases", STATE))
AT_ONCE = 2
"""One layout can be worked on while another waits for the disk."""
_POLL_SECONDS = 0.2
T = TypeVar("T")
_T = TypeVar("_T")


@frozen
class Found:
    """A layout, by its path below the root; "." is the root itself. `trouble` is set for a directory that could not be
    searched.
    """

    path: str
    trouble: str | None = None

    @property
    def name(self) -> str:
        """The path, for people."""
        return printable(self.path)

    def repository(self, prefix: str | None, note: Callable[[str], None]) -> str | None:
        """The normalised repository that its bare tags belong to: the prefix, as the user gave it, and the path. None,
        with a note, where that is not the name of a repository, as a directory may have any name.

        Raises UsageError for a prefix that no repository can have.
        """
        if prefix is not None:
            repository_name(f"{prefix.rstrip('/')}/x")
        name = "/".join(filter(None, (prefix and prefix.rstrip("/"), self.path if self.path != "." else None)))
        try:
            return repository_name(name) if name else None
        except UsageError:
            note(
                f"{printable(self.path)}: the path is not the name of a repository, so its bare tags have no repository"
            )
            return None


class Tree(OpenDirectory):
    """An open directory, and the layouts in it and below it by path, hidden ones too."""

    def __init__(self, path: str, note: Callable[[str], None]) -> None:
        """Raises UsageError where there is no layout; notes a directory that is one except for its missing marker."""
        self.path = path
        try:
            self.dir = Dir.at(path)
        except (OSError, ValueError) as error:
            what = reason(error) if isinstance(error, OSError) else error
            message = f"{printable(path)}: {what}: expected a directory with layouts below it"
            raise NotALayout(message, path) from None
        self._note = note
        self.found = sorted(self._below(self.dir, ".", 0), key=lambda found: os.fsencode(found.path))
        if not self.found:
            self.dir.close()
            raise NotALayout(f"{printable(path)}: no image layout in it or below it", path)

    def open(self, found: Found, kind: Callable[[str, Dir], Layout] = Layout) -> Layout:
        """Opens a layout that was found, as one of some kind. Raises UsageError and OSError."""
        below = self.dir.below(*found.path.split("/"))
        layout = kind(os.path.normpath(os.path.join(self.path, found.path)), below)
        if self._shared is not None:
            layout.share(self._shared.again())
        return layout

    def _below(self, directory: Dir, path: str, depth: int) -> Iterator[Found]:
        try:
            with os.scandir(directory.fd) as entries:
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
        elif INDEX in kinds and kinds.get(_BLOBS):
            self._note(f"{printable(path)}: passed over: it has {INDEX} and {_BLOBS}, but no {MARKER}")
        for name in sorted(name for name, is_directory in kinds.items() if is_directory):
            if own and name in _OWN:
                continue
            below = os.path.normpath(os.path.join(path, name))
            try:
                with directory.below(name) as child:
                    yield from self._below(child, below, depth + 1)
            except OSError as error:
                yield Found(below, f"cannot be searched: {error.strerror}")


Work = Callable[[Layout, Found, Watcher], T]


class _TreeWatch:
    """Watches several layouts at once: the step that each has come to, the bytes that are done on all of them, and
    whether to stop.
    """

    def __init__(self, watch: Watcher, stop: Stop) -> None:
        self._watch = watch
        self._stop = stop
        self._doing: dict[str, str] = {}
        self._bytes: dict[tuple[str, str], int] = {}

    def member(self, name: str) -> _LayoutWatch:
        """The watcher of one layout."""
        return _LayoutWatch(self._watch, name, self)

    def at(self, name: str, step: str) -> None:
        """Notes that work on a layout has come to a step."""
        self._doing[name] = step

    def reached(self, name: str, step: str, count: int) -> None:
        """Notes the bytes that a step has done on a layout. Raises KeyboardInterrupt when all work is to stop."""
        self._bytes[name, step] = count
        if self._stop.is_set():
            raise KeyboardInterrupt

    def done(self, name: str) -> None:
        """Notes that work on a layout is over."""
        self._doing.pop(name, None)

    def progress(self, done: int, total: int) -> Progress:
        """The progress of all of them."""
        doing = ", ".join(f"{name}: {step}" for name, step in list(self._doing.items())[:1])
        return Progress(done, sum(list(self._bytes.values())), total, 0, doing)


class _LayoutWatch:
    """Watches one layout of several. Its progress counts for all."""

    def __init__(self, watch: Watcher, name: str, members: _TreeWatch) -> None:
        self.note = watch.note
        self._name = name
        self._members = members

    def __call__(self, step: str, /) -> Report:
        self._members.at(self._name, step)
        return lambda progress: self._members.reached(self._name, step, progress.bytes)


def each_layout(
    tree: Tree,
    work: Work[T],
    watch: Watcher,
    *,
    at_once: int = AT_ONCE,
    among: Sequence[Found] | None = None,
    opening: Callable[[Found], Layout] | None = None,
) -> Results[T]:
    """Does some work on every layout of a tree, or only on those in `among`, in that order; `at_once` layouts at a
    time. They are opened by `opening`, or else as directories. After an interrupt, work that has begun comes to an
    orderly end, and the interrupt is among the errors.
    """
    # Loading this takes longer than a small command that needs no tree.
    from concurrent.futures import ThreadPoolExecutor

    layouts = tree.found if among is None else among
    stop = Stop()
    members = _TreeWatch(watch, stop)

    def one(found: Found) -> T:
        if found.trouble is not None:
            raise Refused(found.trouble)
        try:
            with (opening or tree.open)(found) as layout, stopped_by(stop):
                return work(layout, found, members.member(found.name))
        finally:
            members.done(found.name)

    with stop, ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, found) for found in layouts]
        try:
            _await(running, watch("Layouts"), members)
        except BaseException as error:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
        stopped = stop.is_set()
    return _gather(tree.path, layouts, running, stopped)


def _await(running: Sequence[Future[T]], report: Report | None, members: _TreeWatch) -> None:
    from concurrent.futures import FIRST_COMPLETED, wait

    left: set[Future[T]] = set(running)
    while left:
        _, left = wait(left, _POLL_SECONDS, FIRST_COMPLETED)
        if report is not None:
            report(members.progress(len(running) - len(left), len(running)))


def _gather(root: str, layouts: Sequence[Found], running: Sequence[Future[T]], interrupted: bool) -> Results[T]:
    from concurrent.futures import CancelledError

    values: list[tuple[str, T]] = []
    errors: list[str] = []
    for found, future in zip(layouts, running, strict=True):
        path = f"{os.path.normpath(os.path.join(root, found.name))}: "
        try:
            values.append((found.name, future.result()))
        except OcigcError as error:
            errors.append(Message(f"{found.name}: {str(error).removeprefix(path)}", error.remedy))
        except OSError as error:
            name = f"{printable(str(error.filename))}: " if error.filename is not None else ""
            errors.append(f"{found.name}: {name}{reason(error)}")
        except Interrupted as error:
            errors.append(Message(f"{found.name}: {str(error).removeprefix(path)}", error.message.remedy))
        except (KeyboardInterrupt, CancelledError) as error:
            errors.append(f"{found.name}: {str(error) or 'interrupted; nothing is lost'}")
    return Results(values, errors, interrupted)


@frozen
class Results(Generic[_T]):
    """The result for each layout, by its path below the root, and the errors, which begin with such a path. Both are in
    the order of the paths.
    """

    values: Sequence[tuple[str, _T]]
    errors: Sequence[str]
    interrupted: bool = False


def locate(
    tree: Tree, references: Iterable[str], repository: Callable[[Found], str | None]
) -> Mapping[Found, Sequence[str]]:
    """For each layout that has some of the images: the references that name them there. Layouts that cannot be read are
    left out. Raises NoSuchImage for a reference that names no image anywhere.
    """
    wanted = list(references)
    found: dict[Found, list[str]] = {}
    names: list[str] = []
    for member in tree.found:
        try:
            with tree.open(member) as layout:
                images = IndexImages.of(layout.read_index().entries, repository(member))
        except (OcigcError, OSError):
            continue
        for reference in wanted:
            try:
                resolve_images(images, reference)
            except NoSuchImage:
                continue
            found.setdefault(member, []).append(reference)
        names += [name for image in images if not image.dangling for name in image.familiar_names]
    there = {reference for each in found.values() for reference in each}
    for reference in wanted:
        if reference not in there:
            what = f"{printable(tree.path)}: no layout has an image {printable(reference)!r}"
            raise no_such_image(what, names, reference, Remedy.LIST_IMAGES_BELOW)
    return found
