"""Writers that know nothing of us, at the worst moments: each test lets one act between two steps of a real run."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocigc.errors import Refused
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import load
from ocigc.pruning import index_exchange
from ocigc.pruning.restore import restore
from ocigc.times import SECOND
from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor
from tests.helpers.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "layout")
    yield world
    world.images_are_whole()
    assert {path.name for path in (world.writer.path / ".ocigc").glob("*")} <= {"lock"}


def test_without_a_writer_all_goes(world: World) -> None:
    outcome = world.prune()
    assert outcome is not None
    assert outcome.stayed == frozenset()
    assert not world.writer.has(world.layer)
    assert not world.sidecar.exists()


def test_an_index_that_changed_since_the_plan_is_not_replaced(world: World) -> None:
    new: list[Descriptor] = []
    assert world.prune(before=lambda: new.append(world.newcomer())) is None
    assert all(map(world.writer.has, (new[0], world.gone, world.layer)))
    outcome = world.prune()
    assert outcome is not None
    assert world.writer.has(new[0])
    assert world.writer.has(world.layer)
    assert not world.writer.has(world.gone)


@pytest.mark.parametrize("name", ["lock", ""])
def test_a_run_whose_lock_has_been_removed_does_not_begin(world: World, name: str) -> None:
    """Somebody took it for a stale one, while the run asked its question."""
    path = world.writer.path / ".ocigc"

    def remove() -> None:
        (path / "lock").unlink()
        if not name:
            path.rmdir()

    with pytest.raises(Refused, match=r"\.ocigc: another program has removed the lock in it; nothing was changed"):
        world.prune(before=remove)
    assert world.writer.has(world.gone)


def test_what_is_pushed_during_the_sweep_gets_its_layer_back(world: World) -> None:
    outcome = world.prune(sweeping=world.newcomer)
    assert outcome is not None
    assert outcome.stayed == {world.layer["digest"]}
    assert world.writer.has(world.layer)
    assert json.loads(world.sidecar.read_text()) == {"a": "b"}
    assert not world.writer.has(world.gone)


def test_an_image_that_is_put_back_during_the_sweep_comes_back_whole(world: World) -> None:
    old = (world.writer.path / "index.json").read_bytes()

    def writer_with_an_old_index() -> None:
        (world.writer.path / "index.new").write_bytes(old)
        (world.writer.path / "index.new").rename(world.writer.path / "index.json")

    outcome = world.prune(sweeping=writer_with_an_old_index)
    assert outcome is not None
    assert outcome.size == 0
    assert (world.writer.path / "index.json").read_bytes() == old
    assert world.writer.has(world.gone)


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_an_image_that_is_put_back_while_the_layout_is_read_again_is_whole(world: World, moment: int) -> None:
    old = (world.writer.path / "index.json").read_bytes()
    reads: list[int] = []

    def writer_with_an_old_index() -> None:
        reads.append(len(reads))
        if len(reads) == moment:
            (world.writer.path / "index.new").write_bytes(old)
            (world.writer.path / "index.new").rename(world.writer.path / "index.json")

    outcome = world.prune(sweeping=world.newcomer, looking=writer_with_an_old_index)
    assert outcome is not None
    assert outcome.size == 0
    assert world.writer.has(world.gone)


def test_a_lease_that_is_taken_since_the_plan_is_honoured(world: World) -> None:
    outcome = world.prune(before=lambda: world.writer.lease("late", [world.gone]))
    assert outcome is not None
    assert outcome.size == 0
    assert world.writer.has(world.gone)
    assert world.writer.has(world.layer)


def test_a_lease_that_is_taken_during_the_sweep_is_honoured(world: World) -> None:
    outcome = world.prune(sweeping=lambda: world.writer.lease("later", [world.gone]))
    assert outcome is not None
    assert world.writer.has(world.gone)
    assert world.writer.has(world.layer)


def test_a_blob_that_is_touched_since_the_scan_stays(world: World) -> None:
    outcome = world.prune(sweeping=lambda: os.utime(world.writer.blob_path(world.layer)))
    assert outcome is not None
    assert outcome.stayed == {world.layer["digest"]}
    assert world.writer.has(world.layer)


def test_a_blob_that_is_written_anew_since_the_scan_stays(world: World) -> None:
    def rewrite() -> None:
        path = world.writer.blob_path(world.layer)
        path.with_name("tmp").write_bytes(path.read_bytes())
        path.with_name("tmp").rename(path)

    outcome = world.prune(sweeping=rewrite)
    assert outcome is not None
    assert outcome.stayed == {world.layer["digest"]}


def test_a_blob_that_somebody_else_removes_is_no_failure(world: World) -> None:
    outcome = world.prune(sweeping=lambda: world.writer.blob_path(world.layer).unlink())
    assert outcome is not None
    assert not world.writer.has(world.gone)


@pytest.mark.parametrize("moment", ["before", "sweeping"])
@pytest.mark.parametrize("key", ["containerd.io/gc.root", "containerd.io/gc.ref.content.x"])
def test_a_label_that_is_set_meanwhile_keeps_its_blob(world: World, moment: str, key: str) -> None:
    """As a root, or as an edge from an image that stays."""

    def label() -> None:
        if key.endswith("root"):
            world.writer.labels(world.layer, {key: "1"})
        else:
            world.writer.labels(world.kept, {key: world.layer["digest"]})

    outcome = world.prune(**{moment: label})
    assert outcome is not None
    assert outcome.stayed == {world.layer["digest"]}
    assert world.writer.has(world.layer)
    assert not world.writer.has(world.gone)


def test_a_label_file_that_is_written_in_place_during_the_sweep_is_honoured(world: World) -> None:
    """The writer had it open before it was moved away."""
    with world.sidecar.open("r+b", buffering=0) as file:

        def write() -> None:
            assert not world.sidecar.exists()
            file.write(b'{"containerd.io/gc.root": "1"}')

        outcome = world.prune(moved=write)
    assert outcome is not None
    assert world.writer.has(world.layer)


@pytest.mark.parametrize("moment", ["before", "sweeping"])
def test_a_manifest_that_is_pushed_meanwhile_keeps_what_it_refers_to(world: World, moment: str) -> None:
    """Its writer found the layer present, and names the manifest once we are done."""
    pushed: list[Descriptor] = []

    def push() -> None:
        pushed.append(world.writer.manifest(world.writer.config("pushed"), [world.layer]))

    outcome = world.prune(**{moment: push})
    assert outcome is not None
    assert outcome.stayed == {world.layer["digest"]}
    world.writer.entries = json.loads((world.writer.path / "index.json").read_text())["manifests"]
    world.writer.tag(pushed[0], "example.com/pushed:1")


def test_a_manifest_that_is_written_anew_keeps_what_it_refers_to(world: World) -> None:
    """skopeo writes a manifest over the same one, and names it once we are done."""
    content = world.writer.blob_path(world.gone).read_bytes()
    outcome = world.prune(sweeping=lambda: world.writer.blob_path(world.gone).write_bytes(content))
    assert outcome is not None
    assert {world.layer["digest"], world.gone["digest"]} <= outcome.stayed
    world.writer.entries = json.loads((world.writer.path / "index.json").read_text())["manifests"]
    world.writer.tag(world.gone, "example.com/again:1")


def test_what_is_written_into_the_displaced_index_is_not_lost(world: World) -> None:
    """BuildKit opens index.json, and writes into the file that it has opened."""
    index = world.writer.path / "index.json"
    with index.open("r+b", buffering=0) as file:
        new: list[Descriptor] = []

        def write() -> None:
            new.append(world.writer.image("new", ["new"]))
            document = {"schemaVersion": 2, "manifests": [*world.writer.entries, new[0]]}
            file.write(json.dumps(document).encode())
            file.truncate()

        assert world.prune(sweeping=write) is None
    entries = json.loads(index.read_text())["manifests"]
    assert entries == [*world.writer.entries, new[0]]
    assert all(map(world.writer.has, (world.gone, world.layer, world.kept, *new)))


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_an_index_that_is_written_in_the_moment_of_the_exchange_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """It is displaced, and comes back; what yet another writer puts in the place of ours meanwhile is added to it, and
    so is what comes while that is added."""
    index, real = world.writer.path / "index.json", index_exchange.exchange
    new = [world.writer.image(f"new {number}", [f"new {number}"]) for number in range(writes)]

    def write(image: Descriptor) -> None:
        document = json.loads(index.read_text())
        index.write_text(json.dumps({**document, "manifests": [*document["manifests"], image]}))

    moments = iter(new)

    def exchange(*arguments: Any) -> bool:
        if (image := next(moments, None)) is not None:
            write(image)
        return real(*arguments)

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    assert world.prune() is None
    digests = {entry["digest"] for entry in json.loads(index.read_text())["manifests"]}
    assert digests == {entry["digest"] for entry in (*world.writer.entries, *new)}


@pytest.mark.parametrize("command", ["prune", "restore"])
def test_what_is_opened_between_two_exchanges_and_written_later_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """oras writes index.json twice: into the file that we displace, and then into ours, which we take back. It ends
    after us."""
    world = World(tmp_path / "layout")
    index, real = world.writer.path / "index.json", index_exchange.exchange
    image = world.writer.image("new", ["new"])
    named = {**image, "annotations": {"org.opencontainers.image.ref.name": "example.com/new:1"}}
    if command == "restore":
        assert ocigc("prune", "--force", "--grace", "0s", "--trash", "1h", world.writer.path).code == 0
    document = json.loads(index.read_text())

    def content(entry: Descriptor) -> str:
        return json.dumps({**document, "manifests": [*document["manifests"], entry]})

    steps = iter([lambda: index.write_text(content(image)), lambda: index.open("w")])
    opened: list[Any] = []

    def exchange(*arguments: Any) -> bool:
        opened.append(next(steps, lambda: None)())
        return real(*arguments)

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    with pytest.raises(Refused, match=r"nothing is lost|nothing was changed"):
        world.prune() if command == "prune" else restore(str(world.writer.path))
    monkeypatch.undo()
    with opened[1] as file:
        file.write(content(named))
    entries = json.loads(index.read_text())["manifests"]
    assert entries == [*document["manifests"], named]
    finish = ["restore", *(["--interrupted"] if command == "prune" else [])]
    assert ocigc(*finish, world.writer.path).code == 0
    entries = json.loads(index.read_text())["manifests"]
    assert named in entries
    assert {entry["digest"] for entry in entries} == {each["digest"] for each in (world.gone, world.kept, image)}


def test_without_an_exchange_a_writer_in_the_last_moment_is_kept_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS: a second link to the old file tells."""
    index = world.writer.path / "index.json"
    new = world.writer.image("new", ["new"])

    def write() -> None:
        document = json.loads(index.read_text())
        index.write_text(json.dumps({**document, "manifests": [*document["manifests"], new]}))

    moments = iter([write])

    def exchange(*_: Any) -> bool:
        next(moments, lambda: None)()
        return False

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    assert world.prune() is None
    digests = [entry["digest"] for entry in json.loads(index.read_text())["manifests"]]
    assert digests == [entry["digest"] for entry in (*world.writer.entries, new)]
    assert world.prune() is not None
    assert not world.writer.has(world.gone)


def test_the_lock_of_buildkit_is_respected(world: World) -> None:
    """It is refused while BuildKit has it; with time, it waits."""
    lock_file = world.writer.path / "index.json.lock"
    before = (world.writer.path / "index.json").read_bytes()
    with lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Refused, match=r"index\.json\.lock.*nothing was changed"):
            world.prune()
        assert (world.writer.path / "index.json").read_bytes() == before
        assert world.writer.has(world.gone)

        def release() -> None:
            lock_file.unlink()
            fcntl.flock(file, fcntl.LOCK_UN)

        later = threading.Timer(1.5, release)
        later.start()
        assert world.prune(wait=60 * SECOND) is not None
        later.join()
    assert not world.writer.has(world.gone)
    assert not lock_file.exists()


def test_the_lock_of_buildkit_is_held_while_index_json_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = index_exchange.exchange, []

    def exchange(*arguments: Any) -> bool:
        with (world.writer.path / "index.json.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tried.append("refused")
        return real(*arguments)

    monkeypatch.setattr(index_exchange, "exchange", exchange)
    assert world.prune() is not None
    assert tried == ["refused"]


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
def test_a_file_that_is_being_written_in_place_is_read_again(world: World, name: str) -> None:
    file = world.writer.path / name
    content = file.read_bytes()
    file.write_bytes(b"")
    rest = threading.Timer(0.1, file.write_bytes, [content])
    rest.start()
    with Layout(str(world.writer.path)) as layout:
        assert len(layout.read_index().entries) == 2
    rest.join()
    assert world.prune() is not None


def test_what_an_index_names_that_is_written_behind_the_first_look_is_there(world: World) -> None:
    """The blobs are listed anew then: the image came with its entry."""
    file, image = world.writer.path / "index.json", world.writer.blob_path(world.newcomer())
    index, manifest = file.read_bytes(), image.read_bytes()
    image.unlink()
    file.write_bytes(index[:-10])

    def push() -> None:
        image.write_bytes(manifest)
        file.write_bytes(index)

    rest = threading.Timer(0.1, push)
    rest.start()
    phases: list[str] = []
    with Layout(str(world.writer.path)) as layout:
        snapshot = load(layout, None, time.time_ns(), phases.append)
        with snapshot.store as store:
            assert [store.find(each.target.digest) is None for each in snapshot.images] == [False] * 3
    rest.join()
    assert phases.count("Scanning blobs") == 2
    assert world.prune() is not None
