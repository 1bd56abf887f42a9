"""Mirrors: layouts between registries, with Debian's docker-registry and containerd."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import snapshot
from tests.interop.programs import PRUNE, appears, blobs, call, daemon, names, needs, sound


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a docker-registry, which keeps its files in `registry`."""
    (tmp_path / "registry").mkdir()
    configuration = tmp_path / "registry.json"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    configuration.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:0"}}))
    log = tmp_path / "registry.log"
    with daemon(log, "docker-registry", "serve", configuration):
        yield appears(log, r"listening on (127\.0\.0\.1:\d+)")[1]


def push(layout: Path, tag: str, registry: str, repository: str) -> None:
    call("skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:{tag}", f"docker://{registry}/{repository}:{tag}")


def pull(registry: str, repository: str, tag: str, layout: Path) -> None:
    call("skopeo", "copy", "--src-tls-verify=false", f"docker://{registry}/{repository}:{tag}", f"oci:{layout}:{tag}")


def digest(registry: str, repository: str, tag: str) -> str:
    image = f"docker://{registry}/{repository}:{tag}"
    return call("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", image).strip()


@needs("docker-registry", "skopeo", "umoci")
def test_a_mirror_of_a_registry_pulled_pruned_and_pushed_again(
    registry: str, umoci_layout: Path, tmp_path: Path
) -> None:
    for tag in ("base", "two", "three"):
        push(umoci_layout, tag, registry, "app")
    mirror = tmp_path / "mirror"
    for tag in ("base", "two", "three"):
        pull(registry, "app", tag, mirror)
    call("umoci", "tag", "--image", f"{umoci_layout}:base", "three")
    push(umoci_layout, "three", registry, "app")
    pull(registry, "app", "three", mirror)
    before = blobs(mirror)

    result = ocigc(*PRUNE, mirror)
    assert result.code == 0, result
    assert [next(iter(each)) for each in result.json["ImagesDeleted"]] == ["Untagged", *["Deleted"] * 3]
    assert names(mirror) == {"base", "two", "three"}
    assert blobs(mirror).items() < before.items()
    sound(mirror)
    for tag in ("base", "two", "three"):
        push(mirror, tag, registry, "again")
        assert digest(registry, "again", tag) == digest(registry, "app", tag)


@needs("docker-registry", "skopeo", "umoci")
def test_the_registrys_own_files_are_no_layout(registry: str, umoci_layout: Path, tmp_path: Path) -> None:
    push(umoci_layout, "two", registry, "app")
    call("umoci", "rm", "--image", f"{umoci_layout}:three")
    before = snapshot(tmp_path / "registry")
    refused(ocigc(*PRUNE, tmp_path / "registry"), 2, "not an OCI image layout", "registry garbage-collect")
    result = ocigc(*PRUNE, "--recursive", tmp_path)
    assert result.code == 0, result
    assert [each["Layout"] for each in result.json["Layouts"]] == ["umoci"]
    assert result.json["Orphans"]
    assert snapshot(tmp_path / "registry") == before
    assert digest(registry, "app", "two")


@needs("docker-registry", "skopeo", "umoci")
def test_what_skopeo_sync_wrote(registry: str, umoci_layout: Path, tmp_path: Path) -> None:
    for repository, tags in (("team/app", ("base", "two")), ("team/web", ("three",))):
        for tag in tags:
            push(umoci_layout, tag, registry, repository)
    synced = tmp_path / "synced"
    for repository in ("team/app", "team/web"):
        source = f"{registry}/{repository}"
        call("skopeo", "sync", "--scoped", "--src-tls-verify=false", "--src", "docker", "--dest", "dir", source, synced)
    # skopeo's directories are no layouts: they are left alone, and become layouts by its own copy.
    before = snapshot(synced)
    assert ocigc(*PRUNE, "--recursive", synced).code == 2
    assert snapshot(synced) == before
    tree = tmp_path / "tree"
    directories = sorted(path.parent for path in synced.rglob("manifest.json"))
    assert len(directories) == 3
    for directory in directories:
        repository, _, tag = str(directory.relative_to(synced / registry)).partition(":")
        (tree / repository).mkdir(parents=True, exist_ok=True)
        call("skopeo", "copy", f"dir:{directory}", f"oci:{tree / repository}:{tag}")
    used = f"# what runs\n{registry}/team/app:two\n{registry}/team/web:three\n"
    result = ocigc(*PRUNE, "--recursive", "--all", "--repository", registry, "--in-use", "-", tree, stdin=used)
    assert result.code == 0, result
    assert [each["Untagged"] for each in result.json["ImagesDeleted"] if "Untagged" in each] == [
        f"{registry}/team/app:base"
    ]
    for repository, tag in (("team/app", "two"), ("team/web", "three")):
        sound(tree / repository)
        push(tree / repository, tag, registry, f"again/{repository}")
        assert digest(registry, f"again/{repository}", tag) == digest(registry, repository, tag)


Ctr = Callable[..., str]


@pytest.fixture
def ctr(tmp_path: Path) -> Iterator[Ctr]:
    """containerd's own client, and a containerd without anything that a kernel would have to allow."""
    configuration, log, socket = tmp_path / "containerd.toml", tmp_path / "containerd.log", tmp_path / "containerd.sock"
    configuration.write_text(
        f"""version = 2
root = "{tmp_path}/containerd/root"
state = "{tmp_path}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
"""
    )
    with daemon(log, "containerd", "--config", configuration):
        appears(log, "successfully booted")
        yield lambda *arguments: call("ctr", "--address", socket, *arguments)


@needs("containerd", "ctr", "umoci")
def test_what_containerd_exports_and_imports(ctr: Ctr, umoci_layout: Path, tmp_path: Path) -> None:
    call("tar", "-C", umoci_layout, "-cf", tmp_path / "in.tar", ".")
    ctr("images", "import", "--no-unpack", "--base-name", "example.com/app", tmp_path / "in.tar")
    listed = {line.split()[0]: line.split()[2] for line in ctr("images", "ls").splitlines()[1:]}
    assert set(listed) == {"example.com/app:base", "example.com/app:two", "example.com/app:three"}
    ctr("images", "export", tmp_path / "out.tar", *listed)
    layout = tmp_path / "layout"
    with tarfile.open(tmp_path / "out.tar") as archive:
        archive.extractall(layout, filter="data")
    before = blobs(layout)

    used = "example.com/app:two\n"
    result = ocigc(*PRUNE, "--all", "--in-use", "-", layout, stdin=used)
    assert result.code == 0, result
    assert {each.get("Untagged") for each in result.json["ImagesDeleted"]} - {None} == {
        "example.com/app:base",
        "example.com/app:three",
    }
    assert blobs(layout).items() < before.items()
    sound(layout)
    assert (layout / "manifest.json").exists()  # the list for `docker load` is not ours

    for name in listed:
        ctr("images", "rm", "--sync", name)
    (layout / "manifest.json").unlink()
    call("tar", "-C", layout, "-cf", tmp_path / "again.tar", "oci-layout", "index.json", "blobs")
    ctr("images", "import", "--no-unpack", tmp_path / "again.tar")
    again = {line.split()[0]: line.split()[2] for line in ctr("images", "ls").splitlines()[1:]}
    assert again == {"example.com/app:two": listed["example.com/app:two"]}
