"""The shim against strace: it misses none of the calls with which a prune changes something."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.injection import command
from tests.faults.invariants import Yardstick
from tests.faults.scenarios import SCENARIOS

# What the shim calls the calls that change something.
CHANGES = {
    "creat": "create",
    "fchmod": "fchmod",
    "fchown": "fchown",
    "fsync": "fsync",
    "linkat": "link",
    "mkdirat": "mkdir",
    "renameat": "rename",
    "renameat2": "rename",
    "unlinkat": "unlink",
    "write": "write",
}
HARMLESS = {
    *("openat", "read", "pread64", "close", "getdents64", "lseek", "newfstatat", "fstat", "statx", "readlink"),
    *(
        "faccessat",
        "faccessat2",
        "fcntl",
        "ioctl",
        "flock",
        "fadvise64",
        "fallocate",
        "mmap",
        "execve",
        "landlock_add_rule",
    ),
}
MERGED = {"exchange": "rename", "rmdir": "unlink"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_call_is_missed(tmp_path: Path) -> None:
    yardstick = Yardstick.make(SCENARIOS[-1], tmp_path)
    layout = yardstick.copy(tmp_path / "traced")
    seen: Counter[str] = Counter()
    for line in trace(yardstick.scenario.prune(layout), tmp_path / "trace"):
        name, _, arguments = line.split(maxsplit=1)[1].partition("(")
        if str(layout) in arguments:
            seen["creat" if name == "openat" and "O_CREAT" in arguments else name] += 1
    changes = {CHANGES[name]: 0 for name in seen if name in CHANGES}
    for name in seen.keys() & CHANGES.keys():
        changes[CHANGES[name]] += seen[name]
    assert changes == Counter(MERGED.get(call.name, call.name) for call in yardstick.calls if call.changes)
    assert seen.keys() - CHANGES.keys() <= HARMLESS


def trace(arguments: list[str], output: Path) -> list[str]:
    """The lines of strace: a thread, a call, its arguments with the paths of descriptors."""
    strace = ["strace", "-f", "-qq", "-y", "-e", "signal=none", "-e", "trace=%file,%desc", "-o", str(output), "--"]
    process = subprocess.run(
        [*strace, *command(arguments)], capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )
    if "ptrace" in process.stderr.lower():
        pytest.skip(f"ptrace is refused: {process.stderr.splitlines()[0]}")
    assert process.returncode == 0, process.stderr
    return output.read_text().splitlines()
