"""A sample of the orders in which a command of ocigc and a writer that knows nothing of it can do their steps, and of
the kills between them. `make interleavings` tries all of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.actor import Actor
from tests.faults.habits import WRITERS, Tag, Umoci
from tests.faults.interleavings import (
    COMMANDS,
    KEPT,
    Command,
    Explorer,
    Order,
    brought_back,
    make_template,
    perform,
)
from tests.faults.trials import SEED

EACH = int(os.environ.get("OCIGC_FAULTS_EACH", "1"))  # pairs of orders, and kills, of each command and writer

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def actor() -> Iterator[Actor]:
    with Actor(min(os.sched_getaffinity(0))) as actor:
        yield actor


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_nothing_is_lost_among_writers(command: Command, actor: Actor, tmp_path: Path) -> None:
    template = make_template(tmp_path, command, actor)
    for kind in WRITERS:
        rng = random.Random(f"{SEED} {command.name} {kind.__name__}")
        assert Explorer([actor], template, command, kind).sample(EACH, rng).faults == []


LEASE = Command("lease", lambda _, layout: ["lease", "create", "--id", "new", str(layout), KEPT])


@pytest.mark.skipif(os.environ.get("OCIGC_FAULTS") != "all", reason="takes minutes")
def test_one_order_of_each_class_is_enough(actor: Actor, tmp_path: Path) -> None:
    """All orders of a lease and a tag come to the same ends as those that are tried in their place."""
    template = make_template(tmp_path, LEASE, actor)
    every, few = (Explorer([actor], template, LEASE, Tag) for _ in range(2))
    assert few.explore(len(WRITERS)) == every.everywhere()
    assert few.outcome.faults == every.outcome.faults == []
    assert 10 * few.outcome.tried < every.outcome.tried


def test_a_window_that_the_documents_name_is_seen(actor: Actor, tmp_path: Path) -> None:
    """A writer that began before the commit and ends after the run: without the excuse, this would be a fault."""
    template = make_template(tmp_path, COMMANDS[0], actor)
    trial = perform(actor, template, COMMANDS[0], Umoci, Order((0, 0, 0)), tmp_path / "trial")
    assert brought_back.__name__ in trial.excused


def test_a_restore_may_be_killed_anywhere(actor: Actor, tmp_path: Path) -> None:
    """The index never names what is not back yet."""
    (command,) = (command for command in COMMANDS if command.name == "restore")
    explorer = Explorer([actor], make_template(tmp_path, command, actor), command, Umoci)
    outcome = explorer.killed_everywhere()
    assert outcome.faults == []
    assert outcome.tried > 30


@pytest.mark.parametrize("act", ["replaced", "touched"])
def test_a_blob_that_changes_while_it_is_held_stays(actor: Actor, tmp_path: Path, act: str) -> None:
    """What goes to the trash has a name in both places for a while: somebody may come to use it then."""
    (command,) = (command for command in COMMANDS if command.name == "prune to the trash")
    template = make_template(tmp_path, command, actor)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(template.path, undisturbed)
    calls = actor.run(undisturbed, command.arguments(template, undisturbed)).calls
    held = next(call.path for call in calls if call.name == "link" and call.other.startswith(".ocigc/run/blobs/"))
    moment = next(at for at, call in enumerate(calls) if (call.name, call.path) == ("fsync", ".ocigc/run/blobs/sha256"))
    blob = template.path / held
    content = blob.read_bytes()

    def change() -> bool:
        if act == "replaced":
            blob.with_name("new").write_bytes(content)
            blob.with_name("new").rename(blob)
        else:
            os.utime(blob)
        return True

    result = actor.run(template.path, command.arguments(template, template.path), [moment], change).result
    assert result.code == 0, result
    assert blob.read_bytes() == content


def test_a_prune_that_plans_anew_notes_the_same_once(actor: Actor, tmp_path: Path) -> None:
    (command,) = (command for command in COMMANDS if command.name == "prune")
    template = make_template(tmp_path, command, actor)
    layout, index = template.path, template.path / "index.json"
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(layout, undisturbed)
    calls = actor.run(undisturbed, command.arguments(template, undisturbed)).calls
    commit = next(number for number, call in enumerate(calls) if call.name == "exchange")

    def write() -> bool:
        index.with_name("new").write_bytes(index.read_bytes() + b"\n")
        index.with_name("new").rename(index)
        return True

    run = actor.run(layout, command.arguments(template, layout), [commit], write)
    assert run.result.code == 0, run.result
    assert sum(call.name == "exchange" for call in run.calls) > 1
    assert run.result.err.count("match no image here") == 1
