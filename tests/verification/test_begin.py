"""A verification that begins before the layout is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocigc.errors import MalformedError
from ocigc.layout.layout import Layout
from ocigc.progress import SILENT
from ocigc.verification.begin import begin
from ocigc.verification.verify import VerifyOptions, verify, verify_begun
from tests.helpers.layouts import LayoutWriter

_LARGE = 300_000  # bytes


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("app", layers=["small", "x" * _LARGE, "rotten small", "y" * _LARGE]), "app")
    for content in ("rotten small", "y" * _LARGE):
        writer.blob_path(writer.blob(content)).write_text(content[:-1] + "!")
    return writer


def test_the_result_is_the_same(layout: LayoutWriter) -> None:
    for jobs in (1, 2, 3):
        with Layout(layout.path) as opened, begin(opened, jobs, 0, SILENT) as begun:
            found = verify_begun(opened, begun, VerifyOptions())
        expected = verify(layout.path)
        assert (found.checked, found.bytes, found.corrupt) == (expected.checked, expected.bytes, expected.corrupt)
        assert (len(found.corrupt), found.affected, found.missing) == (2, expected.affected, expected.missing)


def test_an_index_that_was_just_being_written_is_read_again(layout: LayoutWriter) -> None:
    index = layout.path / "index.json"
    content = index.read_bytes()
    index.write_bytes(content[:-10])
    with Layout(layout.path) as opened:
        with begin(opened, 2, 0, SILENT) as begun:
            index.write_bytes(content)
            found = verify_begun(opened, begun, VerifyOptions())
        assert (found.checked, len(found.corrupt)) == (verify(layout.path).checked, 2)
        index.write_bytes(content[:-10])
        with begin(opened, 2, 0, SILENT) as begun, pytest.raises(MalformedError):
            verify_begun(opened, begun, VerifyOptions())
