"""Two actors: a command of ocigc and a writer that knows nothing of it, with every order of their steps that can make a
difference. `python -m tests.faults.interleavings` tries all of them; the tests a sample.

The command is stopped before each of its calls below the layout, and the writer does its next steps there, or not. A
step is done at once after the one before it, or right after a call that depends on it: orders in which only steps and
calls are swapped that make no difference are the same. Of all orders that come to the same state before the same step,
one goes on. A command may be killed at any of its calls too; then another one goes on.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from pathlib import Path

from tests.faults.actor import Actor
from tests.faults.commands import COMMANDS, Command, Template, make_template
from tests.faults.dependence import count, depend, dependent, earliest
from tests.faults.habits import INDEX, WRITERS, Writer
from tests.faults.orders import Broken, Order, Trial, perform
from tests.faults.outcome import Explore, Outcome, explore_all
from tests.faults.states import states

# So many orders of one command and writer, and so many kills in the midst of them; 0 for all orders.
_MOST = int(os.environ.get("OCIGC_ORDERS", "0"))
_KILLS = int(os.environ.get("OCIGC_KILLS", "300"))

# What changes nothing that anybody could see after a kill, or only what is our own.
_UNSEEN = frozenset({"fsync", "fchmod", "fchown", "flock", "close"})

Ends = set[frozenset[tuple[str, bytes]]]


def kills(trial: Trial) -> Iterator[Order]:
    """The command killed before each call that changes something, when the writer has done some of its steps before it
    began, and does the others before the next command."""
    for done in range(len(trial.writer.steps()) + 1):
        for number, call in enumerate(trial.calls[: trial.length]):
            if call.changes and call.name not in _UNSEEN:
                yield Order((0,) * done, number)


def walks(trial: Trial, rng: random.Random, number: int) -> Iterator[Order]:
    """So many orders at random: each of the writer's steps at any call, or at one that touches the same place."""
    steps = trial.writer.steps()
    near = [
        [
            number + after
            for number, call in enumerate(trial.calls[: trial.length])
            if depend(call, step)
            for after in (0, 1)
        ]
        for step in steps
    ]
    anywhere = range(trial.length)
    for _ in range(number):
        chosen = [rng.choice(rng.choice((anywhere, places or anywhere))) for places in near]
        yield Order(tuple(sorted(chosen)[: rng.randint(1, len(steps))]))


def contests(trial: Trial, done: int, rng: random.Random, number: int) -> Iterator[Order]:
    """So many orders at random in which the writer changes index.json in the moment of an exchange, so that the command
    takes its own back, and goes on near that moment or after the command. In the trial, the writer did the steps
    before, `done` of them, before the command began. In a third of the orders the command is killed soon after.
    """
    left = len(trial.writer.steps()) - done
    exchanges = [
        number
        for number, call in enumerate(trial.calls[: trial.length])
        if call.name in ("exchange", "rename") and INDEX in (call.path, call.other)
    ]
    for _ in range(number if exchanges else 0):
        at = [rng.choice(exchanges) - rng.randrange(4)]
        while len(at) < left and rng.randrange(6):
            at.append(rng.randint(at[-1], at[-1] + 12))
        kill = None if rng.randrange(3) else rng.randint(at[-1], at[-1] + 30)
        yield Order((*[0] * done, *at), kill)


@dataclass(slots=True)
class OrdersTried(Outcome):
    """A trial is an order, one of the `walks` at random, or one of the `kills`. `expected` is the number of orders that
    differ by what makes a difference in an undisturbed run, `strayed` that of those that did not come to the state that
    was expected; `left` were not tried."""

    kills: int = 0
    walks: int = 0
    expected: int = 0
    strayed: int = 0
    left: int = 0

    @property
    def orders(self) -> int:
        """How many orders were tried."""
        return self.tried - self.kills - self.walks

    def _bounds(self) -> str:
        left = f", {self.left:,} or more left" if self.left else ""
        strayed = f", {self.strayed:,} strayed" if self.strayed else ""
        others = f"{self.walks:,} at random, {self.kills:,} kills"
        return f": {self.orders:,} orders for {self.expected:,}, {others}{left}{strayed}"


class Explorer:
    """Tries orders for a command and a writer, on several actors at once."""

    def __init__(self, actors: Sequence[Actor], template: Template, command: Command, kind: type[Writer]) -> None:
        self._actors, self._template, self._command, self._kind = actors, template, command, kind
        self._ended: set[str] = set()
        self._tried: list[tuple[Order, int]] = []
        self.outcome = OrdersTried()

    def everything(self, most: int, number: int) -> OrdersTried:
        """All orders, or `most` of them; `number` at random, that have to come to one of the same ends; all kills that
        come before or after the steps, and `number` in their midst."""
        undisturbed = self._undisturbed()
        rng = random.Random(0)
        self.outcome.expected = count(undisturbed.calls[: undisturbed.length], undisturbed.writer.steps())
        ends = self.explore(most)

        def check(trial: Trial, order: Order) -> tuple[()]:
            self.outcome.walks += 1
            if not most and frozenset(trial.final.items()) not in ends:
                self._fault(order, "another end")
            return ()

        self._explore(list(walks(undisturbed, rng, number)), check)
        self.contest(rng, number)
        self._explore([*kills(undisturbed), *self._kills_within(rng, number)], lambda *_: ())
        return self.outcome

    def explore(self, most: int = 0, *, merge: bool = True) -> Ends:
        """All orders, or about `most` of them at random; the ends that they come to. Those that come to the same state
        are tried too unless they `merge`."""
        ends: Ends = set()
        known: set[tuple[int, str]] = set()

        def note(trial: Trial, order: Order) -> list[Order]:
            ends.add(frozenset(trial.final.items()))
            self._tried.append((order, trial.length))
            return list(self._branches(trial, order, known if merge else set()))

        self._explore([Order()], note, most)
        return ends

    def _branches(self, trial: Trial, order: Order, known: set[tuple[int, str]]) -> Iterator[Order]:
        """The orders that differ from one that was tried by when the first of the steps that were left to the end is
        done: at once after the step before it, or right after one of the later calls that depend on it. Those that are
        not to come to a state before this step that is known."""
        done = len(order.at)
        if done == len(trial.writer.steps()) or len(trial.steps) < done:
            return
        gave_up = trial.failed and len(trial.steps) == done
        places = [] if gave_up else self._places(trial, order)
        before, found = states(trial.tree, trial.calls[: trial.length], trial.code, trial.steps[:done], places)
        self.outcome.strayed += order.past not in ("", before)
        for at, state in zip(places, found, strict=True):
            if (done, state.name) not in known:
                known.add((done, state.name))
                yield Order((*order.at, at), past=state.past)

    @staticmethod
    def _places(trial: Trial, order: Order) -> list[int]:
        """Before which calls the first of the steps that were left to the end can be done, but for the end itself and
        what is the same."""
        first = order.at[-1] if order.at else 0
        calls = trial.calls[first : trial.length]
        step, *others = trial.writer.steps()[len(order.at) :]
        places = [first, *(first + number + 1 for number in dependent(calls, step))]
        rest = calls[places[-1] - first :]
        return places if any(depend(call, each) for each in others for call in rest) else places[:-1]

    def everywhere(self) -> Ends:
        """The ends of all orders of all steps and calls, those too that make no difference."""
        ends: Ends = set()

        def note(trial: Trial, _: Order) -> tuple[()]:
            ends.add(frozenset(trial.final.items()))
            return ()

        undisturbed = self._undisturbed()
        steps = len(undisturbed.writer.steps())
        places = range(undisturbed.length + 1)
        self._explore([Order(at) for at in combinations_with_replacement(places, steps)], note)
        return ends

    def killed_everywhere(self) -> OrdersTried:
        """All kills, the writer coming after them."""
        self._explore([order for order in kills(self._undisturbed()) if not order.at], lambda *_: ())
        return self.outcome

    def contest(self, rng: random.Random, number: int) -> OrdersTried:
        """So many orders at random around an exchange of index.json."""
        steps = self._undisturbed().writer.steps()
        done = next(number for number, step in enumerate(steps) if INDEX in step.changes | step.writes)
        trial = self._perform(self._actors[0], Order((0,) * done), self._template.path.with_name("undisturbed"))
        self._explore(list(contests(trial, done, rng, number)), lambda *_: ())
        return self.outcome

    def _kills_within(self, rng: random.Random, number: int) -> Iterator[Order]:
        """Kills in the midst of orders that were tried."""
        for order, length in rng.choices(self._tried, k=number):
            last = order.at[-1] if order.at else 0  # a step that was left to the end may come later
            kill = rng.randrange(min(last, length - 1), length)
            yield Order(order.at, kill)

    def sample(self, number: int, rng: random.Random) -> OrdersTried:
        """So many pairs of a random order and the one that is tried in its place, and so many kills."""
        undisturbed = self._undisturbed()
        self.compare(walks(undisturbed, rng, number))
        self._explore(rng.sample(list(kills(undisturbed)), number), lambda *_: ())
        return self.outcome

    def compare(self, orders: Iterable[Order]) -> None:
        """Tries orders, and the same with each step as early as it can be: both have to come to the same end."""
        for order in orders:
            ends: list[dict[str, bytes]] = []

            def early(trial: Trial, order: Order, ends: list[dict[str, bytes]] = ends) -> list[Order]:
                ends.append(trial.final)
                steps, calls = trial.writer.steps(), trial.calls[: trial.length]
                at = [min(each, trial.length) for each in order.at]
                return [Order(earliest(calls, steps, at))] if len(ends) == 1 else []

            self._explore([order], early)
            if len(ends) == 2 and ends[0] != ends[1]:
                self._fault(order, "not the same early")

    def _fault(self, order: Order, what: str) -> None:
        self.outcome.faults.append(f"{self._command.name}, {self._kind.__name__}, {order}: {what}")

    def _undisturbed(self) -> Trial:
        return self._perform(self._actors[0], Order(), self._template.path.with_name("undisturbed"))

    def _perform(self, actor: Actor, order: Order, layout: Path) -> Trial:
        return perform(actor, self._template, self._command, self._kind, order, layout, self._ended)

    def _explore(self, first: Sequence[Order], more: Callable[[Trial, Order], Iterable[Order]], most: int = 0) -> None:
        pending, rng = list(first), random.Random(0)
        busy = 0
        changed = threading.Condition()

        def work(number: int) -> None:
            nonlocal busy
            while True:
                with changed:
                    while not pending and busy:
                        changed.wait()
                    if not pending:
                        return
                    if most and self.outcome.tried >= most:
                        self.outcome.left += len(pending)
                        pending.clear()
                        return
                    order = pending.pop(rng.randrange(len(pending)) if most else -1)
                    busy += 1
                try:
                    found = self._try(
                        self._actors[number], order, self._template.path.with_name(f"trial-{number}"), more
                    )
                except BaseException:
                    found = []
                    raise
                finally:
                    with changed:
                        busy -= 1
                        pending.extend(found)
                        changed.notify_all()

        with ThreadPoolExecutor(len(self._actors)) as pool:
            for each in [pool.submit(work, number) for number in range(len(self._actors))]:
                each.result()

    def _try(
        self, actor: Actor, order: Order, layout: Path, more: Callable[[Trial, Order], Iterable[Order]]
    ) -> list[Order]:
        self.outcome.tried += 1
        self.outcome.kills += order.kill is not None
        try:
            trial = self._perform(actor, order, layout)
        except Broken as broken:
            self._fault(order, str(broken))
            return []
        self.outcome.excused.update(trial.excused)
        return list(more(trial, order))


def _cases() -> Iterator[tuple[str, Explore]]:
    for command, kind in product(COMMANDS, WRITERS):

        def explore(
            actors: Sequence[Actor], directory: Path, command: Command = command, kind: type[Writer] = kind
        ) -> Outcome:
            template = make_template(directory, command, actors[0])
            return Explorer(actors, template, command, kind).everything(_MOST, _KILLS)

        yield f"{command.name} and {kind.__name__}", explore


if __name__ == "__main__":
    explore_all(_cases())
