"""A prune that is killed, or gets errors, wherever it calls the system: nothing is lost, and the next one ends where an
undisturbed one does. This is the short form; `make faults` does all of it, on all layouts.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.invariants import LeaseCreated, LeaseReleased, Undo, Yardstick
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.trials import check_durable, errors, inject, killed_twice, kills, lasting, lose_power, losses, sample

EACH = int(os.environ.get("OCIGC_FAULTS_EACH", "2"))  # trials of each kind on each layout

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def yardstick(request: pytest.FixtureRequest, tmp_path: Path) -> Yardstick:
    scenario: Scenario = request.param
    return Yardstick.make(scenario, tmp_path)


def test_killed_at_every_change(tmp_path: Path) -> None:
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.trash)
    yardstick = Yardstick.make(scenario, tmp_path)
    assert inject(yardstick, kills(yardstick)) > 80


def test_killed_anywhere(yardstick: Yardstick) -> None:
    inject(yardstick, sample(kills(yardstick), EACH))


def test_killed_twice(yardstick: Yardstick) -> None:
    inject(yardstick, sample(killed_twice(yardstick, 3), EACH))


def test_an_error_at_any_call_loses_nothing(yardstick: Yardstick) -> None:
    inject(yardstick, sample(errors(yardstick), EACH))


def test_an_error_that_lasts_loses_nothing(yardstick: Yardstick) -> None:
    inject(yardstick, sample(lasting(yardstick), EACH))


def test_a_power_failure_loses_nothing(yardstick: Yardstick) -> None:
    lose_power(yardstick, losses(yardstick), EACH)
    check_durable(yardstick)


def test_power_failures_where_renames_are_not_atomic(yardstick: Yardstick) -> None:
    """Not between directories: the trash loses nothing there either."""
    lose_power(yardstick, losses(yardstick, atomic=False), EACH if yardstick.scenario.trash else 0, atomic=False)


@pytest.mark.parametrize("kind", [Undo, LeaseCreated, LeaseReleased])
def test_other_commands_lose_nothing_either(kind: type[Yardstick], tmp_path: Path) -> None:
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.trash)
    yardstick = kind.make(scenario, tmp_path)
    for trials in (kills(yardstick), killed_twice(yardstick, 2), errors(yardstick), lasting(yardstick)):
        inject(yardstick, sample(trials, 2 * EACH))
    for atomic in (True, False):
        lose_power(yardstick, losses(yardstick, atomic=atomic), EACH, atomic=atomic)
    check_durable(yardstick)
