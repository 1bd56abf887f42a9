"""Layouts that share blobs: in a tree, and beside one another.

Sources: containers/image#2003 (`--dest-shared-blob-dir`), zot#3172 and zot#4137 (`_blobstore`), zot's deduplication in
object stores, which leaves files of 0 bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ocigc.layout.layout import Layout
from ocigc.progress import Report
from ocigc.pruning.other_layouts import SharedWith
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions, request
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter

Lack = Callable[[LayoutWriter, Descriptor], None]


def hollow(layout: LayoutWriter, blob: Descriptor) -> None:
    layout.blob_path(blob).write_bytes(b"")


def absent(layout: LayoutWriter, blob: Descriptor) -> None:
    layout.blob_path(blob).unlink(missing_ok=True)


def make(root: Path, name: str) -> LayoutWriter:
    (root / name).mkdir(parents=True)
    return LayoutWriter(root / name)


def image(layout: LayoutWriter, seed: str) -> tuple[Descriptor, list[Descriptor]]:
    """A manifest and all its blobs, itself first."""
    parts = [layout.config(seed), layout.blob(f"{seed} one"), layout.blob(f"{seed} two")]
    manifest = layout.manifest(parts[0], parts[1:])
    return manifest, [manifest, *parts]


def tree(root: Path, *arguments: str, code: int = 0) -> Any:
    """What a prune of a tree answers; a dry run says the same, and another run after it finds nothing."""
    base = ("--recursive", "--grace", "0s", "--format", "json", *arguments, root)
    dry = ocigc("prune", "--dry-run", *base).json
    real = ocigc("prune", "--force", *base)
    assert real.code == code, real
    if code == 0:
        lists = ("ImagesDeleted", "Leftovers", "SpaceReclaimed")
        assert sorted(dry["Orphans"]) == sorted(real.json["Orphans"])  # what goes last may be told last
        assert [dry[key] for key in lists] == [real.json[key] for key in lists]
        again = ocigc("prune", "--force", *base).json
        assert (again["ImagesDeleted"], again["Orphans"], again["SpaceReclaimed"]) == ([], [], 0)
    return real.json


def has(layout: LayoutWriter, blobs: Iterable[Descriptor]) -> bool:
    return all(map(layout.has, blobs))


@pytest.mark.parametrize("lack", [hollow, absent])
@pytest.mark.parametrize("lost", [(0, 1, 2, 3), (1,), (2, 3)])
def test_what_a_sibling_needs_and_has_not_stays(lost: tuple[int, ...], lack: Lack, tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "other")[0], "0")
    _, blobs = image(a, "shared")
    manifest, _ = image(b, "shared")
    b.tag(manifest, "1")
    for number in lost:
        lack(b, blobs[number])
    orphan = a.blob("orphan")
    # The sibling alone is refused where it cannot read its manifest; the other goes on.
    damaged = lack is hollow and 0 in lost
    tree(tmp_path, code=3 if damaged else 0)
    assert has(a, [blobs[number] for number in lost])
    assert not a.has(orphan)
    assert ocigc("rm", "--force", b.path, "1").code == 0
    tree(tmp_path)
    assert not any(map(a.has, blobs))


def test_a_layout_without_blobs_of_its_own(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.tag(manifest, "1")
    shutil.rmtree(b.path / "blobs")
    tree(tmp_path)
    assert has(a, blobs)


def test_what_a_lease_of_a_sibling_needs(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.lease("copy", [manifest])
    tree(tmp_path)
    assert has(a, blobs)


def test_needs_go_from_layout_to_layout(tmp_path: Path) -> None:
    """b names a manifest that lies in a, whose layers lie in c."""
    a, b, c = (make(tmp_path, name) for name in "abc")
    for layout in (a, b, c):
        layout.tag(image(layout, "own " + layout.path.name)[0], "1")
    manifest, blobs = image(a, "shared")
    b.tag(manifest, "2")
    image(c, "shared")
    for blob in blobs[2:]:
        absent(a, blob)
    absent(c, manifest)
    absent(c, blobs[1])
    tree(tmp_path)
    assert has(a, blobs[:2])
    assert has(c, blobs[2:])


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
@pytest.mark.parametrize("pool", [False, True])
def test_needs_of_a_layout_that_is_refused_go_from_layout_to_layout(order: str, pool: bool, tmp_path: Path) -> None:
    """Its plan does not come to pass: so it needs on what it has not, and that needs what others have."""
    refused, index, content = (make(tmp_path, name) for name in order)
    manifest, blobs = image(content, "shared")
    top = content.index([manifest])
    shutil.move(content.blob_path(top), index.blob_path(top))
    refused.tag(top, "reg.example/shared:1")
    index.tag(image(index, "own")[0], "reg.example/index:1")
    if not pool:
        content.tag(image(content, "own")[0], "reg.example/content:1")
    used = tmp_path / "used"
    used.write_text("reg.example/index:1\nreg.example/content:1\n")
    answer = tree(tmp_path, "--all", "--in-use", str(used), code=3)
    assert [error.split(":")[0] for error in answer["Errors"]] == [order[0]]
    assert index.has(top)
    assert has(content, blobs)


def test_what_only_a_pruned_image_needed_goes_in_the_same_run(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.tag(manifest)
    answer = tree(tmp_path)
    assert not any(map(a.has, blobs))
    assert {"Untagged": manifest["digest"]} in answer["ImagesDeleted"]


def test_two_layouts_that_need_each_other(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "own")[0], "1")
    (first, first_blobs), (second, second_blobs) = image(b, "first"), image(a, "second")
    a.tag(first)
    b.tag(second)
    kept, kept_blobs = image(a, "kept")
    b.tag(kept, "kept")
    base = ("--recursive", "--grace", "0s", "--format", "json", tmp_path)
    assert ocigc("prune", "--force", *base).code == 0
    assert not any(map(b.has, first_blobs))
    assert not any(map(a.has, second_blobs))
    assert has(a, kept_blobs)
    assert ocigc("prune", "--force", *base).json["SpaceReclaimed"] == 0


def linked_pool(root: Path, *layouts: LayoutWriter, name: str = "_blobstore") -> LayoutWriter:
    """A layout with a link to every blob of these."""
    pool = make(root, name)
    for layout in layouts:
        for path in (layout.path / "blobs" / "sha256").iterdir():
            link = pool.path / "blobs" / "sha256" / path.name
            if not link.exists():
                link.hardlink_to(path)
    return pool


def test_a_pool_lets_go_of_what_no_layout_keeps(tmp_path: Path) -> None:
    one, two = make(tmp_path, "team/one"), make(tmp_path, "team/two")
    for layout in (one, two):
        (layout.path / ".uploads").mkdir()
    kept, kept_blobs = image(one, "kept")
    one.tag(kept, "1")
    also, also_blobs = image(two, "also")
    two.tag(also, "1")
    gone, gone_blobs = image(one, "gone")
    one.tag(gone)
    pool = linked_pool(tmp_path, one, two)
    lost, held = pool.blob("lost"), pool.blob("held")
    pool.lease("copy", [held])
    size = sum(pool.blob_path(blob).stat().st_size for blob in [*gone_blobs, lost])
    answer = tree(tmp_path)
    assert answer["SpaceReclaimed"] == size
    assert has(pool, [*kept_blobs, *also_blobs, held])
    assert not any(map(pool.has, [*gone_blobs, lost]))
    # Its repositories have lost a file: what the pool has is needed the more.
    absent(two, also_blobs[3])
    hollow(one, kept_blobs[2])
    tree(tmp_path)
    assert has(pool, [also_blobs[3], kept_blobs[2]])


def test_what_a_lease_of_a_pool_needs(tmp_path: Path) -> None:
    one = make(tmp_path, "one")
    one.tag(image(one, "own")[0], "1")
    pool = linked_pool(tmp_path, one)
    manifest, blobs = image(one, "leased")
    pool.lease("copy", [manifest])
    tree(tmp_path)
    assert has(one, blobs)


def test_a_pool_alone_is_refused(tmp_path: Path) -> None:
    one = make(tmp_path, "one")
    kept, blobs = image(one, "kept")
    one.tag(kept, "1")
    pool = linked_pool(tmp_path, one)
    orphan = pool.blob("orphan")
    young = ocigc("prune", "--force", pool.path)
    assert young.code == 0
    before = pool.present()
    refused(ocigc("prune", "--force", "--grace", "0s", pool.path), 3, "it has no image", "every blob")
    dry = ocigc("prune", "--dry-run", "--grace", "0s", pool.path)
    assert dry.code == 0
    assert "a real run is refused" in dry.err
    assert pool.present() == before
    told = ocigc("prune", "--force", "--grace", "0s", "--shared-with", one.path, pool.path)
    assert told.code == 0, told
    assert has(pool, blobs)
    assert not pool.has(orphan)
    assert ocigc("prune", "--force", "--grace", "0s", "--allow-empty", pool.path).code == 0
    assert pool.present() == set()
    assert has(one, blobs)


def test_a_pool_that_would_lose_everything_is_refused(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    one.tag(image(one, "one")[0], "1")
    two.tag(image(two, "two")[0], "1")
    pool = make(tmp_path, "pool")
    orphan = pool.blob("orphan")
    answer = tree(tmp_path, code=3)
    assert pool.has(orphan)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["pool"]
    tree(tmp_path, "--allow-empty")
    assert not pool.has(orphan)


def test_shared_with_a_layout_that_needs_blobs(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    a.tag(manifest, "shared")
    b.tag(manifest, "1")
    arguments = ("--shared-with", b.path, a.path)
    result = ocigc("rm", "--force", *arguments, "shared")
    assert result.code == 0, result
    assert has(a, blobs)
    assert ocigc("prune", "--force", "--grace", "0s", *arguments).code == 0
    assert has(a, blobs)
    refused(ocigc("prune", "-n", "--shared-with", tmp_path / "none", a.path), 2, "none")
    refused(ocigc("prune", "-n", "--shared-with", "", a.path), 2, "expected the directory of an image layout")
    refused(ocigc("prune", "-n", "--recursive", "--shared-with", b.path, tmp_path), 2, "--shared-with")
    (b.path / "index.json").write_text("{")
    refused(ocigc("prune", "--force", "--grace", "0s", *arguments), 3, "nobody knows")
    assert has(a, blobs)


def test_shared_with_a_directory_where_nothing_is_mounted(tmp_path: Path) -> None:
    """It is not taken for a layout that needs nothing."""
    a = make(tmp_path, "a")
    a.tag(image(a, "own")[0], "1")
    _, blobs = image(a, "shared")
    (empty := tmp_path / "mount").mkdir()
    found = ocigc("prune", "--force", "--grace", "0s", "--shared-with", empty, a.path)
    refused(found, 3, "nobody knows", str(empty), "not an OCI image layout")
    assert has(a, blobs)


def torn_index(layout: LayoutWriter, manifest: Descriptor) -> None:
    absent(layout, manifest)
    (layout.path / "index.json").write_text(f'{{"manifests": [{{"digest": "sha256:{"0" * 64}"')  # the rest is not there


def corrupt(layout: LayoutWriter, manifest: Descriptor) -> None:
    layout.blob_path(manifest).write_bytes(b"{")


@pytest.mark.parametrize("damage", [torn_index, corrupt])
def test_a_layout_without_sound_blobs_needs_nobody_knows_what(
    damage: Callable[[LayoutWriter, Descriptor], None], tmp_path: Path
) -> None:
    """Where it is unknown what a layout needs, and it has nothing of its own, no other layout lets go of a blob."""
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.blob_path(manifest).write_bytes(a.blob_path(manifest).read_bytes())
    b.tag(manifest, "1")
    damage(b, manifest)
    absent(a, manifest)
    tree(tmp_path, code=3)
    assert has(a, blobs[1:])
    refused(ocigc("prune", "--force", "--grace", "0s", "--shared-with", b.path, a.path), 3, "nobody knows")
    assert has(a, blobs[1:])
    # One that has blobs of its own is taken to have what it needs.
    b.blob("its own")
    tree(tmp_path, code=3)
    assert not any(map(a.has, blobs[1:]))


def test_an_image_without_a_name_that_came_into_a_pool_a_moment_ago(tmp_path: Path) -> None:
    """`skopeo copy --dest-shared-blob-dir POOL … oci:a`, without a tag."""
    pool, a = make(tmp_path, "pool"), make(tmp_path, "a")
    kept, _ = image(pool, "kept")
    new, blobs = image(pool, "new")
    a.tag(kept, "1")
    a.entry(new)
    before = (a.path / "index.json").read_bytes()
    assert ocigc("prune", "--force", "--recursive", tmp_path).code == 0
    assert (a.path / "index.json").read_bytes() == before
    assert has(pool, blobs)
    tree(tmp_path)
    assert not any(map(pool.has, blobs))


def cut_index(layout: LayoutWriter) -> None:
    (layout.path / "index.json").write_text("{")


def bad_lease(layout: LayoutWriter) -> None:
    layout.lease("bad", [])
    (layout.path / "leases/bad.json").write_text("{")


def bad_marker(layout: LayoutWriter) -> None:
    (layout.path / "oci-layout").write_text("{")


@pytest.mark.parametrize("spoil", [cut_index, bad_lease, bad_marker])
@pytest.mark.parametrize("lack", [hollow, absent])
def test_what_the_manifests_of_a_layout_need_that_cannot_be_read(
    spoil: Callable[[LayoutWriter], None], lack: Lack, tmp_path: Path
) -> None:
    """On a copy of a deduplicated bucket, a file of 0 bytes stands for a blob of another repository (zot#504)."""
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    for each in blobs:
        b.blob_path(each).write_bytes(a.blob_path(each).read_bytes())
    lack(b, blobs[-1])
    b.tag(manifest, "1")
    absent(a, manifest)
    spoil(b)
    answer = tree(tmp_path, code=3)
    assert [error.split(":")[0] for error in answer["Errors"]][-1:] == ["b"]
    assert a.has(blobs[-1])


def test_a_directory_without_an_index_names_nothing(tmp_path: Path) -> None:
    """A layout has an oci-layout and an index.json. What has no index.json fails, but it needs nothing."""
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    orphan = a.blob("orphan")
    shutil.rmtree(b.path / "blobs")
    (b.path / "index.json").unlink()
    answer = tree(tmp_path, code=3)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["b"]
    assert not a.has(orphan)


def test_an_image_whose_blobs_are_in_a_pool_is_restored(tmp_path: Path) -> None:
    """Blobs and entry come back from the trash of two layouts: the entry does not wait for the blobs."""
    pool, b = make(tmp_path, "pool"), make(tmp_path, "b")
    manifest, blobs = image(pool, "shared")
    b.tag(image(pool, "other")[0], "1")
    b.tag(manifest, "2")
    shutil.rmtree(b.path / "blobs")
    before = json.loads((b.path / "index.json").read_text())
    for command, *arguments in (["rm", "b:2"], ["prune"]):
        grace = ["--grace", "0s"] if command == "prune" else []
        done = ocigc(command, "--force", "--trash", "1h", *grace, "--recursive", tmp_path, *arguments)
        assert done.code == 0, done
    assert not any(map(pool.has, blobs))
    ocigc("restore", "--recursive", tmp_path)
    assert has(pool, blobs)
    assert json.loads((b.path / "index.json").read_text()) == before


def listed(layout: LayoutWriter, wanted: list[Descriptor]) -> None:
    """By the list of `docker save`, of an image whose manifest names no layers (moby#47065)."""
    config = layout.config("saved")
    layout.tag(layout.manifest(config, []), "saved")
    paths = [f"blobs/{each['digest'].replace(':', '/')}" for each in (config, *wanted)]
    entry = {"Config": paths[0], "RepoTags": ["reg.example/saved:1"], "Layers": paths[1:]}
    (layout.path / "manifest.json").write_text(json.dumps([entry]))


def labelled(layout: LayoutWriter, wanted: list[Descriptor]) -> None:
    layer = layout.blob(b"\x1f\x8b a layer")
    layout.tag(layout.manifest(layout.config("labelled"), [layer]), "labelled")
    layout.labels(layer, {"containerd.io/gc.ref.content.0": wanted[0]["digest"]})


def rooted(layout: LayoutWriter, wanted: list[Descriptor]) -> None:
    layout.labels(wanted[0], {"containerd.io/gc.root": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize("blobs_elsewhere", [False, True])
@pytest.mark.parametrize("need", [listed, labelled, rooted])
def test_what_lists_and_labels_of_a_sibling_need(
    need: Callable[[LayoutWriter, list[Descriptor]], None], blobs_elsewhere: bool, tmp_path: Path
) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "other")[0], "1")
    _, blobs = image(a, "shared")
    need(b, blobs)
    if blobs_elsewhere:
        shutil.move(b.path / "blobs", tmp_path / "apart")
        (b.path / "blobs").symlink_to("../apart")
    ocigc("prune", "--force", "--grace", "0s", "--shared-with", b.path, a.path)
    assert has(a, blobs)
    tree(tmp_path, code=3 if blobs_elsewhere else 0)
    assert has(a, blobs)
    if not blobs_elsewhere:
        (b.path / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(b.path / "labels", ignore_errors=True)
        tree(tmp_path)
        assert not any(map(a.has, blobs))


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_images_whose_blobs_are_all_in_a_pool(command: str, tmp_path: Path) -> None:
    """So `skopeo copy --dest-shared-blob-dir` writes them (containers/image#2003)."""
    one, two, pool = make(tmp_path, "one"), make(tmp_path, "two"), make(tmp_path, "pool")
    kept = [each for layout in (one, two) for each in image(pool, layout.path.name)[1]]
    one.tag(kept[0], "1")
    two.tag(kept[4], "1")
    gone, blobs = image(pool, "gone")
    two.tag(gone, "2")
    for layout in (one, two):
        shutil.rmtree(layout.path / "blobs")
    if command == "rm":
        assert ocigc("rm", "--force", "--recursive", tmp_path, "two:2").code == 0
        tree(tmp_path)
    else:
        used = tmp_path / "used"
        used.write_text("reg.example/one:1\nreg.example/two:1\n")
        tree(tmp_path, "--all", "--repository", "reg.example", "--in-use", str(used))
    assert has(pool, kept)
    assert not any(map(pool.has, blobs))
    used = tmp_path / "used"
    used.write_text("reg.example/one:1\n")
    answer = tree(tmp_path, "--all", "--repository", "reg.example", "--in-use", str(used), code=3)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["two"]
    assert has(pool, kept)


def test_what_only_an_orphan_of_a_pool_needed_goes_in_the_same_run(tmp_path: Path) -> None:
    named, pool = make(tmp_path, "named"), make(tmp_path, "pool")
    own, _ = image(named, "own")
    named.tag(own, "reg.example/own:1")
    shutil.copy(named.blob_path(own), pool.blob_path(own))
    top = named.index([named.image("inner")])
    outer = named.index([top])
    config = named.config("inner")
    for blob in (outer, top):
        shutil.move(named.blob_path(blob), pool.blob_path(blob))
    named.tag(outer)
    assert named.has(config)
    tree(tmp_path)
    assert not named.has(config)
    assert not pool.has(top)


def test_a_layout_that_loses_all_lets_go_of_what_others_needed(tmp_path: Path) -> None:
    """Without any entry it is a pool, and keeps what the others have: so it comes after them."""
    first, second = make(tmp_path, "a"), make(tmp_path, "b")
    second.tag(image(second, "own")[0], "reg.example/own:1")
    gone, blobs = image(first, "gone")
    for blob in blobs:
        shutil.copy(first.blob_path(blob), second.blob_path(blob))
    absent(second, blobs[1])
    second.tag(gone)
    first.tag(image(first, "other")[0])
    tree(tmp_path)
    assert not any(map(first.has, blobs))
    assert not any(map(second.has, blobs))


@pytest.mark.parametrize("where", ["blobs", "blobs/sha256"])
def test_a_symlinked_blob_directory(where: str, tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.tag(manifest, "1")
    shutil.rmtree(b.path / where)
    (b.path / where).symlink_to(os.path.relpath(a.path / where, (b.path / where).parent))
    orphan = a.blob("orphan")
    answer = tree(tmp_path, code=3)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["b"]
    assert has(a, blobs)
    assert not a.has(orphan)


@pytest.mark.parametrize("cut", [-1, 0])
def test_an_index_that_was_cut_off_beside_the_layout_with_the_blobs(cut: int, tmp_path: Path) -> None:
    """Nobody knows all that it needs: what it still names lies there, or it has no blobs of its own."""
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    b.tag(manifest, "1")
    a.blob("orphan")
    if cut == 0:
        shutil.rmtree(b.path / "blobs")
    text = (b.path / "index.json").read_text()
    (b.path / "index.json").write_text(text[:cut])
    answer = tree(tmp_path, code=3)
    assert has(a, blobs)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["a", "b"]
    assert "nobody knows" in answer["Errors"][0]


def test_a_pool_beside_an_index_that_cannot_be_read(tmp_path: Path) -> None:
    one = make(tmp_path, "one")
    one.tag(image(one, "kept")[0], "1")
    pool = linked_pool(tmp_path, one)
    orphan = pool.blob("orphan")
    (one.path / "index.json").write_text("{")
    answer = tree(tmp_path, code=3)
    assert pool.has(orphan)
    assert len(answer["Errors"]) == 2


def test_a_layout_may_lose_its_last_dangling_images_but_not_its_last_name(tmp_path: Path) -> None:
    dangling, named, other = (make(tmp_path, name) for name in ("dangling", "named", "other"))
    goes, _ = image(dangling, "d")
    dangling.tag(goes)
    stays, _ = image(named, "n")
    named.tag(stays, "reg.example/n:1")
    named.tag(image(named, "nameless")[0])
    other.tag(image(other, "o")[0], "reg.example/o:1")
    unused, _ = image(other, "unused")
    other.tag(unused, "reg.example/o:2")
    used = tmp_path / "used"
    used.write_text("reg.example/o:1\n")
    answer = tree(tmp_path, "--all", "--in-use", str(used), code=3)
    assert not dangling.has(goes)
    assert named.has(stays)
    assert not other.has(unused)
    assert [error.split(":")[0] for error in answer["Errors"]] == ["named"]
    assert ocigc("prune", "--force", "--grace", "0s", dangling.path).code == 0
    alone = make(tmp_path / "elsewhere", "alone")
    alone.tag(image(alone, "a")[0])
    refused(ocigc("prune", "--force", "--grace", "0s", alone.path), 3, "no image")


def test_an_image_whose_content_is_absent_does_not_count_as_left(tmp_path: Path) -> None:
    layout = make(tmp_path, "l")
    present, _ = image(layout, "present")
    layout.tag(present)
    lost, _ = image(layout, "lost")
    layout.tag(lost, "reg.example/lost:1")
    absent(layout, lost)
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, "no image")
    assert layout.has(present)
    layout.tag(image(layout, "other")[0], "reg.example/other:1")
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert not layout.has(present)


def test_the_wildcard_of_a_sparse_mirror_holds_nothing_that_is_not_there(tmp_path: Path) -> None:
    """What all lack is no reason to keep anything."""
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    for layout in (a, b):
        amd, _ = image(layout, "amd")
        arm, arm_blobs = image(layout, "arm")
        layout.tag(layout.index([amd, arm]), "1")
        for blob in arm_blobs:
            absent(layout, blob)
        layout.blob("orphan of " + layout.path.name)
    answer = tree(tmp_path)
    assert len(answer["Orphans"]) == 2


class Writer:
    """Does something once, when blobs are about to go."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def __call__(self, step: str, /) -> Report | None:
        if step == "Removing blobs" and self.act is not None:
            act, self.act = self.act, None
            act()
        return None

    def note(self, message: str) -> None:
        pass


@pytest.mark.parametrize("kind", ["tag", "lease"])
def test_what_another_layout_comes_to_need_meanwhile_is_put_back(kind: str, tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "1")
    b.tag(image(b, "own")[0], "1")
    manifest, blobs = image(a, "shared")
    orphan = a.blob("orphan")

    def act() -> None:
        if kind == "tag":
            b.tag(manifest, "new")
        else:
            b.lease("new", [manifest])

    options = PruneOptions(request(grace=0))
    with Layout(str(a.path)) as layout:
        elsewhere = SharedWith([str(b.path)], time.time_ns())
        with prune(layout, options, watch=Writer(act), elsewhere=elsewhere) as pruned:
            assert pruned.stayed == {blob["digest"] for blob in blobs}
    assert has(a, blobs)
    assert not a.has(orphan)


def test_keep_storage_counts_what_others_need(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    a.tag(image(a, "own")[0], "reg.example/own:1")
    b.tag(image(b, "own b")[0], "reg.example/own:b")
    manifest, blobs = image(a, "shared")
    b.tag(manifest, "reg.example/shared:1")
    ocigc("prune", "--recursive", "--force", "-a", "--grace", "0s", "--keep-storage", "1B", tmp_path)
    names = {each["Name"] for each in ocigc("ls", "--recursive", "--format", "json", tmp_path).json}
    assert ("reg.example/shared:1" in names) == has(a, blobs)


def test_an_answer_lists_each_layout_once(tmp_path: Path) -> None:
    for name in ("b", "a", "c/d"):
        layout = make(tmp_path, name)
        layout.tag(image(layout, name)[0], "1")
    answer = tree(tmp_path)
    assert [each["Layout"] for each in answer["Layouts"]] == ["a", "b", "c/d"]
    assert json.dumps(answer["Errors"]) == "[]"
