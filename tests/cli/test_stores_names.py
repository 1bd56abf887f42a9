"""Names as tools write them: in other annotations, and several in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
BASE_NAME = "org.opencontainers.image.base.name"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def annotations(layout: LayoutWriter) -> list[dict[str, str]]:
    entries = json.loads((layout.path / "index.json").read_text())["manifests"]
    return [entry.get("annotations", {}) for entry in entries]


def prune(layout: LayoutWriter, *arguments: str, used: str | None = None) -> Any:
    in_use = [] if used is None else ["--in-use", "-"]
    result = ocigc("prune", "-f", "--grace", "0s", "--format", "json", *in_use, *arguments, layout.path, stdin=used)
    assert result.code == 0, result
    return result.json


def test_zarf_names_images_in_base_name(layout: LayoutWriter) -> None:
    """Source: zarf#1423."""
    layout.entry(layout.image("old"), **{BASE_NAME: "ghcr.io/acme/nginx:1"})
    layout.entry(layout.image("new"), **{BASE_NAME: "ghcr.io/acme/nginx:2", REF_NAME: "ghcr.io/acme/nginx:2"})
    layout.entry(layout.image("unused"), **{BASE_NAME: "ghcr.io/acme/nginx:3"})
    assert prune(layout)["ImagesDeleted"] == []
    report = prune(layout, "-a", used="ghcr.io/acme/nginx:1\nghcr.io/acme/nginx:2\n")
    assert [item["Untagged"] for item in report["ImagesDeleted"] if "Untagged" in item] == ["ghcr.io/acme/nginx:3"]


def test_the_first_annotation_that_is_not_empty_counts(layout: LayoutWriter) -> None:
    layout.entry(layout.image("a"), **{IMAGE_NAME: "", REF_NAME: "", BASE_NAME: "a.example/a:1"})
    layout.tag(
        layout.image("b"), **{IMAGE_NAME: "a.example/b:1", REF_NAME: "a.example/a:1", BASE_NAME: "a.example/a:2"}
    )
    report = prune(layout, "-a", used="a.example/b:1\na.example/a:1\n")
    assert report["ImagesDeleted"] == []


def test_a_name_that_goes_leaves_no_name_annotation(layout: LayoutWriter) -> None:
    target = layout.image("a")
    layout.entry(target, **{BASE_NAME: "a.example/a:1", REF_NAME: "1", "other": "stays"})
    containers = json.dumps([{"Id": "c", "Image": target["digest"], "Config": {"Image": target["digest"]}}])
    report = prune(layout, "-a", used=containers)
    assert report["ImagesDeleted"] == [{"Untagged": "1"}]
    assert annotations(layout) == [{"other": "stays"}]


class TestSeveralNamesOfOneEntry:
    """Source: buildkit#5572: one entry lists all names that were given to the exporter."""

    @pytest.fixture
    def web(self, layout: LayoutWriter) -> LayoutWriter:
        layout.entry(
            layout.image("web", ["web"], created="2024-01-01T00:00:00Z"),
            **{IMAGE_NAME: "docker.io/acme/web:1.4,docker.io/acme/web:latest", REF_NAME: "1.4", "z": "é"},
        )
        layout.tag(layout.image("db", ["db"], created="2025-01-01T00:00:00Z"), "docker.io/acme/db:1")
        return layout

    @pytest.mark.parametrize("used", ["acme/web:1.4", "docker.io/acme/web:latest", "acme/web"])
    def test_the_image_is_in_use_if_one_is(self, web: LayoutWriter, used: str) -> None:
        before = annotations(web)
        report = prune(web, "-a", used=f"{used}\nacme/db:1\n")
        assert report["ImagesDeleted"] == []
        assert annotations(web) == before

    def test_all_go_where_none_is_in_use(self, web: LayoutWriter) -> None:
        report = prune(web, "-a", used="acme/db:1\n")
        untagged = [item["Untagged"] for item in report["ImagesDeleted"] if "Untagged" in item]
        assert untagged == ["acme/web:1.4", "acme/web:latest"]
        assert annotations(web) == [{REF_NAME: "docker.io/acme/db:1"}]

    def test_rm_takes_the_one_name(self, web: LayoutWriter) -> None:
        before = (web.path / "index.json").read_text()
        present = web.present()
        result = ocigc("rm", "-f", "--format", "json", web.path, "acme/web:1.4")
        assert result.code == 0, result
        assert result.json["ImagesDeleted"] == [{"Untagged": "acme/web:1.4"}]
        assert annotations(web)[0] == {IMAGE_NAME: "docker.io/acme/web:latest", "z": "é"}
        expected = before.replace("docker.io/acme/web:1.4,", "").replace(f'"{REF_NAME}": "1.4", ', "")
        assert (web.path / "index.json").read_text() == expected
        assert web.present() == present
        refused(ocigc("rm", "-f", web.path, "acme/web:1.4"), 2, "acme/web:1.4")

    def test_rm_of_every_name_takes_the_image(self, web: LayoutWriter) -> None:
        result = ocigc("rm", "-f", web.path, "acme/web:1.4", "acme/web:latest")
        assert result.code == 0, result
        assert len(annotations(web)) == 1
        assert len(web.present()) == 3  # those of the other image

    def test_rm_by_digest_takes_every_name(self, web: LayoutWriter) -> None:
        digest = web.entries[0]["digest"]
        result = ocigc("rm", "-f", "--format", "json", web.path, digest)
        untagged = [item["Untagged"] for item in result.json["ImagesDeleted"] if "Untagged" in item]
        assert untagged == ["acme/web:1.4", "acme/web:latest"]

    def test_rm_of_a_name_in_use_is_refused(self, web: LayoutWriter) -> None:
        result = ocigc("rm", "-f", "--in-use", "-", web.path, "acme/web:1.4", stdin="acme/web:1.4\n")
        refused(result, 3, "in use", "acme/web:1.4")
        result = ocigc("rm", "-f", "--in-use", "-", web.path, "acme/web:latest", stdin="acme/web:1.4\n")
        assert result.code == 0, result
        assert annotations(web)[0][IMAGE_NAME] == "docker.io/acme/web:1.4"

    def test_a_name_comes_back(self, web: LayoutWriter) -> None:
        ocigc("rm", "-f", "--trash", "7d", web.path, "acme/web:1.4")
        listed = ocigc("trash", "ls", "--format", "json", web.path).json
        assert [image["Name"] for image in listed[0]["Images"]] == ["docker.io/acme/web:1.4"]
        result = ocigc("restore", web.path)
        assert result.code == 0, result
        names = {entry.get(IMAGE_NAME) for entry in annotations(web)}
        assert names == {"docker.io/acme/web:1.4", "docker.io/acme/web:latest", None}
        assert prune(web)["ImagesDeleted"] == []

    def test_the_image_comes_back_with_all_names(self, web: LayoutWriter) -> None:
        before = annotations(web)
        ocigc("rm", "-f", "--trash", "7d", web.path, "acme/web:1.4", "acme/web:latest")
        assert ocigc("restore", "--image", "acme/web:latest", web.path).code == 0
        assert sorted(annotations(web), key=str) == sorted(before, key=str)

    def test_a_policy_keeps_it_if_it_keeps_one_name(self, web: LayoutWriter, tmp_path: Path) -> None:
        policy = tmp_path / "policy.toml"
        policy.write_text('[[rule]]\ntag = "^latest$"\nkeep-tagged = true\n[[rule]]\ndeny = ["*"]\n')
        report = prune(web, "--policy", str(policy))
        assert [item["Untagged"] for item in report["ImagesDeleted"] if "Untagged" in item] == ["acme/db:1"]

    def test_ls_shows_every_name(self, web: LayoutWriter) -> None:
        assert "acme/web:1.4, acme/web:latest" in ocigc("ls", web.path).out
        listed = ocigc("ls", "--format", "json", web.path).json
        assert [entry["Name"] for entry in listed] == ["docker.io/acme/db:1", "docker.io/acme/web:1.4"]
        assert listed[1]["Aliases"] == ["docker.io/acme/web:latest"]

    def test_explain_names_it_by_every_name(self, web: LayoutWriter) -> None:
        text = ocigc("prune", "-n", "-a", "--explain", "--in-use", "-", web.path, stdin="acme/web:latest\n").out
        line = next(line for line in text.splitlines() if "acme/web" in line)
        assert "acme/web:1.4, acme/web:latest" in line
        assert "in use by name" in line


def test_bare_tags_in_a_list_are_of_the_repository(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "1.0,latest")
    layout.tag(layout.image("b"), "2.0")
    used = "registry.example/app:latest\n"
    report = prune(layout, "-a", "--repository", "registry.example/app", used=used)
    untagged = [item["Untagged"] for item in report["ImagesDeleted"] if "Untagged" in item]
    assert untagged == ["registry.example/app:2.0"]
    result = ocigc("rm", "-f", "--repository", "registry.example/app", layout.path, "registry.example/app:1.0")
    assert result.code == 0, result
    assert annotations(layout) == [{REF_NAME: "latest"}]


def test_a_comma_in_what_is_no_list_separates_nothing(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "Release notes, final")
    layout.tag(layout.image("b"), "b")
    refused(ocigc("rm", "-f", layout.path, "final"), 2, "no image")
    assert ocigc("rm", "-f", layout.path, "Release notes, final").code == 0
    assert annotations(layout) == [{REF_NAME: "b"}]
