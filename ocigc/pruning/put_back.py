"""Puts blobs back into the layout, from the directory of a run or from the trash.

A blob is back when the file in its place has its digest. A file in the way is verified: if it is sound, it stays;
otherwise the sound copy takes its place. The source of a blob is removed only once the blob is back. Missing
directories are made. A label file has no digest: it is sound if it can be read as labels. If another is in the way, it
gets the labels of garbage collection that it lacks, as they may keep blobs.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ocigc import labels
from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, printable
from ocigc.layout import label_files
from ocigc.layout.blob_check import WITHOUT_BLAKE3, verdict
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.native import Verdict
from ocigc.pruning.journal import PLACE, naming_run
from ocigc.strict_json import parse_json, string_map, write_json

_PATIENCE = 1.0  # seconds, for a writer to finish the file in the way
_RETRY_SECONDS = 0.05
_ARRIVING = "arriving"
_CHUNK = 1 << 20


@dataclass(slots=True)
class PutBack:
    """The digests of blobs that are back, of those of them that were not in place before, and of those without a sound
    copy.
    """

    back: list[Digest] = field(default_factory=list)
    placed: list[Digest] = field(default_factory=list)
    damaged: list[Digest] = field(default_factory=list)


def put_back(layout: Layout, run: Dir, digests: Iterable[Digest]) -> PutBack:
    """Moves blobs that were taken out, and their label files, back into the layout. Blobs that `run` does not have are
    left out. Raises OSError and Refused.
    """
    with _Way(run, layout.dir, run, keep=False) as way:
        return way.bring(digests)


def copy_back(layout: Layout, trash: Dir, digests: Iterable[Digest], aside: Dir) -> PutBack:
    """The same, but the source keeps its files: the blobs get a second name, where the file system has links. `aside`
    is an open directory on the same file system. Everything is verified first.
    """
    with _Way(trash, layout.dir, aside, keep=True) as way:
        return way.bring(digests)


def is_back(layout: Layout, trash: Dir, digest: Digest) -> bool:
    """Whether the layout has a sound file of a blob of the trash: the same file, or another one that is verified.
    Raises OSError.
    """
    algorithm, name = digest.parts
    with suppress(FileNotFoundError):
        with layout.dir.below("blobs", algorithm) as target, trash.below("blobs", algorithm) as source:
            if source.samefile(name, target):
                return True
            found = verdict(layout.dir, digest)
            with suppress(Refused):
                return found is Verdict.SOUND or (found is Verdict.UNSUPPORTED and _same_content(source, target, name))
    return False


def blobs_in(run: Dir, path: str = PLACE) -> Iterator[tuple[Digest, os.stat_result]]:
    """The blobs in the directory of a run, which `path` names, sorted by algorithm and name. Raises MalformedError for
    anything else in it, and Refused.
    """
    with naming_run(path):
        for algorithm in run.names_below("blobs"):
            with run.below("blobs", algorithm) as parent:
                for name in parent.names():
                    digest = Digest.parse_registered(f"{algorithm}:{name}")
                    status = parent.stat(name)
                    if digest is None or not stat.S_ISREG(status.st_mode):
                        raise MalformedError(f"blobs/{algorithm}/{printable(name)}: not a blob; move it away")
                    yield digest, status


def take_out_sidecars(layout: Layout, run: Dir, digests: Iterable[Digest]) -> None:
    """Moves the label files of blobs that are already gone after them. Raises OSError."""
    with _Way(layout.dir, run, run, keep=False) as way:
        way.bring_sidecars(digests)


def sync_directories(directory: Dir) -> None:
    """Makes moves below `blobs` and `labels` durable, by one sync per directory. Raises OSError."""
    for top in ("blobs", label_files.DIRECTORY):
        with suppress(FileNotFoundError), directory.below(top) as parent:
            for name in parent.names():
                with suppress(NotADirectoryError), parent.below(name) as below:
                    below.sync()
            parent.sync()


class _Way:
    """The way from one directory with `blobs` and `labels` to another. Every directory on it is opened once."""

    def __init__(self, source: Dir, target: Dir, aside: Dir, *, keep: bool) -> None:
        self._source, self._target, self._aside, self._keep = source, target, aside, keep
        self._open: dict[tuple[Dir, str, str], Dir | None] = {}
        self._changed: dict[int, Dir] = {}
        self._given_up: list[tuple[Dir, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for directory in self._open.values():
            if directory is not None:
                directory.close()

    def bring(self, digests: Iterable[Digest]) -> PutBack:
        """Brings blobs. Their label files come first, durably, because a blob that is in place is not checked again."""
        result = PutBack()
        wanted = [digest for digest in dict.fromkeys(digests) if digest.registered]
        self.bring_sidecars(wanted)
        for digest in wanted:
            self._bring_blob(digest, result)
        self._sync()
        return result

    def bring_sidecars(self, digests: Iterable[Digest]) -> None:
        """Brings only the label files of blobs."""
        for digest in digests:
            self._bring_sidecar(digest)
        self._sync()

    def _from(self, top: str, algorithm: str) -> Dir | None:
        key = (self._source, top, algorithm)
        if key not in self._open:
            try:
                self._open[key] = self._source.below(top, algorithm)
            except FileNotFoundError:
                self._open[key] = None
        return self._open[key]

    def _to(self, top: str, algorithm: str) -> Dir:
        key = (self._target, top, algorithm)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = self._target.ensure(top, algorithm)
        return found

    def _give_up(self, source: Dir, target: Dir, name: str) -> None:
        """Removes the source of what is back, once that is durable: a rename between two directories need not be
        atomic after a crash."""
        self._changed[id(target)] = target
        if not self._keep:
            self._given_up.append((source, name))

    def _sync(self) -> None:
        for directory in self._changed.values():
            directory.sync()
        self._changed.clear()
        for source, name in self._given_up:
            source.remove(name)
        for source in {id(source): source for source, _ in self._given_up}.values():
            source.sync()
        self._given_up.clear()

    # Blobs

    def _bring_blob(self, digest: Digest, result: PutBack) -> None:
        algorithm, name = digest.parts
        source = self._from("blobs", algorithm)
        if source is None or not source.exists(name):
            return
        target = self._to("blobs", algorithm)
        if not target.exists(name):
            if self._keep and verdict(self._source, digest) not in (Verdict.SOUND, Verdict.UNSUPPORTED):
                result.damaged.append(digest)
                return
            self._place(source, target, name)
            result.placed.append(digest)
        elif not source.samefile(name, target):
            if not self._replace_if_bad(digest, source, target, result):
                result.damaged.append(digest)
                return
        else:
            self._give_up(source, target, name)
        result.back.append(digest)

    def _replace_if_bad(self, digest: Digest, source: Dir, target: Dir, result: PutBack) -> bool:
        """Replaces a file in the way with the copy of the source, unless it is sound. Gives whether it is sound now."""
        _, name = digest.parts
        if not stat.S_ISREG(target.stat(name).st_mode):
            raise Refused(f"blobs/{digest.path}: not a plain file; move it away")
        found = self._patient_verdict(digest, target)
        if found is Verdict.UNSUPPORTED:
            if not _same_content(source, target, name):
                raise Refused(f"blobs/{digest.path}: two files differ: {WITHOUT_BLAKE3}")
        elif found is not Verdict.SOUND:
            if verdict(self._source, digest) is not Verdict.SOUND:
                return False
            self._place(source, target, name)
            result.placed.append(digest)
            return True
        self._give_up(source, target, name)
        return True

    def _patient_verdict(self, digest: Digest, target: Dir) -> Verdict:
        """Verifies the file in the way, once nobody is writing it: some writers (skopeo) write manifests in place."""
        deadline = time.monotonic() + _PATIENCE
        while (found := verdict(self._target, digest)) is Verdict.CORRUPT and time.monotonic() < deadline:
            if abs(time.time() - target.stat(digest.encoded).st_mtime) > 2 * _PATIENCE:
                break
            time.sleep(_RETRY_SECONDS)
        return found

    def _place(self, source: Dir, target: Dir, name: str) -> None:
        """Puts the file of the source in place, over any other."""
        self._aside.remove(_ARRIVING)
        with suppress(OSError):  # a file system may have no links, or a limit on them
            source.link(name, self._aside, _ARRIVING)
        if self._aside.exists(_ARRIVING):
            self._aside.rename(_ARRIVING, target, name)
            self._give_up(source, target, name)
            return
        source.rename(name, target)
        self._changed[id(target)] = target
        self._changed[id(source)] = source

    # Sidecars

    def _bring_sidecar(self, digest: Digest) -> None:
        algorithm, encoded = digest.parts
        name = f"{encoded}{label_files.SUFFIX}"
        source = self._from(label_files.DIRECTORY, algorithm)
        if source is None or not source.exists(name):
            return
        target = self._to(label_files.DIRECTORY, algorithm)
        if target.exists(name):
            present, taken_out = _labels(target, name), _labels(source, name)
            if present is not None or taken_out is None:
                self._add_labels(taken_out or {}, present or {}, target, name)
                self._give_up(source, target, name)
                return
        if self._keep:
            # A copy, as others write labels in place.
            self._write(source.read(name, label_files.LIMIT), source.stat(name), target, name)
        else:
            self._place(source, target, name)

    def _add_labels(self, taken_out: dict[str, str], present: dict[str, str], target: Dir, name: str) -> None:
        """Adds the labels of garbage collection that the file in the way lacks."""
        added = {key: value for key, value in taken_out.items() if key.startswith(labels.PREFIX) and key not in present}
        if added:
            content = write_json({**present, **added})
            self._write(content, target.stat(name), target, name)

    def _write(self, content: bytes, like: os.stat_result, target: Dir, name: str) -> None:
        self._aside.remove(_ARRIVING)
        self._aside.write(_ARRIVING, content, like)
        self._aside.rename(_ARRIVING, target, name)
        self._changed[id(target)] = target


def _labels(directory: Dir, name: str) -> dict[str, str] | None:
    """The labels in a file; None if it cannot be read as labels."""
    try:
        content = directory.read(name, label_files.LIMIT)
        return string_map(parse_json(content, name), name)
    except (OSError, Refused):
        return None


def _same_content(source: Dir, target: Dir, name: str) -> bool:
    with open(source.open_plain(name), "rb") as first, open(target.open_plain(name), "rb") as second:
        while True:
            piece = first.read(_CHUNK)
            if piece != second.read(_CHUNK):
                return False
            if not piece:
                return True
