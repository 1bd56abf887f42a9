"""What cannot be carried out is refused before anything is changed, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

PRUNE = ("prune", "--force", "--grace", "0s")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and file attributes need root")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["kept"]), "example.com/kept:1")
    gone = writer.image("gone", ["gone"])
    writer.tag(gone)
    writer.labels(gone, {"some": "label"})
    return writer


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts by mount(8)'s arguments, the last of which is where."""
    mounted: list[str] = []

    def perform(*arguments: str | Path) -> None:
        command = ["mount", *map(str, arguments)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip(f"refused here: {' '.join(command)}")
        mounted.append(command[-1])

    yield perform
    for path in reversed(mounted):
        subprocess.run(["umount", path], check=True)


def attribute(path: Path, flag: str) -> None:
    if shutil.which("chattr") is None or subprocess.run(["chattr", flag, path], check=False).returncode:
        pytest.skip(f"chattr {flag} is refused here")


@pytest.mark.parametrize("directory", ["blobs/sha256", "labels/sha256"])
@pytest.mark.parametrize("flag", ["i", "a"])
def test_an_immutable_or_append_only_directory(layout: LayoutWriter, directory: str, flag: str) -> None:
    path = layout.path / directory
    before = snapshot(layout.path)
    attribute(path, f"+{flag}")
    try:
        refused(ocigc(*PRUNE, layout.path), 3, directory, "lsattr", "nothing was changed")
        assert snapshot(layout.path) == before
        assert not (layout.path / ".ocigc").exists()
    finally:
        attribute(path, f"-{flag}")
    assert ocigc(*PRUNE, layout.path).code == 0


@pytest.mark.parametrize("directory", ["blobs/sha256", "labels/sha256", "blobs"])
@pytest.mark.parametrize("bind", [True, False])
def test_another_device_or_mount(
    layout: LayoutWriter, tmp_path: Path, mount: Callable[..., None], directory: str, *, bind: bool
) -> None:
    """A bind mount has the same device, but files cannot be moved to and from it either."""
    path, aside = layout.path / directory, tmp_path / "aside"
    if bind:
        path.rename(aside)
        path.mkdir()
        mount("--bind", aside, path)
    else:
        shutil.copytree(path, aside)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        shutil.copytree(aside, path, dirs_exist_ok=True)
    before = snapshot(layout.path)
    refused(ocigc(*PRUNE, layout.path), 3, "another device, mount or quota", "nothing was changed")
    assert snapshot(layout.path) == before


def test_a_read_only_mount(layout: LayoutWriter, mount: Callable[..., None]) -> None:
    before = snapshot(layout.path)
    assert ocigc("lease", "ls", layout.path).code == 0
    mount("--bind", layout.path, layout.path)
    subprocess.run(["mount", "-o", "remount,bind,ro", layout.path], check=True)
    refused(ocigc(*PRUNE, layout.path), 3, "Read-only file system")
    assert ocigc("prune", "-n", layout.path).code == 0
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("options", [(), ("--trash", "1h")])
def test_an_overlay_of_what_is_read_only(
    layout: LayoutWriter, tmp_path: Path, mount: Callable[..., None], options: tuple[str, ...]
) -> None:
    """The layout lies in the lower layer: what is moved is copied up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "tmpfs", disk)
    for name in ("lower", "upper", "work", "merged"):
        (disk / name).mkdir()
    shutil.copytree(layout.path, disk / "lower" / "layout")
    directories = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work"
    mount("-t", "overlay", "-o", directories, "overlay", disk / "merged")
    merged = disk / "merged" / "layout"
    before = snapshot(merged)
    assert ocigc(*PRUNE, *options, merged).code == 0
    assert len(snapshot(merged)) < len(before)
    assert ocigc("verify", merged).code == 0
    if options:
        assert ocigc("restore", merged).code == 0
        assert snapshot(merged).keys() == before.keys()
        assert ocigc("verify", merged).code == 0


def test_one_file_that_cannot_be_moved_rolls_the_run_back(layout: LayoutWriter) -> None:
    gone = layout.blob_path(layout.entries[1])
    before = snapshot(layout.path)
    attribute(gone, "+i")
    try:
        refused(ocigc(*PRUNE, layout.path), 3, "nothing was changed")
        assert snapshot(layout.path) == before
        assert not (layout.path / ".ocigc").exists()
    finally:
        attribute(gone, "-i")
    assert ocigc(*PRUNE, layout.path).code == 0


def test_what_a_killed_try_has_left_is_removed(layout: LayoutWriter) -> None:
    for directory in ("blobs/sha256", "labels/sha256"):
        (layout.path / directory / ".ocigc-probe").touch()
    assert ocigc(*PRUNE, layout.path).code == 0
    assert not list(layout.path.rglob(".ocigc-probe"))


@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_a_message_names_the_file_that_cannot_be_replaced(name: str, layout: LayoutWriter) -> None:
    """A refusal names the file: here index.json, or the list of `docker save`, is immutable."""
    config = json.loads(layout.blob_path(layout.entries[1]).read_text())["config"]["digest"]
    listed = [{"Config": f"blobs/{config.replace(':', '/')}", "RepoTags": ["example.com/gone:1"], "Layers": []}]
    (layout.path / "manifest.json").write_text(json.dumps(listed))
    before = snapshot(layout.path)
    attribute(layout.path / name, "+i")
    try:
        result = ocigc(*PRUNE, layout.path)
        refused(result, 3, name, "nothing was changed")
        # That of index.json is known before anything begins.
        assert ("rolled back" in result.err) == (name == "manifest.json")
        assert snapshot(layout.path) == before
    finally:
        attribute(layout.path / name, "-i")


def test_an_index_that_is_a_mount_of_its_own(layout: LayoutWriter, mount: Callable[..., None]) -> None:
    before = snapshot(layout.path)
    mount("--bind", layout.path / "index.json", layout.path / "index.json")
    result = ocigc(*PRUNE, layout.path)
    refused(result, 3, "index.json", "mount", "nothing was changed")
    assert "rolled back" not in result.err
    assert snapshot(layout.path) == before


def test_the_read_only_directory_is_named(layout: LayoutWriter, mount: Callable[..., None]) -> None:
    before = snapshot(layout.path)
    blobs = layout.path / "blobs/sha256"
    mount("--bind", blobs, blobs)
    subprocess.run(["mount", "-o", "remount,bind,ro", blobs], check=True)
    refused(ocigc(*PRUNE, layout.path), 3, "blobs/sha256", "Read-only file system", "nothing was changed")
    assert snapshot(layout.path) == before


def test_an_index_that_cannot_change_stops_a_restore(layout: LayoutWriter) -> None:
    before = snapshot(layout.path)
    assert ocigc(*PRUNE, "--trash", "1d", layout.path).code == 0
    pruned = snapshot(layout.path)
    attribute(layout.path / "index.json", "+i")
    try:
        refused(ocigc("restore", layout.path), 3, "index.json", "nothing was changed")
        assert snapshot(layout.path) == pruned
    finally:
        attribute(layout.path / "index.json", "-i")
    assert ocigc("restore", layout.path).code == 0
    assert snapshot(layout.path).keys() == before.keys()


@pytest.mark.parametrize("directory", ["blobs/sha256", "labels/sha256"])
@pytest.mark.parametrize("obstacle", ["+i", "mount"])
def test_a_directory_that_nothing_can_come_into_stops_a_restore(
    layout: LayoutWriter, mount: Callable[..., None], directory: str, obstacle: str
) -> None:
    before = snapshot(layout.path)
    assert ocigc(*PRUNE, "--trash", "1d", layout.path).code == 0
    pruned = snapshot(layout.path)
    place = layout.path / directory
    if obstacle == "mount":
        mount("--bind", place, place)
    else:
        attribute(place, obstacle)
    try:
        refused(ocigc("restore", layout.path), 3, directory, "nothing was changed")
        assert snapshot(layout.path) == pruned
        assert not (layout.path / ".ocigc/run").exists()
    finally:
        if obstacle != "mount":
            attribute(place, "-i")
    if obstacle != "mount":
        assert ocigc("restore", layout.path).code == 0
        assert snapshot(layout.path).keys() == before.keys()


def test_an_index_on_another_mount_than_the_state_is_known_before(
    layout: LayoutWriter, mount: Callable[..., None]
) -> None:
    """Also where no blob goes."""
    layout.tag({**layout.entries[0]}, "example.com/kept:2")
    (layout.path / ".ocigc").mkdir()
    mount("-t", "tmpfs", "tmpfs", layout.path / ".ocigc")
    before = snapshot(layout.path)
    refused(ocigc("rm", "--force", layout.path, "example.com/kept:2"), 3, "index.json", "another device", "nothing was")
    assert snapshot(layout.path) == before
    assert not (layout.path / ".ocigc/run").exists()


def test_a_trash_on_another_mount_is_known_before(layout: LayoutWriter, mount: Callable[..., None]) -> None:
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    trash = layout.path / ".ocigc" / "trash"
    mount("--bind", trash, trash)
    before = snapshot(layout.path)
    layout.tag(layout.image("next", ["next"]))
    for words in (("restore",), ("rm", "--force", "--trash", "1h")):
        reference = ["example.com/kept:1", "--allow-empty"] if words[0] == "rm" else []
        done = ocigc(*words, layout.path, *reference)
        refused(done, 3, ".ocigc/trash", "another device", "nothing was changed")
        assert not (layout.path / ".ocigc" / "run").exists()
    assert before.keys() <= snapshot(layout.path).keys()
    assert ocigc("rm", "--force", layout.path, "example.com/kept:1").code == 0


def test_what_cannot_be_freed_is_named_and_blocks_nothing_for_ever(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    (blobs,) = layout.path.glob(".ocigc/trash/*/blobs")
    attribute(blobs, "+i")
    place = ".ocigc/trash/discarded"
    try:
        for _ in range(2):
            done = ocigc("trash", "empty", "--force", layout.path)
            refused(done, 3, f"{place}: cannot remove blobs/sha256", "nothing needs it any more: remove it")
    finally:
        attribute(layout.path / place / "blobs", "-i")
    shutil.rmtree(layout.path / place)
    assert ocigc(*PRUNE, layout.path).code == 0


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_a_trash_on_another_mount_can_be_emptied(
    layout: LayoutWriter, tmp_path: Path, mount: Callable[..., None], kind: str
) -> None:
    """By hand, and by a prune once its time is over."""
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    layout.tag(layout.image("next", ["next"]), "example.com/next:1")
    assert ocigc("rm", "--force", "--trash", "1ns", layout.path, "example.com/next:1").code == 0
    trash, aside = layout.path / ".ocigc" / "trash", tmp_path / "aside"
    if kind == "tmpfs":
        shutil.copytree(trash, aside)
        mount("-t", "tmpfs", "tmpfs", trash)
        shutil.copytree(aside, trash, dirs_exist_ok=True)
    else:
        mount("--bind", trash, trash)
    assert len(ocigc("trash", "ls", "--format", "json", layout.path).json) == 2
    time.sleep(0.01)
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = trash.iterdir()
    (trash / "discarded" / "blobs").mkdir(parents=True)  # a command was killed here
    assert [each["Run"] for each in ocigc("trash", "ls", "--format", "json", layout.path).json] == [run.name]
    emptied = ocigc("trash", "empty", "--force", layout.path)
    assert (emptied.code, emptied.err, list(trash.iterdir())) == (0, "", [])


@pytest.mark.parametrize("flag", ["i", "a"])
def test_a_run_in_the_trash_that_cannot_be_written_to_is_known_before_a_restore(
    layout: LayoutWriter, flag: str
) -> None:
    """The trash has to remember what has been restored."""
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    before = snapshot(layout.path)
    attribute(run, f"+{flag}")
    try:
        refused(ocigc("restore", layout.path), 3, f".ocigc/trash/{run.name}", "lsattr", "nothing was changed")
        assert (snapshot(layout.path), (layout.path / ".ocigc" / "run").exists()) == (before, False)
    finally:
        attribute(run, f"-{flag}")
    assert ocigc("restore", layout.path).code == 0


def test_an_immutable_trash_is_known_before(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    layout.tag(layout.image("next", ["next"]))
    before, history = snapshot(layout.path), (layout.path / ".ocigc" / "history.jsonl").read_text()
    attribute(layout.path / ".ocigc" / "trash", "+i")
    try:
        done = ocigc(*PRUNE, "--trash", "1h", layout.path)
        refused(done, 3, ".ocigc/trash: nothing can be put there", "lsattr", "nothing was changed")
        assert "rolled back" not in done.err
    finally:
        attribute(layout.path / ".ocigc" / "trash", "-i")
    assert (snapshot(layout.path), (layout.path / ".ocigc" / "history.jsonl").read_text()) == (before, history)


@pytest.mark.parametrize("flag", ["i", "a"])
def test_the_state_directory_is_named_if_nothing_can_be_removed_from_it(layout: LayoutWriter, flag: str) -> None:
    assert ocigc(*PRUNE, "--trash", "1h", layout.path).code == 0
    layout.tag(layout.image("next", ["next"]))
    state = layout.path / ".ocigc"
    names = sorted(path.name for path in state.iterdir())
    attribute(state, f"+{flag}")
    try:
        for command in (PRUNE, ("restore",)):
            refused(ocigc(*command, layout.path), 3, f"{state}: ", "lsattr", "nothing was changed")
        assert sorted(path.name for path in state.iterdir()) == names
    finally:
        attribute(state, f"-{flag}")
