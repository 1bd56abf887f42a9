"""What is in use, from files to what stays and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import LayoutWriter

NAMES = ("reg.example/web:1", "reg.example/db:1")


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "used"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def layout_with(path: Path, *names: str) -> LayoutWriter:
    layout = LayoutWriter(path)
    for name in names:
        layout.tag(layout.image(name, [name]), name)
    return layout


def prune(layout: Path, *arguments: str | Path) -> Result:
    return ocigc("prune", "-a", "-f", "--grace", "0s", "--format", "json", *arguments, layout)


def names(layout: LayoutWriter) -> list[str]:
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    return [each.get("annotations", {}).get("org.opencontainers.image.ref.name", "<none>") for each in entries]


def pods(*images: str, digest: str | None = None) -> dict[str, Any]:
    status = {} if digest is None else {"containerStatuses": [{"image": images[0], "imageID": digest}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": each} for each in images]}}
    return {"apiVersion": "v1", "kind": "List", "items": [{**pod, "status": status}]}


@pytest.mark.parametrize("command", [("prune", "-n", "-a"), ("du",), ("ls",), ("report", "-o", "-")])
def test_what_matches_nothing_is_told(command: tuple[str, ...], tmp_path: Path) -> None:
    layout = layout_with(tmp_path / "tree/layout", *NAMES)
    layout_with(tmp_path / "tree/other", "reg.example/other:1")
    used = write(tmp_path, "reg.exmaple/web:1\nreg.example/db:1\n")
    said = "1 of 2 references match no image here: reg.exmaple/web:1 (nearest: reg.example/web:1)"
    for target in ([layout.path], ["--recursive", tmp_path / "tree"]):
        result = ocigc(*command, "--in-use", used, *target)
        assert (result.code, result.err.count(said)) == (0, 1), result.err
    used.write_text("\n".join(NAMES))
    assert "match no image" not in ocigc(*command, "--in-use", used, layout.path).err


def test_a_list_that_must_match_and_does_not_is_refused(tmp_path: Path) -> None:
    layout = layout_with(tmp_path / "tree/layout", *NAMES)
    used = write(tmp_path, "reg.exmaple/web:1\nreg.example/db:1\n")
    for target in ([layout.path], ["--recursive", tmp_path / "tree"]):
        result = ocigc("prune", "-a", "-f", "--in-use", used, "--in-use-strict", *target)
        refused(result, 3, "1 of 2 references", "nothing was changed")
    assert names(layout) == [*NAMES]
    used.write_text("reg.example/db:1")
    assert prune(layout.path, "--in-use", used, "--in-use-strict").code == 0
    assert names(layout) == [NAMES[1]]


def test_in_a_tree_a_reference_may_match_in_any_layout(tmp_path: Path) -> None:
    for name in NAMES:
        layout_with(tmp_path / "tree" / name.partition("/")[2].partition(":")[0], name)
    used = write(tmp_path, "\n".join(NAMES))
    result = ocigc("prune", "-a", "-f", "--in-use", used, "--in-use-strict", "--recursive", tmp_path / "tree")
    assert (result.code, "match no image" in result.err) == (0, False)


def test_an_image_that_pods_use_by_digest_keeps_its_name_in_a_mirror(tmp_path: Path) -> None:
    mirror = layout_with(tmp_path / "mirror", "mirror.lan:5000/library/nginx:1.27", "mirror.lan:5000/library/redis:7")
    used = write(tmp_path, pods("nginx:1.27", digest=f"docker.io/library/nginx@{mirror.entries[0]['digest']}"))
    result = prune(mirror.path, "--in-use", used)
    assert names(mirror) == ["mirror.lan:5000/library/nginx:1.27"]
    assert "1 of 2 references match no image here: nginx:1.27" in result.err


def test_a_mirror_is_sought_too(tmp_path: Path) -> None:
    mirror = layout_with(
        tmp_path / "mirror", "mirror.lan:5000/nginx:1", "mirror.lan:5000/ghcr/org/app:2", "mirror.lan:5000/gone:3"
    )
    used = write(tmp_path, "nginx:1\nghcr.io/org/app:2\n")
    options = ("--mirror", "docker.io=mirror.lan:5000", "--mirror", "ghcr.io/org=mirror.lan:5000/ghcr/org")
    result = prune(mirror.path, "--in-use", used, "--in-use-strict", *options)
    assert (result.code, names(mirror)) == (0, ["mirror.lan:5000/nginx:1", "mirror.lan:5000/ghcr/org/app:2"])
    refused(prune(mirror.path, "--mirror", "docker.io"), 2, "--mirror", "FROM=TO")


def test_a_list_of_pods_protects_the_image_of_their_sandboxes(tmp_path: Path) -> None:
    # Nothing in a pod names the image that its sandbox runs.
    node = ("registry.k8s.io/pause:3.9", "reg.example/web:1", "reg.example/old:1")
    layout = layout_with(tmp_path / "layout", *node)
    result = prune(layout.path, "--in-use", write(tmp_path, pods("reg.example/web:1")))
    assert names(layout) == [*node[:2]]
    assert "registry.k8s.io/pause:3.9 may be that image, and stays" in result.err
    info = {"status": {"conditions": []}, "config": {"sandboxImage": "reg.example/other/pause:1"}}
    (tmp_path / "info").write_text(json.dumps(info))
    prune(layout.path, "--in-use", write(tmp_path, pods("reg.example/web:1")), "--in-use", tmp_path / "info")
    assert names(layout) == ["reg.example/web:1"]


def test_a_name_that_is_not_a_reference_stays(tmp_path: Path) -> None:
    layout = layout_with(tmp_path / "layout", "My Image", *NAMES)
    report = prune(layout.path, "--explain", "--in-use", write(tmp_path, NAMES[0])).json
    assert names(layout) == ["My Image", NAMES[0]]
    explained = {each["Name"]: each["By"] for each in report["Explained"]}
    assert "not a reference" in explained["My Image"]


def test_a_container_of_dockers_classic_store_keeps_the_image_of_its_config(tmp_path: Path) -> None:
    # There an ImageID is the digest of the config, while the layout of `docker save` names manifests.
    layout = LayoutWriter(tmp_path / "layout")
    config = layout.config("used")
    layout.tag(layout.manifest(config, [layout.blob("used")]), "docker.io/library/used:1")
    layout.tag(layout.image("gone", ["gone"]), "docker.io/library/gone:1")
    container = {"Id": "1", "Image": config["digest"], "Config": {"Image": config["digest"][7:19]}}
    used = write(tmp_path, [container])
    assert prune(layout.path, "--rules", "docker-29", "--in-use", used).code == 0
    assert names(layout) == ["docker.io/library/used:1"]
    assert prune(layout.path, "--in-use", used).code == 0
    assert names(layout) == ["<none>"]
    assert layout.has(config)
