"""Labels that refer to images by name, as containerd 2.1 knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

REF_IMAGE = "containerd.io/gc.ref.image"
USED = "reg.example/used:1\n"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def prune(layout: LayoutWriter, used: str = USED) -> list[str]:
    command = ("prune", "-f", "-a", "--grace", "0s", "--format", "json", "--in-use", "-", layout.path)
    first, second = ocigc(*command, stdin=used), ocigc(*command, stdin=used)
    assert (first.code, second.code) == (0, 0), (first, second)
    assert second.json["ImagesDeleted"] == []
    return [item["Untagged"] for item in first.json["ImagesDeleted"] if "Untagged" in item]


def test_a_blob_that_stays_keeps_the_image_of_that_name(layout: LayoutWriter) -> None:
    used, named = layout.image("used"), layout.image("named")
    layout.tag(used, "reg.example/used:1")
    layout.tag(named, "reg.example/named:1")
    layout.labels(used, {f"{REF_IMAGE}.base": "reg.example/named:1"})
    assert prune(layout) == []
    explained = ocigc("prune", "-n", "-a", "--explain", "--in-use", "-", layout.path, stdin=USED).out
    assert "a label of content that stays refers to its name" in explained


def test_a_chain_of_labels(layout: LayoutWriter) -> None:
    images = [layout.image(f"image {number}") for number in range(4)]
    for number, image in enumerate(images):
        layout.tag(image, f"reg.example/used:{number + 1}")
        layout.labels(image, {REF_IMAGE: f"reg.example/used:{number + 2}"})
    assert prune(layout) == []
    assert len(prune(layout, "reg.example/used:3\n")) == 2


def test_what_goes_keeps_nothing(layout: LayoutWriter) -> None:
    layout.tag(layout.image("used"), "reg.example/used:1")
    gone = layout.image("gone")
    layout.tag(gone, "reg.example/gone:1")
    layout.tag(layout.image("named"), "reg.example/named:1")
    layout.labels(gone, {REF_IMAGE: "reg.example/named:1"})
    assert prune(layout) == ["reg.example/gone:1", "reg.example/named:1"]


def test_two_that_keep_each_other_go_together(layout: LayoutWriter) -> None:
    layout.tag(layout.image("used"), "reg.example/used:1")
    pair = [layout.image("one"), layout.image("two")]
    for number, image in enumerate(pair):
        layout.tag(image, f"reg.example/pair:{number}")
        layout.labels(image, {REF_IMAGE: f"reg.example/pair:{1 - number}"})
    assert prune(layout) == ["reg.example/pair:0", "reg.example/pair:1"]


def test_an_entry_may_have_the_label(layout: LayoutWriter) -> None:
    layout.tag(layout.image("used"), "reg.example/used:1", **{REF_IMAGE: "reg.example/named:1"})
    layout.tag(layout.image("named"), "reg.example/named:1")
    assert prune(layout) == []


def test_rm_of_what_a_label_needs_is_refused(layout: LayoutWriter) -> None:
    used = layout.image("used")
    layout.tag(used, "reg.example/used:1")
    layout.tag(layout.image("named"), "reg.example/named:1")
    layout.labels(used, {REF_IMAGE: "reg.example/named:1"})
    refused(ocigc("rm", "-f", layout.path, "reg.example/named:1"), 3, "reg.example/named:1", "in use")
    assert ocigc("rm", "-f", "--allow-empty", layout.path, "reg.example/named:1", "reg.example/used:1").code == 0
