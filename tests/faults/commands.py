"""Commands of ocigc among writers, and a small store for each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.actor import Actor
from tests.faults.habits import Pushed, Tag, Writer
from tests.faults.injection import KILLED, Call
from tests.helpers.layouts import LayoutWriter

KEPT, GONE, NEW, AGAIN = (f"example.com/{name}:1" for name in ("kept", "gone", "new", "again"))
TRASH = ("--trash", "7d")
_NAME = "org.opencontainers.image.ref.name"


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


def prune(template: Template, layout: Path, *options: str) -> list[str]:
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
    _killed(layout, actor, prune(template, layout, *options), lambda call: ".ocigc/run/blobs/sha256/" in call.other)


def _pruned(template: Template, layout: Path, actor: Actor) -> None:
    result = actor.run(layout, prune(template, layout, *TRASH)).result
    assert result.code == 0, result


def _planned(template: Template, layout: Path, actor: Actor) -> None:
    result = actor.run(layout, prune(template, layout, "-n", "--plan-out", str(template.plan))).result
    assert result.code == 0, result


def _half_restored(template: Template, layout: Path, actor: Actor) -> None:
    """A restore that was killed when some blobs had come back."""
    _pruned(template, layout, actor)
    _killed(layout, actor, ["restore", str(layout)], lambda call: call.other.startswith("blobs/sha256/"))


COMMANDS = (
    Command("prune", prune),
    Command("prune to the trash", lambda template, layout: prune(template, layout, *TRASH), trash=True),
    Command("restore", lambda _, layout: ["restore", str(layout)], _pruned, trash=True),
    Command("apply", lambda template, layout: ["apply", "--force", str(template.plan), str(layout)], _planned),
    Command("recovery", prune, _interrupted),
    Command(
        "recovery to the trash",
        lambda template, layout: prune(template, layout, *TRASH),
        lambda template, layout, actor: _interrupted(template, layout, actor, *TRASH),
        trash=True,
    ),
    Command("rollback", lambda _, layout: ["restore", "--interrupted", str(layout)], _interrupted),
    Command("recovery of a restore", prune, _half_restored, trash=True),
    Command("removal", _rm),
    Command("trash empty", lambda _, layout: ["trash", "empty", "--force", str(layout)], _pruned),
    Command("prune without an exchange", prune, exchange=False),
)


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
