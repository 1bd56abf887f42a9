"""A prune that is killed, or fails, at every system call: nothing is ever lost, and the next run ends where an
undisturbed one would have.

pytest runs a sample; `make faults` sets OCIGC_FAULTS=all and runs every point.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from layouts import LayoutWriter, snapshot

ALL = os.environ.get("OCIGC_FAULTS") == "all"
STEP = 1 if ALL else 11
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR, errno.EROFS)

Snapshot = dict[str, tuple[int, bytes | str]]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def every_rule(layout: LayoutWriter) -> list[str]:
    """Untagging, a dangling image left behind, unlease, orphans, sidecars, a referrer; what is in use as options."""
    used, gone = layout.image("used", ["base", "used"]), layout.image("gone", ["base", "gone"])
    layout.tag(used, "example.com/used:1")
    layout.tag(gone, "example.com/gone:1")
    layout.tag(layout.image("kept", ["base", "kept"]), "example.com/kept:1")
    layout.tag(layout.manifest(layout.config("signature"), [layout.blob("sig")], subject=gone))
    config = layout.config("leased")
    layout.tag(layout.manifest(config, [layout.blob("l")]), "example.com/leased:1")
    layout.labels(config, {"containerd.io/gc.ref.snapshot.overlayfs": "key", "other": "label"})
    layout.labels(gone, {"gone": "too"})
    layout.lease("hold", [config])
    layout.blob("orphan")
    containers = [
        {"Id": "a", "Image": used["digest"], "Config": {"Image": used["digest"][7:19]}},
        {"Id": "b", "Image": "", "Config": {"Image": "example.com/kept:1"}},
    ]
    path = layout.path.parent / "in-use.json"
    path.write_text(json.dumps(containers))
    return ["--all", "--in-use", str(path)]


def only_orphans(layout: LayoutWriter) -> list[str]:
    """index.json stays as it is."""
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    for number in range(4):
        layout.blob(f"orphan {number}")
    return []


def into_the_trash(layout: LayoutWriter) -> list[str]:
    return [*every_rule(layout), "--trash", "1h"]


@dataclass
class Case:
    """A layout before and after an undisturbed run, and how many calls that took."""

    layout: Path
    options: list[str]
    before: Snapshot
    after: Snapshot
    calls: int
    shim: Path

    def run(self, **env: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [sys.executable, "-m", "ocigc", "prune", "--force", "--grace", "0s", *self.options, str(self.layout)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        )
        assert "Traceback" not in process.stderr, process.stderr
        return process

    def faulty(self, at: int, cause: int | None = None) -> subprocess.CompletedProcess[str]:
        env = {"LD_PRELOAD": str(self.shim), "FAULT_AT": str(at)}
        return self.run(**env, **({} if cause is None else {"FAULT_ERRNO": str(cause)}))

    def reset(self) -> None:
        shutil.rmtree(self.layout)
        shutil.copytree(self.layout.with_name("pristine"), self.layout, symlinks=True)

    def check_nothing_lost(self) -> None:
        """index.json is the old one or the new one, and whatever it names has all that it had."""
        now = snapshot(self.layout)
        index = now["index.json"][1]
        assert index in (self.before["index.json"][1], self.after["index.json"][1])
        expected = (
            self.before
            if index == self.before["index.json"][1] and index != self.after["index.json"][1]
            else self.after
        )
        lost = {name for name in expected if name.startswith("blobs") and name not in now}
        assert not lost
        assert all(now[name] == content for name, content in self.before.items() if name in now and "blobs" in name)
        assert set(now) <= set(self.before) | set(self.after), "nothing new appears"

    def check_recovery(self) -> None:
        """The next run ends where an undisturbed one would have, and leaves nothing of the interrupted one."""
        process = self.run()
        assert process.returncode == 0, process.stderr
        assert snapshot(self.layout) == self.after
        left = {path.name for path in (self.layout / ".ocigc").iterdir()}
        assert left <= {"lock", "trash"}


Build = Callable[[LayoutWriter], list[str]]


@pytest.fixture(params=[every_rule, only_orphans, into_the_trash], ids=lambda build: build.__name__)
def case(request: pytest.FixtureRequest, tmp_path: Path, shim: Path) -> Case:
    build: Build = request.param
    writer = LayoutWriter(tmp_path / "layout")
    options = build(writer)
    shutil.copytree(writer.path, tmp_path / "pristine")
    case = Case(writer.path, options, snapshot(writer.path), {}, 0, shim)
    count = tmp_path.parent / f"{tmp_path.name}-count"
    # Landlock lets the run write nothing outside of the layout, so the count is written there.
    counted = case.run(LD_PRELOAD=str(shim), FAULT_COUNT=str(writer.path / "count"))
    assert counted.returncode == 0, counted.stderr
    case.calls = int((writer.path / "count").read_text())
    (writer.path / "count").rename(count)
    case.after = snapshot(writer.path)
    assert case.calls > 50
    return case


def test_killed_at_every_call(case: Case) -> None:
    for at in range(1, case.calls + 1, STEP):
        case.reset()
        assert case.faulty(at).returncode == -signal.SIGKILL
        case.check_nothing_lost()
        case.check_recovery()


def test_killed_twice(case: Case) -> None:
    """The recovery itself is killed too."""
    for at in range(case.calls // 3, case.calls + 1, 3 if ALL else 31):
        case.reset()
        case.faulty(at)
        case.faulty(at // 2)
        case.check_nothing_lost()
        case.check_recovery()


@pytest.mark.parametrize("cause", ERRORS, ids=errno.errorcode.get)
def test_every_call_fails(case: Case, cause: int) -> None:
    step = 1 if ALL else 29
    for at in range(1 + cause % step, case.calls + 1, step):
        case.reset()
        process = case.faulty(at, cause)
        assert process.returncode in (0, 2, 3), process
        assert process.returncode == 0 or len(process.stderr.splitlines()) == 1, process.stderr
        case.check_nothing_lost()
        case.check_recovery()
