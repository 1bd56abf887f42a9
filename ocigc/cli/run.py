"""`ocigc run`: run a program that writes to a layout, and let no prune start meanwhile."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from ocigc.cli import log, options, targets
from ocigc.cli.command import PROGRAM, Command, Option
from ocigc.errors import UsageError, printable
from ocigc.layout.layout import Layout
from ocigc.layout.protect import guard

_FORWARDED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
_BY_KEY = (signal.SIGINT, signal.SIGQUIT)
_KILLED = 128  # and the number of the signal, as shells say it


def run(args: argparse.Namespace) -> int:
    """Runs the program; gives its exit code."""
    with Layout(args.layout) as layout, ExitStack() as stack:
        with targets.naming_layout(layout):
            lock = stack.enter_context(guard(layout, args.wait, log.note))
        try:
            with _forwarding() as started, subprocess.Popen(args.program, pass_fds=(lock,)) as process:
                started(process)
                code = process.wait()
        except OSError as error:
            raise UsageError(f"{printable(args.program[0])}: {error.strerror}") from None
    args.answered = True
    return _KILLED - code if code < 0 else code


@contextmanager
def _forwarding() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Hands signals on to the program once it has been `started`: it decides what they mean."""
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        if not running:
            early.append(number)
        # A terminal sends these to its whole foreground process group, so the program has them already.
        elif number not in _BY_KEY or not _in_foreground() or os.getpgid(0) != os.getpgid(running[0].pid):
            running[0].send_signal(number)

    def started(process: subprocess.Popen[bytes]) -> None:
        running.append(process)
        for number in early:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether this process has a terminal, and its group is the one in the foreground."""
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(terminal) == os.getpgid(0)
        finally:
            os.close(terminal)
    return False


COMMAND = Command(
    "Runs a program that writes to a layout, such as skopeo or oras, and keeps prunes of that layout from starting "
    "until it ends. It first waits for a prune that is running. Where locks do not reach, as on another machine, "
    "leases protect all blobs that are present.",
    (
        options.LAYOUT,
        Option(PROGRAM, metavar="PROGRAM", nargs="+", help="the program and its arguments, after --"),
        options.WAIT.but(
            default=None, help="how long to wait for a running prune, for example 10m (default: until it ends)"
        ),
    ),
    run,
    examples=(
        ("ocigc run mirror -- skopeo copy docker://alpine oci:mirror:alpine", ""),
        ("ocigc run mirror -- sh -c 'oras cp ... && oras cp ...'", "several writers under one lock"),
    ),
    exit_status="that of the program, or 128 plus the number of the signal that ended it; 2 wrong usage, 3 the lock "
    "could not be taken",
)
