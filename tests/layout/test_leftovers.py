"""Leftovers of other tools. Sources: aktualizr-lite#241, oras-go#1301, zot#2598, and how the tools write."""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter, snapshot

HEX = "ab" * 32
SIZE = 300_000
OLD = time.time() - 10 * 86400

FORMS = (
    "oci-put-blob1234567",  # skopeo, podman, buildah
    "ingest/sha256_x_1",  # oras
    f"ingest/{HEX}_123456",
    f"ingest/{HEX}/data",  # BuildKit: a directory
    ".uploads/0d6a7f38-5b8e-4d2c-8e0b-1f4b8f0d3c52",  # zot
    ".umoci-x1/f",
    ".umoci-871263/blob-1234",
    "index.json.2387462387.tmp",  # regctl
    f"blobs/sha256/{HEX}1234567890",  # crane: no dot between
    "blobs/sha256/2387462387",  # crane, of a stream
    "blobs/sha256/2387462387.tmp",  # regctl
    f"blobs/sha256/{HEX}.2387462387.tmp",
    f"blobs/sha256/{HEX}.tmp-2387462387",  # hauler
    f"blobs/sha256/.{HEX}.aB3xYz",  # rsync
    f"blobs/sha256/{HEX}.1a2b3c4d.partial",  # rclone
    f"blobs/sha512/{HEX}{HEX}.77.tmp",
)

STRANGERS = (
    "notes.txt",
    "put-blob1",
    "index.json.bak",
    "index.json.tmp",
    "index-2024.json",
    ".umoci",
    "uploads/u1",
    "blobs/README",
    "blobs/sha256/README",
    "blobs/sha256/.DS_Store",
    f"blobs/sha256/{HEX}.json",
    f"blobs/sha256/{HEX}.sig",
    f"blobs/sha256/{HEX}x1",
    f"blobs/sha256/{HEX[:-1]}g",
    f"blobs/sha256/{HEX}:Zone.Identifier",
    "blobs/md5/2387462387",
    "labels/oci-put-blob1",
)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept"), "kept:1")
    return writer


def put(layout: LayoutWriter, *names: str, age: float = OLD) -> None:
    for name in names:
        path = layout.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * SIZE)
        os.utime(path, (age, age))


def prune(layout: LayoutWriter, *arguments: str) -> tuple[list[str], int]:
    result = ocigc("prune", "--force", "--grace", "0s", "--format", "json", *arguments, layout.path)
    assert result.code == 0, result.err
    return sorted(result.json["Leftovers"]), result.json["SpaceReclaimed"]


@pytest.mark.parametrize("name", FORMS)
def test_each_known_form_goes(name: str, layout: LayoutWriter) -> None:
    before = snapshot(layout.path)
    put(layout, name)
    assert prune(layout, "--dry-run") == ([name], SIZE)
    assert (layout.path / name).exists()
    assert prune(layout) == ([name], SIZE)
    assert prune(layout) == ([], 0)
    empty = {"ingest", ".uploads", "blobs/sha512"}
    assert {path: what for path, what in snapshot(layout.path).items() if path not in empty} == before


def test_files_of_strangers_stay(layout: LayoutWriter) -> None:
    put(layout, *STRANGERS)
    (layout.path / "oci-put-blob7").mkdir()
    (layout.path / ".umoci-file").write_text("a file where umoci makes a directory")
    os.utime(layout.path / ".umoci-file", (OLD, OLD))
    (layout.path / "oci-put-blob8").symlink_to(layout.path / "notes.txt")
    (layout.path / ".umoci-link").symlink_to(layout.path / "uploads")
    outside = layout.path.parent / "outside"
    outside.mkdir()
    (outside / "data").write_text("another's")
    os.utime(outside / "data", (OLD, OLD))
    (layout.path / "ingest").symlink_to(outside)
    put(layout, ".umoci-9/f")
    (layout.path / ".umoci-9" / "link").symlink_to(outside)
    put(layout, ".uploads/u/f")
    os.mkfifo(layout.path / ".uploads" / "u" / "fifo")
    before = snapshot(layout.path.parent)
    assert prune(layout) == ([], 0)
    assert snapshot(layout.path.parent) == before


def test_du_counts_them_apart_and_check_lists_them(layout: LayoutWriter) -> None:
    put(layout, *FORMS)
    put(layout, "oci-put-blob2", age=time.time())
    found = ocigc("du", "--format", "json", layout.path).json
    names = [*FORMS, "oci-put-blob2"]
    assert found["Leftovers"] == {"Files": len(names), "Size": len(names) * SIZE, "Reclaimable": 0}  # the grace
    assert found["Size"] < SIZE
    assert re.search(r"^Leftovers +17 +5.1 MB ", ocigc("du", layout.path).out, re.MULTILINE)
    answer = ocigc("check", "--format", "json", layout.path)
    assert answer.code == 0
    assert sorted(answer.json["Leftovers"]) == sorted(names)
    assert answer.json["UnknownFiles"] == []
    assert "leftover of another tool" in ocigc("check", layout.path).out


def test_what_is_younger_than_a_day_or_than_the_grace_stays(layout: LayoutWriter) -> None:
    put(layout, "oci-put-blob1", age=time.time() - 23 * 3600)
    put(layout, ".umoci-1/old")
    put(layout, ".umoci-1/young", age=time.time() - 3600)
    put(layout, "oci-put-blob2", age=time.time() + 3600)
    assert prune(layout) == ([], 0)
    put(layout, "oci-put-blob3")
    default = ocigc("prune", "--force", "--format", "json", layout.path).json
    assert default["Leftovers"] == []  # its ctime is of this moment
    assert prune(layout) == (["oci-put-blob3"], SIZE)


def test_a_directory_that_umoci_has_locked_stays(layout: LayoutWriter) -> None:
    put(layout, ".umoci-1/blob-1", ".umoci-2/blob-1")
    directory = os.open(layout.path / ".umoci-1", os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert prune(layout, "--dry-run") == ([".umoci-2/blob-1"], SIZE)
    assert prune(layout) == ([".umoci-2/blob-1"], SIZE)
    os.close(directory)
    assert prune(layout) == ([".umoci-1/blob-1"], SIZE)
    assert not list(layout.path.glob(".umoci-*"))


def test_a_further_link_of_a_file_frees_nothing(layout: LayoutWriter) -> None:
    put(layout, "oci-put-blob1")
    (layout.path.parent / "twin").hardlink_to(layout.path / "oci-put-blob1")
    assert prune(layout) == (["oci-put-blob1"], 0)


def test_rm_leaves_them_and_a_question_names_them(layout: LayoutWriter) -> None:
    put(layout, "oci-put-blob1")
    layout.tag(layout.image("gone", ["gone"]), "gone:1")
    assert ocigc("rm", "--force", layout.path, "gone:1").code == 0
    assert (layout.path / "oci-put-blob1").exists()
    text = ocigc("prune", "--dry-run", "--grace", "0s", layout.path).out
    assert "Leftovers: 1 file, 300 kB, left by other tools: oci-put-blob1" in text


def test_a_tree_reports_those_of_every_layout(layout: LayoutWriter) -> None:
    put(layout, ".uploads/u1")
    answer = ocigc("prune", "--recursive", "-f", "--grace", "0s", "--format", "json", layout.path.parent).json
    assert answer["Leftovers"] == [".uploads/u1"]
    assert answer["Layouts"][0]["Leftovers"] == [".uploads/u1"]
    assert answer["SpaceReclaimed"] == SIZE


def test_more_than_a_scan_remembers(layout: LayoutWriter) -> None:
    directory = layout.path / "blobs" / "sha256"
    for number in range(1100):
        path = directory / f"{number}.tmp"
        path.touch()
        os.utime(path, (OLD, OLD))
    names, _ = prune(layout)
    assert len(names) == 1100
    assert prune(layout) == ([], 0)
