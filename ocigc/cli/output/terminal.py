"""The terminal: colour and progress where a person watches, plain text everywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from ocigc.cli import log
from ocigc.cli.output.words import human_size
from ocigc.progress import Progress, Report

_INTERVAL_SECONDS = 0.2
_QUIET_SECONDS = 0.5  # what is done by then needs no progress
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "faint": "2"}


def colourful(stream: TextIO) -> bool:
    """Whether colour is wanted: on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where the stream shows colours."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colourful(stream) else text


def width(stream: TextIO | None) -> int:
    """The columns of the terminal that a stream leads to; 80 where it is none, or none that says."""
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(stream.fileno()).columns or 80  # type: ignore[union-attr]
    return 80


class ProgressLine:
    """One line on stderr that follows a run through its phases; nothing where stderr is a log, or no terminal that can
    take a line back.
    """

    def __init__(self) -> None:
        self._active = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and log.for_people()
        self._shown = False

    def __call__(self, name: str) -> Report | None:
        """Begins a phase; what it returns is to be called with the phase's progress."""
        self.clear()
        if not self._active:
            return None
        started = time.monotonic()
        last = 0.0

        def report(progress: Progress) -> None:
            nonlocal last
            now = time.monotonic()
            if now - started > _QUIET_SECONDS and now - last > _INTERVAL_SECONDS:
                last = now
                self._show(f"{name}: {describe(progress, now - started)}")

        return report

    def _show(self, line: str) -> None:
        sys.stderr.write("\r\x1b[K" + line[: width(sys.stderr) - 1])
        sys.stderr.flush()
        self._shown = True

    def note(self, message: str) -> None:
        """A line for the person at the terminal or the log."""
        self.clear()
        log.note(message)

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def describe(progress: Progress, seconds: float) -> str:
    """How far, how fast and how long still."""
    parts = [f"{progress.items:,}" + (f" of {progress.total_items:,}" if progress.total_items else "")]
    if progress.bytes:
        parts.append(
            human_size(progress.bytes) + (f" of {human_size(progress.total_bytes)}" if progress.total_bytes else "")
        )
        parts.append(f"{human_size(int(progress.bytes / seconds))}/s")
    done, total = (
        (progress.bytes, progress.total_bytes) if progress.total_bytes else (progress.items, progress.total_items)
    )
    if total and done:
        left = int(seconds * (total - done) / done)
        parts.append(f"{left // 60}:{left % 60:02} left")
    return ", ".join(parts)


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A progress line that is gone when the run is."""
    line = ProgressLine()
    try:
        yield line
    finally:
        line.clear()
