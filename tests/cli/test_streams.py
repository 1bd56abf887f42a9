"""What is said where: one JSON object on stdout whatever happens, and streams that are closed, full or narrow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter


def through_shell(redirection: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command with its streams redirected by a shell."""
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "ocigc", *map(str, arguments)]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd="/", stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in process.stderr, process.stderr
    return process


@pytest.mark.parametrize(
    "arguments",
    [
        ("prune", "--grace", "soon"),
        ("prune", "--no-such-option"),
        ("prune", "--repository", "UPPER"),
        ("prune", "--filter", "x=y"),
        ("prune", "--in-use", "/nonexistent"),
        ("prune",),
        ("verify", "--jobs", "0"),
        ("verify", "surplus"),
    ],
)
@pytest.mark.parametrize("form", [("--format", "json"), ("--format=json",)])
def test_wrong_usage_is_answered_with_one_object(
    layout: LayoutWriter, arguments: tuple[str, ...], form: tuple[str, ...]
) -> None:
    result = ocigc(*arguments, layout.path, *form)
    assert result.code == 2
    (error,) = result.json["Errors"]
    assert result.err == f"ocigc: {error}\n"
    assert ("Checked" if arguments[0] == "verify" else "ImagesDeleted") in result.json


@pytest.mark.parametrize("command", [("prune", "--force"), ("prune", "--dry-run"), ("verify",)])
def test_an_interrupted_run_is_answered_with_one_object(layout: LayoutWriter, command: tuple[str, ...]) -> None:
    # The run waits for a lock that is held until it has been interrupted.
    import fcntl

    (layout.path / ".ocigc").mkdir()
    with (layout.path / ".ocigc" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, "-m", "ocigc", *command, "--wait", "1h", "--format", "json", str(layout.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        while process.pid not in _openers_of(layout.path / ".ocigc" / "lock"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert json.loads(out)["Errors"] == ["interrupted; nothing is lost"]
    assert err == "ocigc: interrupted; nothing is lost\n"


def _openers_of(path: Path) -> set[int]:
    """The processes that have a file open."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if any(link.readlink() == path for link in (process / "fd").iterdir()):
                    found.add(int(process.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full(layout: LayoutWriter, redirection: str) -> None:
    before = layout.present()
    refused = through_shell(redirection, "prune", layout.path)
    assert refused.returncode == 2
    assert layout.present() == before
    for form in ("text", "json"):
        assert through_shell(redirection, "verify", "--format", form, layout.path).returncode == 0
        assert through_shell(redirection, "ls", "--format", form, layout.path).returncode == 0
    done = through_shell(redirection, "prune", "--force", "--format", "json", layout.path)
    assert done.returncode == 0
    assert bool(done.stdout) == (">&- 2" not in redirection and redirection != ">&-")
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_report_that_cannot_be_written_is_no_failure_of_the_run(layout: LayoutWriter, form: str) -> None:
    result = through_shell(">/dev/full", "prune", "--force", "--format", form, layout.path)
    assert result.returncode == 3
    assert result.stderr == "ocigc: standard output: No space left on device; only the report is lost\n"
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


def test_a_reader_that_has_seen_enough(layout: LayoutWriter) -> None:
    for number in range(2_000):
        layout.entries.append({**layout.entries[1], "annotations": {"org.opencontainers.image.ref.name": f"t{number}"}})
    layout.write_index()
    result = through_shell("| head -n 1", "ls", layout.path)
    assert result.stdout.startswith("IMAGE")
    assert result.stderr == ""


@pytest.mark.parametrize("command", [("ls",), ("prune", "-a", "-n"), ("verify",)])
def test_names_that_the_encoding_of_stdout_lacks(layout: LayoutWriter, command: tuple[str, ...]) -> None:
    layout.tag(layout.image("ä", ["a"]), "exämple:1")
    result = ocigc(*command, layout.path, env={"PYTHONIOENCODING": "ascii"})
    assert result.code == 0
    assert "\\xe4" in result.out or command == ("verify",)


def test_arguments_that_are_no_text(layout: LayoutWriter) -> None:
    raw = os.fsdecode(b"\xff\xfe")
    result = ocigc("prune", "--force", "--filter", f"label={raw}", "--driver", raw, "--format", "json", layout.path)
    assert result.code == 0
    assert result.json["ImagesDeleted"] == []
