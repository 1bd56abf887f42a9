"""The model of power failures finds what it is there to find: a sync that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.invariants import Moment, Yardstick
from tests.faults.power import History
from tests.faults.scenarios import SCENARIOS


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
