"""Two actors: a command of ocigc and a writer that knows nothing of it, with every order of their steps that can make a
difference. `python -m tests.faults.interleavings` tries all of them; the tests a sample.

The command is stopped before each of its calls below the layout, and the writer does its next steps there, or not. Two
orders are the same if only steps are swapped that touch different places: of those, one is tried. A command may be
killed at any of its calls too; then another one goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, pairwise, product
from pathlib import Path
from typing import Any

from tests.faults.actor import Actor
from tests.faults.dependence import count, depend, dependent, earliest
from tests.faults.habits import INDEX, WRITERS, Entry, Failed, Pushed, Step, Tag, Writer
from tests.faults.injection import KILLED, Call
from tests.faults.outcome import Explore, Outcome, explore_all
from tests.helpers.layouts import LayoutWriter

KEPT, GONE, NEW, AGAIN = (f"example.com/{name}:1" for name in ("kept", "gone", "new", "again"))
_NAME = "org.opencontainers.image.ref.name"
_TRASH = ("--trash", "7d")

# Where a writer has more orders than `_MOST`, it acts at as many places in the midst of the command as make no more
# than that, and at more places in `_MORE` random orders.
_MOST = int(os.environ.get("OCIGC_ORDERS", "20000"))
_MORE = 500

# What changes nothing that anybody could see after a kill, or only what is our own.
_UNSEEN = frozenset({"fsync", "fchmod", "fchown", "flock", "write", "close"})


@dataclass(frozen=True, slots=True)
class Template:
    """A layout as it is before the command, and the images that matter: what stays, what goes, and what is pushed."""

    path: Path
    kept: Pushed
    gone: Pushed
    new: Pushed
    in_use: Path
    plan: Path
    options: tuple[str, ...] = ()
    gone_name: str = GONE


@dataclass(frozen=True, slots=True)
class Command:
    """A command of ocigc. `prepare` makes its layout what it has to be before. Without `exchange`, the file system
    cannot exchange two names."""

    name: str
    arguments: Callable[[Template, Path], list[str]]
    prepare: Callable[[Template, Path, Actor], None] = lambda *_: None
    trash: bool = False
    exchange: bool = True


def _prune(template: Template, layout: Path, *options: str) -> list[str]:
    return ["prune", "--force", "--all", "--in-use", str(template.in_use), *template.options, *options, str(layout)]


def _rm(template: Template, layout: Path) -> list[str]:
    return ["rm", "--force", "--in-use", str(template.in_use), *template.options, str(layout), template.gone_name]


def _killed(layout: Path, actor: Actor, arguments: Sequence[str], after: Callable[[Call], bool]) -> None:
    """Kills a command right after the first sync after a call of that kind."""
    trial = layout.with_name("trial")
    shutil.copytree(layout, trial)
    calls = actor.run(trial, [str(trial) if each == str(layout) else each for each in arguments]).calls
    shutil.rmtree(trial)
    first = next(number for number, call in enumerate(calls) if after(call))
    sync = next(number for number, call in enumerate(calls) if number > first and call.name == "fsync")
    assert actor.run(layout, arguments, [sync + 1], lambda: False).result.code == KILLED


def _interrupted(template: Template, layout: Path, actor: Actor, *options: str) -> None:
    """A prune that was killed when all blobs had been moved out."""
    _killed(layout, actor, _prune(template, layout, *options), lambda call: ".ocigc/run/blobs/sha256/" in call.other)


def _pruned(template: Template, layout: Path, actor: Actor) -> None:
    result = actor.run(layout, _prune(template, layout, *_TRASH)).result
    assert result.code == 0, result


def _planned(template: Template, layout: Path, actor: Actor) -> None:
    result = actor.run(layout, _prune(template, layout, "-n", "--plan-out", str(template.plan))).result
    assert result.code == 0, result


def _half_restored(template: Template, layout: Path, actor: Actor) -> None:
    """A restore that was killed when some blobs had come back."""
    _pruned(template, layout, actor)
    _killed(layout, actor, ["restore", str(layout)], lambda call: call.other.startswith("blobs/sha256/"))


COMMANDS = (
    Command("prune", _prune),
    Command("prune to the trash", lambda template, layout: _prune(template, layout, *_TRASH), trash=True),
    Command("restore", lambda _, layout: ["restore", str(layout)], _pruned, trash=True),
    Command("apply", lambda template, layout: ["apply", "--force", str(template.plan), str(layout)], _planned),
    Command("recovery", _prune, _interrupted),
    Command(
        "recovery to the trash",
        lambda template, layout: _prune(template, layout, *_TRASH),
        lambda template, layout, actor: _interrupted(template, layout, actor, *_TRASH),
        trash=True,
    ),
    Command("rollback", lambda _, layout: ["restore", "--interrupted", str(layout)], _interrupted),
    Command("recovery of a restore", _prune, _half_restored, trash=True),
    Command("removal", _rm),
    Command("prune without an exchange", _prune, exchange=False),
)


# The store


def make_template(directory: Path, command: Command, actor: Actor) -> Template:
    """A small store for the command, in a directory that is there."""
    layout = LayoutWriter(directory / "layout")
    kept = _image(layout, KEPT, "kept", ["base", "kept"])
    gone = _image(layout, GONE, "gone", ["base", "gone"])
    for image in (kept, gone):
        layout.entry(image.entry)
    layout.labels(layout.blob("orphan"), {"name": "orphan"})
    elsewhere = LayoutWriter(directory / "elsewhere")
    new = _image(elsewhere, NEW, "new", ["base", "gone"])
    in_use = directory / "in-use.json"
    used = [{"Id": name, "Image": "", "Config": {"Image": name}} for name in (KEPT, NEW, AGAIN)]
    in_use.write_text(json.dumps(used))
    template = Template(layout.path, kept, gone, new, in_use, directory / "plan.json")
    command.prepare(template, layout.path, actor)
    return template


def _image(layout: LayoutWriter, name: str, seed: str, layers: Sequence[str]) -> Pushed:
    children = [*(layout.blob(layer) for layer in layers), layout.config(seed)]
    manifest = layout.manifest(children[-1], children[:-1])
    blobs = {each["digest"]: layout.blob_path(each).read_bytes() for each in (*children, manifest)}
    return Pushed({**manifest, "annotations": {_NAME: name}}, blobs)


def writer_for(kind: type[Writer], template: Template, layout: Path) -> Writer:
    """A writer that pushes the new image, or gives the old one another name."""
    if kind is Tag:
        entry = {**template.gone.entry, "annotations": {_NAME: AGAIN}}
        return kind(layout, Pushed(entry, template.gone.blobs))
    return kind(layout, template.new)


# One order of steps


@dataclass(frozen=True, slots=True)
class Order:
    """Before which call of the command, from 0, each of the writer's first steps is done; the rest is done at the end.
    The command is killed before its call number `kill`, if there is one."""

    at: tuple[int, ...] = ()
    kill: int | None = None


@dataclass(slots=True)
class Trial:
    """What has happened: the calls, those of the first command first, and the steps, each with the number of the call
    before which it was done. `length` is the number of the first command's calls, `final` the layout after both."""

    writer: Writer
    calls: list[Call] = field(default_factory=list)
    steps: list[tuple[int, Step]] = field(default_factory=list)
    failed: bool = False
    finished: bool = False
    excused: frozenset[str] = frozenset()
    length: int = 0
    final: dict[str, bytes] = field(default_factory=dict)

    def when(self, *names: str) -> int:
        """Before which call the writer did the last step of these names; -1 for never."""
        return max((at for at, step in self.steps if step.name in names), default=-1)

    def taken_out(self, digests: Iterable[str]) -> int:
        """The last call that took one of these blobs out of the layout; -1 for none."""
        paths = {f"blobs/{digest.replace(':', '/')}" for digest in digests}
        return self._last(lambda call: call.name in ("rename", "unlink") and call.path in paths, len(self.calls))

    def committed(self, taken: int) -> int:
        """The last call before that which changed index.json; -1 for none."""
        return self._last(lambda call: call.name in ("exchange", "rename") and INDEX in (call.path, call.other), taken)

    def last_look(self, taken: int) -> int:
        """The last call that opened index.json before the journal was closed of the run that took them out."""
        later = enumerate(self.calls[taken:], taken)
        closed = next((at for at, call in later if (call.name, call.path) == ("rename", ".ocigc/run")), -1)
        return self._last(lambda call: (call.name, call.path) == ("open", INDEX), closed)

    def _last(self, fits: Callable[[Call], bool], end: int) -> int:
        return max((at for at, call in enumerate(self.calls[: max(end, 0)]) if fits(call)), default=-1)


# The windows that docs/crash-safety.md names


def brought_back(trial: Trial, entry: Entry, missing: set[str]) -> bool:
    """A writer that read index.json before the commit and wrote it after the last look brings back an entry."""
    taken = trial.taken_out(missing)
    return (
        entry in (trial.writer.read or ())
        and trial.when("look for blobs" if isinstance(trial.writer, Tag) else "read the index")
        <= trial.committed(taken)
        and trial.when("write the index") > trial.last_look(taken)
    )


def named_too_late(trial: Trial, entry: Entry, missing: set[str]) -> bool:
    """A writer found blobs present before they went, and named them after the last look."""
    return (
        entry["digest"] == trial.writer.image.digest
        and missing <= trial.writer.found
        and all(trial.when("look for blobs") <= trial.taken_out([digest]) for digest in missing)
        and trial.when("write the index") > trial.last_look(trial.taken_out(missing))
    )


WINDOWS = (brought_back, named_too_late)


def replaced_unseen(trial: Trial) -> bool:
    """Where two names cannot be exchanged, a writer put its index.json in place by a rename in the moment between the
    call that gives the old one a second name and the one that replaces it."""
    written = trial.when("write the index")
    calls = [(at, call) for at, call in enumerate(trial.calls) if INDEX in (call.path, call.other)]
    return any(
        first.name == "link" and second.name == "rename" and before < written <= after
        for (before, first), (after, second) in pairwise(calls)
    )


# What must hold


class Broken(AssertionError):
    """What must hold does not."""


class Check:
    """What must hold of a layout: at every moment, and when both actors have come to their end."""

    def __init__(self, template: Template, layout: Path, trial: Trial, *, exchange: bool) -> None:
        self._template, self._layout, self._trial, self._exchange = template, layout, trial, exchange
        self.excused: set[str] = set()

    def at_a_moment(self) -> None:
        """What a reader finds that looks now, unless a writer is just writing the index."""
        if self._trial.steps and self._trial.steps[-1][1].name == "truncate the index":
            return
        entries = self._entries()
        for entry in entries:
            written = self._trial.when("write the index") >= 0
            if (missing := self._missing(entry)) and not written:
                raise Broken(f"{_name(entry)} is named, but lacks {missing}")
        self._is_there(self._template.kept, entries)

    def at_the_end(self) -> None:
        """Nothing that the index names is missing, nothing sound is torn, and what anybody has written is there."""
        entries = self._entries()
        for path in (self._layout / "blobs" / "sha256").iterdir():
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                raise Broken(f"{path.name} is torn")
        for entry in entries:
            if missing := self._missing(entry):
                excuses = [window.__name__ for window in WINDOWS if window(self._trial, entry, missing)]
                if not excuses:
                    raise Broken(f"{_name(entry)} is named, but lacks {missing}")
                self.excused.update(excuses)
        self._is_there(self._template.kept, entries)
        if self._trial.finished and self._trial.writer.image.entry not in entries:
            if self._exchange or not replaced_unseen(self._trial):
                raise Broken("the writer's entry is lost")
            self.excused.add(replaced_unseen.__name__)

    def state(self) -> None:
        """What the command has left for itself."""
        left = {path.name for path in (self._layout / ".ocigc").iterdir()} - {"lock", "history.jsonl", "trash"}
        if left:
            raise Broken(f"left: {left}")
        if (self._layout / "index.json.lock").exists() and not self._trial.failed:
            raise Broken("left: index.json.lock")

    def came_back(self) -> None:
        """After a restore of all that is in the trash."""
        self._is_there(self._template.gone, self._entries())

    def _is_there(self, image: Pushed, entries: Sequence[Entry]) -> None:
        if image.entry not in entries:
            raise Broken(f"{_name(image.entry)} is not named any more")
        for digest, content in image.blobs.items():
            path = self._path(digest)
            if not path.exists() or path.read_bytes() != content:
                raise Broken(f"{_name(image.entry)} has lost {digest}")

    def _entries(self) -> list[Entry]:
        content = (self._layout / INDEX).read_bytes()
        try:
            return list(json.loads(content)["manifests"])
        except ValueError:
            raise Broken(f"index.json is torn: {content!r}") from None

    def _missing(self, entry: Entry) -> set[str]:
        manifest = self._path(entry["digest"])
        if not manifest.exists():
            return {entry["digest"]}
        try:
            document: Any = json.loads(manifest.read_bytes())
        except ValueError:
            raise Broken(f"the manifest of {_name(entry)} is torn") from None
        children = [document["config"], *document["layers"]]
        return {each["digest"] for each in children if not self._path(each["digest"]).exists()}

    def _path(self, digest: str) -> Path:
        return self._layout / "blobs" / digest.replace(":", "/")


def _name(entry: Entry) -> str:
    return str(entry.get("annotations", {}).get(_NAME, entry["digest"]))


# Trying one order


def perform(
    actor: Actor, template: Template, command: Command, kind: type[Writer], order: Order, layout: Path
) -> Trial:
    """Does one order of steps in a new copy of the layout, and checks it. Raises Broken."""
    shutil.copytree(template.path, layout)
    trial = Trial(writer_for(kind, template, layout))
    check = Check(template, layout, trial, exchange=command.exchange)
    steps = iter(trial.writer.steps())
    try:
        _act(actor, template, command, order, layout, trial, check, steps)
    finally:
        trial.writer.close()
        shutil.rmtree(layout)
    trial.excused = frozenset(check.excused)
    return trial


def _act(
    actor: Actor,
    template: Template,
    command: Command,
    order: Order,
    layout: Path,
    trial: Trial,
    check: Check,
    steps: Iterator[Step],
) -> None:
    pending = [*order.at, *(() if order.kill is None else (order.kill,))]

    def act() -> bool:
        check.at_a_moment()
        at = pending.pop(0)
        if order.kill is not None and not pending:
            return False
        _step(trial, steps, at)
        return True

    run = actor.run(layout, command.arguments(template, layout), tuple(pending), act, exchange=command.exchange)
    assert run.result.code in (0, 1, 3, KILLED), run.result
    assert all(line.startswith("ocigc: ") for line in run.result.err.splitlines()), run.result
    trial.calls += run.calls
    trial.length = len(run.calls)
    while not (trial.finished or trial.failed):
        check.at_a_moment()
        _step(trial, steps, trial.length)
    trial.final = _final(layout)
    if order.kill is None:
        check.at_the_end()
    run = actor.run(layout, _prune(template, layout, *(_TRASH if command.trash else ())))
    assert run.result.code == 0, run.result
    trial.calls += run.calls
    check.at_the_end()
    check.state()
    if command.trash:
        _restore_all(actor, layout)
        check.at_the_end()
        check.came_back()


def _final(layout: Path) -> dict[str, bytes]:
    """All files; of what ocigc writes for itself, names without those of runs, for the contents tell the time."""
    found = {}
    for path in layout.rglob("*"):
        name = str(path.relative_to(layout))
        if name.startswith((".ocigc/", "leases/")):
            found[re.sub("^.ocigc/trash/[^/]+", ".ocigc/trash/run", name)] = b""
        else:
            found[name] = path.read_bytes() if path.is_file() else b""
    return found


def _restore_all(actor: Actor, layout: Path) -> None:
    for path in sorted((layout / ".ocigc" / "trash").glob("*")):
        result = actor.run(layout, ["restore", str(layout), path.name]).result
        assert result.code == 0, result


def _step(trial: Trial, steps: Iterator[Step], at: int) -> None:
    if trial.failed or trial.finished:
        return
    step = next(steps, None)
    if step is None:
        trial.finished = True
        return
    try:
        step.act()
    except Failed:
        trial.failed = True
    trial.steps.append((at, step))


# All orders


def orders(trial: Trial, order: Order, places: int) -> Iterator[Order]:
    """The orders that differ from one that was tried by when the first of the steps that were left to the end is done:
    at once after the step before it, or right after one of the later calls that depend on it. So each step is as early
    as it can be, and no two orders are the same but for steps and calls that make no difference."""
    done = len(order.at)
    steps = trial.writer.steps()
    if done == len(steps):
        return
    first = order.at[-1] if order.at else 0
    later = [first + number + 1 for number in dependent(trial.calls[first : trial.length], steps[done])]
    for at in (first, *later):
        another = Order((*order.at, at), order.kill)
        if at == [first, *later][-1]:
            # No call that depends on it is left: this is the order that was tried.
            yield from orders(trial, another, places)
        elif len({*another.at} - {0}) <= places:
            yield another


def places_for(trial: Trial) -> int:
    """At how many places a writer can act without more than `_MOST` orders."""
    steps = trial.writer.steps()
    return max(places for places in range(1, len(steps) + 1) if places == 1 or _count(trial, steps, places) <= _MOST)


def _count(trial: Trial, steps: Sequence[Step], places: int) -> int:
    return count(trial.calls[: trial.length], steps, places)


def kills(trial: Trial) -> Iterator[Order]:
    """The command killed before each call that changes something, when the writer has done some of its steps before it
    began, and does the others before the next command."""
    for done in range(len(trial.writer.steps()) + 1):
        for number, call in enumerate(trial.calls[: trial.length]):
            if call.changes and call.name not in _UNSEEN:
                yield Order((0,) * done, number)


def walks(trial: Trial, rng: random.Random, count: int) -> Iterator[Order]:
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
    for _ in range(count):
        chosen = [rng.choice(rng.choice((anywhere, places or anywhere))) for places in near]
        yield Order(tuple(sorted(chosen)[: rng.randint(1, len(steps))]))


@dataclass(slots=True)
class OrdersTried(Outcome):
    """A trial is one order. `places` is the bound, None where all were tried."""

    places: int | None = None

    def _bounds(self) -> str:
        return "" if self.places is None else f" at {self.places} places, and {_MORE} at random"


class Explorer:
    """Tries orders for a command and a writer, on several actors at once."""

    def __init__(self, actors: Sequence[Actor], template: Template, command: Command, kind: type[Writer]) -> None:
        self._actors, self._template, self._command, self._kind = actors, template, command, kind
        self.outcome = OrdersTried()

    def everything(self) -> OrdersTried:
        """All orders, and all kills."""
        undisturbed = self._undisturbed()
        places = places_for(undisturbed)
        self.explore(places)
        if places < len(undisturbed.writer.steps()):
            self.outcome.places = places
            self._explore(list(walks(undisturbed, random.Random(0), _MORE)), lambda *_: ())
        self._explore(list(kills(undisturbed)), lambda *_: ())
        return self.outcome

    def explore(self, places: int) -> set[frozenset[tuple[str, bytes]]]:
        """All orders with so many places; the ends that they come to."""
        ends = set()

        def note(trial: Trial, order: Order) -> Iterator[Order]:
            ends.add(frozenset(trial.final.items()))
            return orders(trial, order, places)

        self._explore([Order()], note)
        return ends

    def everywhere(self) -> set[frozenset[tuple[str, bytes]]]:
        """The ends of all orders of all steps and calls, those too that make no difference."""
        ends = set()

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
                self.outcome.faults.append(f"{self._command.name}, {self._kind.__name__}, {order}: not the same early")

    def _undisturbed(self) -> Trial:
        return self._perform(self._actors[0], Order(), self._template.path.with_name("undisturbed"))

    def _perform(self, actor: Actor, order: Order, layout: Path) -> Trial:
        return perform(actor, self._template, self._command, self._kind, order, layout)

    def _explore(self, first: Sequence[Order], more: Callable[[Trial, Order], Iterable[Order]]) -> None:
        pending = list(first)
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
                    order = pending.pop()
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
        try:
            trial = self._perform(actor, order, layout)
        except Broken as broken:
            self.outcome.faults.append(f"{self._command.name}, {self._kind.__name__}, {order}: {broken}")
            return []
        self.outcome.excused.update(trial.excused)
        return list(more(trial, order))


def _cases() -> Iterator[tuple[str, Explore]]:
    for command, kind in product(COMMANDS, WRITERS):

        def explore(
            actors: Sequence[Actor], directory: Path, command: Command = command, kind: type[Writer] = kind
        ) -> Outcome:
            template = make_template(directory, command, actors[0])
            return Explorer(actors, template, command, kind).everything()

        yield f"{command.name} and {kind.__name__}", explore


if __name__ == "__main__":
    explore_all(_cases())
