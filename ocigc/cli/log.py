"""What a command says on stderr besides its result: lines for a person or, with `--log-format json`, one JSON object
per line for a log.

Messages of the library never name an option or a command. They state a remedy as a value, and this module has its
words.
"""

from __future__ import annotations

import json
import sys
import time
from typing import ClassVar

from ocigc.errors import Message, Remedy
from ocigc.times import format_rfc3339

_HINTS = {
    Remedy.WAIT: "; try again later, or give --wait to wait for it",
    Remedy.ALLOW_EMPTY: "; give --allow-empty if that is meant",
    Remedy.OTHER_LEASE_ID: "; release it, or give another --id",
    Remedy.OTHER_REPOSITORY: "; give another --repository",
    Remedy.REPAIR: "; `ocigc verify --repair-from` repairs it from another layout",
    Remedy.REPAIR_OR_REMOVE: "; repair it from another layout with `ocigc verify --repair-from`, or remove the image "
    "with `ocigc rm`",
    Remedy.UNDO_RUN: "; `ocigc restore --interrupted` undoes it",
    Remedy.LIST_IMAGES: "; `ocigc ls` shows what there is",
    Remedy.LIST_IMAGES_BELOW: "; `ocigc ls --recursive` shows what there is",
    Remedy.LIST_LEASES: "; `ocigc lease ls` shows what there is",
    Remedy.LIST_TRASH: "; `ocigc trash ls` shows what can be restored",
    Remedy.EMPTY_TRASH: "; `ocigc trash empty` removes them",
    Remedy.NAME_SHARED_BLOBS: "; name that with --shared-blobs DIR",
}


class _Log:
    """How this process logs; a process runs one command. `noted` are the notes that were printed, as a second plan
    repeats those of the first."""

    json = False
    noted: ClassVar[set[str]] = set()


def use(form: str) -> None:
    """Begins the log of a command in a form: text or json."""
    _Log.json = form == "json"
    _Log.noted.clear()


def for_people() -> bool:
    """Whether a person may be reading, who can be shown more than a log gets."""
    return not _Log.json


def with_hint(message: str) -> str:
    """The message, and the option or command that helps."""
    remedy = message.remedy if isinstance(message, Message) else None
    return message if remedy is None else f"{message}{_HINTS[remedy]}"


def note(message: str) -> None:
    """Tells a person something that is not a failure, once."""
    if message in _Log.noted:
        return
    _Log.noted.add(message)
    _write("note", message)


def error(message: str) -> None:
    """Tells why the command fails."""
    _write("error", message)


def _write(level: str, message: str) -> None:
    told = with_hint(message)
    line = f"ocigc: {told}"
    if _Log.json:
        line = json.dumps({"time": format_rfc3339(time.time_ns()), "level": level, "message": told})
    # In one piece: several layouts are worked on at the same time.
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
