"""Power failures: what a disk may hold when a prune stopped at some call and not all that it did had been synced.

The record of an undisturbed run is replayed in memory. The model:

- What was written to a file since it was last synced is there, or half of it, or none.
- A change of names (a file made, moved, swapped or removed) happens wholly or not at all, and is there for sure once
  a directory that it touches has been synced. Changes since then may be lost in any combination, with two limits that
  every journaling file system keeps: a change comes only with earlier ones of the same name or of the same file, and a
  name in a directory only with that directory.
- Syncing a file does not make its name durable, nor syncing a directory its own.
- Where a rename between directories is not atomic, it is two changes: either directory may be written first. Only a
  directory that moves is taken to move at once.

Not modelled: modes and owners, sectors torn within a write, and disks that lie.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.faults.injection import Call

RANDOM = 4  # combinations of losses at each call, besides the systematic ones


class Unsynced(Enum):
    """How much is there of what was written and not synced."""

    WHOLE = 1
    HALF = 2
    NONE = 3


@dataclass(eq=False, slots=True)
class File:
    """A file or, where it has names, a directory. `writes` are what calls wrote, `syncs` the calls that synced it."""

    mode: int
    content: bytes = b""
    names: dict[str, File] | None = None
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)

    def held(self, at: int, unsynced: Unsynced) -> bytes:
        """What the file holds when all stopped behind a call."""
        synced = max((sync for sync in self.syncs if sync <= at), default=-1)
        safe = self.content + b"".join(data for call, data in self.writes if call <= synced)
        late = b"".join(data for call, data in self.writes if synced < call <= at)
        return safe + {Unsynced.WHOLE: late, Unsynced.HALF: late[: len(late) // 2], Unsynced.NONE: b""}[unsynced]

    def unsynced(self, at: int) -> bool:
        return self.held(at, Unsynced.WHOLE) != self.held(at, Unsynced.NONE)


@dataclass(eq=False, slots=True)
class Change:
    """A change of names by call number `at`: each a directory, a name in it, and what that stands for now.

    `needs` are the earlier changes that it cannot be there without; `durable` is the call that synced it.
    """

    at: int
    names: tuple[tuple[File, str, File | None], ...]
    needs: set[Change]
    durable: int | None = None

    def __str__(self) -> str:
        return f"{self.at}: {', '.join(name for _, name, _ in self.names)}"

    def pending(self, at: int) -> bool:
        """Whether it may be lost when all stopped behind a call."""
        return self.at <= at and (self.durable is None or self.durable > at)


@dataclass(frozen=True, slots=True)
class State:
    """What a disk holds: files by path, with mode and content, directories without content. `links` are hard links.
    `cause` says how that came about."""

    files: tuple[tuple[str, int, bytes | None], ...]
    links: tuple[tuple[str, str], ...]
    cause: str = field(compare=False)

    def __repr__(self) -> str:
        return self.cause

    def write(self, root: Path) -> Path:
        """Writes it to a directory that is not there yet."""
        root.mkdir()
        for path, mode, content in self.files:
            full = root / path
            if content is None:
                full.mkdir()
            else:
                full.write_bytes(content)
            full.chmod(mode)
        for path, target in self.links:
            (root / path).hardlink_to(root / target)
        _make_young(root)
        return root


def _make_young(root: Path) -> None:
    """Says in the journals that the run began only now: what was there before it must not look newer than it."""
    for path in (root / ".ocigc").glob("**/journal.json"):
        text = path.read_text()
        path.write_text(re.sub(r'(?<="started": )\d+', str(time.time_ns()), text))


class History:
    """A run, replayed; on a file system where renames between directories are atomic, or not."""

    def __init__(self, template: Path, calls: Sequence[Call], *, atomic: bool = True) -> None:
        self._atomic = atomic
        self._root = _load(template, {})
        self._before = {directory: dict(directory.names or {}) for directory in _directories(self._root)}
        self._changes: list[Change] = []
        self._last: dict[object, Change] = {}
        self._files: list[File] = []
        changes = [call for call in calls if call.changes and call.result >= 0]
        self.length = len(changes)
        for at, call in enumerate(changes):
            self._replay(at, call)

    def _replay(self, at: int, call: Call) -> None:
        match call.name:
            case "create" | "mkdir":
                parent, name = self._place(call.path)
                if name not in _names(parent):
                    made = File(0o755, names={}) if call.name == "mkdir" else File(0o644)
                    self._files.append(made)
                    self._change(at, (parent, name, made))
                    self._last["made", made] = self._changes[-1]
            case "unlink" | "rmdir":
                self._change(at, (*self._place(call.path), None))
            case "link":
                self._change(at, (*self._place(call.other), self._find(call.path)))
            case "rename" | "exchange":
                source, target = self._place(call.path), self._place(call.other)
                moved, displaced = self._find(call.path), None
                if call.name == "exchange":
                    displaced = self._find(call.other)
                if self._atomic or source[0] is target[0] or moved.names is not None:
                    self._change(at, (*source, displaced), (*target, moved))
                else:
                    self._change(at, (*source, displaced))
                    self._change(at, (*target, moved))
            case "write":
                self._find(call.path).writes.append((at, call.written))
            case "fsync":
                self._sync(at, self._find(call.path))
            case "fchmod" | "fchown":
                pass
            case _:
                raise AssertionError(call)

    def _find(self, path: str) -> File:
        file = self._root
        for name in Path(path).parts:
            file = _names(file)[name]
        return file

    def _place(self, path: str) -> tuple[File, str]:
        directory, name = os.path.split(path)
        return self._find(directory), name

    def _change(self, at: int, *names: tuple[File, str, File | None]) -> None:
        keys: list[object] = []
        for directory, name, file in names:
            keys += [(directory, name), ("made", directory), *([file] if file is not None and self._atomic else [])]
        change = Change(at, names, {self._last[key] for key in keys if key in self._last})
        for directory, name, file in names:
            self._last[directory, name] = change
            if file is None:
                _names(directory).pop(name, None)
            else:
                self._last[file] = change
                _names(directory)[name] = file
        self._changes.append(change)

    def _sync(self, at: int, file: File) -> None:
        file.syncs.append(at)
        synced = [change for change in self._changes if any(file is directory for directory, _, _ in change.names)]
        while synced:
            change = synced.pop()
            if change.durable is None:
                change.durable = at
                synced += change.needs

    def states(self, first: int = 0) -> Iterator[State]:
        """Every different state of the disk that the model allows from the change `first` on, the random combinations
        being a sample."""
        seen: set[State] = set()
        for at in range(first, self.length):
            pending = [change for change in self._changes if change.pending(at)]
            for lost in _losses(pending, random.Random(at)):
                for unsynced in Unsynced if any(file.unsynced(at) for file in self._files) else [Unsynced.WHOLE]:
                    state = self._state(at, lost, unsynced)
                    if state not in seen:
                        seen.add(state)
                        yield state

    def _state(self, at: int, lost: set[Change], unsynced: Unsynced) -> State:
        names = {directory: dict(before) for directory, before in self._before.items()}
        gone: set[Change] = set()
        for change in self._changes:
            if change.at > at:
                break
            if change in lost or not gone.isdisjoint(change.needs):
                gone.add(change)
                continue
            for directory, name, file in change.names:
                entries = names.setdefault(directory, {})
                if file is None:
                    entries.pop(name, None)
                else:
                    entries[name] = file
        files: list[tuple[str, int, bytes | None]] = []
        links: list[tuple[str, str]] = []
        first: dict[File, str] = {}
        pending = [(name, file) for name, file in names[self._root].items()]
        while pending:
            path, file = pending.pop()
            if file in first and file.names is None:
                links.append((path, first[file]))
                continue
            first.setdefault(file, path)
            if file.names is None:
                files.append((path, file.mode, file.held(at, unsynced)))
            else:
                files.append((path, file.mode, None))
                pending += [(f"{path}/{name}", child) for name, child in names.get(file, {}).items()]
        cause = f"power lost after change {at}, files {unsynced.name.lower()}, lost: {sorted(map(str, lost))}"
        return State(tuple(sorted(files, key=lambda file: file[0])), tuple(sorted(links)), cause)


def _losses(pending: Sequence[Change], rng: random.Random) -> Iterator[set[Change]]:
    """Combinations of the changes that may be lost: none, the latest, all but one, one, and a few at random."""
    for index in range(len(pending) + 1):
        yield set(pending[index:])
    for change in pending:
        yield {change}
        yield set(pending) - {change}
    for _ in range(RANDOM if pending else 0):
        yield {change for change in pending if rng.random() < 0.5}


def _load(path: Path, seen: dict[int, File]) -> File:
    status = path.lstat()
    if path.is_dir():
        return File(status.st_mode & 0o7777, names={child.name: _load(child, seen) for child in path.iterdir()})
    return seen.setdefault(status.st_ino, File(status.st_mode & 0o7777, path.read_bytes()))


def _directories(root: File) -> Iterable[File]:
    if root.names is not None:
        yield root
        for child in root.names.values():
            yield from _directories(child)


def _names(directory: File) -> dict[str, File]:
    assert directory.names is not None
    return directory.names
