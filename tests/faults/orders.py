"""One order of the steps of a command and of a writer: doing it, and what must hold then."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.actor import Actor
from tests.faults.commands import TRASH, Command, Template, prune, writer_for
from tests.faults.habits import INDEX, Entry, Failed, Pushed, Step, Tag, Writer
from tests.faults.injection import KILLED, Call
from tests.faults.model import Done, Tree, plain, scan, summary, timeless

_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Order:
    """Before which call of the command, from 0, each of the writer's first steps is done; the rest is done at the end.
    The command is killed before its call number `kill`, if there is one. `past` is what the command had been told
    before the last of these steps where this order was planned."""

    at: tuple[int, ...] = ()
    kill: int | None = None
    past: str = field(default="", compare=False)


@dataclass(slots=True)
class Trial:
    """What has happened: the calls, those of the first command first, and the steps, each with the number of the call
    before which it was done. `length` is the number of the first command's calls, `final` the layout after both."""

    writer: Writer
    tree: Tree
    calls: list[Call] = field(default_factory=list)
    steps: list[Done] = field(default_factory=list)
    failed: bool = False
    finished: bool = False
    excused: frozenset[str] = frozenset()
    length: int = 0
    code: int = 0
    final: dict[str, bytes] = field(default_factory=dict)

    def when(self, *names: str) -> int:
        """Before which call the writer did the last step of these names; -1 for never."""
        return max((done.at for done in self.steps if done.step.name in names), default=-1)

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
        self._lacking: set[tuple[str, frozenset[str]]] = set()
        self.excused: set[str] = set()

    def at_a_moment(self) -> None:
        """What a reader finds that looks now, unless a writer is just writing the index."""
        if self._trial.steps and self._trial.steps[-1].step.name == "truncate the index":
            return
        entries = self._entries()
        for entry in entries:
            written = self._trial.when("write the index") >= 0
            if (missing := self._missing(entry)) and not written:
                raise Broken(f"{_name(entry)} is named, but lacks {missing}")
        self._is_there(self._template.kept, entries)

    def at_the_end(self) -> None:
        """Nothing that the index names is missing, nothing sound is torn, and what anybody has written is there. What
        has been excused once is so still."""
        entries = self._entries()
        for path in (self._layout / "blobs" / "sha256").iterdir():
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                raise Broken(f"{path.name} is torn")
        for entry in entries:
            missing = self._missing(entry)
            if missing and (entry["digest"], frozenset(missing)) not in self._lacking:
                self._lacking.add((entry["digest"], frozenset(missing)))
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
    actor: Actor,
    template: Template,
    command: Command,
    kind: type[Writer],
    order: Order,
    layout: Path,
    ended: set[str] | None = None,
) -> Trial:
    """Does one order of steps in a new copy of the layout, and checks it. Raises Broken. What comes after both actors
    is left out where it was right for the same end before: those ends are in `ended`."""
    shutil.copytree(template.path, layout)
    trial = Trial(writer_for(kind, template, layout), scan(layout))
    check = Check(template, layout, trial, exchange=command.exchange)
    try:
        _act(actor, template, command, order, layout, trial, check)
        end = None if ended is None or order.kill is not None else _end(layout, trial, check)
        if ended is None or end is None or end not in ended:
            _go_on(actor, template, command, layout, trial, check)
            if ended is not None and end is not None:
                ended.add(end)
    finally:
        trial.writer.close()
        shutil.rmtree(layout)
    trial.excused = frozenset(check.excused)
    return trial


def _act(
    actor: Actor, template: Template, command: Command, order: Order, layout: Path, trial: Trial, check: Check
) -> None:
    """Both actors, until each has come to its end."""
    pending = [*order.at, *(() if order.kill is None else (order.kill,))]
    steps = iter(trial.writer.steps())
    seen = len(order.at) < len(trial.writer.steps())  # after an order of all steps, no other one branches off

    def act() -> bool:
        check.at_a_moment()
        at = pending.pop(0)
        if order.kill is not None and not pending:
            return False
        _step(trial, steps, at, seen=seen)
        return True

    run = actor.run(layout, command.arguments(template, layout), tuple(pending), act, exchange=command.exchange)
    assert run.result.code in (0, 1, 3, KILLED), run.result
    assert all(line.startswith("ocigc: ") for line in run.result.err.splitlines()), run.result
    trial.calls += run.calls
    trial.length = len(run.calls)
    trial.code = run.result.code
    while not (trial.finished or trial.failed):
        check.at_a_moment()
        _step(trial, steps, trial.length, seen=False)
    trial.final = _final(layout)
    if order.kill is None:
        check.at_the_end()


def _go_on(actor: Actor, template: Template, command: Command, layout: Path, trial: Trial, check: Check) -> None:
    """The next prune, and a restore of all that is in the trash."""
    run = actor.run(layout, prune(template, layout, *(TRASH if command.trash else ())))
    assert run.result.code == 0, run.result
    trial.calls += run.calls
    check.at_the_end()
    check.state()
    if command.trash:
        _restore_all(actor, layout)
        check.at_the_end()
        check.came_back()


def _end(layout: Path, trial: Trial, check: Check) -> str | None:
    """All that the next commands can see, but for the time; None where an unfinished run is a part of that."""
    ours = {path.name for path in layout.glob(".ocigc/*")}
    if replaced_unseen.__name__ in check.excused or ours - {"lock", "history.jsonl", "trash"}:
        return None
    found = []
    for path, seen in sorted(scan(layout).items()):
        if path not in (".ocigc/lock", ".ocigc/history.jsonl"):
            own = path.startswith((".ocigc/", "leases/")) and "/blobs/" not in path
            found.append((plain(path), timeless(seen.content) if own and seen.content else seen.content))
    return summary(found, trial.failed, trial.finished)


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


def _step(trial: Trial, steps: Iterator[Step], at: int, *, seen: bool) -> None:
    """Does the next step. Where it is `seen`, it is told what the files are before and after it."""
    if trial.failed or trial.finished:
        return
    step = next(steps, None)
    if step is None:
        trial.finished = True
        return
    writer, files = trial.writer, trial.writer.files
    before = scan(writer.layout) if seen and (step.changes or step.writes) else None
    try:
        step.act()
    except Failed:
        trial.failed = True
    around = None if before is None else (before, scan(writer.layout))
    trial.steps.append(Done(at, step, around, f"{writer.known}{trial.failed}", (*files, *writer.files)))
