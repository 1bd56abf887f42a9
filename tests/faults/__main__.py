"""The long form, `make faults`: every trial on every layout, and how many there were."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.invariants import LeaseCreated, LeaseReleased, Undo, Yardstick
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.trials import errors, inject, killed_twice, kills, lasting, lose_power, losses

SECONDS = 5  # second kills for each first one


def main() -> None:
    """Prints a line a layout and one for all; the first trial that fails ends it."""
    total: Counter[str] = Counter()
    runs: list[tuple[str, type[Yardstick], Scenario]] = [(scenario.name, Yardstick, scenario) for scenario in SCENARIOS]
    # The last layout is the one with a trash.
    runs += [(kind.__name__, kind, SCENARIOS[-1]) for kind in (Undo, LeaseCreated, LeaseReleased)]
    for name, kind, scenario in runs:
        with tempfile.TemporaryDirectory(prefix="ocigc-faults-") as directory:
            yardstick = kind.make(scenario, Path(directory))
            done = {
                "kills": inject(yardstick, kills(yardstick)),
                "double kills": inject(yardstick, killed_twice(yardstick, SECONDS)),
                "errors": inject(yardstick, errors(yardstick)),
                "lasting errors": inject(yardstick, lasting(yardstick)),
                "power failures": lose_power(yardstick, states := losses(yardstick), len(states)),
                "power failures without atomic renames": lose_power(
                    yardstick, losses(yardstick, atomic=False), 0, atomic=False
                ),
            }
        total.update(done)
        _print(name, {"calls": len(yardstick.calls), **done})
    _print("all", dict(total))


def _print(name: str, counts: dict[str, int]) -> None:
    print(f"{name}:", ", ".join(f"{count:,} {what}" for what, count in counts.items()), flush=True)


main()
