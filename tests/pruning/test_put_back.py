"""What comes back is there and sound, or has not left the trash; what is in the way is looked at."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

RM = ("rm", "--force", "--trash", "1h")
NAME = "example.com/gone:1"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    """An image, under two algorithms and with labels, is in the trash."""
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["kept"]), "example.com/kept:1")
    gone = writer.manifest(writer.config("gone"), [writer.blob("gone"), writer.blob("512", algorithm="sha512")])
    writer.labels(gone, {"some": "label"})
    writer.tag(gone, NAME)
    assert ocigc(*RM, writer.path, NAME).code == 0
    assert not writer.has(gone)
    return writer


def trash(layout: LayoutWriter) -> dict[str, bytes]:
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    return {str(path.relative_to(run)): path.read_bytes() for path in run.glob("*/*/*")}


def test_missing_directories_are_made(layout: LayoutWriter) -> None:
    for name in ("blobs/sha512", "labels"):
        shutil.rmtree(layout.path / name)
    held = trash(layout)
    assert ocigc("restore", layout.path).code == 0
    assert all((layout.path / path).read_bytes() == content for path, content in held.items())
    assert trash(layout) == held
    assert ocigc("verify", layout.path).code == 0


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda _: b"", lambda content: content + b"x"])
def test_what_is_torn_and_in_the_way_is_replaced(layout: LayoutWriter, damage: Callable[[bytes], bytes]) -> None:
    held = trash(layout)
    for path, content in held.items():
        (layout.path / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.path / path).write_bytes(damage(content))
    assert ocigc("restore", layout.path).code == 0
    labels = {path for path in held if path.startswith("labels/")}
    assert all((layout.path / path).read_bytes() == held[path] for path in held.keys() - labels)
    assert all(json.loads((layout.path / path).read_bytes()) == {"some": "label"} for path in labels)
    assert trash(layout) == held
    assert ocigc("verify", layout.path).code == 0


def test_what_is_sound_and_in_the_way_stays(layout: LayoutWriter) -> None:
    """Another program has pushed it again, and has given it other labels."""
    for path, content in trash(layout).items():
        (layout.path / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.path / path).write_bytes(b'{"other": "label"}' if path.startswith("labels/") else content)
    before = snapshot(layout.path)
    inodes = {path: path.stat().st_ino for path in layout.path.glob("*/*/*")}
    assert ocigc("restore", layout.path).code == 0
    before.pop("index.json")
    after = snapshot(layout.path)
    after.pop("index.json")
    assert after == before
    assert {path: path.stat().st_ino for path in layout.path.glob("*/*/*")} == inodes


def test_labels_that_keep_blobs_are_added_to_those_in_the_way(layout: LayoutWriter) -> None:
    """What was in the trash is nowhere lost by a restore: what a label there refers to stays after it, too."""
    referred = layout.blob("referred to by a label")
    target = layout.image("labelled")
    layout.tag(target, "labelled:1")
    layout.labels(target, {"containerd.io/gc.ref.content.x": referred["digest"], "old": "1", "both": "old"})
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "labelled:1").code == 0
    assert not layout.has(referred)
    layout.labels(target, {"both": "new"})
    assert ocigc("restore", layout.path).code == 0
    labels = json.loads(layout.sidecar_path(target).read_text())
    assert labels == {"containerd.io/gc.ref.content.x": referred["digest"], "both": "new"}
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert layout.has(referred)


def test_a_torn_copy_in_the_trash_does_not_win(layout: LayoutWriter) -> None:
    """Neither over a sound blob, nor over none: and it is told."""
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    config = next(path for path in run.glob("blobs/sha256/*") if b"comment" in path.read_bytes())
    sound = config.read_bytes()
    config.write_bytes(sound[:-1])
    result = ocigc("restore", layout.path)
    assert (result.code, f"sha256:{config.name}" in result.err) == (1, True)
    assert "cannot be read, or is corrupt" in result.err
    there = layout.path / "blobs" / "sha256" / config.name
    assert not there.exists()
    there.write_bytes(b"torn too")
    result = ocigc("restore", layout.path)
    assert (result.code, "cannot be read, or is corrupt" in result.err) == (1, True)
    there.write_bytes(sound)
    assert ocigc("restore", layout.path).code == 0
    assert there.read_bytes() == sound
    assert ocigc("verify", layout.path).code == 0


def test_what_is_being_written_is_waited_for(layout: LayoutWriter) -> None:
    path, content = next((layout.path / path, content) for path, content in trash(layout).items() if "blobs" in path)
    path.write_bytes(content[:3])
    inode = path.stat().st_ino
    later = threading.Timer(0.3, path.write_bytes, [content])
    later.start()
    assert ocigc("restore", layout.path).code == 0
    later.join()
    assert (path.read_bytes(), path.stat().st_ino) == (content, inode)


@pytest.mark.parametrize("kind", ["directory", "symlink", "fifo"])
def test_what_is_no_file_and_in_the_way_stops_it(layout: LayoutWriter, kind: str) -> None:
    held = trash(layout)
    path = layout.path / next(path for path in held if path.startswith("blobs/"))
    if kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    index = (layout.path / "index.json").read_bytes()
    refused(ocigc("restore", layout.path), 3, path.name, "not a plain file")
    assert (layout.path / "index.json").read_bytes() == index
    assert trash(layout) == held
    (path.rmdir if kind == "directory" else path.unlink)()
    assert ocigc("restore", layout.path).code == 0
    assert ocigc("verify", layout.path).code == 0


def test_a_symlink_in_place_of_a_directory_is_not_followed(layout: LayoutWriter, tmp_path: Path) -> None:
    (layout.path / "blobs" / "sha512").rmdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (layout.path / "blobs" / "sha512").symlink_to(outside)
    held = trash(layout)
    refused(ocigc("restore", layout.path), 3, "blobs/sha512")
    assert list(outside.iterdir()) == []
    assert trash(layout) == held


def test_blobs_without_links(layout: LayoutWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has none, they leave the trash, and only once they are back."""
    from ocigc.layout.dirfd import Dir
    from ocigc.layout.layout import Layout
    from ocigc.pruning.restore import restore

    def link(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Dir, "link", link)
    with Layout(str(layout.path)) as opened:
        assert restore(opened).missing == []
    assert ocigc("verify", layout.path).code == 0
    assert [path for path in trash(layout) if path.startswith("blobs/")] == []


def test_signatures_and_parts_come_back_with_their_image(tmp_path: Path) -> None:
    """Also where only the image is asked for: without names they are found by what they refer to, or is referred to."""
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    amd64, arm64 = layout.image("amd64", ["amd64"]), layout.image("arm64", ["arm64"])
    index = layout.index([amd64, arm64])
    layout.tag(index, NAME)
    layout.entry(amd64)
    layout.entry(arm64)
    layout.entry(layout.manifest(layout.config("signature"), [layout.blob("s")], subject=index))
    layout.tag(layout.image("tagged signature", ["t"]), index["digest"].replace(":", "-") + ".sig")
    layout.tag(layout.image("other", ["other"]), "example.com/other:1")
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    assert ocigc(*RM, layout.path, NAME, "example.com/other:1").code == 0
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1
    assert ocigc("restore", "--image", NAME, layout.path).code == 0
    assert json.loads((layout.path / "index.json").read_text())["manifests"] == entries[:-1]
    assert ocigc("verify", layout.path).code == 0


@pytest.mark.parametrize(
    ("there", "same"),
    [(b"a" * (1 << 20) + b"b", True), (b"a" * (1 << 20) + b"c", False), (b"a" * (1 << 20), False)],
)
def test_what_cannot_be_verified_has_to_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes, same: bool
) -> None:
    """Without the library for its algorithm, the file in the way is compared with what comes back."""
    from ocigc.digest import Digest
    from ocigc.errors import Refused
    from ocigc.layout.dirfd import Dir
    from ocigc.layout.layout import Layout
    from ocigc.pruning.put_back import put_back

    monkeypatch.setitem(sys.modules, "blake3", None)
    writer = LayoutWriter(tmp_path / "layout")
    writer.write_index()
    digest = Digest.parse(f"blake3:{'0' * 64}")
    source, target = (tmp_path / top / "blobs" / "blake3" / ("0" * 64) for top in ("run", "layout"))
    for path, content in ((source, b"a" * (1 << 20) + b"b"), (target, there)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with Layout(str(writer.path)) as layout, Dir.at(tmp_path / "run") as run:
        if same:
            assert put_back(layout, run, [digest]).back == [digest]
        else:
            with pytest.raises(Refused, match="two files differ"):
                put_back(layout, run, [digest])
    assert source.exists() is not same
    assert target.read_bytes() == there
