"""Plain lists of references: one per line, the columns of a table, or a list in JSON or YAML."""

from __future__ import annotations

import re
from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.in_use import InUse
from ocigc.inuse.mention import Source, mention, union

_COMMENT = re.compile(r"(?:^|\s)#.*")


def _read_list(text: str, name: str) -> InUse:
    """What each line names. Raises UsageError at the first line that is not a reference or a digest."""
    lines = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), start=1))
    return union([_mention(line, f"{name}: line {number}") for number, line in lines if line])


def _mention(line: str, where: str) -> InUse:
    if line == "null":
        raise UsageError(f"{where}: null is not an image: jq prints it for a missing value")
    return mention(line, where)


LINES = Source("a list of references", lambda _: True, _read_list)


_HEADER = re.compile(r"(?:CONTAINER(?: ID)?\s+IMAGE|REF\s+TYPE\s+DIGEST)\s")
_COLUMNS = ("IMAGE", "REF", "DIGEST")
_NONE = "-"  # what ctr writes for a container without an image


def _is_table(text: str) -> bool:
    """Whether the first line is the header of such a table."""
    return _HEADER.match(text) is not None


def _read_table(text: str, name: str) -> InUse:
    """What the columns of images name. Raises UsageError."""
    header, *rows = text.splitlines()
    starts = [found.start() for column in _COLUMNS if (found := re.search(rf"\b{column}\b", header))]
    parts = []
    for number, row in enumerate(rows, start=2):
        if not row.strip():
            continue
        for start in starts:
            # A cell begins below its title; otherwise the columns are not those of the first line.
            if row[start - 1 : start].strip() or not row[start : start + 1].strip():
                raise UsageError(f"{name}: line {number}: not in the columns of the first line")
            cell = row[start:].split()[0]
            if cell != _NONE:
                parts.append(mention(cell, f"{name}: line {number}"))
    return union(parts)


TABLE = Source("the table of `ctr containers ls`, `ctr images ls` or `docker ps`", _is_table, _read_table)


def _is_strings(document: object) -> bool:
    """A list of strings, or a list of one such list, as the documents of YAML are."""
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], list):
        document = document[0]
    return isinstance(document, list) and bool(document) and all(isinstance(entry, str) for entry in document)


def _read_strings(document: Any, name: str) -> InUse:
    """What each string names. Raises UsageError at the first that is not a reference or a digest."""
    if isinstance(document[0], list):
        (document,) = document
    return union([mention(entry, f"{name}: entry {number}") for number, entry in enumerate(document)])


STRINGS = Source("a JSON or YAML list of references", _is_strings, _read_strings)
