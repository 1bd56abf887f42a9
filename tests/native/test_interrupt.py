"""An interrupt of a long call: it ends before anything that it works on is freed."""

from __future__ import annotations

import subprocess
import sys

_INTERRUPTED = """
import os, signal, time
from ocigc.native import calls

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def function(progress, error):
    interrupt()
    while not progress.cancel:
        time.sleep(0.01)
    for _ in range(3):
        time.sleep(0.1)  # the other thread waits again
        interrupt()
    time.sleep(0.1)
    print("ended", flush=True)
    return 0

try:
    calls.long_call(function)
except KeyboardInterrupt:
    print("freed")
"""


def test_the_call_ends_first_however_often_it_is_interrupted() -> None:
    command = [sys.executable, "-c", _INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert (done.stdout.split(), done.stderr) == (["ended", "freed"], "")


_NO_THREAD = """
import threading
from ocigc.errors import Refused
from ocigc.native import calls

threading.stack_size(1 << 50)  # more than there are addresses
try:
    calls.long_call(lambda progress, error: 0)
except Refused as error:
    print(error)
"""


def test_no_thread_can_be_started() -> None:
    """For example in a container with a limit of processes."""
    command = [sys.executable, "-c", _NO_THREAD]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.stdout, done.stderr) == (
        "no thread can be started: a limit of processes or of memory is reached\n",
        "",
    )
