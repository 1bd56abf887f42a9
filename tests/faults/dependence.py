"""Which call of a command and which step of a writer make a difference when they change places.

Two orders are the same if they differ only in pairs that do not: so of each such class (a trace of Mazurkiewicz), one
order is enough, the one in which the writer does each step as early as it can. What is not known to make no difference
makes one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.faults.habits import INDEX, Step
from tests.faults.injection import Call

# A command that waits looks at one thing again and again: so many looks in a row count.
_LOOKS = 6

_NOTHING = frozenset({"fsync", "close"})
_LOOKING = frozenset({"open", "stat"})
_NAMING = frozenset({"create", "mkdir", "rmdir", "unlink", "rename", "exchange", "link"})
_READING = frozenset({"read", "stat"})
_WRITING = frozenset({"write", "create", "fchmod", "fchown", "flock"})
_KNOWN = _NOTHING | _LOOKING | _NAMING | _READING | _WRITING | {"list"}


def depend(call: Call, step: Step) -> bool:
    """Whether it can make a difference which of the two comes first."""
    if call.name not in _KNOWN:
        return True
    return call.name not in _NOTHING and (_in_names(call, step) or _in_listings(call, step) or _in_files(call, step))


def _in_names(call: Call, step: Step) -> bool:
    """One of the two changes what a name stands for that the other one uses. To miss a name counts as a change: the
    writer may be about to make it."""
    if call.is_open:
        return False
    moves = call.name in _NAMING
    paths = (call.other,) if call.name == "link" else (call.path, call.other)
    uses = step.changes | step.looks_up if moves or call.result < 0 else step.changes
    return any(
        path == name or path.startswith(f"{name}/") or (moves and name.startswith(f"{path}/"))
        for path in paths
        if path
        for name in uses
    )


def _in_listings(call: Call, step: Step) -> bool:
    """The step changes a directory that the call lists, or asks for the status of."""
    return call.name in ("list", "stat") and any(os.path.dirname(name) == call.path for name in step.changes)


def _in_files(call: Call, step: Step) -> bool:
    """One of the two writes into a file that the other one uses, or changes its status; by any of its names."""
    files = {file for file in map(_file, (call.path, call.other)) if file is not None}
    named = {os.path.basename(name) for name in step.changes}
    writes = call.name in _WRITING or (call.name == "open" and call.changes)
    if writes and files & (step.reads | step.writes):
        return True
    if call.name in _READING | _NAMING and files & step.writes:
        return True
    return call.name == "stat" and bool(files & named)


def _file(path: str) -> str | None:
    """What a file is called: index.json goes by other names when it has been displaced. A draft is our own still."""
    if path.startswith(".ocigc/draft"):
        return None
    name = os.path.basename(path).removesuffix(" (deleted)")
    return INDEX if name.startswith("index.") and not name.endswith(".lock") else name


def dependent(calls: Sequence[Call], step: Step) -> Iterator[int]:
    """The numbers of the calls that depend on a step."""
    looks: Counter[str] = Counter()
    last = ""
    for number, call in enumerate(calls):
        if call.path != last:
            looks.clear()
            last = call.path
        if depend(call, step):
            looks[call.name] += 1
            if call.changes or looks[call.name] <= _LOOKS:
                yield number


def earliest(calls: Sequence[Call], steps: Sequence[Step], at: Sequence[int]) -> tuple[int, ...]:
    """The same order with each step as early as it can be."""
    found: list[int] = []
    for step, before in zip(steps, at, strict=False):
        last = max((number for number in range(before) if depend(calls[number], step)), default=-1)
        found.append(max([last + 1, *found[-1:]]))
    return tuple(found)


def count(calls: Sequence[Call], steps: Sequence[Step]) -> int:
    """How many orders there are in which each step is done at once after the one before it, or right after a call that
    depends on it."""
    ways = Counter({0: 1})
    for step in steps:
        after = [number + 1 for number in dependent(calls, step)]
        found: Counter[int] = Counter()
        for at, number in ways.items():
            for later in {at, *(each for each in after if each > at)}:
                found[later] += number
        ways = found
    return ways.total()
