"""What the programs work on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import Buildah, appears, call, daemon, random_files


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """None of the programs finds a configuration, credentials or a cache of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def crane_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that knows no referrers: its clients list them under fallback tags."""
    path = tmp_path_factory.mktemp("crane")
    with daemon(path / "log", "crane", "registry", "serve", "--address", "127.0.0.1:0"):
        yield f"127.0.0.1:{appears(path / 'log', r'serving on port ([0-9]+)')[1]}"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return random_files(tmp_path / "files")


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
