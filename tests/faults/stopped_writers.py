"""Two actors, the other way round: a program that writes is stopped before each of its own calls below the layout, and
a whole command of ocigc runs there. `python -m tests.faults.stopped_writers` tries every call, the tests a sample.

After the command the program goes on to its end, or is killed there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from tests.faults.actor import Actor
from tests.faults.commands import COMMANDS, Command
from tests.faults.habits import INDEX, Entry
from tests.faults.outcome import Explore, Outcome, explore_all
from tests.faults.real_programs import GONE, PROGRAMS, Program, Store, make_store, registry
from tests.faults.supervisor import Seen, supervise
from tests.interop.programs import PATH

_NAME = "org.opencontainers.image.ref.name"
_MOST_CALLS = 400


@dataclass(slots=True)
class Trial:
    """What has happened: the calls of the program, and before which of them the command ran."""

    stop: int
    calls: list[Seen] = field(default_factory=list)
    reached: bool = False
    killed: bool = False
    code: int = 0
    said: str = ""
    excused: set[str] = field(default_factory=set)

    def before(self, path: str) -> bool:
        """Whether the program has looked at a file before the command, and did not only write it."""
        return any(each.path == path for each in self.calls[: self.stop])

    @property
    def wrote_an_old_index(self) -> bool:
        """Whether it read index.json before the command, and wrote what came of it after that."""
        read = -1
        for number, each in enumerate(self.calls):
            if each.path == INDEX and each.changes and number >= self.stop and read < self.stop:
                return True
            if each.path == INDEX and each.name == "open":
                read = number
        return False

    def removed(self, path: str) -> bool:
        """Whether it removed a file itself."""
        return any((each.name, each.path) == ("unlink", path) for each in self.calls)


class Broken(AssertionError):
    """What must hold does not."""


def perform(
    actor: Actor, store: Store, command: Command, program: Program, layout: Path, stop: int, *, kill: bool
) -> Trial:
    """Stops a program before its call number `stop`, runs the command, and checks the layout when both have come to
    their end. Raises Broken."""
    shutil.copytree(store.template.path, layout)
    time.sleep(0.01)  # the clock of files is some milliseconds late
    old = time.time_ns()
    trial = Trial(stop)

    def before(number: int, seen: Seen) -> bool:
        trial.calls.append(seen)
        if number == stop:
            trial.reached = True
            result = actor.run(
                layout, command.arguments(store.template, layout), exchange=command.exchange, old=old
            ).result
            if result.code not in (0, 1, 3) and not _lacks_marker(layout, result.err):
                raise Broken(f"{command.name} ended with {result}")
            trial.killed = kill
            return not kill
        return len(trial.calls) < _MOST_CALLS

    environment = {**os.environ, "PATH": PATH, "HOME": str(layout.parent), "GOMAXPROCS": "1"}
    try:
        done = supervise(program.command(layout, store.source, store.registry), layout, before, environment)
        trial.code, trial.said = done.returncode, done.stdout
        if trial.reached:
            _check(actor, store, command, program, layout, trial)
    finally:
        shutil.rmtree(layout)
    return trial


def _check(actor: Actor, store: Store, command: Command, program: Program, layout: Path, trial: Trial) -> None:
    template = store.template
    trash = ("--trash", "7d") if command.trash else ()
    _whole(layout, store, program, trial)
    arguments = ["prune", "--force", "--all", "--in-use", str(template.in_use), *template.options, *trash, str(layout)]
    result = actor.run(layout, arguments).result
    if trial.killed and ((result.code == 3 and _is_torn(layout)) or _lacks_marker(layout, result.err)):
        return  # nothing was changed, and a person has to look
    if result.code != 0:
        raise Broken(f"the next prune ended with {result}")
    _whole(layout, store, program, trial)
    left = {path.name for path in (layout / ".ocigc").iterdir()} - {"lock", "history.jsonl", "trash"}
    if left:
        raise Broken(f"left: {left}")
    if not command.trash:
        return
    for path in sorted((layout / ".ocigc" / "trash").glob("*")):
        result = actor.run(layout, ["restore", str(layout), path.name]).result
        if result.code != 0 and not (trial.killed and "damaged: " in result.err):  # it was torn when it went there
            raise Broken(f"the restore of {path.name} ended with {result}")
    _whole(layout, store, program, trial)
    if not _lacking(layout, template.gone.entry).issubset(_collected(trial)):
        raise Broken("what was in the trash is not back")


def _lacks_marker(layout: Path, errors: str) -> bool:
    """Whether the program is just writing oci-layout anew: then it is not a layout for a moment."""
    return not (layout / "oci-layout").read_bytes() and "not an OCI image layout: oci-layout" in errors


def _is_torn(layout: Path) -> bool:
    try:
        json.loads((layout / INDEX).read_bytes())
    except ValueError:
        return True
    return any(_torn(layout))


def _torn(layout: Path) -> Iterator[str]:
    for path in (layout / "blobs" / "sha256").iterdir():
        if len(path.name) == 64 and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            yield path.name


def _collected(trial: Trial) -> set[str]:
    names = (each.path.removeprefix("blobs/sha256/") for each in trial.calls if each.name == "unlink")
    return {f"sha256:{name}" for name in names}


def _whole(layout: Path, store: Store, program: Program, trial: Trial) -> None:
    """Nothing that the index names is missing, nothing is torn but what the program was writing when it was killed, and
    what it has written is there."""
    kept = store.template.kept
    for digest, content in kept.blobs.items():
        path = layout / "blobs" / digest.replace(":", "/")
        if not path.exists() or path.read_bytes() != content:
            raise Broken(f"what stays has lost {digest}")
    if trial.killed and _is_torn(layout):
        return
    if torn := list(_torn(layout)):
        raise Broken(f"torn: {torn}")
    entries: list[Entry] = json.loads((layout / INDEX).read_bytes())["manifests"]
    if not any(entry["digest"] == kept.digest for entry in entries):
        raise Broken("what stays is not named any more")
    written = program.written(store.registry)
    for entry in entries:
        if missing := _lacking(layout, entry):
            _excuse(entry, missing, store, program, trial, is_new=_name(entry) in (written, None))
    if trial.code == 0 and not trial.killed and not any(_name(entry) == written for entry in entries):
        raise Broken("what the program has written is lost")


def _excuse(entry: Entry, missing: set[str], store: Store, program: Program, trial: Trial, *, is_new: bool) -> None:
    """The windows that docs/crash-safety.md names. Raises Broken for what is in none."""
    gone = store.template.gone
    found = {digest for digest in missing if trial.before(f"blobs/{digest.replace(':', '/')}")}
    if program.trusts and trial.before(INDEX):
        found |= {*gone.blobs}
    if entry["digest"] == gone.digest and _name(entry) == GONE and trial.wrote_an_old_index:
        trial.excused.add("brought_back")
    elif missing <= _collected(trial):
        trial.excused.add("collected")
    elif is_new and missing <= found | _collected(trial):
        trial.excused.add("named_too_late")
    else:
        raise Broken(f"{_name(entry)} is named, but lacks {missing}")


def _lacking(layout: Path, entry: Entry) -> set[str]:
    """What an image lacks."""

    def path(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    if not path(entry["digest"]).exists():
        return {entry["digest"]}
    document: Any = json.loads(path(entry["digest"]).read_bytes())
    return {each["digest"] for each in (document["config"], *document["layers"]) if not path(each["digest"]).exists()}


def _name(entry: Entry) -> str | None:
    name = entry.get("annotations", {}).get(_NAME)
    return None if name is None else str(name)


# All calls


@dataclass(slots=True)
class CallsTried(Outcome):
    """`calls` is how many calls a program was stopped before."""

    calls: int = 0

    def _bounds(self) -> str:
        return f" at {self.calls:,} calls"


def explore(
    actors: Sequence[Actor], store: Store, command: Command, program: Program, stops: Sequence[int] | None = None
) -> CallsTried:
    """Stops a program before all of its calls, or these; each time it goes on, or is killed there."""
    outcome = CallsTried()
    lock = threading.Lock()
    pending = list(product(range(_MOST_CALLS) if stops is None else stops, (False, True)))
    pending.reverse()
    last = _MOST_CALLS

    def work(number: int) -> None:
        nonlocal last
        layout = store.template.path.with_name(f"trial-{number}")
        while True:
            with lock:
                if not pending or pending[-1][0] > last:
                    return
                stop, kill = pending.pop()
            try:
                trial = perform(actors[number], store, command, program, layout, stop, kill=kill)
            except Broken as broken:
                with lock:
                    outcome.tried += 1
                    outcome.faults.append(f"{command.name}, {program.name}, call {stop}, {kill=}: {broken}")
                continue
            with lock:
                if not trial.reached:
                    last = min(last, stop)
                    continue
                outcome.tried += 1
                outcome.calls += not kill
                outcome.excused.update(trial.excused)

    with ThreadPoolExecutor(len(actors)) as pool:
        for each in [pool.submit(work, number) for number in range(len(actors))]:
            each.result()
    return outcome


def _cases(address: str) -> Iterator[tuple[str, Explore]]:
    for program, command in product(PROGRAMS, COMMANDS):

        def explored(
            actors: Sequence[Actor], directory: Path, command: Command = command, program: Program = program
        ) -> Outcome:
            return explore(actors, make_store(directory, command, actors[0], address), command, program)

        if program.is_here:
            yield f"{command.name} beside {program.name}", explored


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory, registry(Path(directory)) as address:
        explore_all(_cases(address))
