"""On a terminal: the question, the colours. A real one, by pty."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ocigc.cli.output.terminal import clock, describe, elapsed
from ocigc.progress import Progress
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter


def converse(
    *arguments: str | Path, answer: str, meanwhile: Callable[[], object] | None = None, **env: str
) -> tuple[int, str]:
    """Runs a command on a terminal, types an answer; its exit code and all that it showed. Something may happen
    `meanwhile`: when it has asked."""
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
    shown = b""
    if meanwhile is not None:
        while b"[y/N]" not in shown:
            shown += os.read(controller, 4096)
        meanwhile()
    os.write(controller, answer.encode())
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


@pytest.mark.parametrize("recursive", [False, True])
def test_the_trash_loses_what_was_shown_and_nothing_else(tmp_path: Path, recursive: bool) -> None:
    layout = LayoutWriter(tmp_path / "tree" / "layout")
    for number in range(3):
        layout.tag(layout.image(f"image {number}"), f"app:{number}")

    def remove(name: str) -> None:
        assert ocigc("rm", "--force", "--trash", "1h", layout.path, name).code == 0

    def kept() -> list[str]:
        runs = ocigc("trash", "ls", "--format", "json", layout.path).json
        return [image["Name"] for run in runs for image in run["Images"]]

    remove("app:0")
    words = ["trash", "empty", *(["--recursive", tmp_path / "tree"] if recursive else [layout.path])]
    code, shown = converse(*words, answer="n\n")
    assert (code, "cancelled" in shown, kept()) == (3, True, ["app:0"])
    code, shown = converse(*words, answer="y\n", meanwhile=lambda: remove("app:1"))
    assert (code, "1 run removed" in shown, kept()) == (0, True, ["app:1"]), shown


def test_a_run_that_is_not_in_the_trash_is_said_before_the_question(layout: LayoutWriter) -> None:
    code, shown = converse("trash", "empty", layout.path, "deadbeef", answer="")
    assert (code, "deadbeef" in shown, "[y/N]" in shown) == (2, True, False)
    code, shown = converse("trash", "empty", layout.path, answer="")
    assert (code, "0 runs removed" in shown, "[y/N]" in shown) == (0, True, False)


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
