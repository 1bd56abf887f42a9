"""The states that a command and a writer come to: two orders that come to the same one go on in the same way.

A state is all that can matter from then on: all files, what the writer knows, where its steps were among the calls that
the named windows are about, and what the command would do if it were left alone: its calls with their answers, what it
writes, and how it ends. That the last stands for what the command has in memory is an assumption; the tests compare the
ends of all orders with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.habits import INDEX, Step
from tests.faults.injection import Call
from tests.faults.model import HISTORY, Done, Model, Tree, plain, summary, timeless


@dataclass(slots=True)
class Positions:
    """Where steps were among the calls that change index.json, those that take a blob out, and those that look at
    index.json; as far as the named windows are about that."""

    changes: int = 0
    taken: int = 0
    looks: int = 0
    steps: list[Any] = field(default_factory=list)

    def call(self, call: Call) -> None:
        self.changes += call.name in ("exchange", "rename", "link") and INDEX in (call.path, call.other)
        self.taken += call.name in ("rename", "unlink") and call.path.startswith("blobs/")
        self.looks += (call.name, call.path) == ("open", INDEX)

    def step(self, step: Step) -> None:
        match step.name:
            case "look for blobs":
                self.steps.append((step.name, self.changes, self.taken))
            case "read the index":
                self.steps.append((step.name, self.changes))
            case "write the index":
                self.steps.append((step.name, self.changes, self.looks))


@dataclass(frozen=True, slots=True)
class State:
    """A state before a call. `past` is what the command has been told until then: an order that is tried again comes to
    the same. `name` is all that matters from then on."""

    past: str
    name: str


def states(
    tree: Tree, calls: Sequence[Call], code: int, steps: Sequence[Done], wanted: Iterable[int]
) -> tuple[str, list[State]]:
    """The past before the last of the steps; then the states after all of them before each of the calls `wanted`, which
    are no earlier than the last step and in order. The command is left alone after these steps; it ends with a code."""
    model, positions = Model(tree), Positions()
    before, known = "", ""
    done: list[str] = []
    past = [""]
    changes = 0

    def go_on(end: int) -> None:
        nonlocal changes
        for call in calls[len(done) : end]:
            answer = model.perform(changes, call)
            changes += call.changes
            positions.call(call)
            written = summary(timeless(call.written)) if call.written and call.path != HISTORY else ""
            done.append(f"{call.name} {plain(call.path)} {plain(call.other)} {answer} {written}")
            past.append(summary(past[-1], done[-1]))

    for number, each in enumerate(steps):
        go_on(each.at)
        before = summary(past[-1], model.state(), known)
        model.step(number, each)
        positions.step(each.step)
        known = each.known
    files = []
    for at in wanted:
        go_on(at)
        files.append((at, model.state()))
    go_on(len(calls))
    ahead = [summary(code)]
    for answered in reversed(done):
        ahead.append(summary(answered, ahead[-1]))
    ahead.reverse()
    return before, [
        State(summary(past[at], state, known), summary(ahead[at], state, known, positions.steps)) for at, state in files
    ]
