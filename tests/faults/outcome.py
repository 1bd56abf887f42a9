"""What came of many trials, and the loop of a command over all of them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tests.faults.actor import Actor

# In memory, where that is a file system.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(slots=True)
class Outcome:
    """How many trials there were, how many of them were excused by which window, and what has failed."""

    tried: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        windows = "".join(f", {count:,} {name}" for name, count in sorted(self.excused.items()))
        faults = f", {len(self.faults):,} FAULTS" if self.faults else ""
        return f"{self.tried:,} trials{self._bounds()}{windows}{faults}"

    def _bounds(self) -> str:
        """Where the trials were, in words."""
        return ""


Explore = Callable[[Sequence[Actor], Path], Outcome]
"""Makes trials with some actors, in an empty directory."""


def explore_all(cases: Iterable[tuple[str, Explore]]) -> NoReturn:
    """Prints a line for each case, and every fault; all cases, or those whose names have one of the words on the
    command line. Exits with 1 where there was a fault."""
    words = sys.argv[1:]
    total, faults = Counter[str](), 0
    with ExitStack() as stack:
        actors = [stack.enter_context(Actor(cpu)) for cpu in sorted(os.sched_getaffinity(0))]
        for name, explore in cases:
            if words and not any(word in name for word in words):
                continue
            with tempfile.TemporaryDirectory(prefix="ocigc-trials-", dir=_MEMORY) as directory:
                outcome = explore(actors, Path(directory))
            print(f"{name}: {outcome}", *outcome.faults[:20], sep="\n  ", flush=True)
            total.update(trials=outcome.tried, **outcome.excused)
            faults += len(outcome.faults)
    print(f"all: {dict(total)}, {faults:,} faults")
    sys.exit(bool(faults))
