"""`import ocigc`: the page about it is run as it stands."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

import ocigc
from ocigc.progress import Report
from ocigc.times import SECOND
from tests.helpers.layouts import LayoutWriter

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_example_runs(tmp_path: Path) -> None:
    store = LayoutWriter(tmp_path / "mirror")
    old = "2020-01-01T00:00:00Z"
    store.tag(store.image("used", ["used"], created=old), "docker.io/library/used:1")
    store.tag(store.image("unused", ["unused"], created=old), "docker.io/library/unused:1")
    before = store.present()
    (tmp_path / "used.json").write_text("used:1\n")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "Untagged unused:1" in done.stdout
    assert "True []" in done.stdout
    assert store.present() == before


def test_the_example_of_the_package_runs() -> None:
    failed, tried = doctest.testmod(ocigc)
    assert tried > 0
    assert failed == 0


def test_everything_that_the_stub_names_is_there_and_listed() -> None:
    assert ocigc.__all__
    assert [name for name in ocigc.__all__ if not hasattr(ocigc, name)] == []
    assert set(ocigc.__all__) <= set(dir(ocigc))
    assert files("ocigc").joinpath("py.typed").is_file()
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = ocigc.nothing_of_ours


def test_a_path_may_stand_for_an_open_layout(tmp_path: Path) -> None:
    store = LayoutWriter(tmp_path / "mirror")
    store.tag(store.image("kept", ["kept"]), "kept:1")
    orphan = store.blob(b"orphan")
    for path in (tmp_path / "mirror", str(tmp_path / "mirror")):
        assert ocigc.verify(path).sound
        assert [each.image.name for each in ocigc.images(path)] == ["kept:1"]
        assert ocigc.diff(path, path).none
        request = ocigc.request(grace=0)
        with ocigc.prune(path, ocigc.PruneOptions(request, dry_run=True, explain=True)) as planned:
            assert list(planned.orphans()) == [orphan["digest"]]
            assert [each.image.name for each in planned.explained or ()] == ["kept:1"]
    lease = ocigc.hold(path, ["kept:1"])
    assert [each.id for each in ocigc.held(path)] == [lease]
    with pytest.raises(ocigc.UsageError, match="absent"):
        ocigc.check(tmp_path / "absent")


def test_an_archive_can_only_be_read(tmp_path: Path) -> None:
    store = LayoutWriter(tmp_path / "mirror")
    store.tag(store.image("kept", ["kept"]), "kept:1")
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        packed.add(store.path, ".")
    with ocigc.Archive(tmp_path / "x.tar") as opened:
        assert ocigc.verify(opened).sound
        assert [each.image.name for each in ocigc.images(opened)] == ["kept:1"]
        assert ocigc.diff(opened, opened).none
        with pytest.raises(ocigc.UsageError, match="only read"):
            ocigc.prune(opened)
        for options in ({"changed": True}, {"repair_from": (opened,)}):
            with pytest.raises(ocigc.UsageError, match="archive"):
                ocigc.verify(opened, ocigc.VerifyOptions(**options))


def test_durations_and_instants_may_be_those_of_datetime(tmp_path: Path) -> None:
    store = LayoutWriter(tmp_path)
    store.tag(store.image("kept", ["kept"]), "kept:1")
    with ocigc.Layout(tmp_path) as opened:
        assert ocigc.verify(opened).sound
        month = ocigc.VerifyOptions(older_than=timedelta(days=30), budget=timedelta(minutes=1))
        assert ocigc.verify(opened, month).sound
        by_duration = ocigc.hold(opened, ["kept:1"], expires=timedelta(hours=2))
        by_instant = ocigc.hold(opened, ["kept:1"], expires=datetime(2100, 1, 1, tzinfo=UTC))
        expiry = {lease.id: lease.expires for lease in ocigc.held(opened)}
        hours = (expiry[by_duration] - time.time_ns()) / (3600 * SECOND)
        assert 1.9 < hours <= 2
        assert expiry[by_instant] == 4_102_444_800 * SECOND
        assert ocigc.request(grace=timedelta(hours=1)).grace == 3600 * SECOND
        with ocigc.prune(opened, ocigc.PruneOptions(dry_run=True)) as planned:
            assert planned.plan.empty


def test_a_watcher_hears_of_steps_and_can_stop_them(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    class Watching:
        def __init__(self) -> None:
            self.steps: list[str] = []

        def __call__(self, step: str, /) -> Report | None:
            self.steps.append(step)
            if step == "Reading manifests":
                raise StopError
            return None

        def note(self, message: str) -> None:
            raise AssertionError(message)

    store = LayoutWriter(tmp_path)
    store.tag(store.image("gone", ["gone"]))
    before = store.present()
    watching = Watching()
    with ocigc.Layout(str(tmp_path)) as layout:
        with pytest.raises(StopError):
            ocigc.prune(layout, ocigc.PruneOptions(ocigc.request(), allow_empty=True), watch=watching)
    assert watching.steps == ["Scanning blobs", "Reading labels", "Reading manifests"]
    assert store.present() == before
