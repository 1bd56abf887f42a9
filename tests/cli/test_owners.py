"""What ocigc makes in a layout is for whoever owns that, whoever ran it and under whatever umask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.layouts import LayoutWriter

OWNER = 12345


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["k"]), "example.com/kept:1")
    writer.tag(writer.image("gone", ["g"]))
    writer.labels(writer.entries[1], {"x": "y"})
    for path in (writer.path, *writer.path.rglob("*")):
        path.chmod(0o750 if path.is_dir() else 0o640)
        if os.geteuid() == 0:
            os.chown(path, OWNER, OWNER)
    return writer


def ocigc(umask: str, *arguments: str | Path) -> None:
    command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", sys.executable, "-m", "ocigc", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, cwd="/", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("umask", ["000", "022", "077", "777"])
def test_owner_and_mode(layout: LayoutWriter, umask: str) -> None:
    owner = layout.path.stat().st_uid
    ocigc(umask, "lease", "create", layout.path, "example.com/kept:1")
    ocigc(umask, "prune", "--force", "--grace", "0s", "--trash", "7d", layout.path)
    private = list((layout.path / ".ocigc" / "trash").rglob("*/"))
    assert any(path.is_file() for path in (layout.path / ".ocigc" / "trash").rglob("*"))
    for path in (layout.path, *layout.path.rglob("*")):
        status = path.stat()
        assert status.st_uid == owner, path
        assert status.st_mode & 0o7027 == 0, path
        assert status.st_mode & 0o600 == 0o600, path
        assert path in private or path.name == "trash" or status.st_mode & 0o040, path
    ocigc(umask, "restore", layout.path)
    assert all(path.stat().st_uid == owner for path in layout.path.rglob("*"))
    assert (layout.path / "index.json").stat().st_mode & 0o777 == 0o640
