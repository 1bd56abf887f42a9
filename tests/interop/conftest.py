"""What the programs work on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.programs import Buildah, call


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


@pytest.fixture
def storage() -> Iterator[tuple[str | Path, ...]]:
    """Options for a storage of their own for buildah and podman. podman wants the path of its runroot to be short."""
    if os.geteuid() != 0:
        pytest.skip("buildah and podman need root, or user namespaces")
    with tempfile.TemporaryDirectory() as directory:
        yield "--storage-driver", "vfs", "--root", Path(directory, "root"), "--runroot", Path(directory, "run")


@pytest.fixture
def buildah(storage: tuple[str | Path, ...], rootfs: Path) -> Buildah:
    """buildah, with a container `work` that holds one file."""

    def run(*arguments: str | Path) -> str:
        return call("buildah", *storage, *arguments)

    run("from", "--name", "work", "scratch")
    run("copy", "work", rootfs / "one", "/one")
    return run
