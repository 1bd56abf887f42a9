"""The files below a layout as the calls of a command and the steps of a writer leave them, replayed in memory.

It is compared with the files before each step of the writer that changes some.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tests.faults.habits import Step
from tests.faults.injection import Call

# What a run has done, in numbers; nobody reads it but a human.
HISTORY = ".ocigc/history.jsonl"

# Where names and contents tell the time, or are random.
_RUN = re.compile(r"(?<=^\.ocigc/trash/)[^/]+|(?<=^leases/)[^/]+|(?<=/\.ocigc-)[0-9a-f]{16}(?=\.tmp$)")
_TIMES = re.compile(rb'\b[0-9][0-9TZ:.+-]{8,}|(?<=": ")[0-9a-f]{8}(?=")')


def timeless(content: bytes) -> bytes:
    """What ocigc writes for itself, without times and the run's random name."""
    return _TIMES.sub(b"", content)


def summary(*what: object) -> str:
    """A short name for values that have a `repr`."""
    return blake2b(repr(what).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Status:
    """A file as it is: `content` is None for a directory, `changed` its ctime in nanoseconds."""

    inode: int
    changed: int
    content: bytes | None


Tree = Mapping[str, Status]


def scan(layout: Path) -> Tree:
    """All files and directories by path; the layout itself is ""."""
    found = {"": Status(layout.stat().st_ino, 0, None)}

    def add(directory: str, prefix: str) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    found[path] = Status(status.st_ino, status.st_ctime_ns, None)
                    add(entry.path, f"{path}/")
                else:
                    with open(entry.path, "rb", buffering=0) as file:
                        found[path] = Status(status.st_ino, status.st_ctime_ns, file.read())

    add(str(layout), "")
    return found


@dataclass(frozen=True, slots=True)
class Done:
    """A step that a writer has done before the call number `at`: the layout around it, None where it changes nothing,
    what the writer knows since then, and the inodes of the files that it had open before or has open now."""

    at: int
    step: Step
    around: tuple[Tree, Tree] | None
    known: str
    files: tuple[int, ...]


@dataclass(eq=False, slots=True)
class _File:
    """A file or, where it has names, a directory. `label` says what made it, `content` stands for what it holds. Of its
    status, `changed` is what changed it last, and `told` the same when the command asked for it last: for times only
    grow, and all that anybody can do with them is to compare them."""

    label: str
    content: str
    changed: str
    names: dict[str, _File] | None
    told: str | None = None
    inode: int = 0
    links: int = 0

    @property
    def status(self) -> tuple[object, ...]:
        """All that a status tells, but for what it tells only of a directory's size."""
        asked = "never" if self.told is None else self.told == self.changed
        return self.label, self.content, self.changed == "", asked, self.links


class Model:
    """The files below a layout, as the calls and steps that are told leave them."""

    def __init__(self, tree: Tree) -> None:
        self._files: list[_File] = []
        self._inodes: dict[int, _File] = {}
        self._made: Counter[str] = Counter()
        self._state = ""
        self._root = self._new("", tree[""], "")
        for path, seen in tree.items():
            if path:
                self._add(path, self._inodes.get(seen.inode) or self._new(path, seen, ""), "")

    def state(self) -> str:
        """All files, those too that have no name any more."""
        if not self._state:
            self._state = summary(
                sorted(
                    (file.status, [(plain(name), each.label) for name, each in (file.names or {}).items()])
                    for file in self._files
                )
            )
        return self._state

    def perform(self, number: int, call: Call) -> tuple[object, ...]:
        """Does what a call has done, of which so many have changed something before; its answer."""
        event = f"change {number}"
        if call.result < 0:
            return (call.result,)
        if call.name in ("open", "create"):
            return self._open(call, event)
        if call.name in ("read", "list", "stat"):
            return self._tell(call)
        if call.name not in ("fsync", "close", "flock"):
            self._state = ""
            self._change(call, event)
        return ()

    def _tell(self, call: Call) -> tuple[object, ...]:
        file = self._opened(call) if call.is_open else self._find(call.path)
        if call.name == "read":
            return (call.result, file.content if call.result else "")
        if call.name == "list":
            return ([plain(name) for name in file.names or ()],)
        answer = file.status
        file.told, self._state = file.changed, ""
        return answer

    def _change(self, call: Call, event: str) -> None:
        match call.name:
            case "write":
                file = self._opened(call)
                file.changed = event
                if call.path != HISTORY:
                    file.content = summary(file.content, timeless(call.written))
            case "fchmod" | "fchown":
                self._opened(call).changed = event
            case "mkdir":
                self._add(call.path, self._make(call.path, event, {}), event)
            case "unlink" | "rmdir":
                self._remove(call.path, event)
            case "link":
                self._add(call.other, self._find(call.path), event)
            case "rename":
                self._rename(call, event)
            case "exchange":
                one, other = self._find(call.path), self._find(call.other)
                for path, file in ((call.path, other), (call.other, one)):
                    parent, name = self._place(path)
                    assert parent.names is not None
                    parent.names[name] = file
                    file.changed = parent.changed = event
            case _:
                raise AssertionError(f"the model does not know {call}")

    def _rename(self, call: Call, event: str) -> None:
        moved, target = self._find(call.path), self._get(call.other)
        if target is moved:
            return
        self._remove(call.path, event)
        if target is not None:
            self._remove(call.other, event)
        self._add(call.other, moved, event)

    def _open(self, call: Call, event: str) -> tuple[object, ...]:
        file = self._get(call.path)
        if file is None:
            assert call.name == "create", f"the model lacks {call}"
            self._state = ""
            file = self._make(call.path, event, None)
            self._add(call.path, file, event)
        answer = (file.label, file.content)
        self._bind(file, call.file, call.path)
        if call.changes and file.changed != event and file.names is None:
            self._state = ""
            file.content, file.changed = summary("opened anew", file.content), event
        return answer

    def step(self, number: int, done: Done) -> None:
        """Does what a step of the writer has done."""
        event = f"step {number}"
        if done.around is None:
            return
        self._state = ""
        before, after = done.around
        self.compare(before)
        gone = [path for path, seen in before.items() if path not in after or after[path].inode != seen.inode]
        for path in sorted(gone, reverse=True):
            self._remove(path, event)
        old = {seen.inode for seen in before.values()}
        come = [path for path, seen in after.items() if path not in before or before[path].inode != seen.inode]
        for path in sorted(come, key=lambda path: (path.count("/"), after[path].inode)):
            seen = after[path]
            file = self._inodes[seen.inode] if seen.inode in old else self._new(path, seen, event)
            self._add(path, file, event)
        for path, seen in after.items():
            if path in before and before[path].inode == seen.inode:
                if before[path].content != seen.content:
                    assert seen.content is not None
                    self._inodes[seen.inode].content = summary(seen.content)
                if before[path].changed != seen.changed:
                    self._inodes[seen.inode].changed = event
        if done.step.writes:
            # What it has written to a file that has no name any more, nobody can read but who has it open.
            named = {seen.inode for seen in after.values()}
            for inode in {*done.files} - named:
                if inode in self._inodes:
                    file = self._inodes[inode]
                    file.content, file.changed = summary(event, file.content, done.known), event

    def compare(self, tree: Tree) -> None:
        """Checks that the model has the same files as the layout."""
        names = dict(self._walk(self._root, ""))
        assert names.keys() == tree.keys(), f"the model is wrong: {names.keys() ^ tree.keys()}"
        for path, file in names.items():
            self._bind(file, tree[path].inode, path)

    def _walk(self, file: _File, path: str) -> Iterator[tuple[str, _File]]:
        yield path, file
        for name, each in (file.names or {}).items():
            yield from self._walk(each, f"{path}/{name}" if path else name)

    def _bind(self, file: _File, inode: int, path: str) -> None:
        if not file.inode:
            file.inode = inode
            self._inodes[inode] = file
        assert file.inode == inode, f"the model has another file at {path}"

    def _new(self, path: str, seen: Status, event: str) -> _File:
        file = self._make(path, event, {} if seen.content is None else None)
        file.content = "" if seen.content is None else summary(seen.content)
        file.inode = seen.inode
        self._inodes[seen.inode] = file
        return file

    def _make(self, path: str, event: str, names: dict[str, _File] | None) -> _File:
        self._made[path] += 1
        file = _File(f"{plain(path)} {self._made[path]}", "", event, names)
        self._files.append(file)
        return file

    def _place(self, path: str) -> tuple[_File, str]:
        directory, _, name = path.rpartition("/")
        return self._find(directory), name

    def _get(self, path: str) -> _File | None:
        file: _File | None = self._root
        for name in os.path.normpath(path).split("/") if path else ():
            if name != ".":
                file = None if file is None or file.names is None else file.names.get(name)
        return file

    def _find(self, path: str) -> _File:
        file = self._get(path)
        assert file is not None, f"the model lacks {path}"
        return file

    def _opened(self, call: Call) -> _File:
        file = self._inodes.get(call.file)
        if file is None:
            file = self._find(call.path)
            self._bind(file, call.file, call.path)
        return file

    def _add(self, path: str, file: _File, event: str) -> None:
        parent, name = self._place(path)
        assert parent.names is not None
        parent.names[name] = file
        file.links += 1
        file.changed = parent.changed = event

    def _remove(self, path: str, event: str) -> None:
        parent, name = self._place(path)
        assert parent.names is not None
        file = parent.names.pop(name)
        file.links -= 1
        file.changed = parent.changed = event


def plain(path: str) -> str:
    """A path without the time of the run."""
    return _RUN.sub("run", path)
