"""A prune that is interrupted rolls back; one that is killed is finished by the next, or undone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocigc.errors import Interrupted, Refused
from ocigc.layout.layout import Layout
from ocigc.pruning import after_commit, index_exchange, put_back
from ocigc.pruning.restore import restore
from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot
from tests.helpers.world import World

SNAPSHOT = "containerd.io/gc.ref.snapshot.overlayfs"


class Killed(BaseException):
    """The process dies here: nothing is rolled back."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "layout")
    yield world
    world.images_are_whole()


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["sweeping", "moved"])
def test_a_signal_rolls_the_run_back(world: World, moment: str, number: int) -> None:
    before = snapshot(world.writer.path)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted, match=r"rolled back: index\.json, labels and blobs are as before"):
        world.prune(**{moment: send(number)})
    assert snapshot(world.writer.path) == before
    assert {path.name for path in (world.writer.path / ".ocigc").glob("*")} <= {"lock"}
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert world.prune() is not None
    assert not world.writer.has(world.gone)


def test_a_signal_that_comes_too_late_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the journal is closed, the blobs are being freed."""
    real = after_commit.run_directory.close

    def close(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(after_commit.run_directory, "close", close)
    assert world.prune() is not None
    assert not world.writer.has(world.gone)


def test_a_failure_rolls_the_run_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(world.writer.path)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(after_commit, "sync_directories", fail)
    with pytest.raises(Refused, match="Input/output error; the run was rolled back: nothing was changed"):
        world.prune()
    assert snapshot(world.writer.path) == before


def test_labels_that_were_taken_off_come_back_as_they_were(tmp_path: Path) -> None:
    """Byte for byte: with their order and white space."""
    layout, command = labelled(tmp_path)
    before = snapshot(layout.path)
    refused(interrupted(layout.path, command), 3, "rolled back")
    assert snapshot(layout.path) == before


def labelled(path: Path) -> tuple[LayoutWriter, list[str]]:
    """A layout of which a prune takes a label off a config, and many blobs; and that prune."""
    layout = LayoutWriter(path / "layout")
    config = layout.config("held")
    layout.labels(config, {"containerd.io/gc.root": "1"}).write_text(
        f'{{ "{SNAPSHOT}":"key",\n "containerd.io/gc.root" : "1"}}'
    )
    layout.tag(layout.manifest(config, [layout.blob("held")]), "example.com/gone:1")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    for number in range(200):
        layout.tag(
            layout.image(f"{number}", [f"{number}.{layer}" for layer in range(20)]), f"example.com/gone:{number}"
        )
    used = path / "used.json"
    used.write_text(json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/kept:1"}}]))
    return layout, ["prune", "--all", "--force", "--grace", "0s", "--in-use", str(used), str(layout.path)]


def start(command: list[str]) -> subprocess.Popen[str]:
    """A shell starts what is in the background with SIGINT ignored: the run takes it all the same."""
    return subprocess.Popen(
        [sys.executable, "-m", "ocigc", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def caught(layout: Path, command: list[str]) -> subprocess.Popen[str]:
    """A run that is stopped in the middle of its sweep: some blobs have been moved, and many have not. A run that was
    too fast for that has its layout again, and another takes its place.
    """
    with tempfile.TemporaryDirectory() as directory:
        spare = shutil.copytree(layout, Path(directory) / "layout")
        for _ in range(20):
            process = start(command)
            if in_the_sweep(layout, process):
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if len(list((layout / "blobs" / "sha256").iterdir())) > 100:
                    return process
                process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)
            shutil.rmtree(layout)
            shutil.copytree(spare, layout)
    pytest.fail("no run was caught in its sweep")


def in_the_sweep(layout: Path, process: subprocess.Popen[str]) -> bool:
    """Waits until blobs have been moved; whether that has come before the end."""
    moved = layout / ".ocigc" / "run" / "blobs" / "sha256"
    while process.poll() is None:
        if moved.exists() and any(moved.iterdir()):
            return True
        time.sleep(0.0005)
    return False


def interrupted(layout: Path, command: list[str], number: signal.Signals = signal.SIGTERM) -> Result:
    """A run that is signalled in the middle of its sweep."""
    process = caught(layout, command)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


def killed(layout: Path, command: list[str]) -> None:
    process = caught(layout, command)
    process.kill()
    process.communicate(timeout=60)
    assert (layout / ".ocigc" / "run").exists()


def test_after_a_kill_the_next_prune_finishes_and_reports(tmp_path: Path) -> None:
    layout, command = labelled(tmp_path)
    before = layout.present()
    sizes = {path.name: path.stat().st_size for path in layout.path.glob("blobs/*/*")}
    killed(layout.path, command)
    for looking in (("ls",), ("prune", "-n")):
        assert "`ocigc restore --interrupted` undoes it" in ocigc(*looking, layout.path).err
    result = ocigc("prune", "--force", "--format", "json", layout.path)
    assert result.code == 0
    assert "finished an earlier prune that was interrupted" in result.err
    gone = before - layout.present()
    assert set(result.json["Orphans"]) == gone
    assert result.json["SpaceReclaimed"] == sum(sizes[digest.partition(":")[2]] for digest in gone)
    history = [json.loads(line) for line in (layout.path / ".ocigc" / "history.jsonl").read_text().splitlines()]
    assert history[0]["freed"] == result.json["SpaceReclaimed"]


def test_after_a_kill_it_can_be_undone(tmp_path: Path) -> None:
    layout, command = labelled(tmp_path)
    before = snapshot(layout.path)
    killed(layout.path, command)
    result = ocigc("restore", "--interrupted", layout.path)
    assert result.code == 0
    assert "restored: example.com/gone:7" in result.out
    assert snapshot(layout.path) == before
    refused(ocigc("restore", "--interrupted", layout.path), 2, "no run was interrupted")


def test_what_others_named_since_the_kill_stays_when_it_is_undone(world: World) -> None:
    with pytest.raises(Killed):
        world.prune(moved=lambda: raise_(Killed))
    new = world.newcomer()
    assert ocigc("restore", "--interrupted", world.writer.path).code == 0
    entries = json.loads((world.writer.path / "index.json").read_text())["manifests"]
    assert {entry["digest"] for entry in entries} == {each["digest"] for each in (new, world.gone, world.kept)}
    assert all(map(world.writer.has, (new, world.gone, world.layer)))


@pytest.mark.parametrize("command", ["prune", "restore"])
def test_an_index_that_was_displaced_when_it_was_killed_is_not_lost(
    world: World, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two exchanges: the other program's index.json lies in the run's directory."""
    index, real, new = world.writer.path / "index.json", index_exchange.exchange, world.writer.image("new", ["new"])
    new["annotations"] = {"org.opencontainers.image.ref.name": "example.com/new:1"}

    def exchange(*arguments: object) -> bool:
        document = json.loads(index.read_text())
        index.write_text(json.dumps({**document, "manifests": [*document["manifests"], new]}))
        real(*arguments)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    with pytest.raises(Killed):
        world.prune()
    monkeypatch.undo()
    arguments = ["restore", "--interrupted"] if command == "restore" else ["prune", "--force", "--grace", "0s"]
    assert ocigc(*arguments, world.writer.path).code == 0
    assert new["digest"] in {entry["digest"] for entry in json.loads(index.read_text())["manifests"]}
    assert world.writer.has(world.layer) == (command == "restore")


def raise_(kind: type[BaseException]) -> None:
    raise kind


@pytest.mark.parametrize("step", ["blobs", "index", "note"])
@pytest.mark.parametrize("command", ["restore", "prune --force --grace 0s", "trash empty --force"])
def test_a_restore_that_is_killed_is_finished_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, command: str
) -> None:
    """No prune comes between its steps, whatever its grace."""
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    layout.tag(layout.image("gone", ["gone"]), "example.com/gone:1")
    before = snapshot(layout.path)
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    from ocigc.pruning import restore_steps, trash

    target, name = {
        "blobs": (put_back._Way, "_sync"),
        "index": (restore_steps, "add_entries"),
        "note": (trash, "note_restored"),
    }[step]
    monkeypatch.setattr(target, name, lambda *_: raise_(Killed))
    with Layout(str(layout.path)) as opened, pytest.raises(Killed):
        restore(opened)
    monkeypatch.undo()
    result = ocigc(*command.split(), layout.path)
    assert result.code == 0, result
    if command != "restore":
        assert "finished an earlier restore" in result.err
    assert snapshot(layout.path) == before


def test_a_restore_that_is_killed_can_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    layout.tag(layout.image("gone", ["gone"]), "example.com/gone:1")
    before = snapshot(layout.path)
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    after = snapshot(layout.path)
    monkeypatch.setattr("ocigc.pruning.restore_steps.add_entries", lambda *_: raise_(Killed))
    with Layout(str(layout.path)) as opened, pytest.raises(Killed):
        restore(opened)
    monkeypatch.undo()
    assert ocigc("restore", "--interrupted", layout.path).code == 0
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert snapshot(layout.path) == after
    assert ocigc("restore", layout.path).code == 0
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("in_the_way", ["blob", "directory"])
def test_a_restore_that_cannot_be_finished_says_how_to_give_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_way: str
) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    gone = layout.image("gone", ["gone"])
    layout.tag(gone, "example.com/gone:1")
    before = snapshot(layout.path)
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    monkeypatch.setattr("ocigc.pruning.restore_steps.copy_back", lambda *_: raise_(Killed))
    with Layout(str(layout.path)) as opened, pytest.raises(Killed):
        restore(opened)
    monkeypatch.undo()
    blobs = layout.path / "blobs" / "sha256"
    if in_the_way == "blob":
        layout.blob_path(gone).mkdir()
    else:
        blobs.rename(layout.path / "aside")
        blobs.write_bytes(b"")
    refused(
        ocigc("prune", "--force", layout.path),
        3,
        "blobs/sha256",
        "an earlier restore is still to be finished",
        "ocigc restore --interrupted",
    )
    assert ocigc("restore", "--interrupted", layout.path).code == 0
    if in_the_way == "blob":
        layout.blob_path(gone).rmdir()
    else:
        blobs.unlink()
        (layout.path / "aside").rename(blobs)
    assert ocigc("restore", layout.path).code == 0
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("command", ["restore", "restore --interrupted", "prune --force --grace 0s"])
def test_an_index_that_was_displaced_when_a_restore_was_killed_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Also where the restore is given up."""
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    layout.tag(layout.image("gone", ["gone"]), "example.com/gone:1")
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    index, real, new = layout.path / "index.json", index_exchange.exchange, layout.image("new", ["new"])
    new["annotations"] = {"org.opencontainers.image.ref.name": "example.com/new:1"}

    def exchange(*arguments: Any) -> bool:
        document = json.loads(index.read_text())
        index.write_text(json.dumps({**document, "manifests": [*document["manifests"], new]}))
        real(*arguments)
        raise Killed

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    with pytest.raises(Killed):
        restore(str(layout.path))
    monkeypatch.undo()
    assert ocigc(*command.split(), layout.path).code == 0
    entries = json.loads(index.read_text())["manifests"]
    assert sorted(map(str, entries)) == sorted(map(str, [*layout.entries, new]))
    assert not (layout.path / ".ocigc" / "run").exists()


def test_what_was_removed_since_a_restore_was_killed_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index.json that the restore has displaced is known, and not another program's."""
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    layout.tag(layout.image("gone", ["gone"]), "example.com/gone:1")
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    monkeypatch.setattr("ocigc.pruning.trash.note_restored", lambda *_: raise_(Killed))
    with pytest.raises(Killed):
        restore(str(layout.path))
    monkeypatch.undo()
    index = layout.path / "index.json"
    document = json.loads(index.read_text())
    assert document["manifests"] == layout.entries
    index.write_text(json.dumps({**document, "manifests": layout.entries[1:]}))
    assert ocigc("restore", layout.path).code == 0
    assert json.loads(index.read_text())["manifests"] == layout.entries[1:]


def test_an_interrupt_in_a_tree_rolls_back_what_is_under_way(tmp_path: Path) -> None:
    layout, command = labelled(tmp_path / "tree")
    before = snapshot(layout.path)
    command[-1:] = ["--recursive", str(tmp_path / "tree")]
    result = interrupted(layout.path, command, signal.SIGINT)
    assert result.code == 3, result
    assert snapshot(layout.path) == before, result
