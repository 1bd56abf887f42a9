"""`ocigc report`: what the page is made of, and where it is written."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

MARK = "<!doctype html>\n<!-- ocigc report -->\n"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("one", ["everywhere", "within", "one"]), "docker.io/library/app:1")
    layout.tag(layout.image("two", ["everywhere", "within", "two"]), "docker.io/library/app:2")
    layout.tag(layout.image("other", ["everywhere", "other"]), "example.com/other:1")
    layout.tag(layout.image("dangling", ["dangling"]))
    layout.blob("orphan")
    return layout


def document(page: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def size_of(bundle: Any, fates: tuple[int, ...] = (0, 1, 2, 3)) -> int:
    largest, rest = bundle
    single = sum(size for _, size, _, fate in largest if fate in fates)
    return single + sum(size for _, size, fate in rest if fate in fates)


def test_every_byte_has_one_place(layout: LayoutWriter) -> None:
    page = ocigc("report", layout.path, "-o", "-").out
    assert page.startswith(MARK)
    found = document(page)
    bundles = [bundle for _, _, bundle in found["places"]] + [found["others"]]
    du = ocigc("du", "--format", "json", layout.path).json
    assert sum(map(size_of, bundles)) == found["size"] == du["Size"]
    assert (found["prune"][2], found["pruneAll"][2]) == (du["Reclaimable"], du["ReclaimableAll"])
    assert sum(size_of(bundle, (1, 3)) for bundle in bundles) == du["Reclaimable"]
    assert sum(size_of(bundle, (2, 3)) for bundle in bundles) == du["ReclaimableAll"]
    shared = {place: size_of(bundle) for place, target, bundle in found["places"] if target is None}
    assert shared == {None: len("everywhere"), "app": len("within")}
    assert size_of(found["others"]) == len("orphan")


def test_images_are_those_of_ls(layout: LayoutWriter) -> None:
    found = document(ocigc("report", layout.path, "-o", "-").out)["images"]
    listed = ocigc("ls", "--format", "json", layout.path).json
    assert [(digest, size, alone) for _, digest, _, _, size, alone, _, _ in found] == [
        (each["Digest"], each["Size"], each["Unique"]) for each in listed
    ]
    assert {(name, tuple(states), fate) for name, _, _, _, _, _, states, fate in found} == {
        ("app:1", (), 2),
        ("app:2", (), 2),
        ("example.com/other:1", (), 2),
        ("", ("dangling",), 3),
    }


def test_what_is_in_use_stays(layout: LayoutWriter, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.write_text("app:1\n")
    found = document(ocigc("report", "--in-use", used, layout.path, "-o", "-").out)
    assert [states for name, *_, states, _ in found["images"] if name == "app:1"] == [["in use"]]


def test_many_blobs_of_one_place_are_summed_up(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layers = [layout.blob("x" * size) for size in range(1, 101)]
    config = layout.config()
    assert config["size"] < 62
    layout.tag(layout.manifest(config, layers), "many:1")
    found = document(ocigc("report", layout.path, "-o", "-").out)
    ((_, _, bundle),) = found["places"]
    assert size_of(bundle) == found["size"]
    assert len(bundle[0]) == 40
    assert bundle[1] == [[62, sum(range(1, 62)) + config["size"], 2]]


def test_an_older_report_is_replaced_and_the_layout_left_alone(layout: LayoutWriter, tmp_path: Path) -> None:
    before = snapshot(layout.path)
    output = tmp_path / "store.html"
    for _ in range(2):
        result = ocigc("report", layout.path, "--output", output)
        assert (result.code, result.err) == (0, "")
        assert output.read_text().startswith(MARK)
    assert result.out.startswith(f"{output}: 4 images, ")
    assert set(os.listdir(tmp_path)) == {"layout", "store.html"}
    assert snapshot(layout.path) == before


def test_nothing_else_is_ever_replaced(layout: LayoutWriter, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("mine")
    before = snapshot(tmp_path)
    refused(ocigc("report", layout.path, "-o", other), 2, "other.html", "something else")
    refused(ocigc("report", layout.path, "-o", layout.path / "index.json"), 2, "something else")
    refused(ocigc("report", layout.path, "-o", tmp_path), 2, "not a plain file")
    refused(ocigc("report", layout.path, "-o", f"{tmp_path}/"), 2, "not a directory")
    refused(ocigc("report", layout.path, "-o", tmp_path / "absent" / "a.html"), 2, "has to be there")
    assert snapshot(tmp_path) == before
    (tmp_path / "link.html").symlink_to(other)
    refused(ocigc("report", layout.path, "-o", tmp_path / "link.html"), 2, "link.html")
    os.mkfifo(tmp_path / "pipe.html")
    refused(ocigc("report", layout.path, "-o", tmp_path / "pipe.html"), 2, "not a plain file")


def test_no_layout(tmp_path: Path) -> None:
    refused(ocigc("report", tmp_path, "-o", tmp_path / "a.html"), 2, str(tmp_path))
    assert not (tmp_path / "a.html").exists()


def test_names_cannot_break_out_of_the_page(layout: LayoutWriter) -> None:
    layout.tag(layout.image("hostile"), "</script><script>alert(1)</script><!--")
    page = ocigc("report", layout.path, "-o", "-").out
    assert page.count("</script>") == 2
    assert "<script>alert" not in page
    names = [name for name, *_ in document(page)["images"]]
    assert any("</script><script>alert(1)</script><!--" in name for name in names)
