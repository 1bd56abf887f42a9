"""A JSON or YAML list of references."""

from __future__ import annotations

from typing import Any

from ocigc.container import InUse
from ocigc.inuse.mention import mention, union

NAME = "a JSON or YAML list of references"


def recognises(document: Any) -> bool:
    """A list of strings; of YAML, the one document is one."""
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], list):
        document = document[0]
    return isinstance(document, list) and bool(document) and all(isinstance(entry, str) for entry in document)


def read(document: Any, name: str) -> InUse:
    """What they name. Raises UsageError at the first that names nothing."""
    if isinstance(document[0], list):
        (document,) = document
    return union([mention(entry, f"{name}: entry {number}") for number, entry in enumerate(document)])
