"""Layouts whose blobs lie in a directory that they share (skopeo's `--dest-shared-blob-dir`), read with that directory.

Sources: containers/image#2003, skopeo#1870: only `--src-shared-blob-dir` makes such a layout readable.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import Descriptor, LayoutWriter, snapshot

COMMANDS = ["ls", "verify", "check", "du", "tree", "why", "report", "diff"]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return tmp_path / "pool"


@pytest.fixture
def layout(tmp_path: Path, pool: Path) -> tuple[LayoutWriter, Descriptor]:
    """A layout with an index of two platforms and an image of its own; all blobs are in the pool, with others."""
    writer = LayoutWriter(tmp_path / "layouts" / "app")
    index = writer.index([writer.image("amd64", ["base", "1"]), writer.image("arm64", ["base", "2"])])
    writer.tag(index, "reg.example/app:1")
    writer.blob("of another layout")
    (writer.path / "blobs").rename(pool)
    (writer.path / "blobs" / "sha256").mkdir(parents=True)
    return writer, index


def read(command: str, layout: Path, target: Descriptor, *arguments: str | Path) -> Result:
    more: dict[str, list[str | Path]] = {
        "tree": ["reg.example/app:1"],
        "why": [target["digest"]],
        "report": ["-o", layout.parent / "report.html"],
        "diff": [layout],
    }
    return ocigc(command, *arguments, layout, *more.get(command, []))


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_read_with_the_directory(command: str, layout: tuple[LayoutWriter, Descriptor], pool: Path) -> None:
    writer, index = layout
    before = snapshot(writer.path)
    result = read(command, writer.path, index, "--shared-blobs", pool)
    assert result.code == 0, result
    assert "incomplete" not in result.out
    assert "shared" not in result.err
    assert snapshot(writer.path) == before


@pytest.mark.parametrize("command", ["ls", "verify", "check", "du"])
def test_without_it_a_note_says_what_may_be_missing(command: str, layout: tuple[LayoutWriter, Descriptor]) -> None:
    writer, index = layout
    assert "--shared-blobs DIR" in read(command, writer.path, index).err
    assert "--shared-blobs DIR" in ocigc(command, "--recursive", writer.path.parent).err


def test_a_layout_that_has_blobs_gets_no_note(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("app"), "reg.example/app:1")
    assert "shared" not in ocigc("ls", writer.path).err
    assert "shared" not in ocigc("ls", LayoutWriter(tmp_path / "empty").path).err


def test_a_tree_and_another_layout_as_the_directory(
    layout: tuple[LayoutWriter, Descriptor], pool: Path, tmp_path: Path
) -> None:
    writer, _ = layout
    other = LayoutWriter(writer.path.parent / "other")
    other.tag(other.image("own"), "reg.example/other:1")
    holder = LayoutWriter(tmp_path / "holder")
    shutil.rmtree(holder.path / "blobs")
    pool.rename(holder.path / "blobs")
    assert ocigc("verify", "--recursive", "--shared-blobs", holder.path, writer.path.parent).code == 0
    assert ocigc("verify", "--recursive", writer.path.parent).code == 1


def test_some_blobs_here_and_some_there(layout: tuple[LayoutWriter, Descriptor], pool: Path) -> None:
    writer, index = layout
    child = json.loads((pool / index["digest"].replace(":", "/")).read_text())["manifests"][0]
    for target in (index, child):
        algorithm, encoded = target["digest"].split(":")
        (pool / algorithm / encoded).rename(writer.path / "blobs" / algorithm / encoded)
    result = ocigc("verify", "--format", "json", "--shared-blobs", pool, writer.path)
    assert (result.code, result.json["Checked"]) == (0, 8)


def test_what_is_corrupt_or_absent_there_is_told(layout: tuple[LayoutWriter, Descriptor], pool: Path) -> None:
    writer, _ = layout
    layer = next(each for each in (pool / "sha256").iterdir() if each.read_bytes() == b"base")
    layer.write_bytes(b"esab")
    found = ocigc("verify", "--format", "json", "--shared-blobs", pool, writer.path)
    assert (found.code, found.json["Corrupt"]) == (1, [f"sha256:{layer.name}"])
    layer.unlink()
    found = ocigc("verify", "--format", "json", "--shared-blobs", pool, writer.path)
    assert (found.code, found.json["Missing"]) == (1, [f"sha256:{layer.name}"])


def test_what_is_not_a_directory_of_blobs(layout: tuple[LayoutWriter, Descriptor], pool: Path, tmp_path: Path) -> None:
    writer, _ = layout
    refused(ocigc("ls", "--shared-blobs", tmp_path / "none", writer.path), 2, "none")
    layer = next((pool / "sha256").iterdir())
    layer.rename(tmp_path / "blob")
    layer.symlink_to(tmp_path / "blob")
    told = ocigc("verify", "--shared-blobs", pool, writer.path)
    assert told.code in {0, 3}  # what the layout does not need is not looked at
    refused(ocigc("verify", "--shared-blobs", pool, "--repair-from", writer.path, writer.path), 2, "--shared-blobs")
