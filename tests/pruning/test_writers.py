"""Writers that know nothing of us, at the worst moments: each test lets one act between two steps of a real run."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters
from ocigc.gc.in_use import InUse
from ocigc.layout import lock
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import labels_of, load
from ocigc.progress import Report
from ocigc.pruning.execute import Executed, execute, recover
from ocigc.pruning.planning import decide
from tests.helpers.layouts import Descriptor, LayoutWriter

Act = Callable[[], object]


class World:
    """A layout with one image that goes and one that stays, and a run that can be disturbed."""

    def __init__(self, path: Path) -> None:
        self.writer = LayoutWriter(path)
        self.layer = self.writer.blob("shared with a newcomer")
        self.gone = self.writer.manifest(self.writer.config("gone"), [self.layer])
        self.kept = self.writer.image("kept", ["kept"])
        self.writer.tag(self.gone)
        self.writer.tag(self.kept, "example.com/kept:1")
        self.sidecar = self.writer.labels(self.layer, {"a": "b"})

    def prune(self, before: Act = lambda: None, sweeping: Act = lambda: None) -> Executed | None:
        """A run; `before` happens when the plan has been made, `sweeping` when the blobs are about to go."""

        def phase(name: str) -> Report | None:
            if name == "Removing blobs":
                sweeping()
            return None

        with Layout(str(self.writer.path)) as layout, lock.exclusive(layout, 0) as state:
            now = time.time_ns()
            recover(layout, state, now, lambda _: None)
            snapshot = load(layout, None, now, lambda _: None)
            request = Request(Filters(True, (), ()), InUse(), now, 0)
            plan = decide(snapshot.inputs, request, labels_of(snapshot, request.rules), snapshot.store)
            before()
            with snapshot.store:
                return execute(snapshot, plan, [], state, now, None, phase)

    def newcomer(self) -> Descriptor:
        """Another tool pushes an image that shares a layer with the one that goes, as if we were not there."""
        image = self.writer.manifest(self.writer.config("new"), [self.layer])
        self.writer.entries = json.loads((self.writer.path / "index.json").read_text())["manifests"]
        self.writer.tag(image, "example.com/new:1")
        return image

    def images_are_whole(self) -> None:
        with Layout(str(self.writer.path)) as layout:
            snapshot = load(layout, None, time.time_ns(), lambda _: None, record=True)
            with snapshot.store as store:
                assert store.missing() == []
                assert store.faults() == []
                assert all(store.find(image.target.digest) is not None for image in snapshot.images)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "layout")
    yield world
    world.images_are_whole()
    assert [path.name for path in (world.writer.path / ".ocigc").iterdir()] == ["lock"]


def test_undisturbed(world: World) -> None:
    outcome = world.prune()
    assert outcome is not None
    assert outcome.spared == frozenset()
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


def test_what_is_pushed_during_the_sweep_gets_its_layer_back(world: World) -> None:
    outcome = world.prune(sweeping=world.newcomer)
    assert outcome is not None
    assert outcome.spared == {world.layer["digest"]}
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


def test_a_blob_that_is_touched_since_the_scan_is_spared(world: World) -> None:
    outcome = world.prune(sweeping=lambda: os.utime(world.writer.blob_path(world.layer)))
    assert outcome is not None
    assert outcome.spared == {world.layer["digest"]}
    assert world.writer.has(world.layer)


def test_a_blob_that_is_written_anew_since_the_scan_is_spared(world: World) -> None:
    def rewrite() -> None:
        path = world.writer.blob_path(world.layer)
        path.with_name("tmp").write_bytes(path.read_bytes())
        path.with_name("tmp").rename(path)

    outcome = world.prune(sweeping=rewrite)
    assert outcome is not None
    assert outcome.spared == {world.layer["digest"]}


def test_a_blob_that_somebody_else_removes_is_no_failure(world: World) -> None:
    outcome = world.prune(sweeping=lambda: world.writer.blob_path(world.layer).unlink())
    assert outcome is not None
    assert not world.writer.has(world.gone)


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
