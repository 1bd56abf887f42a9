"""What a command says on stderr besides its result: lines for a person or, with `--log-format json`, one JSON object a
line for a log.
"""

from __future__ import annotations

import json
import sys
import time

from ocigc.times import format_rfc3339


class _Log:
    """How this process logs: a process runs one command."""

    json = False


def use(form: str) -> None:
    """Sets the form of all that follows: text or json."""
    _Log.json = form == "json"


def for_people() -> bool:
    """Whether a person may be reading, to whom more can be shown than what is logged."""
    return not _Log.json


def note(message: str) -> None:
    """Something that a person should know, though it is no failure."""
    _write("note", message)


def error(message: str) -> None:
    """Why the command fails."""
    _write("error", message)


def _write(level: str, message: str) -> None:
    line = f"ocigc: {message}"
    if _Log.json:
        line = json.dumps({"time": format_rfc3339(time.time_ns()), "level": level, "message": message})
    print(line, file=sys.stderr)
