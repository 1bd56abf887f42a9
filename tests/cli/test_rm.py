"""`ocigc rm`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def rm(layout: LayoutWriter, *arguments: str) -> list[dict[str, str]]:
    result = ocigc("rm", "--force", "--format", "json", layout.path, *arguments)
    assert result.code == 0, result.err
    deleted: list[dict[str, str]] = result.json["ImagesDeleted"]
    return deleted


def names(layout: LayoutWriter) -> list[str | None]:
    return [each["Name"] for each in ocigc("ls", "--format", "json", layout.path).json]


def two(layout: LayoutWriter) -> tuple[Descriptor, Descriptor]:
    gone, kept = layout.image("gone", ["shared", "own"]), layout.image("kept", ["shared"])
    layout.tag(gone, "docker.io/library/gone:1")
    layout.tag(kept, "docker.io/library/kept:1")
    return gone, kept


@pytest.mark.parametrize(
    "reference", ["gone:1", "docker.io/library/gone:1", "index.docker.io/gone:1", "DIGEST", "PART"]
)
def test_only_what_the_image_alone_held_goes(layout: LayoutWriter, reference: str) -> None:
    gone, _ = two(layout)
    orphan, shared, own = layout.blob("orphan"), layout.blob("shared"), layout.blob("own")
    reference = {"DIGEST": gone["digest"], "PART": gone["digest"][7:20]}.get(reference, reference)
    items = rm(layout, reference)
    assert items[:2] == [{"Untagged": "gone:1"}, {"Deleted": gone["digest"]}]
    assert {orphan["digest"], shared["digest"]} <= layout.present()
    assert own["digest"] not in layout.present()
    assert names(layout) == ["docker.io/library/kept:1"]


def test_one_of_two_names_leaves_the_content(layout: LayoutWriter) -> None:
    image = layout.image("image")
    layout.tag(image, "a:1")
    layout.tag(image, "b:1")
    before = layout.present()
    assert rm(layout, "b:1") == [{"Untagged": "b:1"}]
    assert layout.present() == before
    assert names(layout) == ["a:1"]


def test_a_signature_goes_with_its_image_or_alone(layout: LayoutWriter) -> None:
    image, kept = two(layout)
    for subject in (image, kept):
        signature = layout.image("signature of " + subject["digest"])
        layout.tag(signature, "docker.io/library/app:" + subject["digest"].replace(":", "-") + ".sig")
    tag = "app:" + image["digest"].replace(":", "-") + ".sig"
    assert {"Untagged": tag} in rm(layout, "gone:1")
    assert len(names(layout)) == 2
    tag = "app:" + kept["digest"].replace(":", "-") + ".sig"
    promised = ocigc("why", "--format", "json", layout.path, tag).json["WouldGo"]["Blobs"]
    assert len(rm(layout, tag)) == 1 + promised == 4
    assert names(layout) == ["docker.io/library/kept:1"]
    referrer = layout.manifest(layout.config("another"), subject=kept)
    layout.tag(referrer)
    rm(layout, referrer["digest"])
    assert not layout.has(referrer)
    assert layout.has(kept)


def test_what_is_in_use_is_refused(layout: LayoutWriter, tmp_path: Path) -> None:
    gone, kept = two(layout)
    before = layout.present()
    for used in ("gone:1", gone["digest"]):
        (tmp_path / "used").write_text(used + "\n")
        arguments = ("rm", "--force", "--in-use", tmp_path / "used", layout.path, "gone:1", "kept:1")
        refused(ocigc(*arguments, "--allow-empty"), 3, "in use: gone:1")
    refused(ocigc("rm", "--force", layout.path, "gone:1", "kept:1"), 3, "no image")
    refused(ocigc("rm", layout.path, "gone:1"), 2, "there is no terminal to ask on: give --force to remove")
    assert layout.present() == before
    assert ocigc("rm", "-n", layout.path, "gone:1").code == 0
    assert layout.present() == before
    assert kept["digest"] in before


def test_wrong_references_change_nothing(layout: LayoutWriter) -> None:
    gone, _ = two(layout)
    before = layout.present()
    for reference, said in (
        ("absent:1", "no image 'absent:1'"),
        ("gone", "no image 'gone'"),
        (gone["digest"][:10], "no image"),
        ("\x1b[31m", "no image"),
        ("", "no image"),
    ):
        refused(ocigc("rm", "--force", layout.path, "kept:1", reference), 2, said)
    answer = ocigc("rm", "--force", "--format", "json", layout.path, "absent").json
    assert len(answer["Errors"]) == 1
    assert layout.present() == before


def test_it_comes_back_out_of_the_trash(layout: LayoutWriter) -> None:
    two(layout)
    before = layout.present()
    rm(layout, "--trash", "1h", "gone:1")
    assert layout.present() != before
    assert ocigc("restore", layout.path).code == 0
    assert layout.present() == before
    assert len(names(layout)) == 2
