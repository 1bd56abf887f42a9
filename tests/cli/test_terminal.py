"""On a terminal: the question, the colours. A real one, by pty."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocigc.cli.output.terminal import clock, describe, elapsed
from ocigc.progress import Progress
from tests.helpers.layouts import LayoutWriter


def converse(*arguments: str | Path, answer: str, **env: str) -> tuple[int, str]:
    """Runs a command on a terminal, types an answer; its exit code and all that it showed."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ocigc", *map(str, arguments)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd="/",
        env={**os.environ, "TERM": "xterm", **env},
    )
    os.close(terminal)
    os.write(controller, answer.encode())
    shown = b""
    try:
        while piece := os.read(controller, 4096):
            shown += piece
    except OSError:
        pass  # Linux says so when the last process has closed the terminal
    os.close(controller)
    return process.wait(timeout=60), shown.decode()


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", "\x04"])
def test_anything_but_yes_changes_nothing(layout: LayoutWriter, answer: str) -> None:
    before = layout.present()
    code, shown = converse("prune", layout.path, answer=answer)
    assert code == 3
    assert "nothing was changed" in shown
    assert layout.present() == before


def test_yes_carries_out_what_was_shown(layout: LayoutWriter) -> None:
    before = layout.present()
    code, shown = converse("prune", layout.path, answer="y\n")
    assert code == 0
    assert shown.index("Frees ") < shown.index("[y/N]") < shown.index("Freed ")
    assert len(layout.present()) == len(before) - 3


def test_progress_only_where_a_line_can_be_taken_back(layout: LayoutWriter) -> None:
    with (layout.path / "blobs/sha256" / ("0" * 64)).open("wb") as file:
        file.truncate(400 << 20)  # long enough for progress
    slowly = {"OCIGC_SHA256": "portable", "NO_COLOR": "1"}
    code, shown = converse("verify", "-j", "1", layout.path, answer="", **slowly)
    assert code == 1
    assert "\x1b[K" in shown
    assert " left" in shown
    assert "\x1b" not in converse("verify", "-j", "1", layout.path, answer="", **slowly, TERM="dumb")[1]


def test_colour_only_where_it_is_wanted(layout: LayoutWriter) -> None:
    assert "\x1b[32m" in converse("verify", layout.path, answer="")[1]
    assert "\x1b[" not in converse("verify", layout.path, answer="", NO_COLOR="1")[1]
    assert "\x1b[" not in converse("verify", layout.path, answer="", TERM="dumb")[1]


def test_the_line_of_progress() -> None:
    half = Progress(10, 600_000_000, 20, 1_000_000_000)
    line = describe("Verifying", half, 2.0, 80)
    assert line == "Verifying    60 % ████████████░░░░░░░░   600 MB of 1 GB   300 MB/s   0:01 left"
    assert describe("Verifying", Progress(10, 600_000_000, 20, 1_000_000_000), 2.0, 80, utf8=False).count("#") == 12
    assert describe("Verifying", Progress(10, 600_000_000, 20, 1_000_000_000), 2.0, 60).startswith(
        "Verifying   60 %   600"
    )
    assert describe("Scanning blobs", Progress(1234, 0, 0, 0), 1.0, 80) == "Scanning blobs   1,234"
    tree = describe("Layouts", Progress(3, 0, 4, 0, "team/app: Verifying"), 3.0, 80)
    assert tree.endswith("3 of 4   0:01 left   team/app: Verifying")
    assert [clock(seconds) for seconds in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
    assert [elapsed(seconds) for seconds in (0.04, 7.26, 61)] == ["0.0 s", "7.3 s", "1:01"]


def test_there_is_no_moment_without_a_line(layout: LayoutWriter) -> None:
    with (layout.path / "blobs/sha256" / ("0" * 64)).open("wb") as file:
        file.truncate(400 << 20)
    _, shown = converse("verify", "-j", "1", layout.path, answer="", OCIGC_SHA256="portable", NO_COLOR="1")
    assert re.search(r"\rVerifying +\d+ % [█░]+ +[\d.]+ MB of \d+ MB +[\d.]+ MB/s +\d:\d\d left", shown)
    assert re.search(r"blobs, 419 MB in [\d.:]+( s)?, [\d.]+ [MG]B/s: NOT SOUND", shown)
    first = shown.index("\rVerifying")
    assert shown.count("\r\x1b[K", first) == 1  # taken away once, at the end
