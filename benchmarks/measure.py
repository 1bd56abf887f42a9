"""What the programs that compare have in common."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OCIGC = (str(Path(sys.executable).with_name("ocigc")),)


def seconds(command: list[str]) -> float:
    """How long a command takes that has to succeed, from start to end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


_PEAK = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
assert process.returncode == 0
print(usage.ru_maxrss * 1024)
"""


def peak_bytes(command: list[str]) -> int:
    """The most memory that a command that has to succeed has resident at a time. It is started by a small process, as
    what the one that starts it has counts too."""
    measured = subprocess.run([sys.executable, "-c", _PEAK, *command], check=True, capture_output=True)
    return int(measured.stdout)


@dataclass(frozen=True)
class Taken:
    """What a command took: `seconds` from start to end, seconds of all `cpu`s, and the most resident bytes (`peak`)."""

    seconds: float
    cpu: float
    peak: int


_TAKE = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
assert process.returncode in (0, 1), process.returncode
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
"""


def take(command: list[str]) -> Taken:
    """Runs a command that has to succeed, or to find something. A small process starts it, as in `peak_bytes`."""
    measured = subprocess.run([sys.executable, "-c", _TAKE, *command], check=True, capture_output=True, text=True)
    wall, cpu, peak = measured.stdout.split()
    return Taken(float(wall), float(cpu), int(peak))


def spread(ratios: Sequence[float]) -> tuple[str, str]:
    """The median, and the range."""
    return f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"


def processor() -> str:
    """The CPU's own name for itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
