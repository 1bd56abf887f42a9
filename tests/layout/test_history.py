"""`.ocigc/history.jsonl`: one line per run that changed something, whatever was there before."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from ocigc.layout import history as history_file
from ocigc.layout.history import LIMIT
from ocigc.layout.layout import Layout
from ocigc.progress import Silent
from ocigc.times import SECOND
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter

PRUNE = ("prune", "--force", "--grace", "0s")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept"), "example.com/kept:1")
    return writer


def history(layout: LayoutWriter) -> Path:
    return layout.path / ".ocigc" / "history.jsonl"


def lines(layout: LayoutWriter) -> list[dict[str, Any]]:
    return [json.loads(line) for line in history(layout).read_bytes().splitlines()]


def test_a_run_says_what_it_did_and_what_is_left(layout: LayoutWriter) -> None:
    layout.tag(layout.image("gone"))
    assert ocigc(*PRUNE, layout.path).code == 0
    (line,) = lines(layout)
    left = sum(path.stat().st_size for path in layout.path.glob("blobs/*/*"))
    assert (line["command"], line["images"], line["blobs"], line["bytes"]) == ("prune", 1, len(layout.present()), left)
    assert line["repositories"] == {"example.com/kept": left}
    assert line["freed"] > 0
    assert line["trashed"] == 0


def test_the_id_is_that_of_the_trash(layout: LayoutWriter) -> None:
    layout.tag(layout.image("gone"), "example.com/gone:1")
    assert ocigc("rm", "--force", "--trash", "1h", layout.path, "example.com/gone:1").code == 0
    (line,) = lines(layout)
    (run,) = ocigc("trash", "ls", "--format", "json", layout.path).json
    assert (line["command"], line["run"], line["freed"], line["trashed"]) == ("rm", run["Run"], 0, run["Size"])


def test_a_run_that_changes_nothing_writes_nothing(layout: LayoutWriter) -> None:
    assert ocigc(*PRUNE, layout.path).code == 0
    assert ocigc("prune", "--dry-run", layout.path).code == 0
    assert not history(layout).exists()


@pytest.mark.parametrize("before", [b"", b'{"time": "cut o', b"\xff\0\n"])
def test_whatever_was_there_a_line_is_added(layout: LayoutWriter, before: bytes) -> None:
    history(layout).parent.mkdir()
    history(layout).write_bytes(before)
    layout.blob("orphan")
    assert ocigc(*PRUNE, layout.path).code == 0
    content = history(layout).read_bytes()
    assert content.startswith(before)
    assert json.loads(content.splitlines()[-1])["command"] == "prune"


def test_it_keeps_its_newer_half(layout: LayoutWriter) -> None:
    history(layout).parent.mkdir()
    history(layout).write_bytes(b"".join(b'{"number": %d}\n' % number for number in range(LIMIT // 14)))
    last = lines(layout)[-1]
    while history(layout).stat().st_size + 500 < LIMIT:
        with history(layout).open("ab") as file:
            file.write(json.dumps(last).encode() + b"\n")
    layout.blob("orphan")
    assert ocigc(*PRUNE, layout.path).code == 0
    assert history(layout).stat().st_size < LIMIT // 2 + 1000
    assert lines(layout)[-2] == last
    assert lines(layout)[-1]["command"] == "prune"


def test_what_is_not_a_file_is_noted_and_the_run_goes_on(layout: LayoutWriter) -> None:
    history(layout).parent.mkdir()
    history(layout).symlink_to(layout.path / "index.json")
    before = (layout.path / "index.json").read_bytes()
    orphan = layout.blob("orphan")
    result = ocigc(*PRUNE, layout.path)
    assert result.code == 0
    assert "history.jsonl" in result.err
    assert not layout.has(orphan)
    assert (layout.path / "index.json").read_bytes() == before


class Notes(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_program_that_has_it_locked_does_not_stop_the_run(
    layout: LayoutWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_file, "_PATIENCE", SECOND // 20)
    (layout.path / ".ocigc").mkdir()
    watch = Notes()
    with Layout(layout.path) as opened, opened.dir.below(".ocigc") as state:
        with open(history(layout), "w", encoding="ascii") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            history_file.append(opened, state, "0123abcd", "prune", {}, watch)
        assert history(layout).read_bytes() == b""
        history_file.append(opened, state, "0123abcd", "prune", {}, watch)
    assert len(lines(layout)) == 1
    (note,) = watch.notes
    assert note.endswith(".ocigc/history.jsonl: another program has locked it: this run is not in the history")
