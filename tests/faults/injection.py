"""Running ocigc with a fault in one of its system calls, or with all of them written down: the faults of `inject.c`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.command import Result
from tests.helpers.compiled import compiled

KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the call number `at`, from 1, of all below the layout, or of those that change something.

    `error` is an errno; without one, the process is killed. `sticky` faults stay from then on.
    """

    at: int
    error: int | None = None
    changing: bool = False
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made. Paths are relative to the layout, "" is the layout itself. `result` may be -errno. A call
    on an open file has the path that this file has by then. `file` is the inode of that file, or of one that was
    opened; 0 for none."""

    name: str
    changes: bool
    path: str
    other: str
    result: int
    written: bytes
    is_open: bool = False
    file: int = 0


def shim() -> Path:
    """The compiled shim."""
    return compiled(Path(__file__).with_name("inject.c"), "-shared", "-fPIC", "-ldl")


def run(layout: Path, arguments: Sequence[str], fault: Fault) -> Result:
    """Runs `ocigc` with a fault; the code is KILLED if that killed it. There must be no traceback, and no hang."""
    return _run(
        layout,
        arguments,
        {
            "FAULT_AT": str(fault.at),
            "FAULT_ERRNO": str(fault.error or 0),
            "FAULT_CHANGING": str(int(fault.changing)),
            "FAULT_STICKY": str(int(fault.sticky)),
        },
    )


def record(layout: Path, arguments: Sequence[str]) -> tuple[Result, list[Call]]:
    """Runs `ocigc` undisturbed: its result, and its calls below the layout."""
    with tempfile.TemporaryFile() as log:
        result = _run(layout, arguments, {"FAULT_LOG": str(log.fileno())}, log.fileno())
        log.seek(0)
        return result, [call_of(line) for line in log.read().decode().splitlines()]


def _run(layout: Path, arguments: Sequence[str], faults: dict[str, str], *descriptors: int) -> Result:
    process = subprocess.run(
        command(arguments),
        env={**os.environ, **faults, "FAULT_ROOT": str(layout.resolve()), "LD_PRELOAD": str(shim())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        pass_fds=descriptors,
    )
    assert "Traceback" not in process.stderr, process.stderr
    return Result(process.returncode, process.stdout, process.stderr)


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of `ocigc`."""
    return [sys.executable, "-m", "ocigc", *arguments]


def call_of(line: str) -> Call:
    name, changes, path, other, result, written, is_open, file = line.split("\t")
    paths = path.lstrip("/"), other.lstrip("/")
    return Call(name, changes == "1", *paths, int(result), bytes.fromhex(written), is_open == "1", int(file))
