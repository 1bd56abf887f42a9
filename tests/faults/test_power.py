"""The model of power failures finds what it is there to find: a sync that is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.injection import record
from tests.faults.invariants import Moment, Yardstick
from tests.faults.power import History, State
from tests.faults.scenarios import SCENARIOS
from tests.helpers.layouts import LayoutWriter


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param({"", ".ocigc/run"}, id="blobs may go while the old index.json still names them"),
        pytest.param({".ocigc/draft/index.json"}, id="the new index.json may be empty"),
    ],
)
def test_a_missing_sync_is_seen(tmp_path: Path, paths: set[str]) -> None:
    yardstick = Yardstick.make(SCENARIOS[0], tmp_path)
    calls = [call for call in yardstick.calls if call.name != "fsync" or call.path not in paths]

    def sound(number: int) -> bool:
        try:
            yardstick.check_moment(Moment.after_power_loss(states[number]))
        except AssertionError:
            return False
        return True

    states = list(History(yardstick.template, calls).states())
    assert not all(sound(number) for number in range(len(states)))


def test_a_repaired_blob_is_there_and_whole(tmp_path: Path) -> None:
    """Before the end, the blob is the old one or the new one; after it, the new one."""
    good, bad = LayoutWriter(tmp_path / "good"), LayoutWriter(tmp_path / "bad")
    for layout in (good, bad):
        layout.tag(layout.image("kept", ["base"]), "example.com/kept:1")
    blob = bad.blob("base")
    path = str(bad.blob_path(blob).relative_to(bad.path))
    bad.blob_path(blob).write_text("torn")
    template = tmp_path / "template"
    shutil.copytree(bad.path, template)
    result, calls = record(bad.path, ["verify", "--repair-from", str(good.path), str(bad.path)])
    assert result.code == 0, result
    history = History(template, calls)

    def found(states: Iterable[State]) -> set[bytes | str]:
        return {Moment.after_power_loss(state).files[path][1] for state in states}

    assert found(history.states()) == {b"torn", b"base"}
    assert found(history.states(history.length - 1)) == {b"base"}
