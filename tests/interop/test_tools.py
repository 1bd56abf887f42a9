"""Layouts that other people's programs write: pruned by our rules, and what is kept still reads with those programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.helpers.command import ocigc
from tests.interop.programs import (
    PRUNE,
    Buildah,
    blobs,
    call,
    entries,
    names,
    needs,
    pruned,
    same_tree,
    sound,
)
from tests.interop.writers import copying, image


def unpack(layout: Path, tag: str, to: Path) -> Path:
    call("umoci", "unpack", "--rootless", "--image", f"{layout}:{tag}", to)
    return to / "rootfs"


@needs("umoci")
def test_umoci_what_is_kept_unpacks_the_same_and_umoci_gc_finds_nothing(umoci_layout: Path, tmp_path: Path) -> None:
    before = unpack(umoci_layout, "two", tmp_path / "before")
    all_blobs = blobs(umoci_layout)
    call("umoci", "rm", "--image", f"{umoci_layout}:three")
    result = ocigc(*PRUNE, umoci_layout)
    assert result.code == 0, result
    assert result.json["Orphans"]
    left = blobs(umoci_layout)
    assert left == {name: all_blobs[name] for name in left}
    assert names(umoci_layout) == {"base", "two"}
    assert same_tree(before, unpack(umoci_layout, "two", tmp_path / "after"))
    sound(umoci_layout)
    call("umoci", "gc", "--layout", umoci_layout)
    assert blobs(umoci_layout) == left


@needs("umoci")
def test_umoci_gc_and_a_prune_of_orphans_agree(umoci_layout: Path, tmp_path: Path) -> None:
    call("umoci", "rm", "--image", f"{umoci_layout}:two")
    copy = tmp_path / "copy"
    shutil.copytree(umoci_layout, copy)
    call("umoci", "gc", "--layout", copy)
    assert ocigc(*PRUNE, umoci_layout).code == 0
    assert blobs(umoci_layout) == blobs(copy)


@needs("umoci")
def test_a_bare_tag_is_protected_by_the_repository_that_it_belongs_to(umoci_layout: Path) -> None:
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "registry.example/app:two"}}])
    options = ("--all", "--repository", "registry.example/app", "--in-use", "-")
    result = ocigc(*PRUNE, *options, umoci_layout, stdin=used)
    assert result.code == 0, result
    assert names(umoci_layout) == {"two"}
    call("umoci", "gc", "--layout", umoci_layout)
    sound(umoci_layout)


@needs("umoci", "skopeo")
def test_skopeo_layouts_copy_byte_for_byte_after_a_prune(umoci_layout: Path, tmp_path: Path) -> None:
    layout = tmp_path / "skopeo"
    for tag in ("base", "two", "three"):
        call("skopeo", "copy", f"oci:{umoci_layout}:{tag}", f"oci:{layout}:{tag}")
    # skopeo gives the tag to another image, and leaves what had it without a name.
    call("skopeo", "copy", f"oci:{umoci_layout}:base", f"oci:{layout}:three")
    before = tmp_path / "dir-before"
    call("skopeo", "copy", f"oci:{layout}:two", f"dir:{before}")
    result = ocigc(*PRUNE, layout)
    assert result.code == 0, result
    assert [next(iter(item)) for item in result.json["ImagesDeleted"]] == ["Untagged", *["Deleted"] * 3]
    assert result.json["Orphans"] == []
    after = tmp_path / "dir-after"
    call("skopeo", "copy", f"oci:{layout}:two", f"dir:{after}")
    assert same_tree(before, after)
    sound(layout)


@needs("umoci", "skopeo")
def test_a_skopeo_layout_without_a_tag_is_not_emptied(umoci_layout: Path, tmp_path: Path) -> None:
    layout = tmp_path / "skopeo"
    call("skopeo", "copy", f"oci:{umoci_layout}:two", f"oci:{layout}")
    before = blobs(layout)
    assert ocigc(*PRUNE, layout).code == 3
    assert blobs(layout) == before
    call("skopeo", "copy", f"oci:{layout}", f"dir:{tmp_path / 'dir'}")


@needs("buildah", "skopeo")
def test_buildah_layouts(tmp_path: Path, rootfs: Path, buildah: Buildah) -> None:
    layout = tmp_path / "buildah"
    buildah("commit", "work", f"oci:{layout}:app:1")
    buildah("copy", "work", rootfs / "two", "/two")
    buildah("commit", "work", f"oci:{layout}:app:2")
    buildah("commit", "work", f"oci:{layout}:other:1")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "app:2"}}])
    result = ocigc(*PRUNE, "--all", "--in-use", "-", layout, stdin=used)
    assert result.code == 0, result
    assert names(layout) == {"app:2"}
    sound(layout)
    buildah("pull", f"oci:{layout}:app:2")
    call("skopeo", "copy", f"oci:{layout}:app:2", f"dir:{tmp_path / 'dir'}")


@needs("buildah", "podman")
def test_podman_layouts(tmp_path: Path, storage: tuple[str | Path, ...], buildah: Buildah) -> None:
    buildah("commit", "work", "localhost/app")
    layout = tmp_path / "podman"
    call("podman", *storage, "save", "--format", "oci-dir", "-o", layout, "localhost/app")
    (layout / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"left over")
    result = ocigc(*PRUNE, layout)
    assert result.code == 0, result
    assert result.json["Orphans"] == ["sha256:" + "0" * 64]
    assert result.json["ImagesDeleted"] == []
    sound(layout)
    call("podman", *storage, "pull", f"oci:{layout}")


@needs("podman", "skopeo", "umoci")
def test_what_podman_says_of_its_containers_and_images(
    umoci_layout: Path, tmp_path: Path, storage: tuple[str | Path, ...]
) -> None:
    layout = tmp_path / "layout"
    for tag in ("one", "two"):
        call("skopeo", "copy", f"oci:{umoci_layout}:two", f"oci:{layout}:localhost/app:{tag}")
    call("skopeo", "copy", f"oci:{umoci_layout}:three", f"oci:{layout}:localhost/app:three")
    podman = ("podman", *storage)
    call(*podman, "pull", f"oci:{layout}:localhost/app:two")
    image = call(*podman, "images", "--quiet", "--no-trunc").strip()
    call(*podman, "tag", image, "localhost/app:two")
    call(*podman, "create", "--name", "user", "localhost/app:two", "/bin/true")
    for said in (
        ("ps", "--all", "--format", "json"),
        ("ps", "--all", "--no-trunc"),
        ("inspect", "user"),
        ("images", "--format", "json"),
        ("image", "inspect", "localhost/app:two"),
    ):
        used = call(*podman, *said)
        result = ocigc("prune", "-n", "--all", "--format", "json", "--in-use", "-", layout, stdin=used)
        assert result.code == 0, (said, result)
        gone = {each["Untagged"] for each in result.json["ImagesDeleted"] if "Untagged" in each}
        assert gone == {"localhost/app:one", "localhost/app:three"}, said


@needs("buildah", "podman", "skopeo")
def test_podman_archives_unpacked_into_one_tree(
    tmp_path: Path, storage: tuple[str | Path, ...], rootfs: Path, buildah: Buildah
) -> None:
    buildah("commit", "work", "localhost/app:1")
    buildah("copy", "work", rootfs / "two", "/two")
    buildah("commit", "work", "localhost/app:2")
    tree = tmp_path / "tree"
    for tag in ("1", "2"):
        archive = tmp_path / f"{tag}.tar"
        call("podman", *storage, "save", "--format", "oci-archive", "-o", archive, f"localhost/app:{tag}")
        (tree / tag).mkdir(parents=True)
        call("tar", "-C", tree / tag, "-xf", archive)
        (tree / tag / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"left over")
    result = ocigc(*PRUNE, "--recursive", tree)
    assert result.code == 0, result
    assert [each["Layout"] for each in result.json["Layouts"]] == ["1", "2"]
    assert result.json["SpaceReclaimed"] == 2 * len(b"left over")
    for tag in ("1", "2"):
        sound(tree / tag)
        call("skopeo", "copy", f"oci:{tree / tag}:localhost/app:{tag}", f"dir:{tmp_path / ('dir' + tag)}")


@needs("crane")
def test_a_name_that_crane_has_pulled_twice(tmp_path: Path, rootfs: Path, crane_registry: str) -> None:
    """crane appends: the name then has two entries. Both are that image, for a list of what is in use and for rm."""
    repository, layout = f"{crane_registry}/twice", tmp_path / "layout"
    for tag, file in (("moves", "one"), ("stays", "two"), ("moves", "three")):
        image(repository, tag, rootfs, file)
        call(*copying("crane", repository, tag, layout))
    pruned(layout)
    pruned(layout, "--all", "--in-use", "-", stdin=f"{repository}:moves\n{repository}:stays\n")
    assert len(entries(layout)) == 3
    assert ocigc("rm", "--force", layout, f"{repository}:moves").code == 0
    assert names(layout) == {f"{repository}:stays"}
    pruned(layout)
    sound(layout)


@needs("crane")
def test_images_that_crane_has_not_named_are_not_all_removed(tmp_path: Path, rootfs: Path, crane_registry: str) -> None:
    layout = tmp_path / "layout"
    for tag, file in (("one", "one"), ("two", "two")):
        image(f"{crane_registry}/nameless", tag, rootfs, file)
        call("crane", "pull", "--format", "oci", f"{crane_registry}/nameless:{tag}", layout)
    before = blobs(layout)
    assert ocigc(*PRUNE, layout).code == 3
    assert blobs(layout) == before
    digest = entries(layout)[0]["digest"]
    assert ocigc("rm", "--force", layout, digest).code == 0
    assert [entry["digest"] for entry in entries(layout)] != [digest]
    sound(layout)
