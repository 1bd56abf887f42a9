"""What is done to a run, and doing it, each trial on a layout of its own."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.faults.injection import Fault, run
from tests.faults.invariants import Moment, Yardstick
from tests.faults.power import History, State

SEED = int(os.environ.get("OCIGC_FAULTS_SEED", "0"))
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR, errno.EROFS)

Trial = tuple[Fault, ...]
T = TypeVar("T")


def kills(yardstick: Yardstick) -> list[Trial]:
    """Killed before each call that changes something; between two of them, all moments are the same."""
    return [(Fault(at, changing=True),) for at in range(1, yardstick.changing + 1)]


def killed_twice(yardstick: Yardstick, seconds: int) -> list[Trial]:
    """The run that comes after a kill is killed too, at so many random calls of those that change something."""
    # The second run knows what the first one has done, so it makes no more calls; past its last one it is not killed.
    rng = random.Random(yardstick.scenario.name)
    points = range(1, yardstick.changing + 1)
    return [
        (Fault(first, changing=True), Fault(second, changing=True))
        for first in points
        for second in rng.sample(points, min(seconds, len(points)))
    ]


def errors(yardstick: Yardstick) -> list[Trial]:
    """Each error from each call."""
    return [(Fault(at, error),) for at, error in itertools.product(range(1, len(yardstick.calls) + 1), ERRORS)]


def lasting(yardstick: Yardstick) -> list[Trial]:
    """The disk is full, or read-only, or dead from a call on."""
    changing = range(1, yardstick.changing + 1)
    return [
        *((Fault(at, error, changing=True, sticky=True),) for error in (errno.ENOSPC, errno.EROFS) for at in changing),
        *((Fault(at, errno.EIO, sticky=True),) for at in range(1, len(yardstick.calls) + 1)),
    ]


def losses(yardstick: Yardstick, *, atomic: bool = True) -> list[State]:
    """What the disk may hold after a power failure, where renames between directories are atomic, or not."""
    return list(History(yardstick.template, yardstick.calls, atomic=atomic).states())


def check_durable(yardstick: Yardstick) -> None:
    """Checks that what a run says it has done is there after a power failure."""
    history = History(yardstick.template, yardstick.calls)
    for state in history.states(history.length - 1):
        with _noting(yardstick, state):
            yardstick.check_durable(Moment.after_power_loss(state))


def sample(trials: Sequence[T], count: int) -> list[T]:
    """So many of the trials: others with another OCIGC_FAULTS_SEED."""
    return random.Random(SEED).sample(trials, min(count, len(trials)))


def inject(yardstick: Yardstick, trials: Sequence[Trial]) -> int:
    """Runs with these faults, and checks what has become of the layout; how many trials there were."""

    def disturb(path: Path, trial: Trial) -> None:
        layout = yardstick.copy(path)
        for fault in trial:
            result = run(layout, yardstick.command(yardstick.scenario, layout), fault)
            yardstick.check_moment(Moment.of(layout), result.code, result.err)
        yardstick.check_next(layout)

    return _perform(yardstick, disturb, trials)


def lose_power(yardstick: Yardstick, states: Sequence[State], finished: int, *, atomic: bool = True) -> int:
    """Checks layouts that a power failure left so, and what the next run makes of so many of them; how many there
    were."""
    for state in states:
        with _noting(yardstick, state):
            yardstick.check_moment(Moment.after_power_loss(state), atomic=atomic)

    def disturb(path: Path, state: State) -> None:
        yardstick.check_next(state.write(path))

    _perform(yardstick, disturb, sample(states, finished))
    return len(states)


@contextmanager
def _noting(yardstick: Yardstick, trial: object) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        error.add_note(f"{yardstick.scenario.name}: {trial}")
        raise


def _perform(yardstick: Yardstick, disturb: Callable[[Path, T], None], trials: Sequence[T]) -> int:
    def perform(number: int, trial: T) -> None:
        with _noting(yardstick, trial):
            disturb(yardstick.template.with_name(f"trial-{number}"), trial)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for future in [pool.submit(perform, number, trial) for number, trial in enumerate(trials)]:
            future.result()
    return len(trials)
