"""`--log-format json`: whatever a command has to say on stderr is one JSON object a line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocigc.times import parse_rfc3339
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter


def entries(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    for entry in found:
        assert list(entry) == ["time", "level", "message"]
        assert parse_rfc3339(entry["time"]) > 1.7e18
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--log-format", "json", "verify", "nowhere"), 2, "nowhere"),
        (("verify", "--log-format=json", "nowhere"), 2, "nowhere"),
        (("verify", "--log-format", "json", "--no-such-option", "x"), 2, "--no-such-option"),
        (("lease", "ls", "--log-format", "json", "a\nb\x1b"), 2, "a\\nb\\x1b"),
        (("--log-format", "json"), 2, "COMMAND"),
        (("--log-format", "json", "no-such-command"), 2, "no-such-command"),
    ],
)
def test_errors(arguments: tuple[str, ...], code: int, word: str) -> None:
    result = ocigc(*arguments)
    assert result.code == code, result
    (entry,) = entries(result.err)
    assert entry["level"] == "error"
    assert word in entry["message"]
    assert result.out == ""


def test_a_note_is_an_object_with_its_hint(layout: LayoutWriter) -> None:
    result = ocigc("prune", "--log-format", "json", "--all", "--dry-run", "--grace", "0s", layout.path)
    assert result.code == 0, result
    (entry,) = entries(result.err)
    assert entry["level"] == "note"
    assert "--allow-empty" in entry["message"]


@pytest.mark.parametrize("command", [("prune", "--force"), ("verify",), ("ls",), ("du",)])
def test_a_layout_that_fails_among_others_is_an_error(layout: LayoutWriter, command: tuple[str, ...]) -> None:
    broken = LayoutWriter(layout.path.parent / "broken")
    (broken.path / "index.json").write_text("{")
    result = ocigc(*command, "--recursive", "--log-format", "json", layout.path.parent)
    assert result.code == 3
    (entry,) = entries(result.err)
    assert entry["level"] == "error"
    assert entry["message"].startswith("broken: ")


def test_the_answer_is_still_one_object(tmp_path: Path) -> None:
    result = ocigc("--log-format", "json", "prune", "--force", "--format", "json", tmp_path)
    assert result.code == 2
    (entry,) = entries(result.err)
    assert result.json["Errors"] == [entry["message"]]


def test_no_progress_on_a_terminal(layout: LayoutWriter) -> None:
    with (layout.path / "blobs/sha256" / ("0" * 64)).open("wb") as file:
        file.truncate(400 << 20)  # long enough for progress
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ocigc", "verify", "-j", "1", "--log-format", "json", str(layout.path)]
    environment = {**os.environ, "OCIGC_SHA256": "portable"}
    process = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, check=False, cwd="/", env=environment)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:
        try:
            said = terminal.read(1)
        except OSError:  # EIO: the other end is closed, and nothing was written
            said = b""
    assert (process.returncode, said) == (1, b"")
