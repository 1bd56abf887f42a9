"""The terminal: colour and progress where a person watches, plain text otherwise."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ocigc.cli import log
from ocigc.cli.output.tables import terminal_width
from ocigc.cli.output.words import human_size, percent
from ocigc.progress import Progress, Report

_INTERVAL_SECONDS = 0.2
_BAR_CELLS = 20
_FEWEST_CELLS = 5
_QUIET_SECONDS = 0.5  # a shorter run needs no progress
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "faint": "2"}


def colourful(stream: TextIO) -> bool:
    """Whether colour is wanted: on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where the stream shows colours."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colourful(stream) else text


class ProgressLine:
    """One line on stderr that follows a run through its steps. Nothing is shown where stderr is a log, or a terminal
    that cannot erase a line. The line first appears after half a second, and then stays: a step's line is shown until
    the next step has one.
    """

    def __init__(self) -> None:
        self._active = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and log.for_people()
        self._began = time.monotonic()
        self._drawn = 0.0
        self._shown = False
        self._bytes = 0
        self._seconds = 0.0

    def __call__(self, name: str) -> Report | None:
        """Begins a step; returns the function to call with the step's progress."""
        if not self._active:
            return None
        started = time.monotonic()
        if started - self._began > _QUIET_SECONDS:
            self._draw(f"{name} …")

        def report(progress: Progress) -> None:
            now = time.monotonic()
            if progress.bytes > self._bytes:
                self._bytes, self._seconds = progress.bytes, now - started
            if now - self._began > _QUIET_SECONDS and now - self._drawn > _INTERVAL_SECONDS:
                columns = terminal_width(sys.stderr) or 80
                self._draw(describe(name, progress, now - started, columns - 1, utf8=_is_utf8(sys.stderr)))

        return report

    def _draw(self, line: str) -> None:
        self._drawn = time.monotonic()
        sys.stderr.write(f"\r{line[: (terminal_width(sys.stderr) or 80) - 1]}\x1b[K")
        sys.stderr.flush()
        self._shown = True

    def note(self, message: str) -> None:
        """Prints a note for the person at the terminal, or for the log."""
        self.clear()
        log.note(message)

    def clear(self) -> None:
        """Erases the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def restart(self) -> None:
        """Begins a new line of progress, after a person has answered a question."""
        self._began = time.monotonic()

    def tell_time(self) -> None:
        """Prints how long the run took and how fast it was, if a person had to wait."""
        seconds = time.monotonic() - self._began
        if self._active and seconds > _QUIET_SECONDS:
            self.clear()
            rate = f", {human_size(int(self._bytes / self._seconds))}/s" if self._bytes and self._seconds else ""
            print(f"Done in {elapsed(seconds)}{rate}.", file=sys.stderr)


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def elapsed(seconds: float) -> str:
    """How long something took: `0.3 s`, `12:34`."""
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    whole = int(seconds)
    hours = f"{whole // 3600}:{whole % 3600 // 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"


def describe(name: str, progress: Progress, seconds: float, columns: int, *, utf8: bool = True) -> str:
    """The step, its progress, rate and remaining time, with a bar if the end is known and there is room."""
    done, total = (
        (progress.bytes, progress.total_bytes) if progress.total_bytes else (progress.items, progress.total_items)
    )
    parts = []
    if progress.total_bytes:
        parts.append(f"{human_size(progress.bytes)} of {human_size(progress.total_bytes)}")
    else:
        parts.append(f"{progress.items:,}" + (f" of {progress.total_items:,}" if progress.total_items else ""))
        parts += [human_size(progress.bytes)] if progress.bytes else []
    if progress.bytes and seconds > 0:
        parts.append(f"{human_size(int(progress.bytes / seconds))}/s")
    if total and done:
        parts.append(f"{clock(seconds * (total - done) / done)} left")
    if progress.doing:
        parts.append(progress.doing)
    line = f"{name}   {'   '.join(parts)}"
    if not total:
        return line
    share = min(done / total, 1.0)
    cells = min(_BAR_CELLS, columns - len(line) - len("   100 %  "))
    if cells < _FEWEST_CELLS:
        return f"{name}   {percent(done, total)}   {'   '.join(parts)}"
    full, empty = ("█", "░") if utf8 else ("#", "-")
    filled = round(cells * share)
    return f"{name}   {percent(done, total):>5} {full * filled}{empty * (cells - filled)}   {'   '.join(parts)}"


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """A progress line that is removed when the run ends."""
    line = ProgressLine()
    try:
        yield line
    finally:
        line.clear()
