"""`ocigc verify --repair-from`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.index([layout.image("image", ["layer", "base"])]), "image:1")
    layout.blob("orphan")
    shutil.copytree(layout.path, tmp_path / "other")
    return layout


def other(layout: LayoutWriter) -> Path:
    return layout.path.parent / "other"


def repair(layout: LayoutWriter, code: int = 0) -> Any:
    result = ocigc("verify", "--repair-from", other(layout), "--format", "json", layout.path)
    assert result.code == code, result.err
    return result.json


def test_what_is_corrupt_or_missing_is_mended(layout: LayoutWriter) -> None:
    layer, orphan, base = layout.blob("layer"), layout.blob("orphan"), layout.blob("base")
    before = layout.present()
    layout.blob_path(layer).write_text("LAYER")
    layout.blob_path(orphan).write_text("")
    layout.blob_path(base).unlink()
    answer = repair(layout)
    assert answer["Repaired"] == sorted(each["digest"] for each in (layer, orphan, base))
    assert [answer[key] for key in ("Corrupt", "Missing", "Errors", "WrongSize")] == [[], [], [], []]
    assert layout.present() == before
    assert layout.blob_path(layer).read_text() == "layer"
    assert "Repaired" not in ocigc("verify", "--format", "json", layout.path).json
    assert not (layout.path / ".ocigc" / "repair").exists()
    assert not (other(layout) / ".ocigc").exists()


def test_a_manifest_that_comes_back_brings_its_children(layout: LayoutWriter) -> None:
    before = layout.present()
    shutil.rmtree(layout.path / "blobs")
    assert len(repair(layout)["Repaired"]) == len(before) - 1
    assert ocigc("verify", layout.path).code == 0


def test_a_source_that_is_no_better_changes_nothing(layout: LayoutWriter) -> None:
    layer, base = layout.blob("layer"), layout.blob("base")
    layout.blob_path(layer).write_text("LAYER")
    layout.blob_path(base).write_text("BASE!")
    theirs = other(layout) / "blobs" / "sha256"
    (theirs / layer["digest"][7:]).write_text("corrupt too")
    (theirs / base["digest"][7:]).unlink()
    (theirs / base["digest"][7:]).symlink_to("/etc/passwd")
    answer = repair(layout, 3)
    assert answer["Corrupt"] == sorted([layer["digest"], base["digest"]])
    assert answer["Repaired"] == []
    assert any("it is corrupt there too" in error for error in answer["Errors"])
    assert layout.blob_path(layer).read_text() == "LAYER"
    (theirs / base["digest"][7:]).unlink()
    os.mkfifo(theirs / base["digest"][7:])
    assert any("not a plain file" in error for error in repair(layout, 3)["Errors"])


def test_the_second_source_helps_where_the_first_cannot(layout: LayoutWriter, tmp_path: Path) -> None:
    layer = layout.blob("layer")
    shutil.copytree(other(layout), tmp_path / "third")
    (other(layout) / "blobs" / "sha256" / layer["digest"][7:]).unlink()
    layout.blob_path(layer).write_text("LAYER")
    arguments = ("verify", "--repair-from", other(layout), "--repair-from", tmp_path / "third", layout.path)
    assert ocigc(*arguments).code == 0
    assert layout.blob_path(layer).read_text() == "layer"


def test_a_hard_linked_blob_is_replaced_not_written(layout: LayoutWriter, tmp_path: Path) -> None:
    layer = layout.blob("layer")
    layout.blob_path(layer).write_text("LAYER")
    os.link(layout.blob_path(layer), tmp_path / "twin")
    repair(layout)
    assert (tmp_path / "twin").read_text() == "LAYER"
    assert layout.blob_path(layer).stat().st_mode == (layout.path / "index.json").stat().st_mode


def test_what_an_interrupted_copy_has_left_goes(layout: LayoutWriter) -> None:
    (layout.path / ".ocigc").mkdir()
    (layout.path / ".ocigc" / "repair").write_text("half")
    layout.blob_path(layout.blob("layer")).write_text("LAYER")
    assert len(repair(layout)["Repaired"]) == 1
    (layout.path / ".ocigc" / "repair").write_text("half")
    assert ocigc("prune", "-f", layout.path).code == 0
    assert not (layout.path / ".ocigc" / "repair").exists()


def test_wrong_sources_are_refused(layout: LayoutWriter, tmp_path: Path) -> None:
    refused(ocigc("verify", "--repair-from", layout.path, layout.path), 2, "cannot be repaired from itself")
    refused(ocigc("verify", "--repair-from", tmp_path, layout.path), 2, "not an OCI image layout")
    refused(ocigc("verify", "--recursive", "--repair-from", other(layout), tmp_path), 2, "one layout at a time")
