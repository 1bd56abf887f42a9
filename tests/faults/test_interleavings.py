"""A sample of the orders in which a command of ocigc and a writer that knows nothing of it can do their steps, and of
the kills between them. `make interleavings` tries all of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.actor import Actor
from tests.faults.commands import COMMANDS, KEPT, Command, make_template
from tests.faults.habits import WRITERS, Oras, Tag, Umoci, Writer
from tests.faults.injection import command as command_line
from tests.faults.injection import record
from tests.faults.interleavings import Explorer
from tests.faults.model import plain
from tests.faults.orders import Order, brought_back, perform
from tests.faults.supervisor import Seen, supervise, supported
from tests.faults.trials import SEED

EACH = int(os.environ.get("OCIGC_FAULTS_EACH", "1"))  # pairs of orders, and kills, of each command and writer

# What has one name for the shim and another one for the supervisor, and what the supervisor is not told of, or not as
# often.
_SAME = {"write": "open", "create": "open", "rmdir": "unlink", "exchange": "rename"}
_UNTOLD = ("read", "list", "close", "fchmod", "fchown")

WHOLE = pytest.mark.skipif(os.environ.get("OCIGC_FAULTS") != "all", reason="takes minutes")

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


@pytest.mark.parametrize("name", ["prune", "restore", "prune without an exchange"])
def test_what_is_written_around_an_exchange_is_not_lost(name: str, actor: Actor, tmp_path: Path) -> None:
    """oras opens index.json twice, so it may have our own file open when we take that back."""
    (command,) = (command for command in COMMANDS if command.name == name)
    explorer = Explorer([actor], make_template(tmp_path, command, actor), command, Oras)
    assert explorer.contest(random.Random(f"{SEED} {name}"), 10 * EACH).faults == []


LEASE = Command("lease", lambda _, layout: ["lease", "create", "--id", "new", str(layout), KEPT])


@WHOLE
def test_one_order_of_each_class_is_enough(actor: Actor, tmp_path: Path) -> None:
    """All orders of a lease and a tag come to the same ends as those that are tried in their place."""
    template = make_template(tmp_path, LEASE, actor)
    every, few = (Explorer([actor], template, LEASE, Tag) for _ in range(2))
    assert few.explore() == every.everywhere()
    assert few.outcome.faults == every.outcome.faults == []
    assert 10 * few.outcome.orders < every.outcome.orders


@pytest.mark.parametrize("kind", [Tag, pytest.param(Umoci, marks=WHOLE)])
def test_orders_that_come_to_one_state_come_to_the_same_ends(kind: type[Writer], actor: Actor, tmp_path: Path) -> None:
    """All orders of a prune and a writer: what has to be kept in any of them, and how they end."""
    command = COMMANDS[0]
    template = make_template(tmp_path, command, actor)
    few, every = (Explorer([actor], template, command, kind) for _ in range(2))
    assert few.explore() == every.explore(merge=False)
    assert few.outcome.faults == every.outcome.faults == []
    assert few.outcome.excused.keys() == every.outcome.excused.keys()
    assert few.outcome.orders < every.outcome.orders


@pytest.mark.skipif(not supported(), reason="needs Linux on x86-64, seccomp and a C compiler")
@pytest.mark.parametrize("command", COMMANDS[:3], ids=lambda command: command.name)
def test_the_shim_knows_all_calls(command: Command, actor: Actor, tmp_path: Path) -> None:
    """The kernel tells of no call below the layout that the shim does not stop at."""
    template = make_template(tmp_path, command, actor)
    once, again = tmp_path / "once", tmp_path / "again"
    for layout in (once, again):
        shutil.copytree(template.path, layout)
    told: Counter[tuple[str, str]] = Counter()

    def count(calls: Counter[tuple[str, str]], name: str, path: str) -> None:
        calls[_SAME.get(name, name), plain(os.path.normpath(path))] += name not in _UNTOLD

    def before(_: int, seen: Seen) -> bool:
        count(told, seen.name, seen.path)
        return True

    ran = supervise(command_line(command.arguments(template, once)), once, before, os.environ)
    result, calls = record(again, command.arguments(template, again))
    assert ran.returncode == result.code == 0, result
    known: Counter[tuple[str, str]] = Counter()
    for call in calls:
        count(known, call.name, call.other or call.path)
    # libc asks for the status of a directory that it is to list.
    listed = {("stat", plain(os.path.normpath(call.path))) for call in calls if call.name == "list"}
    assert not known - told, known - told
    assert (told - known).keys() <= listed


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
    assert outcome.kills > 30


def test_a_kill_before_a_file_is_written_is_undone(actor: Actor, tmp_path: Path) -> None:
    """A file that is there and still empty is not taken for what another program has written."""
    (command,) = (command for command in COMMANDS if command.name == "rollback")
    template = make_template(tmp_path, command, actor)
    written = (0,) * 4  # umoci is done before the rollback begins
    trial = perform(actor, template, command, Umoci, Order(written), tmp_path / "trial")
    kills = [number for number, call in enumerate(trial.calls[: trial.length]) if call.name == "write"]
    assert len(kills) > 1
    for number in kills:
        perform(actor, template, command, Umoci, Order(written, number), tmp_path / "trial")


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
