"""`--rules`: what differs between the seed's rules and docker 29's, on layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter

ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def prune(layout: LayoutWriter, rules: str, *arguments: str) -> list[str]:
    """The untagged names of a dry run of all."""
    command = ("prune", "-n", "-a", "--allow-empty", "--format", "json", "--rules", rules, *arguments)
    result = ocigc(*command, layout.path)
    assert result.code == 0, result.err
    return [each["Untagged"] for each in result.json["ImagesDeleted"] if "Untagged" in each]


def attested(layout: LayoutWriter, how: str) -> Descriptor:
    """An index of an image with the label keep=1, and of an attestation of it, as buildx writes them."""
    image = layout.image("app", ["app"], labels={"keep": "1"})
    attestation = layout.manifest(layout.config("attestation"), [layout.blob("statement")])
    children = [image, {**attestation, "annotations": ATTESTATION}]
    if how == "listed twice":
        children.append(attestation)
    index = layout.index(children)
    return layout.index([index]) if how == "nested" else index


@pytest.mark.parametrize(("how", "expected"), [("once", []), ("nested", []), ("listed twice", ["app:1"])])
def test_the_label_filter_of_docker_29_passes_attestations_over(how: str, expected: list[str], tmp_path: Path) -> None:
    # moby d994daf576: the config of an attestation has no labels, so it matched any label!=key=value.
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(attested(layout, how), "docker.io/library/app:1")
    assert prune(layout, "docker-29", "--filter", "label!=keep=1") == expected
    assert prune(layout, "docker-29", "--filter", "label!=keep=2") == ["app:1"]
    assert prune(layout, "seed", "--filter", "label!=keep") == ["app:1"]  # for the attestation's sake
    assert prune(layout, "docker-29", "--filter", "label!=keep") == expected


def test_a_label_that_is_absent_is_unequal_for_docker_29_alone(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("app", ["app"]), "docker.io/library/app:1")
    for text in ("label!=stage=prod", "label=stage!=prod"):
        assert prune(layout, "seed", "--filter", text) == []
        assert prune(layout, "docker-29", "--filter", text) == ["app:1"]


def test_an_image_whose_config_cannot_be_read_stays_where_labels_are_asked(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    config = layout.config("app")
    layout.tag(layout.index([layout.manifest(config, [])]), "docker.io/library/app:1")
    layout.blob_path(config).write_bytes(b"[]")
    assert prune(layout, "docker-29", "--filter", "label!=keep=1") == []
    layout.blob_path(config).unlink()
    assert prune(layout, "docker-29", "--filter", "label!=keep=1") == []
    assert prune(layout, "docker-29") == ["app:1"]


def test_the_report_of_docker_29_names_manifests_alone(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    manifest = layout.image("app", ["app"])
    index = layout.index([manifest])
    layout.tag(index, "docker.io/library/app:1")
    orphan = layout.blob("orphan")
    sizes = sum(layout.blob_path(each).stat().st_size for each in ({"digest": each} for each in layout.present()))
    command = ("prune", "-f", "-a", "--allow-empty", "--grace", "0s", "--format", "json", "--rules", "docker-29")
    answer = ocigc(*command, layout.path).json
    assert answer["ImagesDeleted"] == [
        {"Untagged": "app:1"},
        {"Deleted": index["digest"]},
        {"Deleted": manifest["digest"]},
    ]
    assert (answer["Orphans"], answer["SpaceReclaimed"], layout.present()) == ([orphan["digest"]], sizes, set())


def test_the_last_name_of_content_in_use(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    used = layout.image("app", ["app"])
    for tag in ("1", "2"):
        layout.tag(used, f"docker.io/library/app:{tag}")
    path = tmp_path / "used"
    path.write_text(json.dumps([{"Id": "1", "Image": used["digest"], "Config": {"Image": used["digest"]}}]))
    assert prune(layout, "seed", "--in-use", str(path)) == ["app:1", "app:2"]  # one of them becomes a dangling image
    assert prune(layout, "docker-29", "--in-use", str(path)) == ["app:1"]


def test_errors_of_until(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    command = ("prune", "-n", "--filter", "until=soon")
    refused(ocigc(*command, layout.path), 2, "invalid filter 'until': ")
    words = "invalid value for 'until' filter: failed to parse value as time or duration: invalid seconds"
    refused(ocigc(*command, "--rules", "docker-29", layout.path), 2, words)
    refused(ocigc("prune", "-n", "--rules", "docker-30", layout.path), 2, "--rules", "docker-29")


@pytest.mark.parametrize("rules", ["seed", "docker-29"])
def test_until_in_days_and_weeks(rules: str, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("app", ["app"], created="2020-01-01T00:00:00Z"), "docker.io/library/app:1")
    for text, expected in (("30d", ["app:1"]), ("4w", ["app:1"]), ("5200w", [])):
        assert prune(layout, rules, "--filter", f"until={text}") == expected
