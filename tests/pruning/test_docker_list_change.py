"""Entries of manifest.json go with the config that they name, and come back with it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from ocigc.layout.dirfd import Dir
from ocigc.pruning import docker_list_change
from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter

PRUNE = ("prune", "--all", "--force", "--grace", "0s")


def _path(target: Descriptor) -> str:
    return f"blobs/{target['digest'].replace(':', '/')}"


@pytest.fixture
def saved(tmp_path: Path) -> LayoutWriter:
    """Three images. Of two the list alone names the layers, and these two have one in common."""
    layout = LayoutWriter(tmp_path / "layout")
    entries = []
    for tag, layers in (("1", ["base", "one"]), ("2", ["base", "two"]), ("3", [])):
        config, written = layout.config(tag), [layout.blob(layer) for layer in layers]
        layout.tag(layout.manifest(config), f"docker.io/acme/app:{tag}")
        paths = [_path(layer) for layer in written]
        entries.append({"Config": _path(config), "RepoTags": [f"acme/app:{tag}"], "Layers": paths, "Other": tag})
    (layout.path / "manifest.json").write_text(json.dumps(entries, indent=2))
    return layout


def _listed(layout: LayoutWriter) -> list[str]:
    documents: list[dict[str, Any]] = json.loads((layout.path / "manifest.json").read_text())
    return [each["Other"] for each in documents]


def _prune(layout: LayoutWriter, used: str, *options: str) -> None:
    result = ocigc(*PRUNE, *options, "--in-use", "-", layout.path, stdin=used)
    assert result.code == 0, result


def test_an_entry_goes_with_its_image_and_leaves_the_others_as_they_are(saved: LayoutWriter) -> None:
    before = json.loads((saved.path / "manifest.json").read_text())
    _prune(saved, "acme/app:2\nacme/app:3\n")
    assert json.loads((saved.path / "manifest.json").read_text()) == before[1:]
    assert all((saved.path / path).exists() for path in before[1]["Layers"])
    assert not (saved.path / before[0]["Layers"][1]).exists()


def test_a_list_of_which_nothing_goes_is_not_written(saved: LayoutWriter) -> None:
    before = (saved.path / "manifest.json").stat()
    saved.blob("orphan")
    _prune(saved, "acme/app:1\nacme/app:2\nacme/app:3\n")
    after = (saved.path / "manifest.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_restore_brings_the_list_back_as_it_was(saved: LayoutWriter) -> None:
    before, present = (saved.path / "manifest.json").read_bytes(), saved.present()
    _prune(saved, "acme/app:3\n", "--trash", "1d")
    assert _listed(saved) == ["3"]
    assert ocigc("restore", saved.path).code == 0
    assert (saved.path / "manifest.json").read_bytes() == before
    assert saved.present() == present


def test_one_image_comes_back_with_its_entry_and_the_layers_of_that(saved: LayoutWriter) -> None:
    layers = json.loads((saved.path / "manifest.json").read_text())[1]["Layers"]
    _prune(saved, "acme/app:3\n", "--trash", "1d")
    assert ocigc("restore", "--image", "acme/app:2", saved.path).code == 0
    assert _listed(saved) == ["2", "3"]
    assert all((saved.path / layer).exists() for layer in layers)


def test_each_step_may_be_repeated_and_what_another_has_written_stays(saved: LayoutWriter, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    list_path = saved.path / "manifest.json"
    before = list_path.read_bytes()

    def going(configs: Collection[str]) -> list[str]:
        return sorted(configs)[:1]

    with Dir.at(saved.path) as layout, Dir.at(tmp_path / "run") as run:
        docker_list_change.undo(layout, run)
        docker_list_change.cut(layout, run)
        assert list_path.read_bytes() == before
        docker_list_change.prepare(layout, run, going)
        for step, expected in (("cut", 2), ("cut", 2), ("undo", 3), ("undo", 3), ("cut", 2)):
            getattr(docker_list_change, step)(layout, run)
            assert len(_listed(saved)) == expected
        list_path.write_text("[]")
        docker_list_change.undo(layout, run)
        docker_list_change.cut(layout, run)
        assert list_path.read_text() == "[]"
        list_path.unlink()
        docker_list_change.undo(layout, run)
        assert not list_path.exists()
    assert not [path for path in saved.path.iterdir() if path.name.startswith(".ocigc-")]
