"""manifest.json, the list of `docker save`, holds what it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocigc.layout.docker_list import ListEntry, listed
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter, path_of

PRUNE = ("prune", "--force", "--grace", "0s")
HEX = "a" * 64


def _list(layout: LayoutWriter, *entries: tuple[Descriptor, list[Descriptor]]) -> None:
    document = [
        {"Config": path_of(config), "RepoTags": None, "Layers": [path_of(layer) for layer in layers]}
        for config, layers in entries
    ]
    (layout.path / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"schemaVersion": 2, "layers": []}, []),
        ("text", []),
        ([], []),
        ([1, None, "text"], []),
        ([{}], [ListEntry(None, [])]),
        ([{"Config": f"{HEX}.json", "Layers": [f"{HEX}/layer.tar"]}], [ListEntry(None, [])]),
        ([{"Config": f"blobs/sha256/{HEX}", "Layers": None}], [ListEntry(f"sha256:{HEX}", [])]),
        (
            [{"Config": 1, "Layers": [f"blobs/sha256/{HEX}", "blobs/sha256/../x", 2]}],
            [ListEntry(None, [f"sha256:{HEX}"])],
        ),
        ([{"Config": f"blobs/md5/{HEX}", "Layers": "text"}], [ListEntry(None, [])]),
    ],
)
def test_what_a_document_lists(document: Any, expected: list[ListEntry]) -> None:
    assert listed(document) == expected


def test_layers_that_only_the_list_names_stay_and_go_with_the_image(tmp_path: Path) -> None:
    """docker 25.0 wrote manifests without layers: moby#47065."""
    layout = LayoutWriter(tmp_path / "layout")
    config, layers = layout.config("app"), [layout.blob("one"), layout.blob("two")]
    layout.tag(layout.manifest(config), "docker.io/acme/app:1")
    layout.tag(layout.image("other"), "docker.io/acme/other:1")
    _list(layout, (config, layers))
    assert ocigc(*PRUNE, layout.path).code == 0
    assert all(map(layout.has, (config, *layers)))
    assert "acme/app:1" in ocigc("why", layout.path, layers[0]["digest"]).out
    assert ocigc("rm", "--force", layout.path, "acme/app:1").code == 0
    assert not any(map(layout.has, (config, *layers)))
    assert ocigc(*PRUNE, layout.path).code == 0


def test_an_entry_of_no_image_holds_what_it_names(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("other"), "docker.io/acme/other:1")
    config, layer, orphan = layout.config("alone"), layout.blob("alone"), layout.blob("orphan")
    _list(layout, (config, [layer]))
    assert ocigc(*PRUNE, layout.path).code == 0
    assert layout.has(config)
    assert layout.has(layer)
    assert not layout.has(orphan)
    assert "manifest.json" in ocigc("why", layout.path, layer["digest"]).out


@pytest.mark.parametrize(
    "form",
    [
        lambda path: [{"Config": 5, "Layers": [path]}],
        lambda path: [{"Layers": [None, f"./{path}"]}],
        lambda path: [{"Layers": path}],
        lambda path: [{"Layers": [[path]]}],
        lambda path: [{"config": "x.json", "layers": [path]}],
        lambda path: {"Config": "x.json", "Layers": [path]},
        lambda path: {"images": [{"layer": path}]},
        lambda path: [{"Layers": [], "LayerSources": {"x": {"digest": path.removeprefix("blobs/").replace("/", ":")}}}],
    ],
)
def test_what_a_list_of_another_form_names_stays(form: Callable[[str], Any], tmp_path: Path) -> None:
    """What cannot be understood is never a reason to delete: every blob that a list names stays, at whatever place."""
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("other"), "docker.io/acme/other:1")
    layer, orphan = layout.blob("named"), layout.blob("orphan")
    (layout.path / "manifest.json").write_text(json.dumps(form(path_of(layer))))
    assert ocigc(*PRUNE, layout.path).code == 0
    assert layout.has(layer)
    assert not layout.has(orphan)


def test_a_layer_of_an_absent_config_stays(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    config, layer = layout.config("app"), layout.blob("app")
    layout.tag(layout.manifest(config), "docker.io/acme/app:1")
    layout.blob_path(config).unlink()
    _list(layout, (config, [layer]))
    assert ocigc(*PRUNE, layout.path).code == 0
    assert layout.has(layer)


def test_a_list_that_is_cut_off_stops_the_run(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("app"), "docker.io/acme/app:1")
    orphan = layout.blob("orphan")
    (layout.path / "manifest.json").write_text('[{"Config": "blobs/sha')
    refused(ocigc(*PRUNE, layout.path), 3, "manifest.json")
    assert layout.has(orphan)
    assert ocigc("ls", layout.path).code == 0
    assert "manifest.json" in ocigc("why", layout.path, orphan["digest"]).out
