"""`ocigc du`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def test_totals_repositories_and_images(layout: LayoutWriter) -> None:
    layout.tag(layout.image("one", ["shared", "one"]), "docker.io/library/app:1")
    layout.tag(layout.image("two", ["shared", "two"]), "docker.io/library/app:2")
    layout.tag(layout.image("other", ["shared"]), "example.com/other:1")
    dangling = layout.image("dangling", ["alone"])
    layout.tag(dangling)
    found = ocigc("du", "-v", "--format", "json", layout.path).json
    blobs = layout.path / "blobs" / "sha256"
    sizes = {path.name: path.stat().st_size for path in blobs.iterdir()}
    assert found["Blobs"] == len(sizes)
    assert found["Size"] == found["Disk"] == sum(sizes.values())
    dry = ocigc("prune", "-n", "--format", "json", layout.path).json["SpaceReclaimed"]
    everything = ocigc("prune", "-a", "-n", "--format", "json", layout.path).json["SpaceReclaimed"]
    assert (found["Reclaimable"], found["ReclaimableAll"]) == (dry, everything)
    assert found["Reclaimable"] > 0
    shared = len("shared")
    assert [(each["Name"], each["Images"], each["Shared"]) for each in found["Repositories"]] == [
        (None, 1, 0),
        ("app", 2, shared),
        ("example.com/other", 1, shared),
    ]
    listed = ocigc("ls", "--format", "json", layout.path).json
    reclaimable = [each.pop("Reclaimable") for each in found["ImagesUsage"]]
    assert found["ImagesUsage"] == listed
    assert reclaimable == [each["Size"] for each in listed]
    (layout.path.parent / "used").write_text("app:1\n")
    used = ocigc("du", "--format", "json", "--in-use", layout.path.parent / "used", layout.path).json
    assert [each["Reclaimable"] for each in used["Repositories"]] == [
        found["Repositories"][0]["Size"],
        sizes[layout.entries[1]["digest"][7:]] + len("two") + sizes[config_of(layout, layout.entries[1])],
        found["Repositories"][2]["Size"] - shared,
    ]
    text = ocigc("du", "-v", layout.path).out
    assert "WITH --all" in text
    assert "example.com/other:1" in text


def config_of(layout: LayoutWriter, image: Descriptor) -> str:
    return str(json.loads(layout.blob_path(image).read_text())["config"]["digest"][7:])


def test_a_forecast_is_by_the_layouts_policy(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept"), "app:1")
    layout.tag(layout.image("dangling"))
    (layout.path / "ocigc.toml").write_text("[[rule]]\nkeep-tagged = true\n")
    found = ocigc("du", "--format", "json", layout.path)
    assert (found.json["Reclaimable"], found.json["ReclaimableAll"]) == (0, 0)
    assert len(found.err.splitlines()) == 1
    tree = ocigc("du", "--recursive", "--format", "json", layout.path.parent)
    assert tree.json["ReclaimableAll"] == 0
    (layout.path / "ocigc.toml").rename(layout.path.parent / "ocigc.toml")
    tree = ocigc("du", "--recursive", "--format", "json", layout.path.parent)
    assert tree.json["ReclaimableAll"] == 0
    assert ocigc("du", "--format", "json", layout.path).json["Reclaimable"] > 0


def test_hard_links_count_once_over_a_tree(tmp_path: Path) -> None:
    layouts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = LayoutWriter(tmp_path / name)
        store.tag(store.image("same", ["layer"]))
        layouts.append(store)
    for path in (tmp_path / "a" / "blobs" / "sha256").iterdir():
        twin = tmp_path / "b" / "blobs" / "sha256" / path.name
        twin.unlink()
        os.link(path, twin)
    found = ocigc("du", "--recursive", "--format", "json", tmp_path).json
    assert found["Size"] == 2 * found["Disk"]
    assert found["Reclaimable"] == found["Disk"]
    assert [(each["Layout"], each["Disk"], each["Reclaimable"]) for each in found["Layouts"]] == [
        ("a", found["Disk"], 0),
        ("b", found["Disk"], found["Disk"]),
    ]
    assert [each["Name"] for each in found["Repositories"]] == ["a", "b"]
    assert "LAYOUT" in ocigc("du", "--recursive", tmp_path).out
    assert ocigc("du", "--format", "json", tmp_path / "a").json["Reclaimable"] == 0


def test_an_empty_layout(layout: LayoutWriter) -> None:
    found = ocigc("du", "--format", "json", layout.path).json
    assert (found["Images"], found["Blobs"], found["Disk"]) == (0, 0, 0)
    assert ocigc("du", "-v", layout.path).code == 0


def test_what_a_prune_would_free_is_by_the_rules_that_are_asked_for(tmp_path: Path) -> None:
    # A container of repo:tag@digest protects repo:tag, too, since docker 29.
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("used", ["used"]), "docker.io/library/used:1")
    digest = "sha256:" + "0" * 64
    (tmp_path / "used").write_text(json.dumps([{"Id": "1", "Image": digest, "Config": {"Image": f"used:1@{digest}"}}]))
    command = ("du", "--format", "json", "--in-use", tmp_path / "used", layout.path)
    assert ocigc(*command).json["ReclaimableAll"] == ocigc(*command, "--rules", "seed").json["ReclaimableAll"] > 0
    assert ocigc(*command, "--rules", "docker-29").json["ReclaimableAll"] == 0
    assert ocigc("du", "--rules", "docker-30", layout.path).code == 2


def test_orphans_in_grace_are_told(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept"), "app:1")
    layout.blob("orphan")
    assert "In grace: 1 orphan stays, younger than an hour.\n" in ocigc("du", layout.path).out
    assert ocigc("du", "--format", "json", layout.path).json["Orphans"] == {"Blobs": 0, "Size": 0, "InGrace": 1}


def test_a_repository_of_several_layouts_is_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        layout = LayoutWriter(tmp_path / name)
        layout.tag(layout.image(name), "example.com/app:1")
    (both,) = ocigc("du", "--format", "json", tmp_path / "one", tmp_path / "two").json["Repositories"]
    (one,) = ocigc("du", "--format", "json", tmp_path / "one").json["Repositories"]
    assert (both["Name"], both["Images"]) == ("example.com/app", 2)
    assert both["Size"] > one["Size"]


def test_metrics_are_those_of_one_layout_or_a_tree(tmp_path: Path) -> None:
    for name in ("one", "two"):
        LayoutWriter(tmp_path / name).write_index()
    arguments = ("du", "--metrics-file", tmp_path / "x.prom", tmp_path / "one", tmp_path / "two")
    refused(ocigc(*arguments), 2, "--metrics-file", "one layout")
