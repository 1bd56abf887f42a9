"""Somebody who may write some of a layout, but not all of it: nothing changes, or what was begun is finished later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.layouts import LayoutWriter, snapshot

NOBODY = 65534


@pytest.fixture
def layout() -> Iterator[LayoutWriter]:
    """Not below pytest's own directories, which nobody else may enter."""
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    writer = LayoutWriter(top / "layout")
    writer.tag(writer.image("kept", ["k"]), "example.com/kept:1")
    writer.tag(writer.image("gone", ["g"]))
    writer.labels(writer.entries[1], {"x": "y"})
    yield writer
    shutil.rmtree(top)


def prune(layout: LayoutWriter, option: str = "--force") -> subprocess.CompletedProcess[str]:
    """As somebody to whom permissions mean something: the layout's owner, who is not root."""
    command = [sys.executable, "-m", "ocigc", "prune", option, str(layout.path)]
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", str(NOBODY), layout.path], check=True)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        able = subprocess.run([*command[:-3], "--version"], capture_output=True, check=False, cwd="/")
        if able.returncode != 0:
            pytest.skip(f"nobody cannot run Python here: {able.stderr.decode()}")
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["blobs/sha256", "labels/sha256", "blobs", "."])
def test_a_directory_that_may_not_be_written(layout: LayoutWriter, name: str) -> None:
    directory = layout.path / name
    directory.chmod(0o555)
    before = snapshot(layout.path)
    result = prune(layout)
    if name == "blobs":
        # Nothing is taken out of this one itself.
        assert result.returncode == 0, result
        return
    assert result.returncode == 3, result
    assert len(result.stderr.splitlines()) == 1
    assert snapshot(layout.path) == before
    directory.chmod(0o755)
    assert prune(layout).returncode == 0
    assert not layout.blob_path(layout.entries[1]).exists()
    assert not layout.sidecar_path(layout.entries[1]).exists()


def test_what_nothing_leaves_need_not_be_writable(layout: LayoutWriter) -> None:
    layout.blob("elsewhere", algorithm="sha512")
    (layout.path / "blobs" / "sha512").chmod(0o555)
    result = prune(layout)
    assert result.returncode == 0, result
    assert not layout.blob_path(layout.entries[1]).exists()


@pytest.mark.parametrize("option", ["--force", "--dry-run"])
def test_a_manifest_that_may_not_be_read_stops_the_run_where_its_image_stays(layout: LayoutWriter, option: str) -> None:
    layout.blob_path(layout.entries[0]).chmod(0o200)
    before = snapshot(layout.path)
    result = prune(layout, option)
    assert result.returncode == 3, result
    assert len(result.stderr.splitlines()) == 1
    assert "Permission denied" in result.stderr
    assert snapshot(layout.path) == before


def test_who_may_not_is_told_who_may(layout: LayoutWriter) -> None:
    (layout.path / "index.json").chmod(0o200)
    result = prune(layout)
    assert result.returncode in (2, 3), result
    assert result.stderr.endswith("/index.json: Permission denied; run it as a user who has that right, or as root\n")


def test_an_image_whose_manifest_may_not_be_read_can_go(layout: LayoutWriter) -> None:
    manifest = layout.blob_path(layout.entries[1])
    manifest.chmod(0o200)
    before = snapshot(layout.path)
    result = prune(layout)
    assert result.returncode == 0, result
    assert not manifest.exists()
    blobs = {name for name in before if name.startswith("blobs/")}
    assert {name for name in blobs if not (layout.path / name).exists()} == {str(manifest.relative_to(layout.path))}
