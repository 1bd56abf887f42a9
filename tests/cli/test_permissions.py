"""Somebody who may write some of a layout, but not all of it: nothing changes, or what was begun is finished later."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ocigc.layout.dirfd import Dir
from tests.helpers.command import NOBODY, Result, ocigc_as_nobody
from tests.helpers.layouts import LayoutWriter, snapshot


@pytest.fixture
def layout(open_directory: Path) -> LayoutWriter:
    """A layout with labels on what goes."""
    writer = LayoutWriter(open_directory / "layout")
    writer.tag(writer.image("kept", ["k"]), "example.com/kept:1")
    writer.tag(writer.image("gone", ["g"]))
    writer.labels(writer.entries[1], {"x": "y"})
    return writer


def prune(layout: LayoutWriter, option: str = "--force") -> Result:
    """As the layout's owner, who is not root."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", str(NOBODY), layout.path], check=True)
    return ocigc_as_nobody("prune", option, layout.path)


@pytest.mark.parametrize("name", ["blobs/sha256", "labels/sha256", "blobs", "."])
def test_a_directory_that_may_not_be_written(layout: LayoutWriter, name: str) -> None:
    directory = layout.path / name
    directory.chmod(0o555)
    before = snapshot(layout.path)
    result = prune(layout)
    if name == "blobs":
        # Nothing is taken out of this one itself.
        assert result.code == 0, result
        return
    assert result.code == 3, result
    assert len(result.err.splitlines()) == 1
    assert snapshot(layout.path) == before
    directory.chmod(0o755)
    assert prune(layout).code == 0
    assert not layout.blob_path(layout.entries[1]).exists()
    assert not layout.sidecar_path(layout.entries[1]).exists()


def test_what_nothing_leaves_need_not_be_writable(layout: LayoutWriter) -> None:
    layout.blob("elsewhere", algorithm="sha512")
    (layout.path / "blobs" / "sha512").chmod(0o555)
    result = prune(layout)
    assert result.code == 0, result
    assert not layout.blob_path(layout.entries[1]).exists()


@pytest.mark.parametrize("option", ["--force", "--dry-run"])
def test_a_manifest_that_may_not_be_read_stops_the_run_where_its_image_stays(layout: LayoutWriter, option: str) -> None:
    layout.blob_path(layout.entries[0]).chmod(0o200)
    before = snapshot(layout.path)
    result = prune(layout, option)
    assert result.code == 3, result
    assert len(result.err.splitlines()) == 1
    assert "Permission denied" in result.err
    assert snapshot(layout.path) == before


def test_who_may_not_is_told_who_may(layout: LayoutWriter) -> None:
    (layout.path / "index.json").chmod(0o200)
    result = prune(layout)
    assert result.code in (2, 3), result
    assert result.err.endswith("/index.json: Permission denied; run it as a user who has that right, or as root\n")


def test_an_image_whose_manifest_may_not_be_read_can_go(layout: LayoutWriter) -> None:
    manifest = layout.blob_path(layout.entries[1])
    manifest.chmod(0o200)
    before = snapshot(layout.path)
    result = prune(layout)
    assert result.code == 0, result
    assert not manifest.exists()
    blobs = {name for name in before if name.startswith("blobs/")}
    assert {name for name in blobs if not (layout.path / name).exists()} == {str(manifest.relative_to(layout.path))}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_file_stays_that_of_the_group_that_shares_the_layout(tmp_path: Path) -> None:
    """A member of the group who is not the owner replaces index.json. A directory of a run does not hand its group on
    to new files.
    """
    user, group = 60_001, 60_002
    os.chown(tmp_path, NOBODY, group)
    tmp_path.chmod(0o775)
    (tmp_path / "index.json").write_bytes(b"old")
    os.chown(tmp_path / "index.json", NOBODY, group)
    (tmp_path / "index.json").chmod(0o664)
    with Dir.at(tmp_path) as directory:
        like = directory.stat("index.json")
        if (child := os.fork()) == 0:
            code = 1
            try:
                os.setgroups([group])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                directory.replace("index.json", b"new", like)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        status = directory.stat("index.json")
    assert (tmp_path / "index.json").read_bytes() == b"new"
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (user, group, 0o664)
