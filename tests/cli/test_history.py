"""`ocigc history`: what was done to a layout, and what others may have made of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["kept"]), "example.com/kept:1")
    writer.tag(writer.image("gone", ["gone"]), "example.com/gone:1")
    return writer


def test_a_layout_without_a_history(layout: LayoutWriter) -> None:
    before = sorted(layout.path.iterdir())
    assert ocigc("history", "--format", "json", layout.path).json == []
    assert sorted(layout.path.iterdir()) == before


def test_lines_that_are_not_ours_are_passed_over(layout: LayoutWriter) -> None:
    state = layout.path / ".ocigc"
    state.mkdir()
    first = '{"time": "2026-01-01T00:00:00Z", "run": "aa", "command": "prune", "bytes": 2000, "freed": 7}'
    second = '{"time": "2026-02-01T00:00:00Z", "run": "bb\\u001b[31m", "command": "verify"}'
    (state / "history.jsonl").write_text(f'{second}\nnot JSON\n[]\n{{"time": 5}}\n{first}\n{{"time": "2026')
    runs = ocigc("history", "--format", "json", layout.path).json
    assert [run["command"] for run in runs] == ["prune", "verify"]
    assert [run["command"] for run in ocigc("history", "--last", "1", "--format", "json", layout.path).json] == [
        "verify"
    ]
    shown = ocigc("history", layout.path).out
    assert "2 kB" in shown
    assert "\x1b" not in shown
    refused(ocigc("history", "--last", "0", layout.path), 2, "--last")


def test_a_history_that_is_not_a_file(layout: LayoutWriter) -> None:
    (layout.path / ".ocigc" / "history.jsonl").mkdir(parents=True)
    assert ocigc("history", "--format", "json", layout.path).json == []


def test_a_tree_that_is_verified_is_in_the_history_of_its_layouts(layout: LayoutWriter) -> None:
    (layout.path / ".ocigc").mkdir()
    result = ocigc("verify", "--recursive", layout.path.parent)
    assert result.code == 0, result
    assert result.err == ""
    assert [run["command"] for run in ocigc("history", "--format", "json", layout.path).json] == ["verify"]


def test_a_run_that_removes_only_leftovers_is_in_the_history(layout: LayoutWriter) -> None:
    leftover = layout.path / "oci-put-blob1"
    leftover.write_bytes(b"x" * 9)
    os.utime(leftover, (0, 0))
    assert ocigc("prune", "--force", "--grace", "1ms", layout.path).code == 0
    assert not leftover.exists()
    (line,) = ocigc("history", "--format", "json", layout.path).json
    assert (line["command"], line["freed"]) == ("prune", 9)


def test_a_tree_has_one_history(tmp_path: Path) -> None:
    for number, name in enumerate(("team/app", "base")):
        state = LayoutWriter(tmp_path / name).path / ".ocigc"
        state.mkdir()
        line = f'{{"time": "2026-0{number + 1}-01T00:00:00Z", "run": "a{number}", "command": "prune", "bytes": 2000}}'
        (state / "history.jsonl").write_text(line + "\n")
    runs = ocigc("history", "--recursive", "--format", "json", tmp_path).json
    assert [(run["Layout"], run["run"]) for run in runs] == [("team/app", "a0"), ("base", "a1")]
    header, *rows = ocigc("history", "--recursive", tmp_path).out.splitlines()
    assert header.startswith("LAYOUT ")
    assert [row.split()[0] for row in rows] == ["team/app", "base"]
    assert ocigc("history", "--recursive", "--last", "1", tmp_path).out.splitlines()[1].startswith("base ")


def test_of_a_large_history_the_last_runs(layout: LayoutWriter) -> None:
    history = layout.path / ".ocigc" / "history.jsonl"
    layout.blob("orphan")
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    last = history.read_bytes()
    history.write_bytes(b'{"command": "other"}\n' * 500_000 + last)
    (run,) = ocigc("history", "--format", "json", "--last", "1", layout.path).json
    assert run == json.loads(last)
