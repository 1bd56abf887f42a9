"""Layouts that several tests of commands use."""

from __future__ import annotations

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
