"""`prune --recursive` over a root as zot keeps it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ocigc.hard_links import Files, HardLink, RemovedLinks
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


def _linked(root: Path) -> list[LayoutWriter]:
    """Two repositories, one below the other, with one tag to keep each; what is dangling shares its blobs."""
    stores = []
    for name in ("a", "a/b"):
        (root / name).mkdir(parents=True)
        store = LayoutWriter(root / name)
        store.tag(store.image("kept", ["kept " + name]), "1")
        store.tag(store.image("gone", ["gone"]))
        stores.append(store)
    for blob in (root / "a" / "blobs" / "sha256").iterdir():
        twin = root / "a" / "b" / "blobs" / "sha256" / blob.name
        if twin.exists():
            twin.unlink()
            os.link(blob, twin)
    return stores


def test_a_dry_run_says_what_a_run_does_and_links_count_once(tmp_path: Path) -> None:
    stores = _linked(tmp_path)
    before = [store.present() for store in stores]
    to_delete = [store.blob_path(store.entries[1]).stat() for store in stores]
    assert to_delete[0].st_ino == to_delete[1].st_ino
    dry = ocigc("prune", "--recursive", "--dry-run", "--format", "json", tmp_path).json
    assert [store.present() for store in stores] == before
    real = ocigc("prune", "--recursive", "--force", "--format", "json", tmp_path)
    assert real.code == 0
    done = real.json
    assert [each["Layout"] for each in done["Layouts"]] == ["a", "a/b"]
    assert done["Layouts"][0]["SpaceReclaimed"] == 0
    assert done["SpaceReclaimed"] >= to_delete[0].st_size
    for answer in (dry, done):
        del answer["DryRun"]
        for each in answer["Layouts"]:
            del each["DryRun"]
    assert dry == done
    assert all(not store.blob_path(store.entries[1]).exists() for store in stores)


def test_layouts_that_look_alike_are_not_pruned(tmp_path: Path) -> None:
    stores = []
    for name in ("a\x01", "a\\x01"):
        (tmp_path / name).mkdir()
        store = LayoutWriter(tmp_path / name)
        store.tag(store.image("kept", ["kept"]), "1")
        store.image("gone", ["gone"])
        stores.append(store)
    before = [store.present() for store in stores]
    for arguments in (("prune", "--recursive", "-f"), ("rm", "--recursive", "-f")):
        images = ["sha256:"] if arguments[0] == "rm" else []
        refused(ocigc(*arguments, tmp_path, *images), 3, "both shown as a\\x01", "nothing was changed")
    assert [store.present() for store in stores] == before


@pytest.mark.parametrize("arguments", [(), ("--trash", "1d")])
def test_a_shared_orphan_goes_from_every_layout_at_once(arguments: tuple[str, ...], tmp_path: Path) -> None:
    stores = _linked(tmp_path)
    orphans = [store.blob("orphan " * 100) for store in stores]
    first, second = (store.blob_path(orphan) for store, orphan in zip(stores, orphans, strict=True))
    second.unlink()
    second.hardlink_to(first)
    deadline = time.monotonic() + 60
    while first.exists() and time.monotonic() < deadline:
        # Younger than the grace at first; then it goes, of a sudden, from both.
        run = ocigc("prune", "--recursive", "--force", "--grace", "2s", "--format", "json", *arguments, tmp_path)
        assert run.code == 0
        assert first.exists() == second.exists()
    assert run.json["Orphans"] == [orphans[0]["digest"]] * 2
    assert run.json["SpaceTrashed" if arguments else "SpaceReclaimed"] == orphans[0]["size"]
    assert run.json["SpaceReclaimed" if arguments else "SpaceTrashed"] == 0


def test_an_orphan_that_somebody_touches_meanwhile_is_young() -> None:
    before = HardLink(1, 2, names=3, size=10, stamp=100, modified=90)
    links = RemovedLinks()
    links.remove(Files(0, [before], 1, 1, 0))
    assert links.touched(replace(before, names=2, stamp=500)) == 100
    assert links.touched(replace(before, names=3, stamp=500)) == 500
    assert links.touched(replace(before, names=2, stamp=500, modified=500)) == 500
    assert links.touched(replace(before, inode=3, names=2, stamp=500)) == 500
    links.remove(Files(0, [replace(before, names=2, stamp=500)], 1, 1, 0))
    assert links.touched(replace(before, names=1, stamp=700)) == 100


def test_the_path_is_the_repository(tmp_path: Path) -> None:
    _linked(tmp_path)
    used = tmp_path / "used"
    used.write_text('[{"Image": "sha256:0", "Config": {"Image": "r.example:5000/x/a:1"}}]')
    arguments = ("-a", "-n", "--format", "json", "--in-use", used, "--repository", "r.example:5000/x", tmp_path)
    names = [each.get("Untagged") for each in ocigc("prune", "--recursive", *arguments).json["ImagesDeleted"]]
    assert "r.example:5000/x/a:1" not in names
    assert "r.example:5000/x/a/b:1" in names


def test_keep_storage_is_the_size_of_the_tree_and_takes_the_oldest_of_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = LayoutWriter(tmp_path / name)
        for day in range(1 if name == "a" else 2, 9, 2):
            store.tag(store.image(f"{day}", ["shared" * 100, f"{day}"], created=f"2024-01-0{day}T00:00:00Z"), f"{day}")
    twin = tmp_path / "b" / "blobs" / "sha256" / store.blob("shared" * 100)["digest"][7:]
    twin.unlink()
    twin.hardlink_to(tmp_path / "a" / "blobs" / "sha256" / twin.name)
    size = ocigc("du", "--recursive", "--format", "json", tmp_path).json["Disk"]
    arguments = ("prune", "--recursive", "-a", "--grace", "0s", "--format", "json", "--keep-storage")
    assert ocigc(*arguments, str(size), "-n", tmp_path).json["ImagesDeleted"] == []
    for limit in (size - 1, size // 2, size // 4):
        answer = ocigc(*arguments, str(limit), "-n", tmp_path).json
        gone = sorted(each["Untagged"][-1] for each in answer["ImagesDeleted"] if "Untagged" in each)
        assert gone == [str(day + 1) for day in range(len(gone))]
        assert size - answer["SpaceReclaimed"] <= limit
        assert len(gone) == 1 or limit < size - 1
    real = ocigc(*arguments, str(size // 2), "-f", tmp_path)
    assert real.code == 0, real
    assert ocigc("du", "--recursive", "--format", "json", tmp_path).json["Disk"] <= size // 2
    result = ocigc(*arguments, "1B", "-n", "--allow-empty", "--filter", "until=2024-01-03", tmp_path)
    assert "over the limit on storage will remain" in result.err


def test_the_policy_at_the_root_applies_where_there_is_none(tmp_path: Path) -> None:
    (first, _) = _linked(tmp_path)
    (tmp_path / "ocigc.toml").write_text('[[rule]]\nrepository = "a/*"\ndelete-untagged = true\n')
    arguments = ("prune", "--recursive", "-n", "--format", "json")
    gone = [each["Layout"] for each in ocigc(*arguments, tmp_path).json["Layouts"] if each["ImagesDeleted"]]
    assert gone == ["a/b"]
    (first.path / "ocigc.toml").write_text("[[rule]]\ndelete-untagged = true\n")
    gone = [each["Layout"] for each in ocigc(*arguments, tmp_path).json["Layouts"] if each["ImagesDeleted"]]
    assert gone == ["a", "a/b"]
    (tmp_path / "ocigc.toml").write_text("[[rule]]\n")
    refused(ocigc(*arguments, tmp_path), 2, "ocigc.toml: line 1")
    assert ocigc(*arguments, "--no-policy", tmp_path).code == 0


def test_broken_layouts_are_skipped_and_named(tmp_path: Path) -> None:
    (good, _) = _linked(tmp_path)
    for name in ("no-index", "bad-json", "fifo"):
        (tmp_path / name).mkdir()
        LayoutWriter(tmp_path / name)
    (tmp_path / "no-index" / "index.json").unlink()
    (tmp_path / "bad-json" / "index.json").write_text("{")
    (tmp_path / "fifo" / "oci-layout").unlink()
    os.mkfifo(tmp_path / "fifo" / "oci-layout")
    (tmp_path / "loop").symlink_to(tmp_path)
    result = ocigc("prune", "--recursive", "--force", "--format", "json", tmp_path)
    assert result.code == 3
    assert [error.split(":")[0] for error in result.json["Errors"]] == ["bad-json", "fifo", "no-index"]
    assert [each["Layout"] for each in result.json["Layouts"]] == ["a", "a/b"]
    assert not good.blob_path(good.entries[1]).exists()


def test_what_a_damaged_layout_needs_by_way_of_another_stays(tmp_path: Path) -> None:
    """Its index lies in a pool, the manifest in it lies here, and the layer of that in a third layout."""
    damaged, pool, third = (LayoutWriter(tmp_path / name) for name in ("damaged", "pool", "third"))
    third.tag(third.image("kept", ["base"]), "kept:1")
    layer = third.blob("layer")
    manifest = damaged.manifest(damaged.config("app"), [layer])
    index = damaged.index([manifest])
    damaged.tag(index, "app:1")
    damaged.blob_path(index).rename(pool.blob_path(index))
    torn = damaged.image("torn", ["torn"])
    damaged.blob_path(torn).write_bytes(b"{")
    damaged.tag(torn, "torn:1")
    for _ in range(2):
        result = ocigc("prune", "-f", "--grace", "0s", "--recursive", tmp_path)
        assert (result.code, "torn:1" in result.err) == (3, True)
        assert pool.has(index)
        assert third.has(layer)


def listed(layout: LayoutWriter) -> list[str]:
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    return sorted(entry["digest"] for entry in entries)


@pytest.mark.parametrize("arguments", [("--recursive",), ("--shared-with", "pool")])
def test_parts_and_referrers_whose_blobs_lie_in_a_pool_stay_listed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """They go with the image that they belong to; a dangling image beside them goes at once."""
    pool, app = LayoutWriter(tmp_path / "pool"), LayoutWriter(tmp_path / "app")
    children = [pool.image("amd64", ["a"]), pool.image("arm64", ["b"])]
    index = pool.index(children)
    signature = pool.manifest(pool.json({}, "application/json"), [], index)
    kept, dangling = pool.image("kept", ["kept"]), pool.image("dangling", ["dangling"])
    app.tag(kept, "kept:1")
    app.tag(index, "app:1")
    for each in (*children, signature, index, dangling):  # the index once more, without its name
        app.entry(each)
    path = tmp_path if arguments == ("--recursive",) else app.path
    arguments = tuple(each.replace("pool", str(pool.path)) for each in arguments)
    for _ in range(2):
        assert ocigc("prune", "-f", "--grace", "0s", *arguments, path).code == 0
        assert listed(app) == sorted(each["digest"] for each in (kept, index, index, *children, signature))
        assert all(map(pool.has, (kept, index, *children, signature)))
    used = tmp_path / "used"
    used.write_text("kept:1\n")
    assert ocigc("prune", "-f", "-a", "--in-use", used, "--grace", "0s", *arguments, path).code == 0
    assert listed(app) == [kept["digest"]]


@pytest.mark.parametrize("name", ["App", "app:1.0", "_blobstore", ".sync", "a b", "with\nnewline", "caf\u00e9"])
def test_a_directory_may_have_any_name(name: str, tmp_path: Path) -> None:
    """Sources: podman#7337, ko#1217; zot keeps `_blobstore` and `.sync` beside its repositories."""
    (tmp_path / name / "inner").mkdir(parents=True)
    for path in (tmp_path / name, tmp_path / name / "inner"):
        store = LayoutWriter(path)
        store.tag(store.image("kept"), "1.0")
        store.blob("orphan of " + str(path))
    used = tmp_path / "used"
    used.write_text("reg.example/app:1.0\n")
    arguments = ("--grace", "0s", "--format", "json", "--repository", "reg.example", tmp_path)
    result = ocigc("prune", "--recursive", "--force", *arguments)
    assert result.code == 0
    assert len(result.json["Orphans"]) == 2
    assert "its bare tags have no repository" in result.err
    listed = ocigc("ls", "--recursive", "--format", "json", "--repository", "reg.example", tmp_path)
    assert [each["Name"] for each in listed.json] == ["1.0", "1.0"]


def test_a_prefix_that_no_repository_can_have_is_wrong_usage(tmp_path: Path) -> None:
    _linked(tmp_path)
    refused(ocigc("prune", "--recursive", "-n", "--repository", "UPPER CASE", tmp_path), 2, "--repository")


def test_what_lacks_only_the_marker_is_noted_with_advice(tmp_path: Path) -> None:
    """Source: buildx#310: caches of older BuildKits have no `oci-layout`."""
    stores = _linked(tmp_path / "root")
    cache = tmp_path / "root" / "it's a cache"
    cache.mkdir()
    store = LayoutWriter(cache)
    orphan = store.blob("orphan")
    (cache / "oci-layout").unlink()
    result = ocigc("prune", "--recursive", "--force", "--grace", "0s", tmp_path / "root")
    assert result.code == 0
    assert "it's a cache: passed over" in result.err
    assert store.has(orphan)
    assert not stores[0].has(stores[0].entries[1])
    advice = ocigc("prune", "-n", cache)
    refused(advice, 2, "oci-layout", "imageLayoutVersion", "echo ")
    subprocess.run(advice.err.partition("write the file: ")[2], shell=True, check=True)
    assert ocigc("prune", "-n", "--grace", "0s", cache).code == 0
    (cache / "oci-layout").write_text("")
    refused(ocigc("prune", "-n", cache), 2, "oci-layout", "imageLayoutVersion", "echo ")
    (tmp_path / "empty").mkdir()
    assert "echo" not in ocigc("prune", "-n", tmp_path / "empty").err


def test_a_root_without_layouts_is_wrong_usage(tmp_path: Path) -> None:
    refused(ocigc("prune", "--recursive", "-n", tmp_path), 2, "the directory is empty")
    refused(ocigc("prune", "--recursive", "-n", tmp_path / "absent"), 2, "No such file")


def test_verify_and_ls_go_over_all_layouts(tmp_path: Path) -> None:
    stores = _linked(tmp_path)
    listed = ocigc("ls", "--recursive", "--repository", "r.io", "--format", "json", tmp_path).json
    assert [(each["Layout"], each["Name"]) for each in listed] == [
        ("a", None),
        ("a", "r.io/a:1"),
        ("a/b", None),
        ("a/b", "r.io/a/b:1"),
    ]
    sound = ocigc("verify", "--recursive", "--format", "json", tmp_path)
    assert sound.code == 0
    assert sound.json["Checked"] == sum(len(store.present()) for store in stores)
    digest = stores[0].entries[0]["digest"]
    stores[0].blob_path(stores[0].entries[0]).write_bytes(b"{}")
    found = ocigc("verify", "--recursive", "--format", "json", tmp_path)
    assert found.code == 1
    assert found.json["Corrupt"] == [digest]
    assert [each["Corrupt"] for each in found.json["Layouts"]] == [[digest], []]
    lines = ocigc("verify", "--recursive", tmp_path).out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("sound") or "NOT SOUND" in line] == ["a", "a/b", "12"]
    lines = ocigc("ls", "--recursive", tmp_path).out.splitlines()
    assert [line.split()[0] for line in lines] == ["LAYOUT", "a", "a", "a/b", "a/b", "2"]


def test_an_interrupt_leaves_a_report(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"l{number:03}").mkdir()
        store = LayoutWriter(tmp_path / f"l{number:03}")
        store.tag(store.image(f"gone {number}", [f"gone {number}"]))
        store.tag(store.image("kept", ["kept"]), "1")
    (tmp_path / "l150" / ".ocigc").mkdir()
    command = [sys.executable, "-m", "ocigc", "prune", "--recursive", "--force", "--format", "json", "--wait", "60s"]
    with (tmp_path / "l150" / ".ocigc" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([*command, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd="/")
        while not (tmp_path / "l149" / ".ocigc" / "history.jsonl").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    output, _ = process.communicate(timeout=60)
    answer = json.loads(output)
    assert process.returncode == 3
    assert len(answer["Layouts"]) + len(answer["Errors"]) == 300
    assert answer["Errors"]
    assert all("interrupted" in error for error in answer["Errors"])
    assert ocigc("prune", "--recursive", "--force", tmp_path).code == 0
    assert ocigc("verify", "--recursive", tmp_path).code == 0


def test_an_interrupt_while_plans_are_made_changes_nothing(tmp_path: Path) -> None:
    stores = _linked(tmp_path)
    before = [store.present() for store in stores]
    command = [sys.executable, "-c", INTERRUPTED, "prune", "--recursive", "--force", "--format", "json", str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120, check=False)
    answer = json.loads(process.stdout)
    assert process.returncode == 3
    assert (answer["Layouts"], answer["ImagesDeleted"]) == ([], [])
    assert len(answer["Errors"]) == len(stores)
    assert all("interrupted" in error for error in answer["Errors"])
    assert [store.present() for store in stores] == before


INTERRUPTED = """
import os, signal, sys, threading
from ocigc.cli.main import main
from ocigc.pruning import neighbours
note_plan = neighbours.Others.note_plan
once = threading.Lock()
def interrupt(self, planned):
    note_plan(self, planned)
    threading.Event().wait(1)
    if once.acquire(blocking=False):
        os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(2)
neighbours.Others.note_plan = interrupt
sys.exit(main(sys.argv[1:]))
"""


def test_a_pool_is_planned_also_where_what_another_needs_lies_in_a_layout_without_an_index(tmp_path: Path) -> None:
    needy, bare, pool = (LayoutWriter(tmp_path / name) for name in ("needy", "bare", "pool"))
    needy.tag(needy.manifest(needy.config("a"), [bare.blob("a layer")]), "needy:1")
    (bare.path / "index.json").unlink()
    pool.blob("an orphan")
    found = ocigc("prune", "--dry-run", "--recursive", "--grace", "0s", tmp_path)
    assert found.code == 3
    assert "1 of 3 layouts were skipped" in found.out, found
