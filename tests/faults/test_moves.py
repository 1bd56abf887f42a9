"""In which order blobs and labels come and go, and what is synced between: the calls of a prune and of its rollback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.actor import Actor
from tests.faults.commands import COMMANDS, Template, make_template
from tests.faults.injection import Call

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

RUN = ".ocigc/run"


@pytest.fixture(scope="module")
def actor() -> Iterator[Actor]:
    with Actor(min(os.sched_getaffinity(0))) as actor:
        yield actor


def run(name: str, directory: Path, actor: Actor, template: Template | None = None) -> list[Call]:
    """The calls of a command that has gone well, and that have changed something."""
    (command,) = (command for command in COMMANDS if command.name == name)
    template = template or make_template(directory, command, actor)
    done = actor.run(template.path, command.arguments(template, template.path))
    assert done.result.code == 0, done.result
    return [call for call in done.calls if call.changes and call.result >= 0]


def numbers(calls: Sequence[Call], name: str, path: str, other: str = "") -> list[int]:
    """When the calls of a name were made on paths that begin so."""
    return [
        number
        for number, call in enumerate(calls)
        if call.name == name and call.path.startswith(path) and call.other.startswith(other)
    ]


def test_a_source_is_given_up_when_its_directory_is_synced(actor: Actor, tmp_path: Path) -> None:
    """Between two directories a rename need not be atomic. Labels come first: a blob in place is not checked again."""
    calls = run("rollback", tmp_path, actor)
    ends = []
    for top, count in (("labels/sha256", 1), ("blobs/sha256", 4)):
        arrived = numbers(calls, "rename", f"{RUN}/arriving", top)
        (synced,) = numbers(calls, "fsync", top)
        given_up = numbers(calls, "unlink", f"{RUN}/{top}")
        (forgotten,) = numbers(calls, "fsync", f"{RUN}/{top}")
        assert len(arrived) == len(given_up) == count
        assert [*arrived, synced, *given_up, forgotten] == sorted([*arrived, synced, *given_up, forgotten])
        ends += [arrived[0], forgotten]
    (discarded,) = numbers(calls, "rename", RUN, ".ocigc/discarded")
    assert [*ends, discarded] == sorted([*ends, discarded])


def test_what_a_kill_has_left_on_the_way_is_not_taken_for_a_blob(actor: Actor, tmp_path: Path) -> None:
    (command,) = (command for command in COMMANDS if command.name == "rollback")
    template = make_template(tmp_path, command, actor)
    (template.path / RUN / "arriving").write_bytes(b"torn")
    (labels,) = (template.path / RUN / "labels" / "sha256").iterdir()
    sound = labels.read_bytes()
    run("rollback", tmp_path, actor, template)
    assert (template.path / "labels" / "sha256" / labels.name).read_bytes() == sound
    for digest, content in template.gone.blobs.items():
        assert (template.path / "blobs" / digest.replace(":", "/")).read_bytes() == content


def test_all_directories_of_a_move_are_synced_before_the_run_ends(actor: Actor, tmp_path: Path) -> None:
    calls = run("prune", tmp_path, actor)
    moved = max(
        [*numbers(calls, "rename", "blobs/", f"{RUN}/blobs/"), *numbers(calls, "rename", "labels/", f"{RUN}/labels/")]
    )
    (ended,) = numbers(calls, "rename", RUN, ".ocigc/discarded")
    synced = [call.path for call in calls[moved:ended] if call.name == "fsync"]
    for top in ("blobs", "labels"):
        for path in (top, f"{top}/sha256"):
            assert f"{RUN}/{path}" in synced
            assert path in synced
            assert synced.index(f"{RUN}/{path}") < synced.index(path)  # it is there before it is not here any more
