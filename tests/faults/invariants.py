"""What holds of a layout at every moment of a run, and what the next one makes of it: of a prune, and of its undoing.

The yardstick is an undisturbed run: `before` and `after` are snapshots of the layout around it.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocigc.pruning.preflight import PROBE
from tests.faults.injection import KILLED, Call, record
from tests.faults.power import State
from tests.faults.scenarios import KEPT, Scenario
from tests.helpers.command import ocigc
from tests.helpers.layouts import snapshot

Snapshot = dict[str, tuple[int, bytes | str]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A layout as it is at one moment: all but ocigc's own state, and the paths of that."""

    files: Snapshot
    state: frozenset[str]

    @classmethod
    def of(cls, layout: Path) -> Moment:
        """What is in a directory."""
        return cls(snapshot(layout), frozenset(str(path.relative_to(layout)) for path in layout.glob(".ocigc/**/*")))

    @classmethod
    def after_power_loss(cls, state: State) -> Moment:
        """What a disk holds."""
        files: Snapshot = {}
        for path, mode, content in state.files:
            files[path] = (stat.S_IFDIR | mode, b"") if content is None else (stat.S_IFREG | mode, content)
        for path, target in state.links:
            files[path] = files[target]
        ours = {path for path in files if path == ".ocigc" or path.startswith(".ocigc/")}
        return cls({path: file for path, file in files.items() if path not in ours}, frozenset(ours))


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A layout of a scenario as it was made, and all there is to know of its undisturbed prune."""

    scenario: Scenario
    template: Path
    before: Snapshot
    after: Snapshot
    calls: tuple[Call, ...]

    @classmethod
    def make(cls, scenario: Scenario, directory: Path) -> Yardstick:
        """Runs undisturbed, and looks at what that did with other eyes than its own."""
        template = cls.prepare(scenario, directory / "template")
        layout = _copy(template, directory / "undisturbed")
        before = snapshot(layout)
        result, calls = record(layout, cls.command(scenario, layout))
        assert (result.code, result.err) == (0, ""), result
        after = snapshot(layout)
        shutil.rmtree(layout)
        assert after.items() != before.items()
        for digest in _named(after):
            assert not any(path in before and path not in after for path in _held(before, digest))
        return cls(scenario, template, before, after, tuple(calls))

    @classmethod
    def prepare(cls, scenario: Scenario, path: Path) -> Path:
        """Makes the layout as it is before the run."""
        return scenario.make(path)

    @classmethod
    def command(cls, scenario: Scenario, layout: Path) -> list[str]:
        """The arguments of the run."""
        return scenario.prune(layout)

    @property
    def changing(self) -> int:
        """How many calls change something."""
        return sum(call.changes for call in self.calls)

    def copy(self, path: Path) -> Path:
        """Copies the layout, hard links and all."""
        return _copy(self.template, path)

    def check_moment(self, moment: Moment, code: int = KILLED, errors: str = "", *, atomic: bool = True) -> None:
        """Checks a layout right after a run that was disturbed, with the exit code and the stderr of that run. Where
        renames between directories are not `atomic`, only what has a trash can be undone for sure."""
        _check_exit(code, errors)
        now = moment.files
        if atomic or self.scenario.trash:
            self._check_held(moment)
        now = _without_probes(now)
        if code == 0:
            self._check_done(now)
        elif now["index.json"] == self.before["index.json"] != self.after["index.json"]:
            # Where the run could not even be rolled back, the next one does that.
            least = self.before if ".ocigc/run" not in moment.state else self.after
            self._check_between(now, least)
        else:
            self._check_between(now, self.after)

    def check_durable(self, moment: Moment) -> None:
        """Checks what a power failure leaves of a run that was done."""
        self.check_moment(moment, 0)

    def _check_held(self, moment: Moment) -> None:
        """Whatever can still be undone has all that it takes: each blob and sidecar is in place, or held by the run or
        the trash."""
        _check_journal(moment)
        journals = (path for path in moment.state if path.endswith("/journal.json"))
        holders = [os.path.dirname(path) for path in journals if path.startswith((".ocigc/run/", ".ocigc/trash/"))]
        # Where an earlier run has been finished, it is in the history, and what it took is freed.
        if not self.scenario.trash and (not holders or ".ocigc/history.jsonl" in moment.state):
            return
        for path in self.before:
            if path.startswith(("blobs/", "labels/")) and path not in moment.files:
                assert any(f"{holder}/{path}" in moment.state for holder in holders), path

    def _check_done(self, now: Snapshot) -> None:
        """Checks a layout after a run that says it is done. Labels may be left of an image whose manifest could not be
        read: nobody knew its config."""
        left = {path for path in now if path.startswith("labels/") and now[path] == self.before.get(path)}
        _same({**now, **{path: self.after[path] for path in left & self.after.keys()}}, self.after)

    def _check_between(self, now: Snapshot, least: Snapshot) -> None:
        """Each file is as it was or as it will be, and none of `least` is missing."""
        assert now.keys() >= least.keys(), least.keys() - now.keys()
        for path, file in now.items():
            assert file in (self.before.get(path), self.after.get(path)), path

    def check_next(self, layout: Path) -> None:
        """Checks what the next prune makes of a layout, and what comes back out of the trash; removes it."""
        result = ocigc(*self.scenario.prune(layout))
        assert result.code == 0, result
        assert len(result.err.splitlines()) <= 1, result
        self._check_done(snapshot(layout))
        state = layout / ".ocigc"
        left = {path.name for path in state.iterdir()}
        assert left <= {"lock", "history.jsonl"} | ({"trash"} if self.scenario.trash else set()), left
        if self.scenario.trash:
            self._check_restore(layout)
        shutil.rmtree(layout)

    def _check_restore(self, layout: Path) -> None:
        """Brings back what is in the trash: all that was there is there again, byte for byte."""
        for run in ocigc("trash", "ls", "--format", "json", layout).json:
            assert ocigc("restore", layout, run["Run"]).code == 0
        restored = snapshot(layout)
        entries = _entries(restored)
        assert all(entry in entries for entry in _entries(self.before))
        _same(_restorable(restored), _restorable(self.before))


class Undo(Yardstick):
    """The restore of a prune: blobs come back first, and the index names no image that is not whole."""

    @classmethod
    def prepare(cls, scenario: Scenario, path: Path) -> Path:
        layout = super().prepare(scenario, path)
        assert ocigc(*scenario.prune(layout)).code == 0
        return layout

    @classmethod
    def command(cls, _: Scenario, layout: Path) -> list[str]:
        return ["restore", str(layout)]

    def check_moment(self, moment: Moment, code: int = KILLED, errors: str = "", *, atomic: bool = True) -> None:  # noqa: ARG002
        _check_journal(moment)
        if code == 1:
            # A copy in the trash could not be read; it is still there.
            assert "cannot be read, or is corrupt" in errors
            return
        _check_exit(code, errors)
        now = _without_probes(moment.files)
        if code == 0:
            _same(now, self.after)
        indexed = now["index.json"] == self.after["index.json"]
        self._check_between(now, _without_labels(self.after) if indexed else self.before)

    def check_next(self, layout: Path) -> None:
        result = ocigc("restore", layout)
        assert result.code == 0, result
        _same(snapshot(layout), self.after)
        assert {path.name for path in (layout / ".ocigc").iterdir()} == {"lock", "trash", "history.jsonl"}
        shutil.rmtree(layout)


class LeaseCreated(Yardstick):
    """A lease that is made is there and whole, or not at all."""

    IDENTITY = "new"

    @classmethod
    def command(cls, _: Scenario, layout: Path) -> list[str]:
        return ["lease", "create", "--id", cls.IDENTITY, str(layout), KEPT]

    def check_moment(self, moment: Moment, code: int = KILLED, errors: str = "", *, atomic: bool = True) -> None:  # noqa: ARG002
        _check_exit(code, errors)
        now = _timeless(moment.files)
        if code == 0:
            _same(now, _timeless(self.after))
        else:
            assert now in (_timeless(self.before), _timeless(self.after), self._directory())

    def _directory(self) -> dict[str, Any]:
        """The layout as it was, and the empty directory of leases."""
        return {**_timeless(self.before), "leases": self.after["leases"]}

    def check_next(self, layout: Path) -> None:
        assert ocigc(*self.command(self.scenario, layout)).code in (0, 2)
        _same(_timeless(snapshot(layout)), _timeless(self.after))
        assert {path.name for path in (layout / ".ocigc").glob("*")} <= {"lock"}
        shutil.rmtree(layout)


class LeaseReleased(LeaseCreated):
    """A lease that ends is there and whole, or not at all."""

    @classmethod
    def prepare(cls, scenario: Scenario, path: Path) -> Path:
        layout = super().prepare(scenario, path)
        assert ocigc(*LeaseCreated.command(scenario, layout)).code == 0
        return layout

    @classmethod
    def command(cls, _: Scenario, layout: Path) -> list[str]:
        return ["lease", "release", str(layout), cls.IDENTITY]


def _check_journal(moment: Moment) -> None:
    """A run that is under way has a whole journal."""
    if ".ocigc/run" in moment.state:
        assert ".ocigc/run/journal.json" in moment.state
        assert moment.state & {".ocigc/run/to-delete", ".ocigc/run/to-restore"}


def _check_exit(code: int, errors: str) -> None:
    assert code in (0, 2, 3, KILLED), (code, errors)
    if code in (2, 3):
        # After a note on an earlier run, one line says what is wrong.
        *notes, _ = errors.splitlines()
        assert all("an earlier" in note or "not in the history" in note for note in notes), errors


def _without_probes(files: Snapshot) -> Snapshot:
    """All but what a run leaves that is killed while it tries whether files can be moved, or changes index.json."""
    ours = (PROBE, "index.json.lock")
    return {path: file for path, file in files.items() if os.path.basename(path) not in ours}


def _without_labels(files: Snapshot) -> Snapshot:
    """All but the sidecars: they come back last."""
    return {path: file for path, file in files.items() if not path.startswith("labels/")}


def _timeless(files: Snapshot) -> dict[str, Any]:
    """Leases without the time of their creation."""
    return {
        path: (mode, json.loads(content) | {"created": None} if path.startswith("leases/") else content)
        for path, (mode, content) in files.items()
    }


def _restorable(files: Snapshot) -> dict[str, tuple[int, Any]]:
    """All but the order in which entries stand in index.json, and labels in a sidecar."""
    return {
        path: (mode, json.loads(content) if path.startswith("labels/") and content else content)
        for path, (mode, content) in files.items()
        if path != "index.json"
    }


def _same(files: Mapping[str, object], expected: Mapping[str, object]) -> None:
    paths = sorted(files.keys() | expected.keys())
    assert [path for path in paths if files.get(path) != expected.get(path)] == []


def _copy(source: Path, target: Path) -> Path:
    # No hole may become data, no hard link two files, and no time move.
    subprocess.run(["cp", "-a", "--", source, target], check=True)
    return target


def _entries(files: Snapshot) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(files["index.json"][1])["manifests"]
    return entries


def _named(files: Snapshot) -> list[str]:
    return [entry["digest"] for entry in _entries(files)]


def _held(files: Snapshot, digest: str) -> Iterator[str]:
    """The paths of a blob and of all that it refers to, present or not."""
    path = f"blobs/{digest.replace(':', os.sep)}"
    yield path
    content = files.get(path, (0, b""))[1]
    if content[:1] == b"{":
        document = json.loads(content)
        children = [document.get("config", {}), *document.get("layers", []), *document.get("manifests", [])]
        for child in children:
            if "digest" in child:
                yield from _held(files, child["digest"])
