"""What is done to a prune, and doing it: each trial is one fault a run, on a fresh copy of the layout."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from faults.injection import Fault, run
from faults.invariants import Yardstick

ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR, errno.EROFS)

Trial = tuple[Fault, ...]


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


def sample(trials: Sequence[Trial], count: int) -> list[Trial]:
    """So many of the trials, the same ones each time."""
    return random.Random(len(trials)).sample(trials, min(count, len(trials)))


def perform(yardstick: Yardstick, trials: Iterable[Trial]) -> int:
    """Does each trial, some at a time, and checks what has become of the layout; how many there were."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        numbered = list(enumerate(trials))
        for _ in pool.map(lambda pair: _perform(yardstick, *pair), numbered):
            pass
    return len(numbered)


def _perform(yardstick: Yardstick, number: int, trial: Trial) -> None:
    layout = yardstick.copy(f"trial-{number}")
    try:
        for fault in trial:
            result = run(layout, yardstick.scenario.prune(layout), fault)
            yardstick.check_moment(layout, result)
        yardstick.check_next(layout)
    except AssertionError as error:
        error.add_note(f"{yardstick.scenario.name}: {trial}")
        raise
