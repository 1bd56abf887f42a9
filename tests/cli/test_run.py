"""`ocigc run`: a program writes, and no prune starts."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

PROGRAM = [sys.executable, "-m", "ocigc", "run"]


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept", ["kept"]), "example.com/kept:1")
    return writer


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start(layout: LayoutWriter, script: str, *, first: str = ":") -> subprocess.Popen[str]:
    """Runs a script. It has begun, and done what comes `first`, when there is a file `begun` beside the layout."""
    script = f"{first}; touch {layout.path.parent}/begun; {script}"
    words = [*PROGRAM, str(layout.path), "--", "sh", "-c", script]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(words, cwd="/", text=True, **pipes)  # type: ignore[call-overload]
    until((layout.path.parent / "begun").exists)
    return process


def leases(layout: LayoutWriter) -> list[str]:
    directory = layout.path / "leases"
    return sorted(os.listdir(directory)) if directory.exists() else []


@pytest.mark.parametrize("code", [0, 1, 3, 77])
def test_the_exit_code_is_the_programs(layout: LayoutWriter, code: int) -> None:
    assert ocigc("run", layout.path, "--", "sh", "-c", f"exit {code}").code == code
    assert leases(layout) == []


def test_a_program_that_a_signal_ends(layout: LayoutWriter) -> None:
    assert ocigc("run", layout.path, "--", "sh", "-c", "kill -9 $$").code == 128 + signal.SIGKILL


def test_no_prune_starts_while_the_program_runs(layout: LayoutWriter) -> None:
    orphan = layout.blob("orphan")
    process = start(layout, "read line")
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, "running")
    assert len(leases(layout)) == 1
    assert ocigc("ls", layout.path).code == 0
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert leases(layout) == []
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert not layout.has(orphan)


def test_several_programs_may_write_at_once(layout: LayoutWriter) -> None:
    process = start(layout, "read line")
    assert ocigc("run", layout.path, "--", "true").code == 0
    assert len(leases(layout)) == 1
    process.communicate("\n", timeout=60)


def test_the_program_keeps_the_lock_when_we_are_killed(layout: LayoutWriter) -> None:
    orphan = layout.blob("orphan")
    process = start(layout, f"echo $$ > {layout.path.parent}/pid; read line; touch {layout.path.parent}/ended")
    until(lambda: (layout.path.parent / "pid").exists() and (layout.path.parent / "pid").read_text() != "")
    process.kill()
    process.wait()
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, "running")
    process.communicate("\n", timeout=60)
    until((layout.path.parent / "ended").exists)
    # What is left are leases, which end by themselves: they keep what was there.
    assert ocigc("prune", "--force", "--grace", "0s", "--wait", "10s", layout.path).code == 0
    assert layout.has(orphan)
    assert len(leases(layout)) == 1


def test_a_termination_reaches_the_program(layout: LayoutWriter) -> None:
    process = start(layout, "while :; do sleep 0.05; done", first="trap 'exit 5' TERM")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 5
    assert leases(layout) == []


def test_what_cannot_be_run(layout: LayoutWriter) -> None:
    refused(ocigc("run", layout.path, "--", "/no/such/program"), 2, "/no/such/program", "No such file")
    refused(ocigc("run", layout.path), 2, "PROGRAM")
    refused(ocigc("run", layout.path.parent / "none", "--", "true"), 2, "none")
    assert leases(layout) == []


def test_who_waits_in_vain_learns_for_which_layout(layout: LayoutWriter) -> None:
    (layout.path / ".ocigc").mkdir()
    with open(layout.path / ".ocigc" / "lock", "w", encoding="ascii") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = ocigc("run", "--wait", "10ms", layout.path, "--", "true")
    refused(done, 3, f"{layout.path}: a prune operation is already running")


def test_the_program_gets_all_its_arguments(layout: LayoutWriter) -> None:
    words = ("-c", 'printf "%s|" "$@"', "sh", "--", "a", "--", "--wait", "b")
    assert ocigc("run", layout.path, "--", "sh", *words).out == "--|a|--|--wait|b|"
    assert ocigc("run", layout.path, "--", *PROGRAM, layout.path, "--", "sh", "-c", "exit 9").code == 9


def test_an_interrupt_that_no_terminal_has_sent_is_handed_on(layout: LayoutWriter) -> None:
    process = start(layout, "while :; do sleep 0.05; done", first="trap 'exit 42' INT")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 42
    assert leases(layout) == []


@pytest.mark.parametrize("where", ["a file", "a link", "nothing", "a directory"])
def test_whatever_becomes_of_the_leases_the_exit_code_is_the_programs(layout: LayoutWriter, where: str) -> None:
    leases = layout.path / "leases"
    scripts = {
        "a file": f"rm -r {leases}; echo > {leases}",
        "a link": f"mv {leases} {leases}.old; ln -s leases.old {leases}",
        "nothing": f"rm -r {leases}",
        "a directory": f"for each in {leases}/*; do rm $each; mkdir $each; done",
    }
    done = ocigc("run", layout.path, "--", "sh", "-c", f"{scripts[where]}; exit 42")
    assert done.code == 42
    assert ("is not released; remove it" in done.err) == (where != "nothing")


def test_a_key_that_ends_the_program_leaves_no_lease(layout: LayoutWriter) -> None:
    process = start(layout, "while :; do sleep 0.05; done", first="trap 'exit 42' QUIT")
    process.send_signal(signal.SIGQUIT)
    process.communicate(timeout=60)
    assert process.returncode == 42
    assert leases(layout) == []
