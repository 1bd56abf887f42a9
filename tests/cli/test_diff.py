"""`ocigc diff`: what two layouts have that the other lacks."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter, snapshot

NOTHING = {"Blobs": 0, "Bytes": 0, "Digests": []}


@pytest.fixture
def here(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "here")
    writer.tag(writer.image("same", ("base",)), "app:1")
    writer.tag(writer.image("old", ("base",)), "app:latest")
    writer.tag(writer.image("gone", ("base", "only here")), "app:0")
    writer.tag(writer.image("dangling"))
    return writer


@pytest.fixture
def there(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "there")
    writer.tag(writer.image("same", ("base",)), "app:1")
    writer.tag(writer.image("new", ("base", "x" * 1000)), "app:latest")
    writer.tag(writer.image("came"), "docker.io/library/app:2")
    return writer


def lacking(one: LayoutWriter, other: LayoutWriter) -> dict[str, object]:
    digests = sorted(one.present() - other.present())
    size = sum((one.path / "blobs" / digest.replace(":", "/")).stat().st_size for digest in digests)
    return {"Blobs": len(digests), "Bytes": size, "Digests": digests}


def test_images_and_what_to_carry(here: LayoutWriter, there: LayoutWriter) -> None:
    to_there, to_here = lacking(here, there), lacking(there, here)
    there.blob("an orphan, which is nobody's to carry")
    before = snapshot(here.path), snapshot(there.path)
    found = ocigc("diff", "--format", "json", here.path, there.path).json
    assert [each["Name"] for each in found["OnlyInA"]] == ["app:0", None]
    assert [each["Name"] for each in found["OnlyInB"]] == ["app:2"]
    (moved,) = found["Different"]
    assert moved["Name"] == "app:latest"
    assert [len(moved[side]) for side in "AB"] == [1, 1]
    assert moved["A"] != moved["B"]
    assert found["Same"] == 1
    assert (found["AToB"], found["BToA"]) == (to_there, to_here)
    back = ocigc("diff", "--format", "json", there.path, here.path).json
    assert (back["AToB"], back["BToA"]) == (found["BToA"], found["AToB"])
    assert (back["OnlyInA"], back["OnlyInB"]) == (found["OnlyInB"], found["OnlyInA"])
    assert (snapshot(here.path), snapshot(there.path)) == before


def test_forms(here: LayoutWriter, there: LayoutWriter) -> None:
    result = ocigc("diff", here.path, there.path)
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0] == ["IMAGE", "STATE", "A", "B", "SIZE", "A", "SIZE", "B"]
    assert [(row[0], row[1:4]) for row in rows[1:4]] == [
        ("app:0", ["only", "in", "A"]),
        ("app:2", ["only", "in", "B"]),
        ("app:latest", ["different", rows[3][2], rows[3][3]]),
    ]
    assert "4 images differ, 1 is the same." in result.out
    assert "To carry from A to B: " in result.out
    quiet = ocigc("diff", "-q", here.path, there.path).out.splitlines()
    assert quiet[:3] == ["app:0", "app:2", "app:latest"]
    assert quiet[3].startswith("sha256:")


def test_exit_code_tells_whether_anything_differs(here: LayoutWriter, there: LayoutWriter) -> None:
    assert ocigc("diff", here.path, there.path).code == 0
    assert ocigc("diff", "--exit-code", here.path, there.path).code == 1
    assert ocigc("diff", "--exit-code", here.path, here.path).code == 0
    refused(ocigc("diff", here.path, there.path / "nowhere"), 2, "nowhere")
    refused(ocigc("diff", here.path), 2, "missing: B")
    refused(ocigc("compare", here.path), 2, "`ocigc diff`")


def test_a_layout_and_its_archive_are_the_same(here: LayoutWriter, there: LayoutWriter, tmp_path: Path) -> None:
    archive = tmp_path / "here.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(here.path, ".")
    for pair in ((archive, here.path), (here.path, archive), (archive, archive)):
        result = ocigc("diff", "--exit-code", "--format", "json", *pair)
        assert result.code == 0
        assert result.json == {
            "OnlyInA": [], "OnlyInB": [], "Different": [], "Same": 4, "AToB": NOTHING, "BToA": NOTHING
        }  # fmt: skip
    of_archive = ocigc("diff", "--format", "json", archive, there.path).json
    assert of_archive == ocigc("diff", "--format", "json", here.path, there.path).json


def test_names_of_several_forms(tmp_path: Path) -> None:
    """Bare tags of a repository, and full names, are compared as what they mean."""
    bare, full = LayoutWriter(tmp_path / "bare"), LayoutWriter(tmp_path / "full")
    bare.tag(bare.image("one"), "1")
    full.tag(full.image("one"), "registry.example/app:1")
    assert ocigc("diff", "--exit-code", bare.path, full.path).code == 1
    result = ocigc("diff", "--exit-code", "--repository", "registry.example/app", bare.path, full.path)
    assert result.code == 0


def test_what_is_absent_or_cut_off_is_not_carried(here: LayoutWriter, tmp_path: Path) -> None:
    """What is absent is not carried; what is cut off does not count as being there."""
    other = LayoutWriter(tmp_path / "other")
    other.tag(other.image("same", ("base",)), "app:1")
    layer = other.blob("base")
    other.blob_path(layer).write_bytes(b"")
    found = ocigc("diff", "--format", "json", here.path, other.path).json
    assert layer["digest"] in found["AToB"]["Digests"]
    here.blob_path(here.entries[2]).unlink()
    found = ocigc("diff", "--format", "json", here.path, other.path)
    assert found.code == 0
    assert here.entries[2]["digest"] not in found.json["AToB"]["Digests"]
    here.blob_path(here.entries[1]).write_text("{")
    result = ocigc("diff", here.path, other.path)
    assert result.code == 0
    assert here.entries[1]["digest"] in result.err
