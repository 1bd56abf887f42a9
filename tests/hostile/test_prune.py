"""What a prune makes of hostile and broken layouts, beyond what the corpus asks of every command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import CONFIG, INDEX, LAYER, MANIFEST, LayoutWriter, snapshot

PRUNE = ("prune", "--all", "--force", "--grace", "0s", "--allow-empty")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("one"), "example.com/one:1")
    writer.tag(writer.image("two", ["base", "two"]))
    writer.blob("an orphan")
    return writer


def unchanged(layout: LayoutWriter, code: int, *words: str) -> None:
    """Neither a prune nor a dry run gets further than one line."""
    before = snapshot(layout.path)
    for command in (PRUNE, (*PRUNE, "--dry-run")):
        refused(ocigc(*command, layout.path), code, *words)
    assert snapshot(layout.path) == before


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    refused(ocigc(*PRUNE, tmp_path / "none"), 2, "none")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(ocigc(*PRUNE, tmp_path / "file"), 2, "file", "directory")


def test_a_directory_that_is_no_layout_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / "index.json").write_text('{"manifests": []}')
    before = snapshot(tmp_path)
    refused(ocigc(*PRUNE, tmp_path), 2, "not an OCI image layout")
    assert snapshot(tmp_path) == before
    assert not (tmp_path / ".ocigc").exists()


@pytest.mark.parametrize("content", ["{}", '{"imageLayoutVersion": "2.0.0"}', '{"imageLayoutVersion": 1}'])
def test_a_marker_that_is_none(layout: LayoutWriter, content: str) -> None:
    (layout.path / "oci-layout").write_text(content)
    unchanged(layout, 2, "oci-layout")


def test_a_layout_without_index_is_refused(layout: LayoutWriter) -> None:
    (layout.path / "index.json").unlink()
    unchanged(layout, 2, "index.json")


def manifest_of(layout: LayoutWriter) -> dict[str, Any]:
    return layout.entries[0]


@pytest.mark.parametrize("name", ["run", "draft", "trash", "discarded"])
def test_a_file_in_place_of_a_directory_of_the_state(layout: LayoutWriter, name: str) -> None:
    state = layout.path / ".ocigc"
    state.mkdir()
    (state / name).write_bytes(b"")
    refused(ocigc(*PRUNE, layout.path), 3, f".ocigc/{name}: not a directory", "move away")


@pytest.mark.parametrize("name", [".ocigc/repair", ".ocigc/.ocigc-probe", "blobs/sha256/.ocigc-probe"])
def test_a_directory_in_place_of_a_file_of_the_state(layout: LayoutWriter, name: str) -> None:
    """What is to be moved away is named exactly: not the whole state."""
    (layout.path / name).mkdir(parents=True)
    refused(ocigc(*PRUNE, layout.path), 3, f"{name}: a directory, not a plain file; move it away")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("x"), os.mkfifo])
def test_what_is_in_place_of_the_lock_of_buildkit_is_named(layout: LayoutWriter, make: Callable[[Path], None]) -> None:
    make(layout.path / "index.json.lock")
    refused(ocigc(*PRUNE, layout.path), 3, f"{layout.path}/index.json.lock: ")
    assert not (layout.path / ".ocigc/run").exists()


def test_a_manifest_that_is_claimed_to_be_an_index(layout: LayoutWriter) -> None:
    layout.tag({**layout.image("x"), "mediaType": INDEX}, "example.com/x:1")
    refused(ocigc("prune", "--force", layout.path), 3, "sha256:", "example.com/x:1")


def run(layout: LayoutWriter, *options: str) -> Result:
    result = ocigc(*PRUNE, "--format", "json", *options, layout.path)
    assert result.code == 0, result
    return result


def test_what_is_foreign_stays(layout: LayoutWriter) -> None:
    blobs = layout.path / "blobs"
    foreign = [
        blobs / "README",
        blobs / "sha256" / "tmp-upload",
        blobs / "sha256" / ("A" * 64),
        blobs / "sha256" / ("a" * 65),
        blobs / "md5" / ("a" * 32),
        layout.path / "notes.txt",
    ]
    (blobs / "md5").mkdir()
    for path in foreign:
        path.write_text("mine")
    (blobs / "sha256" / os.fsdecode(b"\xff\xfe")).write_text("mine")
    run(layout)
    assert all(path.exists() for path in foreign)
    assert (blobs / "sha256" / os.fsdecode(b"\xff\xfe")).exists()


def test_an_image_under_an_unregistered_algorithm_holds_its_layers(layout: LayoutWriter) -> None:
    layer = layout.blob("only there")
    content = json.dumps({"schemaVersion": 2, "config": layout.config("other"), "layers": [layer]})
    (layout.path / "blobs" / "md5").mkdir()
    (layout.path / "blobs" / "md5" / "abc").write_text(content)
    layout.tag({"mediaType": MANIFEST, "digest": "md5:abc", "size": len(content)}, "example.com/md5:1")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/md5:1"}}])
    result = ocigc(*PRUNE, "--in-use", "-", layout.path, stdin=used)
    assert result.code == 0, result
    assert layout.has(layer)


def test_a_deep_chain_of_indexes(layout: LayoutWriter) -> None:
    target = layout.image("deep", ["bottom"])
    for _ in range(10_000):
        target = layout.index([target])
    layout.entries = []
    layout.tag(target, "example.com/deep:1")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/deep:1"}}])
    before = layout.present()
    result = ocigc(*PRUNE, "--in-use", "-", "--format", "json", layout.path, stdin=used)
    assert result.code == 0, result
    assert len(before - layout.present()) == len(result.json["Orphans"])
    assert layout.has(target)


def test_unknown_json_is_looked_into(layout: LayoutWriter) -> None:
    kept = layout.blob("kept by an unknown document")
    document = layout.json({"anything": [{"deep": kept}]}, "application/vnd.example.thing.v1+json")
    leaf = layout.blob("{ not json", "application/vnd.example.other.v1+json")
    layout.entries = []
    layout.tag(layout.manifest(layout.config(), [document, leaf]), "example.com/thing:1")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/thing:1"}}])
    assert ocigc(*PRUNE, "--in-use", "-", layout.path, stdin=used).code == 0
    assert all(map(layout.has, (kept, document, leaf)))


def test_hostile_names_never_reach_a_terminal_raw(layout: LayoutWriter) -> None:
    layout.tag(layout.image("evil"), "evil\x1b[2J\u202e:1\ud800")
    for command in (("ls",), ("prune", "-a", "-n")):
        result = ocigc(*command, layout.path)
        assert result.code == 0, result
        assert "evil" in result.out
        assert "\x1b" not in result.out
        assert "\u202e" not in result.out
    assert json.loads(ocigc("ls", "--format", "json", layout.path).out)


def test_layers_are_not_read(layout: LayoutWriter) -> None:
    """A layer that is corrupt or of the wrong size is not a prune's business."""
    layer = layout.blob("good", LAYER)
    layout.tag(layout.manifest(layout.config("l"), [layer]), "example.com/layer:1")
    layout.blob_path(layer).write_text("bad and longer")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/layer:1"}}])
    assert ocigc(*PRUNE, "--in-use", "-", layout.path, stdin=used).code == 0
    assert layout.has(layer)


def test_an_unreadable_config_keeps_an_image_only_where_labels_are_asked(layout: LayoutWriter) -> None:
    config = layout.blob("no config", CONFIG)
    image = layout.manifest(config)
    layout.entries = []
    layout.tag(image, "example.com/noconfig:1")
    run(layout, "--filter", "label!=keep")
    assert layout.has(image)
    run(layout)
    assert not layout.has(image)


def test_an_index_of_a_million_entries(layout: LayoutWriter) -> None:
    target = layout.entries[0]
    layout.entries = [
        {**target, "annotations": {"org.opencontainers.image.ref.name": f"example.com/many:{number}"}}
        for number in range(1_000_000)
    ]
    layout.write_index()
    command = [sys.executable, "-m", "ocigc", *PRUNE, "--format", "json", str(layout.path)]
    process = subprocess.run(
        ["prlimit", f"--as={2 << 30}", *command], capture_output=True, text=True, check=False, timeout=600, cwd="/"
    )
    assert process.returncode == 0, process.stderr
    assert len(json.loads(process.stdout)["ImagesDeleted"]) == 1_000_000 + 3
    assert json.loads((layout.path / "index.json").read_text())["manifests"] == []


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        pytest.param(['{"digest":"a:b","size":0}'] * ((1 << 21) + 1), "entries", id="so many that memory runs out"),
        pytest.param(['{"digest":"a:b","size":0,"x":"%s"}' % ("x" * (1 << 20))], "larger", id="an entry too large"),
    ],
)
def test_an_index_beyond_its_bounds(layout: LayoutWriter, entries: list[str], word: str) -> None:
    (layout.path / "index.json").write_text(f'{{"manifests":[{",".join(entries)}]}}')
    unchanged(layout, 3, "index.json", word)


def test_a_blob_from_the_future_is_in_grace(layout: LayoutWriter) -> None:
    """A blob from the future is young, whatever the grace; with none, it is an orphan like any other."""
    layout.entries = layout.entries[:1]
    layout.write_index()
    orphan = layout.blob("from the future")
    os.utime(layout.blob_path(orphan), (4_000_000_000, 4_000_000_000))
    assert ocigc("prune", "--force", "--grace", "1ms", layout.path).code == 0
    assert layout.has(orphan)
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert not layout.has(orphan)


def test_a_lease_with_hostile_times(layout: LayoutWriter) -> None:
    target = layout.entries[0]
    for expire in ("", "9999-99-99T00:00:00Z", "2020-01-01T00:00:00+99:99", "0000-00-00T00:00:00Z", "1e9", "\x1b[2J"):
        layout.lease("l", [target], expire=expire)
        run(layout)
        assert layout.has(target), "what is no time never comes"
    layout.lease("l", [target], expire="0000-01-01T00:00:00Z")
    run(layout)
    assert not layout.has(target)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of half a megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", path]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("gone"))
    fill = small_disk / "fill"
    with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    before = snapshot(layout.path)
    refused(ocigc(*PRUNE, layout.path), 3, str(layout.path), "the disk is full: this needs ", " bytes free there")
    assert snapshot(layout.path) == before
    assert not list((layout.path / ".ocigc").glob("draft"))
    fill.unlink()
    assert ocigc(*PRUNE, layout.path).code == 0


DEFAULT = ("prune", "--force", "--grace", "0s")


def fill(disk: Path) -> Path:
    path = disk / "fill"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return path


def test_a_full_disk_needs_exactly_what_the_message_says(small_disk: Path) -> None:
    """A run works with no byte free, or says exactly how much it needs: once so much is free, it works. A run that is
    refused has freed nothing, not even an orphan too small to help.
    """
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    layout.entry(layout.image("gone", ["gone" * 1000]))
    layout.blob("small orphan")
    full = fill(small_disk)
    before = snapshot(layout.path)
    done = ocigc(*DEFAULT, layout.path)
    refused(done, 3, "nothing was changed")
    assert snapshot(layout.path) == before
    found = re.search(r"this needs ([\d,]+) bytes free there", done.err)
    assert found is not None
    os.truncate(full, full.stat().st_size - int(found[1].replace(",", "")))
    assert ocigc(*DEFAULT, layout.path).code == 0
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


def test_a_full_disk_with_orphans_only(small_disk: Path) -> None:
    """Orphans need no journal: where nothing else goes, no byte has to be free."""
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    orphans = [layout.blob(f"orphan {number}") for number in range(3)]
    fill(small_disk)
    answer = ocigc(*DEFAULT, "--format", "json", layout.path).json
    assert sorted(answer["Orphans"]) == sorted(each["digest"] for each in orphans)
    assert not any(map(layout.has, orphans))


def test_a_disk_without_inodes(tmp_path: Path) -> None:
    """The message says that it is inodes that are missing, and how many. A prune of many orphans works without any."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=120", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        layout = LayoutWriter(disk / "layout")
        layout.tag(layout.image("kept"), "example.com/kept:1")
        layout.tag(layout.image("gone"), "example.com/gone:1")
        orphans = [layout.blob(f"orphan {number}") for number in range(40)]
        (layout.path / ".ocigc").mkdir()
        (layout.path / ".ocigc" / "lock").touch()
        with contextlib.suppress(OSError):
            for number in range(120):
                (disk / str(number)).touch()
        before = snapshot(layout.path)
        refused(ocigc("rm", "--force", layout.path, "example.com/gone:1"), 3, "inodes", "needs 32", "nothing was")
        assert snapshot(layout.path) == before
        assert ocigc(*DEFAULT, layout.path).code == 0
        assert not any(map(layout.has, orphans))
        assert ocigc("rm", "--force", layout.path, "example.com/gone:1").code == 0
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("room", ["an orphan", "a leftover"])
def test_a_full_disk_with_something_that_needs_no_journal(small_disk: Path, room: str) -> None:
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    layout.tag(layout.image("gone", ["gone" * 1000]))
    orphan = layout.blob("orphan" * 20_000)
    layout.labels(orphan, {"some": "label"})
    layout.lease("held", [orphan] if room == "a leftover" else [])
    leftover = layout.path / "oci-put-blob123"
    leftover.write_bytes(bytes(100_000))
    if room == "a leftover":
        os.utime(leftover, (0, 0))
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    result = ocigc(*PRUNE, "--format", "json", layout.path)
    assert (result.code, layout.has(layout.entries[1])) == (0, False)
    assert layout.has(orphan) == (room == "a leftover")
    assert leftover.exists() == (room == "an orphan")
    assert (result.json["Orphans"] == [orphan["digest"]]) == (room == "an orphan")
    assert bool(result.json["Leftovers"]) == (room == "a leftover")
    assert result.json["SpaceReclaimed"] > 100_000
    assert ocigc("verify", layout.path).code == 0


def test_a_full_disk_with_orphans_that_are_to_be_kept(small_disk: Path) -> None:
    """What goes to the trash is not freed to make room."""
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    layout.blob("orphan" * 20_000)
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    before = snapshot(layout.path)
    refused(ocigc(*PRUNE, "--trash", "1h", layout.path), 3, "the disk is full")
    assert snapshot(layout.path) == before


def test_a_restore_on_a_full_disk_says_what_it_needs(small_disk: Path) -> None:
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("kept"), "example.com/kept:1")
    layout.tag(layout.image("gone"), "example.com/gone:1")
    before = snapshot(layout.path)
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    pruned = snapshot(layout.path)
    filled = fill(small_disk)
    refusal = ocigc("restore", layout.path)
    refused(refusal, 3, str(layout.path), "the disk is full: this needs ", " bytes free there; nothing was changed")
    assert snapshot(layout.path) == pruned
    # That much is enough.
    needed = int(refusal.err.split("needs ")[1].split(" bytes")[0].replace(",", ""))
    with filled.open("r+b") as file:
        file.truncate(filled.stat().st_size - needed)
    assert ocigc("restore", layout.path).code == 0
    assert snapshot(layout.path).keys() == {*before, "fill"} - {"fill"}


def test_a_read_only_disk(small_disk: Path) -> None:
    layout = LayoutWriter(small_disk / "layout")
    layout.tag(layout.image("gone"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    refused(ocigc(*PRUNE, layout.path), 3, "Read-only")
    assert ocigc(*PRUNE, "--dry-run", layout.path).code == 0
    assert ocigc("verify", layout.path).code == 0
