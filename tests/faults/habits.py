"""Writers that know nothing of us, step by step, as docs/crash-safety.md tells their habits: each pushes an image that
shares a layer with one that a prune removes, tags one that a prune removes, or protects it.

A step is what no scheduler can divide to any effect.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDEX = "index.json"
_LOCK = "index.json.lock"
_INDEX, _LOCKED = frozenset([INDEX]), frozenset([_LOCK])
Entry = dict[str, Any]


def _paths(digests: Iterable[str]) -> frozenset[str]:
    return frozenset(f"blobs/{digest.replace(':', '/')}" for digest in digests)


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image: its entry, its manifest and what that refers to, by digest."""

    entry: Entry
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return str(self.entry["digest"])

    @property
    def children(self) -> list[str]:
        """All but the manifest."""
        return [digest for digest in self.blobs if digest != self.digest]


@dataclass(frozen=True, slots=True)
class Step:
    """What a writer does next. It looks up names, which are paths in the layout, and changes what some stand for; it
    reads files, and writes into them. A file has the base name that it was opened by, wherever it is by then."""

    name: str
    act: Callable[[], None]
    looks_up: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


class Failed(Exception):
    """The writer gives up, and says so: somebody else has the lock, or there is no such image."""


class Writer:
    """One writer at work. `read` are the entries that it has read, None before that; `found` the blobs that it has
    found present, and so takes for good."""

    def __init__(self, layout: Path, image: Pushed) -> None:
        self.layout, self.image = layout, image
        self.read: list[Entry] | None = None
        self.found: set[str] = set()
        self._document: dict[str, Any] = {}
        self._file = -1
        self._lock = -1

    def steps(self) -> Sequence[Step]:
        """All that it does, in order."""
        raise NotImplementedError

    @property
    def known(self) -> str:
        """What its next steps depend on, but for files."""
        return json.dumps([self._document, sorted(self.found), self._file >= 0, self._lock >= 0])

    @property
    def files(self) -> tuple[int, ...]:
        """The inodes of the files that it has open."""
        return tuple(os.fstat(file).st_ino for file in (self._file, self._lock) if file >= 0)

    # Blobs

    def _look(self) -> Step:
        def act() -> None:
            self.found = {digest for digest in self.image.children if self._blob(digest).exists()}

        return Step("look for blobs", act, looks_up=_paths(self.image.children))

    def _put(self, *, manifest: bool) -> Step:
        wanted = list(self.image.blobs) if manifest else self.image.children

        def act() -> None:
            for digest in wanted:
                if digest not in self.found:
                    temporary = self.layout / "blobs" / "sha256" / "1234.tmp"
                    temporary.write_bytes(self.image.blobs[digest])
                    temporary.rename(self._blob(digest))

        return Step("put blobs", act, changes=_paths(each for each in wanted if each not in self.found))

    def _manifest_in_place(self) -> list[Step]:
        file = frozenset([self.image.digest.partition(":")[2]])

        def truncate() -> None:
            self._file = os.open(self._blob(self.image.digest), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        def write() -> None:
            self._write(self.image.blobs[self.image.digest])

        return [
            Step("truncate the manifest", truncate, changes=_paths([self.image.digest]), writes=file),
            Step("write the manifest", write, writes=file),
        ]

    def _blob(self, digest: str) -> Path:
        return self.layout / "blobs" / digest.replace(":", "/")

    # index.json

    def _read(self) -> Step:
        def act() -> None:
            self._parse((self.layout / INDEX).read_bytes())

        return Step("read the index", act, looks_up=_INDEX, reads=_INDEX)

    def _parse(self, content: bytes) -> None:
        self._document = json.loads(content)
        self.read = list(self._document["manifests"])

    def _content(self, entry: Entry | None = None) -> bytes:
        assert self.read is not None
        return json.dumps({**self._document, "manifests": [*self.read, entry or self.image.entry]}).encode()

    def _index_in_place(self, entry: Entry | None = None) -> list[Step]:
        def truncate() -> None:
            self._file = os.open(self.layout / INDEX, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        def write() -> None:
            self._write(self._content(entry))

        return [
            Step("truncate the index", truncate, looks_up=_INDEX, writes=_INDEX),
            Step("write the index", write, writes=_INDEX),
        ]

    def _index_renamed(self) -> Step:
        def act() -> None:
            temporary = self.layout / "index.json.1234.tmp"
            temporary.write_bytes(self._content())
            temporary.rename(self.layout / INDEX)

        return Step("write the index", act, changes=_INDEX)

    def _write(self, content: bytes) -> None:
        os.write(self._file, content)
        os.close(self._file)
        self._file = -1

    def close(self) -> None:
        """Closes what is open where it was stopped in the middle."""
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)


class Skopeo(Writer):
    """Also podman and buildah: the index is read at the beginning, and written in place at the end."""

    def steps(self) -> Sequence[Step]:
        return [
            self._read(),
            self._look(),
            self._put(manifest=False),
            *self._manifest_in_place(),
            *self._index_in_place(),
        ]


class Oras(Writer):
    """The index is read at the beginning, and written in place: with the manifest, and then with its name."""

    def steps(self) -> Sequence[Step]:
        nameless = {key: value for key, value in self.image.entry.items() if key != "annotations"}
        pushed = [self._read(), self._look(), self._put(manifest=True)]
        return [*pushed, *self._index_in_place(nameless), *self._index_in_place()]


class Crane(Writer):
    """The index is read just before it is written in place."""

    def steps(self) -> Sequence[Step]:
        pushed = [self._look(), self._put(manifest=False), *self._manifest_in_place()]
        return [*pushed, self._read(), *self._index_in_place()]


class Umoci(Writer):
    """Also regctl: the index is read just before it is replaced by a rename."""

    def steps(self) -> Sequence[Step]:
        return [self._look(), self._put(manifest=True), self._read(), self._index_renamed()]


class BuildKit(Writer):
    """The index is read and written under a lock, in the file that was opened first."""

    def steps(self) -> Sequence[Step]:
        def lock() -> None:
            self._lock = os.open(self.layout / _LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failed from None

        def read() -> None:
            self._file = os.open(self.layout / INDEX, os.O_RDWR)
            self._parse(os.read(self._file, 1 << 20))

        def write() -> None:
            content = self._content()
            os.pwrite(self._file, content, 0)
            os.ftruncate(self._file, len(content))
            os.close(self._file)
            self._file = -1

        def unlock() -> None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            (self.layout / _LOCK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

        return [
            self._look(),
            self._put(manifest=True),
            Step("lock the index", lock, changes=_LOCKED, writes=_LOCKED),
            Step("read the index", read, looks_up=_INDEX, reads=_INDEX),
            Step("write the index", write, writes=_INDEX),
            Step("unlock the index", unlock, changes=_LOCKED, writes=_LOCKED),
        ]


class Tag(Writer):
    """`umoci tag`: an image that is there gets another name. To find it is to look for its blobs."""

    def steps(self) -> Sequence[Step]:
        def act() -> None:
            self._parse((self.layout / INDEX).read_bytes())
            if all(entry["digest"] != self.image.digest for entry in self.read or ()):
                raise Failed
            self.found = {digest for digest in self.image.blobs if self._blob(digest).exists()}

        look = Step("look for blobs", act, looks_up=_INDEX | _paths(self.image.blobs), reads=_INDEX)
        return [look, self._index_renamed()]


WRITERS: tuple[type[Writer], ...] = (Skopeo, Oras, Crane, Umoci, BuildKit, Tag)
