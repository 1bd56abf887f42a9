"""What has no name yet: tools push manifests first, and name them last."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter

DAY = 24 * 3600


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept"), "kept")
    return writer


def listed(layout: LayoutWriter) -> set[str]:
    return {entry["digest"] for entry in json.loads((layout.path / "index.json").read_text())["manifests"]}


def age(layout: LayoutWriter, *targets: Descriptor) -> None:
    old = time.time() - 30 * DAY
    for target in targets:
        os.utime(layout.blob_path(target), (old, old))


def test_a_manifest_pushed_a_moment_ago_stays_with_all(layout: LayoutWriter) -> None:
    """What oras.Copy does: manifests without a name first, tagged at the end."""
    parts = [layout.image("arm", ["arm"]), layout.image("amd", ["amd"])]
    layers = [layout.blob("arm"), layout.blob("amd")]
    age(layout, *layers)
    for part in parts:
        layout.entry(part)
    result = ocigc("prune", "-f", "--format", "json", layout.path)
    assert result.code == 0, result
    assert result.json["ImagesDeleted"] == []
    assert all(map(layout.has, [*parts, *layers]))
    assert {part["digest"] for part in parts} < listed(layout)
    explained = ocigc("prune", "-n", "--explain", layout.path).out
    assert explained.count("and is in grace") == 2


def test_what_it_refers_to_stays_however_old(layout: LayoutWriter) -> None:
    child = layout.image("child", ["child"])
    inner = [child, layout.blob("child"), layout.config("child")]
    index = layout.index([child])
    layout.entry(index)
    old = time.time() - 30 * DAY
    for each in inner:
        path = layout.blob_path(each)
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        os.utime(path, (old, old))
    result = ocigc("prune", "-f", layout.path)
    assert result.code == 0, result
    assert all(map(layout.has, [index, *inner]))


def test_it_goes_once_the_grace_is_over(layout: LayoutWriter) -> None:
    alone = layout.image("alone")
    layout.entry(alone)
    result = ocigc("prune", "-f", "--grace", "0s", layout.path)
    assert result.code == 0, result
    assert not layout.has(alone)


@pytest.mark.parametrize("arguments", [["-a"], ["--filter", "dangling=true"]])
def test_all_its_kind_stay(layout: LayoutWriter, arguments: list[str]) -> None:
    alone = layout.image("alone")
    layout.entry(alone)
    result = ocigc("prune", "-f", *arguments, "--in-use", "-", layout.path, stdin="kept\n")
    assert result.code == 0, result
    assert layout.has(alone)
    assert alone["digest"] in listed(layout)


def test_a_dangling_image_has_lost_its_name_and_is_no_push(layout: LayoutWriter) -> None:
    alone = layout.image("alone")
    layout.tag(alone, f"moby-dangling@{alone['digest']}")
    result = ocigc("prune", "-f", layout.path)
    assert result.code == 0, result
    assert not layout.has(alone)


def test_rm_takes_it_at_once(layout: LayoutWriter) -> None:
    alone = layout.image("alone")
    layout.entry(alone)
    result = ocigc("rm", "-f", layout.path, alone["digest"])
    assert result.code == 0, result
    assert not layout.has(alone)


def test_grace_does_not_hold_back_the_parts_of_an_image_that_goes(layout: LayoutWriter) -> None:
    part = layout.image("part")
    layout.entry(part)
    layout.tag(layout.index([part]), "app")
    result = ocigc("prune", "-f", "-a", "--in-use", "-", layout.path, stdin="kept\n")
    assert result.code == 0, result
    assert not layout.has(part)
    assert part["digest"] not in listed(layout)


@pytest.mark.parametrize("command", [("prune", "--all", "--in-use"), ("rm",)])
def test_what_it_shares_with_an_image_that_goes_stays(
    layout: LayoutWriter, command: tuple[str, ...], tmp_path: Path
) -> None:
    """regctl and crane write manifests before index.json knows them, and reuse the layers that are here."""
    layout.tag(layout.image("app 1", ["base", "one"]), "app:1")
    wanted, gone = [layout.blob("base"), layout.config("app 2"), layout.blob("two")], layout.blob("one")
    new = layout.image("app 2", ["base", "two"])
    index = layout.index([new])
    used = tmp_path / "used"
    used.write_text("kept\n")
    ends = [layout.path, "app:1"] if command == ("rm",) else [used, layout.path]
    result = ocigc(*command, *ends, "--force")
    assert result.code == 0, result
    assert all(map(layout.has, [index, new, *wanted]))
    assert not layout.has(gone)
