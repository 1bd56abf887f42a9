"""Layouts that other people's programs write: pruned by our rules, and what is kept still reads with those programs."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command import ocigc

PRUNE = ("prune", "--force", "--grace", "0s", "--format", "json")


def call(*command: str | Path, cwd: Path | None = None) -> str:
    process = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=120, cwd=cwd
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def needs(*programs: str) -> pytest.MarkDecorator:
    absent = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)} (see tools/interop-tools.sh)")


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def names(layout: Path) -> set[str | None]:
    manifests = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in manifests}


def sound(layout: Path) -> None:
    result = ocigc("verify", "--format", "json", layout)
    assert result.code == 0, result
    assert result.json["Missing"] == []


def same_tree(left: Path, right: Path) -> bool:
    comparison = filecmp.dircmp(left, right)
    if comparison.left_only or comparison.right_only or comparison.funny_files:
        return False
    _, mismatch, errors = filecmp.cmpfiles(left, right, comparison.common_files, shallow=False)
    return not mismatch and not errors and all(same_tree(left / d, right / d) for d in comparison.common_dirs)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    for name in ("one", "two", "three"):
        (path / name).write_bytes(os.urandom(5000))
    return path


@pytest.fixture
def umoci_layout(tmp_path: Path, rootfs: Path) -> Path:
    """Three tags: `base`, and `two` and `three` built on it."""
    layout = tmp_path / "umoci"
    call("umoci", "init", "--layout", layout)
    call("umoci", "new", "--image", f"{layout}:base")
    call("umoci", "insert", "--rootless", "--image", f"{layout}:base", rootfs / "one", "/one")
    for tag in ("two", "three"):
        call("umoci", "tag", "--image", f"{layout}:base", tag)
        call("umoci", "insert", "--rootless", "--image", f"{layout}:{tag}", rootfs / tag, f"/{tag}")
    return layout


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


@pytest.fixture
def storage() -> Iterator[tuple[str | Path, ...]]:
    """Options for a storage of their own for buildah and podman. podman wants the path of its runroot to be short."""
    if os.geteuid() != 0:
        pytest.skip("buildah and podman need root, or user namespaces")
    with tempfile.TemporaryDirectory() as directory:
        yield "--storage-driver", "vfs", "--root", Path(directory, "root"), "--runroot", Path(directory, "run")


Buildah = Callable[..., str]


@pytest.fixture
def buildah(storage: tuple[str | Path, ...], rootfs: Path) -> Buildah:
    """buildah, with a container `work` that holds one file."""

    def run(*arguments: str | Path) -> str:
        return call("buildah", *storage, *arguments)

    run("from", "--name", "work", "scratch")
    run("copy", "work", rootfs / "one", "/one")
    return run


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
