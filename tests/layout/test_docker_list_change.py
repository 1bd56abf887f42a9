"""Entries of manifest.json go with the config that they name, and come back with it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from ocigc.digest import Digest
from ocigc.layout import docker_list
from ocigc.layout.dirfd import Dir
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter, path_of

PRUNE = ("prune", "--all", "--force", "--grace", "0s")


@pytest.fixture
def saved(tmp_path: Path) -> LayoutWriter:
    """Three images. Of two the list alone names the layers, and these two have one in common."""
    layout = LayoutWriter(tmp_path / "layout")
    entries = []
    for tag, layers in (("1", ["base", "one"]), ("2", ["base", "two"]), ("3", [])):
        config, written = layout.config(tag), [layout.blob(layer) for layer in layers]
        layout.tag(layout.manifest(config), f"docker.io/acme/app:{tag}")
        paths = [path_of(layer) for layer in written]
        entries.append({"Config": path_of(config), "RepoTags": [f"acme/app:{tag}"], "Layers": paths, "Other": tag})
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


def test_a_tag_that_utf_8_does_not_have_stays_as_it_is(saved: LayoutWriter) -> None:
    listed = saved.path / "manifest.json"
    listed.write_text(listed.read_text().replace('"acme/app:2"', '"acme/app:2", "\\ud800"'))
    before = json.loads(listed.read_text())
    _prune(saved, "acme/app:2\nacme/app:3\n", "--trash", "1h")
    assert json.loads(listed.read_text()) == before[1:]
    assert ocigc("restore", saved.path).code == 0
    assert json.loads(listed.read_text()) == before


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

    def one(configs: Collection[Digest]) -> list[Digest]:
        return sorted(configs)[:1]

    going = docker_list.Going(one, lambda _: ())
    with Dir.at(saved.path) as layout, Dir.at(tmp_path / "run") as run:
        docker_list.undo(layout, run)
        docker_list.cut(layout, run)
        assert list_path.read_bytes() == before
        docker_list.prepare(layout, run, going)
        for step, expected in (("cut", 2), ("cut", 2), ("undo", 3), ("undo", 3), ("cut", 2)):
            getattr(docker_list, step)(layout, run)
            assert len(_listed(saved)) == expected
        list_path.write_text("[]")
        docker_list.undo(layout, run)
        docker_list.cut(layout, run)
        assert list_path.read_text() == "[]"
        list_path.unlink()
        docker_list.undo(layout, run)
        assert not list_path.exists()
    assert not [path for path in saved.path.iterdir() if path.name.startswith(".ocigc-")]


class TestTags:
    """Of an entry that stays, a tag goes with the image of that name."""

    @pytest.fixture
    def named(self, tmp_path: Path) -> LayoutWriter:
        """One image with three names, all in one entry of the list, and another."""
        layout = LayoutWriter(tmp_path / "layout")
        config = layout.config("app")
        app = layout.manifest(config, [layout.blob("app")])
        layout.tag(app, "docker.io/acme/app:1")
        layout.tag(app, "docker.io/acme/app:latest")
        layout.tag(app, **{"io.containerd.image.name": "reg.example/app:1,reg.example/app:2"})
        layout.tag(layout.image("other"), "docker.io/acme/other:1")
        tags = ["acme/app:1", "acme/app", "reg.example/app:1", "reg.example/app:2", "elsewhere:1"]
        entry = {"Config": path_of(config), "RepoTags": tags, "Layers": [path_of(layout.blob("app"))]}
        (layout.path / "manifest.json").write_text(json.dumps([{"Config": "other.json", "RepoTags": None}, entry]))
        return layout

    def tags(self, layout: LayoutWriter) -> list[str]:
        other, entry = json.loads((layout.path / "manifest.json").read_text())
        assert other == {"Config": "other.json", "RepoTags": None}
        tags: list[str] = entry["RepoTags"]
        return tags

    def test_one_of_several_names_goes_with_its_tag(self, named: LayoutWriter) -> None:
        assert ocigc("rm", "-f", named.path, "acme/app:latest").code == 0
        assert self.tags(named) == ["acme/app:1", "reg.example/app:1", "reg.example/app:2", "elsewhere:1"]
        assert ocigc("rm", "-f", named.path, "reg.example/app:1").code == 0
        assert self.tags(named) == ["acme/app:1", "reg.example/app:2", "elsewhere:1"]
        assert ocigc("rm", "-f", named.path, "acme/other:1").code == 0
        assert self.tags(named) == ["acme/app:1", "reg.example/app:2", "elsewhere:1"]

    def test_a_name_that_another_entry_has_too_stays(self, named: LayoutWriter) -> None:
        named.tag(named.image("newer"), "docker.io/acme/app:1")
        digest = named.entries[-1]["digest"]
        assert ocigc("rm", "-f", named.path, digest).code == 0
        assert "acme/app:1" in self.tags(named)

    def test_they_come_back_with_their_names(self, named: LayoutWriter) -> None:
        before = (named.path / "manifest.json").read_bytes()
        assert ocigc("rm", "-f", "--trash", "1d", named.path, "acme/app:1", "acme/app:latest").code == 0
        assert ocigc("restore", "--image", "acme/app:latest", named.path).code == 0
        assert self.tags(named) == ["acme/app", "reg.example/app:1", "reg.example/app:2", "elsewhere:1"]
        assert ocigc("restore", "--image", "acme/app:1", named.path).code == 0
        assert (named.path / "manifest.json").read_bytes() == before
