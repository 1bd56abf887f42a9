"""Layouts that several tests of commands use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    """An image with a name, and one without."""
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["k"]), "example.com/kept:1")
    writer.tag(writer.image("gone", ["g"]))
    return writer


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may enter; nobody else may enter those of pytest."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
