"""The sweep into the trash, and the purge of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocigc._native import ffi, lib
from ocigc.errors import Refused
from ocigc.native import Store, Swept, purge
from tests.helpers.layouts import Descriptor, LayoutWriter
from tests.helpers.stores import node, scanned

_GRAIN = 0.02  # seconds: the clock of files may stand still for so long


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


@pytest.fixture
def trash(tmp_path: Path) -> Path:
    path = tmp_path / "trash"
    path.mkdir()
    return path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def sweep(store: Store, targets: Sequence[Descriptor], trash: Path) -> list[Swept]:
    with opened(trash) as directory:
        return [Swept(fate) for fate in store.sweep([node(store, target) for target in targets], directory)]


def in_trash(trash: Path, target: Descriptor) -> Path:
    return trash.joinpath("blobs", *target["digest"].split(":"))


def test_blobs_go_and_their_sidecars_with_them(layout: LayoutWriter, trash: Path) -> None:
    labelled, plain, stays = layout.blob("labelled"), layout.blob("plain", algorithm="sha512"), layout.blob("stays")
    labels = {"a": "b"}
    layout.labels(labelled, labels)
    layout.labels(stays, labels)
    with scanned(layout) as store:
        assert sweep(store, [labelled, plain], trash) == [Swept.MOVED, Swept.MOVED]
    assert layout.present() == {stays["digest"]}
    assert layout.sidecar_path(stays).exists()
    assert not layout.sidecar_path(labelled).exists()
    assert in_trash(trash, labelled).read_text() == "labelled"
    assert in_trash(trash, plain).read_text() == "plain"
    sidecar = trash / "labels" / (labelled["digest"].replace(":", "/") + ".json")
    assert json.loads(sidecar.read_text()) == labels


def test_a_layout_without_labels_gets_no_trash_for_them(layout: LayoutWriter, trash: Path) -> None:
    blob = layout.blob("blob")
    with scanned(layout) as store:
        assert sweep(store, [blob], trash) == [Swept.MOVED]
    assert [path.name for path in trash.iterdir()] == ["blobs"]


@pytest.mark.parametrize("surveyed", [True, False])
def test_what_somebody_touched_since_is_spared(layout: LayoutWriter, trash: Path, surveyed: bool) -> None:
    grown, touched, replaced, linked, gone = (
        layout.blob(name) for name in ("grown", "touched", "replaced", "linked", "gone")
    )
    layout.labels(grown, {})
    with scanned(layout) as store:
        if surveyed:
            store.stat()
        time.sleep(_GRAIN)
        with layout.blob_path(grown).open("a") as file:
            file.write("more")
        os.utime(layout.blob_path(touched))
        fresh = layout.path / "fresh"
        fresh.write_text("replaced")
        fresh.rename(layout.blob_path(replaced))
        os.link(layout.blob_path(linked), layout.path / "link")
        layout.blob_path(gone).unlink()
        fates = sweep(store, [grown, touched, replaced, linked, gone], trash)
    assert fates == [Swept.SKIPPED] * 4 + [Swept.MISSING]
    assert layout.present() == {blob["digest"] for blob in (grown, touched, replaced, linked)}
    assert layout.sidecar_path(grown).exists()


def test_two_names_of_a_file_that_gets_a_third_are_spared(layout: LayoutWriter, trash: Path) -> None:
    """The third may be in a layout that needs it. The sweep of one name changes the ctime of the other just so."""
    pairs = []
    for name in ("quiet", "linked"):
        one, two = layout.blob(name), layout.blob(name, algorithm="sha512")
        layout.blob_path(two).unlink()
        os.link(layout.blob_path(one), layout.blob_path(two))
        pairs += [one, two]
    with scanned(layout) as store:
        store.stat()
        time.sleep(_GRAIN)
        os.link(layout.blob_path(pairs[2]), layout.path / "link")
        assert sweep(store, pairs, trash) == [Swept.MOVED] * 2 + [Swept.SKIPPED] * 2


def test_large_blobs_are_moved_or_spared_like_others(layout: LayoutWriter, trash: Path) -> None:
    quiet, touched = layout.blob("quiet"), layout.blob("touched")
    for blob in (quiet, touched):
        os.truncate(layout.blob_path(blob), 5 << 30)
    with scanned(layout) as store:
        store.stat()
        time.sleep(_GRAIN)
        os.utime(layout.blob_path(touched))
        assert sweep(store, [quiet, touched], trash) == [Swept.MOVED, Swept.SKIPPED]
    assert in_trash(trash, quiet).stat().st_size == 5 << 30


def test_what_became_a_symlink_is_spared(layout: LayoutWriter, trash: Path) -> None:
    blob = layout.blob("blob")
    with scanned(layout) as store:
        store.stat()
        layout.blob_path(blob).unlink()
        layout.blob_path(blob).symlink_to(layout.path / "oci-layout")
        assert sweep(store, [blob], trash) == [Swept.SKIPPED]


def test_unregistered_algorithms_are_never_swept(layout: LayoutWriter, trash: Path) -> None:
    (layout.path / "blobs" / "sha3").mkdir()
    (layout.path / "blobs" / "sha3" / "name").touch()
    with scanned(layout) as store:
        assert sweep(store, [{"digest": "sha3:name"}], trash) == [Swept.SKIPPED]
    assert layout.present() == {"sha3:name"}


def test_what_an_interrupted_run_left_in_the_trash_is_replaced(layout: LayoutWriter, trash: Path) -> None:
    blob, linked = layout.blob("blob"), layout.blob("linked")
    in_trash(trash, blob).parent.mkdir(parents=True)
    in_trash(trash, blob).write_text("left")
    # Between two names of one inode, a plain rename does nothing and reports success.
    os.link(layout.blob_path(linked), in_trash(trash, linked))
    with scanned(layout) as store:
        assert sweep(store, [blob, linked], trash) == [Swept.MOVED, Swept.MOVED]
    assert layout.present() == set()
    assert in_trash(trash, blob).read_text() == "blob"
    assert in_trash(trash, linked).read_text() == "linked"


def test_many_blobs_on_many_threads(layout: LayoutWriter, trash: Path) -> None:
    blobs = [layout.blob(str(number)) for number in range(3000)]
    for blob in blobs[::2]:
        layout.labels(blob, {})
    with scanned(layout) as store:
        layout.blob_path(blobs[1000]).unlink()
        fates = sweep(store, blobs, trash)
    assert fates == [Swept.MOVED] * 1000 + [Swept.MISSING] + [Swept.MOVED] * 1999
    assert layout.present() == set()
    assert len(list((trash / "labels" / "sha256").iterdir())) == 1500


def test_a_failure_stops_and_is_told(layout: LayoutWriter, trash: Path) -> None:
    blob = layout.blob("blob")
    in_trash(trash, blob).mkdir(parents=True)
    with (
        scanned(layout) as store,
        pytest.raises(Refused, match=f"cannot move blobs/sha256/{in_trash(trash, blob).name}"),
    ):
        sweep(store, [blob], trash)
    assert layout.has(blob)


def test_a_cancelled_sweep_keeps_the_rest(layout: LayoutWriter, trash: Path) -> None:
    layout.blob("blob")
    with scanned(layout) as store, opened(trash) as directory:
        fates, nodes = ffi.new("uint8_t[]", [9]), ffi.new("uint32_t[]", [0])
        progress, error = ffi.new("struct ocigc_progress *", {"cancel": 1}), ffi.new("struct ocigc_error *")
        code = lib.ocigc_sweep(store.handle, nodes, 1, directory, False, fates, progress, error)
        assert (code, fates[0]) == (lib.OCIGC_CANCELLED, Swept.NOT_TRIED)
    assert len(layout.present()) == 1


# The purge


def test_a_purge_removes_everything_and_follows_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    to_delete = tmp_path / "doomed"
    for path in (
        to_delete / "blobs" / "sha256",
        to_delete / "labels" / "sha256" / "a" / "b",
        to_delete / "0",
        to_delete / "1" / "1",
    ):
        path.mkdir(parents=True)
    for number in range(3000):
        (to_delete / "blobs" / "sha256" / str(number)).touch()
    (to_delete / "labels" / "sha256" / "file").touch()
    (to_delete / "2").touch()
    (to_delete / "labels" / "to-directory").symlink_to(outside)
    (to_delete / "to-directory").symlink_to(outside)
    os.mkfifo(to_delete / "fifo")
    with opened(tmp_path) as directory:
        purge(directory, "doomed")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "file").exists()


def test_a_purge_of_a_deep_tree(tmp_path: Path) -> None:
    (tmp_path / "doomed").mkdir()
    here = os.open(tmp_path / "doomed", os.O_RDONLY)
    for _ in range(3000):  # deeper than descriptors or a path would reach
        os.mkdir("deeper", dir_fd=here)
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with opened(tmp_path) as directory:
        purge(directory, "doomed")
    assert list(tmp_path.iterdir()) == []


def test_a_purge_of_what_is_not_there_is_done(tmp_path: Path) -> None:
    with opened(tmp_path) as directory:
        purge(directory, "nothing")


def test_a_symlink_is_not_purged(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "link").symlink_to("outside")
    with opened(tmp_path) as directory, pytest.raises(Refused, match="cannot open link"):
        purge(directory, "link")
    assert (tmp_path / "outside" / "file").exists()


def test_the_survey_refuses_what_is_no_plain_file_any_more(layout: LayoutWriter) -> None:
    blob = layout.blob("content")
    with scanned(layout) as store:
        layout.blob_path(blob).unlink()
        layout.blob_path(blob).symlink_to("/etc/passwd")
        with pytest.raises(Refused, match="is a symlink"):
            store.size(node(store, blob))


def test_what_is_gone_before_the_survey_has_no_bytes(layout: LayoutWriter) -> None:
    blob = layout.blob("content")
    with scanned(layout) as store:
        layout.blob_path(blob).unlink()
        assert store.freed([node(store, blob)]) == 0
