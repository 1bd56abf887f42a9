"""The three standard streams, whatever the caller has made of them: closed, full, or too narrow for a name."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Puts something in place of streams that the caller has closed, and makes all text writable to the others."""
    for name in ("stdin", "stdout", "stderr"):
        # In this order: the lowest free descriptor is then that of the stream itself, and no other file gets it.
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Keeps the interpreter from failing at its end, once more, to write what could not be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # /dev/null may be out of reach by now.
            os.dup2(os.pipe()[1], stream.fileno())
