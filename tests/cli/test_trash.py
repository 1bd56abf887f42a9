"""`--trash`, `ocigc trash ls`, `ocigc restore`, and leases by hand."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

PRUNE = ("prune", "--all", "--force", "--grace", "0s", "--allow-empty", "--trash", "7d")

DAY = 24 * 3600  # seconds


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    one, two = writer.image("one", ["base", "one"]), writer.image("two", ["base", "two"])
    writer.tag(writer.index([one, two]), "example.com/both:1")
    writer.tag(one, "example.com/one:1")
    writer.tag(two)
    writer.labels(one, {"some": "label"})
    writer.blob("orphan")
    return writer


def entries(layout: LayoutWriter) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((layout.path / "index.json").read_text())["manifests"]
    return sorted(found, key=json.dumps)


def test_a_whole_run_comes_back(layout: LayoutWriter) -> None:
    before, index = snapshot(layout.path), entries(layout)
    assert ocigc(*PRUNE, layout.path).code == 0
    assert layout.present() == set()
    (run,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert run["Blobs"] == 9
    assert [image["Name"] for image in run["Images"]] == ["example.com/both:1", "example.com/one:1", None]
    assert "example.com/one:1" in ocigc("trash", "ls", layout.path).out
    assert ocigc("restore", layout.path, run["Run"]).code == 0
    after = snapshot(layout.path)
    assert entries(layout) == index
    before.pop("index.json")
    after.pop("index.json")
    assert after == before
    (kept,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert kept == {**run, "Restored": True}
    assert ocigc("verify", layout.path).code == 0


@pytest.mark.parametrize("name", ["example.com/one:1", "example.com/both:1"])
def test_one_image_comes_back_with_what_it_needs(layout: LayoutWriter, name: str) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    assert ocigc("restore", "--image", name, layout.path).code == 0
    (entry,) = entries(layout)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": name}
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 0
    assert result.json["Missing"] == []
    assert ocigc("prune", "--dry-run", "--grace", "0s", "--format", "json", layout.path).json["Orphans"] == []


def test_an_image_comes_back_with_the_entries_of_its_parts(tmp_path: Path) -> None:
    """oras lists the manifests of an index in index.json too, without a name."""
    layout = LayoutWriter(tmp_path / "layout")
    part = layout.image("part", ["part"])
    layout.entry(part)
    layout.tag(layout.index([part]), "example.com/index:1")
    layout.tag(layout.image("other", ["other"]), "example.com/other:1")
    before = entries(layout)
    assert ocigc(*PRUNE, layout.path).code == 0
    assert ocigc("restore", "--image", "example.com/index:1", layout.path).code == 0
    assert entries(layout) == [entry for entry in before if "other" not in json.dumps(entry)]


def test_an_image_that_kept_its_content_gets_its_name_back(layout: LayoutWriter) -> None:
    used = layout.entries[1]["digest"]
    containers = json.dumps([{"Id": "c", "Image": used, "Config": {"Image": used}}])
    assert ocigc(*PRUNE, "--in-use", "-", layout.path, stdin=containers).code == 0
    assert ocigc("restore", "--image", "example.com/one:1", layout.path).code == 0
    assert "example.com/one:1" in ocigc("ls", layout.path).out


def test_labels_that_were_taken_off_come_back(layout: LayoutWriter) -> None:
    config = layout.config("held")
    layout.tag(layout.manifest(config), "example.com/held:1")
    labels = {"containerd.io/gc.root": "1", "containerd.io/gc.ref.snapshot.overlayfs": "key"}
    layout.labels(config, labels)
    assert ocigc(*PRUNE, layout.path).code == 0
    assert json.loads(layout.sidecar_path(config).read_text()) == {"containerd.io/gc.root": "1"}
    assert ocigc("restore", layout.path).code == 0
    assert json.loads(layout.sidecar_path(config).read_text()) == labels


def test_an_image_whose_name_has_moved_on_comes_back_without_it(layout: LayoutWriter) -> None:
    one = layout.entries[1]
    assert ocigc(*PRUNE, layout.path).code == 0
    layout.entries = []
    layout.tag(layout.image("new", ["new"]), "example.com/one:1")
    (new,) = entries(layout)
    result = ocigc("restore", "--image", "example.com/one:1", layout.path)
    assert (result.code, "example.com/one:1: another image has this name now" in result.err) == (0, True)
    assert entries(layout) == sorted([new, {**one, "annotations": {}}], key=json.dumps)
    assert ocigc("verify", layout.path).code == 0


@pytest.mark.parametrize("name", ["example.com/one:old", "old"])
def test_an_image_comes_back_under_another_name(layout: LayoutWriter, name: str) -> None:
    one = layout.entries[1]
    assert ocigc(*PRUNE, layout.path).code == 0
    layout.entries = []
    layout.tag(layout.image("new", ["new"]), "example.com/one:1")
    result = ocigc("restore", "--image", "example.com/one:1", "--as", name, layout.path)
    assert (result.code, result.err) == (0, "")
    assert {**one, "annotations": {"org.opencontainers.image.ref.name": name}} in entries(layout)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--as", "x:1"), "a new name is for one image"),
        (("--image", "example.com/one:1", "--as", "a,b"), "not a name"),
        (("--image", "example.com/one:1", "--as", "taken"), "another image has the name"),
        (("--interrupted", "--image", "example.com/one:1"), "--interrupted"),
        (("--interrupted",), "no run was interrupted"),
        (("--image", "sha256:abcdef0"), "no image"),
        (("deadbeef",), "no such run"),
    ],
)
def test_what_cannot_come_back_so(layout: LayoutWriter, arguments: tuple[str, ...], reason: str) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    layout.entries = []
    layout.tag(layout.image("new", ["new"]), "taken")
    before = snapshot(layout.path)
    refused(ocigc("restore", layout.path, *arguments), 2, reason)
    assert snapshot(layout.path) == before


@pytest.mark.parametrize("length", [7, 14, 64])
@pytest.mark.parametrize("algorithm", ["", "sha256:"])
def test_an_image_comes_back_by_its_digest(layout: LayoutWriter, algorithm: str, length: int) -> None:
    one = layout.entries[1]
    assert ocigc(*PRUNE, layout.path).code == 0
    assert one["digest"][:19] in ocigc("trash", "ls", layout.path).out
    reference = algorithm + one["digest"].removeprefix("sha256:")[:length]
    assert ocigc("restore", "--image", reference, layout.path).code == 0
    assert entries(layout) == [one]


def test_the_trash_keeps_what_was_restored(layout: LayoutWriter) -> None:
    """A writer that puts an old index.json back, and a prune after it, do not end the story."""
    index = entries(layout)
    assert ocigc(*PRUNE, layout.path).code == 0
    old = (layout.path / "index.json").read_bytes()
    assert ocigc("restore", layout.path).code == 0
    (layout.path / "index.json").write_bytes(old)
    assert ocigc("prune", "--force", "--grace", "0s", "--allow-empty", layout.path).code == 0
    assert layout.present() == set()
    assert ocigc("restore", layout.path).code == 0
    assert entries(layout) == index
    assert ocigc("verify", layout.path).code == 0


def test_what_was_restored_and_has_stayed_leaves_the_trash(layout: LayoutWriter) -> None:
    both, one, _ = layout.entries
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/both:1").code == 0
    assert ocigc("restore", layout.path).code == 0
    (marker,) = layout.path.glob(".ocigc/trash/*/restored")

    def prune() -> bool:
        """Whether the run is still in the trash after some other run."""
        layout.blob("another orphan")
        assert ocigc("prune", "--force", "--filter", "until=1h", "--grace", "0s", layout.path).code == 0
        return marker.exists()

    assert prune()
    document = json.loads(marker.read_text())
    marker.write_text(json.dumps({**document, "at": time.time_ns() - 2 * 3600 * 10**9}))
    index = (layout.path / "index.json").read_bytes()
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [one]}))
    assert ocigc("prune", "--force", layout.path).code == 0
    assert marker.exists()
    (layout.path / "index.json").write_bytes(index)
    assert not prune()
    assert layout.has(both)


def test_what_has_rotted_since_it_was_restored_stays_in_the_trash(layout: LayoutWriter) -> None:
    """The copy in the trash is the only sound one, as where the file system has no hard links."""
    both, *_ = layout.entries
    assert ocigc("rm", "--force", "--trash", "1d", layout.path, "example.com/both:1").code == 0
    assert ocigc("restore", layout.path).code == 0
    (marker,) = layout.path.glob(".ocigc/trash/*/restored")
    document = json.loads(marker.read_text())
    marker.write_text(json.dumps({**document, "at": time.time_ns() - 2 * 3600 * 10**9}))
    path = layout.blob_path(both)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(content)))
    prune = ("prune", "--force", "--filter", "until=1h", layout.path)
    assert ocigc(*prune).code == 3  # the manifest cannot be believed
    assert marker.exists()
    assert ocigc("restore", layout.path).code == 0
    assert path.read_bytes() == content
    path.unlink()
    path.write_bytes(content)
    marker.write_text(json.dumps({**document, "at": time.time_ns() - 2 * 3600 * 10**9}))
    assert ocigc(*prune).code == 0
    assert not marker.exists()


def test_a_trash_of_another_version_says_what_to_do(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    (journal,) = layout.path.glob(".ocigc/trash/*/journal.json")
    journal.write_text(json.dumps({**json.loads(journal.read_text()), "version": 3}))
    for command in (("restore",), ("trash", "ls"), PRUNE):
        refused(ocigc(*command, layout.path), 3, journal.parent.name, "version 3", "with the ocigc that made it")
    assert len(list(layout.path.glob(".ocigc/trash/*/blobs/*/*"))) == 9


def as_of_0_1(run: Path) -> None:
    """Gives the directory of a run the form that ocigc 0.1.0 wrote."""
    journal = json.loads((run / "journal.json").read_text())
    keys = ("id", "started", "expires", "before", "after", "removed", "unlease")
    (run / "journal.json").write_text(json.dumps({"version": 1, **{key: journal[key] for key in keys}}))
    (run / "to-delete").rename(run / "doomed")


def test_a_trash_of_0_1_can_be_read(layout: LayoutWriter) -> None:
    before, blobs = entries(layout), layout.present()
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = layout.path.glob(".ocigc/trash/*")
    as_of_0_1(run)
    assert run.name in ocigc("trash", "ls", layout.path).out
    assert ocigc(*PRUNE, layout.path).code == 0
    assert ocigc("restore", layout.path).code == 0
    assert sorted(map(str, entries(layout))) == sorted(map(str, before))
    assert layout.present() == blobs
    assert ocigc("trash", "empty", "--force", layout.path).code == 0
    assert not run.exists()


@pytest.mark.parametrize("undo", [True, False])
def test_a_run_of_0_1_that_was_interrupted(layout: LayoutWriter, undo: bool) -> None:
    before, blobs = entries(layout), layout.present()
    assert ocigc(*PRUNE, layout.path).code == 0
    kept = layout.present()
    (trashed,) = layout.path.glob(".ocigc/trash/*")
    run = layout.path / ".ocigc" / "run"
    trashed.rename(run)
    as_of_0_1(run)
    done = ocigc("restore", "--interrupted", layout.path) if undo else ocigc("prune", "--force", layout.path)
    assert done.code == 0, done
    assert not run.exists()
    assert blobs <= layout.present() if undo else kept <= layout.present() and not blobs <= layout.present()
    if undo:
        assert entries(layout) == before
    else:
        assert "finished an earlier prune that was interrupted" in done.err
        assert ocigc("restore", layout.path).code == 0
        assert blobs <= layout.present()


def damages(name: str) -> list[tuple[str, Callable[[Path], object]]]:
    """What can be wrong with a file or directory of a run, by that name."""
    kinds: list[tuple[str, Callable[[Path], object]]] = [
        ("missing", lambda _: None),
        ("symbolic link", lambda path: path.symlink_to("/etc/passwd")),
    ]
    if name.startswith("blobs"):
        return [("not a directory", lambda path: path.write_bytes(b"")), ("not a directory", kinds[1][1])]
    return [*kinds, ("not a plain file", os.mkfifo), ("not a plain file", Path.mkdir)]


@pytest.mark.parametrize("name", ["journal.json", "index.before", "blobs", "blobs/sha256"])
def test_a_damaged_run_in_the_trash_is_named_with_the_way_out(layout: LayoutWriter, name: str) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = layout.path.glob(".ocigc/trash/*")
    place = f".ocigc/trash/{run.name}"
    aside = layout.path / ".ocigc" / "aside"
    for words in (("restore",), ("trash", "ls"), ("trash", "empty", "--force")):
        for what, damage in damages(name)[:: 1 if words == ("restore",) else 3]:
            (run / name).rename(aside)
            damage(run / name)
            before = snapshot(layout.path)
            way_out = f"; move {place} out of the layout to go on without it"
            refused(ocigc(*words, layout.path), 3, f"{place}/{name}: ", what, way_out)
            assert snapshot(layout.path) == before
            if (run / name).is_dir() and not (run / name).is_symlink():
                (run / name).rmdir()
            else:
                (run / name).unlink(missing_ok=True)
            aside.rename(run / name)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", "unleased", "index.json", "index.before", "to-delete"])
def test_a_damaged_run_that_was_interrupted_is_named_with_the_way_out(layout: LayoutWriter, name: str) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    (trashed,) = layout.path.glob(".ocigc/trash/*")
    run = trashed.rename(layout.path / ".ocigc" / "run")
    (run / name).rename(layout.path / ".ocigc" / "aside")
    for damage in (lambda path: path.symlink_to("/etc/passwd"), os.mkfifo):
        damage(run / name)
        before = snapshot(layout.path), snapshot(run)
        for words in (("restore", "--interrupted"), ("prune", "--force")):
            way_out = "; move .ocigc/run out of the layout to go on without it"
            refused(ocigc(*words, layout.path), 3, f".ocigc/run/{name}: ", way_out)
            assert (snapshot(layout.path), snapshot(run)) == before
        (run / name).unlink()
    (layout.path / ".ocigc" / "aside").rename(run / name)
    done = ocigc("restore", "--interrupted", layout.path)
    assert done.code == 0, done
    assert len(entries(layout)) == 3


def test_a_damaged_list_of_docker_save_does_not_keep_the_images_in_the_trash(layout: LayoutWriter) -> None:
    before = entries(layout)
    config = json.loads((layout.blob_path(layout.image("one", ["base", "one"]))).read_text())["config"]
    listed = [{"Config": f"blobs/sha256/{config['digest'][7:]}", "RepoTags": ["example.com/one:1"], "Layers": []}]
    (layout.path / "manifest.json").write_text(json.dumps(listed))
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = layout.path.glob(".ocigc/trash/*")
    file = run / "manifest.before"
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    refused(ocigc("restore", layout.path), 3, f"{run.name}/manifest.before", "not valid JSON", "remove it to go on")
    file.unlink()
    assert ocigc("restore", layout.path).code == 0
    assert entries(layout) == before


def test_a_damaged_trash_is_a_finding_and_does_not_hide_others(layout: LayoutWriter) -> None:
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/both:1").code == 0
    (journal,) = layout.path.glob(".ocigc/trash/*/journal.json")
    journal.write_bytes(b"")
    checked = ocigc("check", layout.path)
    assert checked.code == 3
    assert f".ocigc/trash/{journal.parent.name}/journal.json" in checked.out
    assert "1 orphan" in checked.out


def test_without_a_run_the_last_one_that_is_not_restored_comes_back(layout: LayoutWriter) -> None:
    rm = ("rm", "--force", "--allow-empty", "--trash", "1h", layout.path)
    index = entries(layout)
    for name in ("example.com/both:1", "example.com/one:1"):
        assert ocigc(*rm, name).code == 0
    assert len(entries(layout)) == 1
    assert ocigc("restore", layout.path).code == 0
    assert ocigc("restore", layout.path).code == 0
    assert entries(layout) == index


def test_a_restore_says_what_came_back_and_what_was_in_place(layout: LayoutWriter) -> None:
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/both:1").code == 0
    index = (layout.path / "index.json").read_bytes()
    assert "restored: example.com/both:1\n" in ocigc("restore", layout.path).out
    second = ocigc("restore", layout.path)
    assert (second.code, second.out) == (0, "in place: example.com/both:1\n0 blobs restored\n")
    (layout.path / "index.json").write_bytes(index)
    assert ocigc("restore", layout.path).out == "restored: example.com/both:1\n0 blobs restored\n"


@pytest.mark.parametrize("duration", ["15250w", "9223372036s", "2562047h47m16s"])
def test_a_time_that_never_comes_can_be_read_again(layout: LayoutWriter, duration: str) -> None:
    before = entries(layout)
    assert ocigc("rm", "--force", "--trash", duration, layout.path, "example.com/both:1").code == 0
    assert ocigc("trash", "ls", layout.path).code == 0
    assert ocigc("restore", layout.path).code == 0
    assert entries(layout) == before


def test_emptying_the_trash(layout: LayoutWriter) -> None:
    rm = ("rm", "--force", "--allow-empty", "--trash", "1h", layout.path)
    for name in ("example.com/both:1", "example.com/one:1"):
        assert ocigc(*rm, name).code == 0
    first, second = (run["Run"] for run in ocigc("trash", "ls", "--format", "json", layout.path).json)
    refused(ocigc("trash", "empty", layout.path), 2, "--force")
    refused(ocigc("trash", "empty", "--force", layout.path, "deadbeef"), 2, "deadbeef")
    assert ocigc("trash", "empty", "--force", layout.path, first).code == 0
    assert [run["Run"] for run in ocigc("trash", "ls", "--format", "json", layout.path).json] == [second]
    assert ocigc("trash", "empty", "--force", layout.path).code == 0
    assert ocigc("trash", "ls", "--format", "json", layout.path).json == []
    refused(ocigc("restore", layout.path), 2, "empty")


def test_a_tree_of_layouts(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        writer = LayoutWriter(tmp_path / "tree" / name)
        writer.tag(writer.image("kept"), "kept:1")
        if name != "c":
            writer.tag(writer.image("gone", ["gone"]), "gone:1")
            assert ocigc("rm", "--force", "--trash", "1h", writer.path, "gone:1").code == 0
    listed = ocigc("trash", "ls", "--recursive", "--format", "json", tmp_path / "tree")
    assert [run["Layout"] for run in listed.json] == ["a", "b"]
    restored = ocigc("restore", "--recursive", tmp_path / "tree")
    assert (restored.code, restored.out.count("restored: gone:1")) == (0, 2)
    assert ocigc("verify", "--recursive", tmp_path / "tree").code == 0
    assert ocigc("trash", "empty", "--recursive", "--force", tmp_path / "tree").code == 0
    refused(ocigc("restore", "--recursive", tmp_path / "tree"), 2, "nothing to restore")


def test_in_a_tree_what_another_layout_has_is_not_missing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    pool, app = LayoutWriter(tree / "pool"), LayoutWriter(tree / "app")
    app.tag(app.image("kept"), "kept:1")
    app.tag(app.image("gone", ["of the pool"]), "gone:1")
    blob = pool.blob("of the pool")
    app.blob_path(blob).unlink()
    assert ocigc("rm", "--force", "--trash", "1h", app.path, "gone:1").code == 0
    restored = ocigc("restore", "--recursive", tree)
    assert (restored.code, "missing" in restored.err) == (0, False)
    pool.blob_path(blob).write_bytes(b"")
    again = ocigc("restore", "--recursive", tree)
    assert (again.code, blob["digest"] in again.err) == (1, True)


def test_trash_expires(layout: LayoutWriter) -> None:
    prune = ("prune", "--all", "--force", "--grace", "0s", "--allow-empty", "--trash", "100ms")
    assert ocigc(*prune, layout.path).code == 0
    time.sleep(0.2)
    assert len(ocigc("trash", "ls", "--format", "json", layout.path).json) == 1
    assert ocigc("prune", "--force", layout.path).code == 0
    assert ocigc("trash", "ls", "--format", "json", layout.path).json == []
    assert {path.name for path in (layout.path / ".ocigc").iterdir()} == {"lock", "trash", "history.jsonl"}


def test_what_is_in_the_way_of_the_note_in_the_trash_is_known_before(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    (run / "restored").mkdir()
    before = snapshot(layout.path)
    refused(ocigc("restore", layout.path), 3, f"{run.name}/restored: a directory", "nothing was changed")
    assert (snapshot(layout.path), (layout.path / ".ocigc" / "run").exists()) == (before, False)
    (run / "restored").rmdir()
    assert ocigc("restore", layout.path).code == 0


def test_what_cannot_be_read_after_a_restore_is_named(layout: LayoutWriter) -> None:
    blobs = layout.present()
    assert ocigc(*PRUNE, layout.path).code == 0
    (layout.path / "manifest.json").symlink_to("nowhere")
    refused(ocigc("restore", layout.path), 3, "everything came back", "manifest.json: a symbolic link")
    assert layout.present() == blobs


def test_a_run_that_has_removed_no_blob(layout: LayoutWriter) -> None:
    """Only a name: another one keeps the content."""
    layout.tag({key: value for key, value in layout.entries[1].items() if key != "annotations"}, "example.com/two:1")
    assert ocigc("rm", "--force", "--trash", "100ms", layout.path, "example.com/two:1").code == 0
    (run,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert (run["Blobs"], [image["Name"] for image in run["Images"]]) == (0, ["example.com/two:1"])
    time.sleep(0.2)
    assert "expired" in ocigc("check", layout.path).out
    assert ocigc("restore", layout.path).code == 0
    assert "example.com/two:1" in ocigc("ls", layout.path).out
    assert ocigc("prune", "--force", layout.path).code == 0
    assert ocigc("trash", "ls", "--format", "json", layout.path).json == []


def test_the_time_of_a_trash_begins_when_the_last_blob_has_come(layout: LayoutWriter) -> None:
    """The clock was set forward during the run, for example because the network time came in."""
    run = made_at_the_beginning_of_time(layout)
    blobs = run / "blobs" / "sha256"
    os.utime(blobs, (time.time() - 5 * DAY, time.time() - 5 * DAY))
    for blob in blobs.iterdir():
        os.utime(blob, (0, 0))
    assert ocigc("prune", "--force", layout.path).code == 0
    assert run.exists()
    (kept,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert days_left(kept) == pytest.approx(2, abs=0.1)
    os.utime(blobs, (time.time() - 8 * DAY, time.time() - 8 * DAY))
    assert "expired" in ocigc("check", layout.path).out
    assert ocigc("prune", "--force", layout.path).code == 0
    assert not run.exists()


def test_a_trash_that_was_made_while_the_clock_was_behind_stays(layout: LayoutWriter) -> None:
    """Nobody knows how old it is: its blobs are younger than their removal. So its time begins when this is noticed."""
    run = made_at_the_beginning_of_time(layout)
    assert "expired" not in ocigc("check", layout.path).out
    for _ in range(2):
        assert ocigc("prune", "--force", layout.path).code == 0
        assert run.exists()
    (kept,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert days_left(kept) == pytest.approx(7, abs=0.1)
    assert ocigc("restore", layout.path).code == 0
    assert ocigc("verify", layout.path).code == 0


def test_a_blob_of_the_future_does_not_keep_its_trash(layout: LayoutWriter) -> None:
    run = made_at_the_beginning_of_time(layout)
    for blob in (run / "blobs" / "sha256").iterdir():
        os.utime(blob, (time.time() + DAY, time.time() + DAY))
    assert ocigc("prune", "--force", layout.path).code == 0
    assert not run.exists()


def made_at_the_beginning_of_time(layout: LayoutWriter) -> Path:
    """The only run in the trash, as if the clock had said 1970 when it was made."""
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    journal = json.loads((run / "journal.json").read_text())
    journal["expires"] -= journal["started"]
    journal["started"] = 0
    (run / "journal.json").write_text(json.dumps(journal))
    os.utime(run / "blobs" / "sha256", (0, 0))
    return run


def days_left(run: dict[str, str]) -> float:
    return (datetime.fromisoformat(run["KeptUntil"]).timestamp() - time.time()) / DAY


def test_without_trash_nothing_is_kept(layout: LayoutWriter) -> None:
    assert ocigc("prune", "--all", "--force", "--grace", "0s", "--allow-empty", layout.path).code == 0
    assert {path.name for path in (layout.path / ".ocigc").iterdir()} == {"lock", "history.jsonl"}
    refused(ocigc("restore", layout.path), 2, "trash")


def test_what_is_not_in_the_trash(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    refused(ocigc("restore", layout.path, "nonesuch"), 2, "no such run")
    refused(ocigc("restore", layout.path, "--image", "nonesuch"), 2, "nonesuch")


def test_leases_by_hand(layout: LayoutWriter) -> None:
    target = layout.entries[0]
    created = ocigc("lease", "create", "--expire", "2h", layout.path, "example.com/both:1")
    assert created.code == 0, created
    identity = created.out.strip()
    (lease,) = ocigc("lease", "ls", "--format", "json", layout.path).json
    assert lease["ID"] == identity
    assert lease["Resources"] == [target["digest"]]
    assert lease["Active"]
    assert ocigc(*PRUNE, layout.path).code == 0
    assert layout.has(target)
    assert ocigc("lease", "release", layout.path, identity).code == 0
    refused(ocigc("lease", "release", layout.path, identity), 2, identity)
    assert ocigc(*PRUNE, layout.path).code == 0
    assert not layout.has(target)


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--id", "../x", "sha256:" + "a" * 64),
        ("create", "no-such-image"),
        ("create", "--expire", "soon", "sha256:" + "a" * 64),
        ("release", "../../etc/passwd"),
    ],
)
def test_leases_that_cannot_be(layout: LayoutWriter, arguments: tuple[str, ...]) -> None:
    before = snapshot(layout.path)
    assert ocigc("lease", arguments[0], layout.path, *arguments[1:]).code == 2
    assert snapshot(layout.path) == before


def test_a_lease_is_never_replaced(layout: LayoutWriter) -> None:
    digest = "sha256:" + "a" * 64
    assert ocigc("lease", "create", "--id", "mine", layout.path, digest).code == 0
    refused(ocigc("lease", "create", "--id", "mine", layout.path, digest), 2, "mine")


def two_generations(layout: LayoutWriter, *second_run: str) -> tuple[str, dict[str, object]]:
    """An image goes to the trash; then another that shares a layer with it goes too. The first run, and the layer."""
    layout.entries = []
    shared = layout.blob("shared by both")
    layout.tag(layout.manifest(layout.config("second"), [shared]), "example.com/second:1")
    layout.tag(layout.manifest(layout.config("first"), [shared]))
    assert ocigc("prune", "--force", "--trash", "1h", "--grace", "0s", layout.path).code == 0
    (run,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert ocigc("prune", "--all", "--force", "--allow-empty", *second_run, layout.path).code == 0
    assert not layout.has(shared)
    return run["Run"], shared


def test_what_a_later_run_has_in_its_trash_comes_back_too(layout: LayoutWriter) -> None:
    run, shared = two_generations(layout, "--trash", "1h")
    assert ocigc("restore", layout.path, run).code == 0
    assert layout.has(shared)
    assert ocigc("verify", "--format", "json", layout.path).json["Missing"] == []


def test_what_a_later_run_removed_for_good_is_said_to_be_missing(layout: LayoutWriter) -> None:
    run, shared = two_generations(layout)
    result = ocigc("restore", layout.path, run)
    assert result.code == 1
    assert str(shared["digest"]) in result.err


@pytest.mark.parametrize("options", [(), ("--image", "example.com/odd:1")])
def test_no_path_is_made_of_what_is_no_digest(layout: LayoutWriter, options: tuple[str, ...]) -> None:
    key = "containerd.io/gc.ref.content."
    odd = {key + "nul": "a\0b:c", key + "up": "a:../../x", key + "name": "no digest"}
    layout.tag(layout.image("odd", ["odd"]), "example.com/odd:1", **odd)
    before = entries(layout)
    assert ocigc(*PRUNE, layout.path).code == 0
    result = ocigc("restore", *options, layout.path)
    assert result.code == 0, result.err
    wanted = [entry for entry in before if not options or "odd:1" in json.dumps(entry)]
    assert entries(layout) == wanted


@pytest.mark.parametrize("path", ["x/y", "sha256/..x", f"sha256/{'a' * 65}", f"SHA256/{'a' * 64}"])
def test_a_name_in_the_trash_that_is_not_a_digest_is_refused(layout: LayoutWriter, path: str) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    (run,) = (layout.path / ".ocigc" / "trash").iterdir()
    odd = run / "blobs" / path
    odd.parent.mkdir(exist_ok=True)
    odd.write_text("x")
    before = snapshot(layout.path)
    for command in (["trash", "ls"], ["restore"]):
        refused(ocigc(*command, layout.path), 3, "not a blob")
    assert snapshot(layout.path) == before


def test_a_symlink_in_the_trash_is_refused(layout: LayoutWriter, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    assert ocigc(*PRUNE, layout.path).code == 0
    (blob, *_) = (layout.path / ".ocigc" / "trash").glob("*/blobs/sha256/*")
    blob.unlink()
    blob.symlink_to(secret)
    refused(ocigc("restore", layout.path), 3, "not a blob")
    assert layout.present() == set()


def test_a_sound_copy_wins_over_a_file_that_is_in_the_way(layout: LayoutWriter) -> None:
    image = layout.image("gone", ["gone"])
    layout.tag(image, "example.com/gone:1")
    wanted = layout.blob_path(image).read_bytes()
    assert ocigc("rm", "--force", "--trash", "7d", layout.path, "example.com/gone:1").code == 0
    layout.blob_path(image).write_bytes(wanted[:10])
    os.utime(layout.blob_path(image), (1, 1))
    assert ocigc("restore", layout.path).code == 0
    assert layout.blob_path(image).read_bytes() == wanted


def test_what_is_in_the_way_stays_if_the_copy_in_the_trash_is_no_better(layout: LayoutWriter) -> None:
    image = layout.image("gone", ["gone"])
    layout.tag(image, "example.com/gone:1")
    assert ocigc("rm", "--force", "--trash", "7d", layout.path, "example.com/gone:1").code == 0
    (kept,) = (layout.path / ".ocigc" / "trash").glob(f"*/blobs/{image['digest'].replace(':', '/')}")
    kept.write_bytes(b"rotten")
    layout.blob_path(image).write_bytes(b"in the way")
    os.utime(layout.blob_path(image), (1, 1))
    assert ocigc("restore", layout.path).code == 1
    assert layout.blob_path(image).read_bytes() == b"in the way"
    assert kept.read_bytes() == b"rotten"


def test_what_is_wrong_with_the_layout_is_said_before_that_nobody_can_be_asked(tmp_path: Path) -> None:
    refused(ocigc("trash", "empty", tmp_path / "nowhere"), 2, "nowhere", "No such file")
    refused(ocigc("trash", "empty", "--recursive", tmp_path), 2, "no image layout")
    LayoutWriter(tmp_path / "layout")
    refused(ocigc("trash", "empty", tmp_path / "layout"), 2, "no terminal")


def test_a_new_name_is_not_that_of_a_dangling_image(layout: LayoutWriter) -> None:
    """The next prune would take the image under such a name. A damaged index in the trash is named as what it is."""
    target = layout.image("named so")
    layout.tag(target, "example.com/so:1")
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/so:1").code == 0
    name = f"moby-dangling@{target['digest']}"
    refused(ocigc("restore", "--as", name, "--image", "example.com/so:1", layout.path), 2, "not a name of an image")
    (kept,) = (layout.path / ".ocigc/trash").glob("*/index.before")
    for content in ("{", json.dumps({"schemaVersion": 2, "manifests": layout.entries[:2]})):
        kept.write_text(content)
        refused(ocigc("restore", layout.path), 3, f".ocigc/trash/{kept.parent.name}/index.before", "move")


@pytest.mark.parametrize("content", ["", "{", '{"schemaVersion": 2, "manifests": []}', None])
def test_what_an_interrupted_run_would_bring_back_is_verified(layout: LayoutWriter, content: str | None) -> None:
    """A run's copy of index.json counts only if it is as the run wrote it. Every message names the file."""
    before = entries(layout)
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/both:1").code == 0
    (kept,) = (layout.path / ".ocigc/trash").iterdir()
    run = layout.path / ".ocigc/run"
    kept.rename(run)  # as if it had been killed just before its end
    copy = (run / "index.before").read_bytes()
    (run / "index.before").unlink()
    (run / "index.json").unlink()
    if content is None:
        (run / "index.before").mkdir()
    else:
        (run / "index.before").write_text(content)
    found = snapshot(layout.path)
    refused(ocigc("restore", "--interrupted", layout.path), 3, ".ocigc/run/index.before")
    assert snapshot(layout.path) == found
    if content is None:
        (run / "index.before").rmdir()
    (run / "index.before").write_bytes(copy)
    (run / "index.json").mkdir()
    refused(ocigc("restore", "--interrupted", layout.path), 3, ".ocigc/run/index.json")
    (run / "index.json").rmdir()
    assert ocigc("restore", "--interrupted", layout.path).code == 0
    assert entries(layout) == before


def test_a_restore_that_another_program_keeps_from_the_index_changes_nothing(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    before = snapshot(layout.path)
    with (layout.path / "index.json.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(ocigc("restore", layout.path), 3, "index.json.lock")
        (layout.path / "index.json.lock").unlink()
    assert snapshot(layout.path) == before
    assert ocigc("restore", layout.path).code == 0
    assert len(layout.present()) == 9


def test_undoing_a_run_removes_what_a_killed_try_has_left(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    probe = layout.path / "blobs/sha256/.ocigc-probe"
    probe.touch()
    (layout.path / "index.json.lock").touch()
    refused(ocigc("restore", "--interrupted", layout.path), 2, "no run was interrupted")
    assert not probe.exists()
    assert not (layout.path / "index.json.lock").exists()
