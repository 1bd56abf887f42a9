"""Tables for people: `ctr containers ls`, `ctr images ls`, `docker ps`."""

from __future__ import annotations

import re

from ocigc.container import InUse
from ocigc.errors import UsageError
from ocigc.inuse.mention import mention, union

NAME = "the table of `ctr containers ls`, `ctr images ls` or `docker ps`"

_HEADER = re.compile(r"(?:CONTAINER(?: ID)?\s+IMAGE|REF\s+TYPE\s+DIGEST)\s")
_COLUMNS = ("IMAGE", "REF", "DIGEST")
_NONE = "-"  # a container of ctr's that has no image


def recognises(text: str) -> bool:
    """Whether the first line is the header of such a table."""
    return _HEADER.match(text) is not None


def read(text: str, name: str) -> InUse:
    """What the columns of images hold. Raises UsageError."""
    header, *rows = text.splitlines()
    starts = [found.start() for column in _COLUMNS if (found := re.search(rf"\b{column}\b", header))]
    parts = []
    for number, row in enumerate(rows, start=2):
        if not row.strip():
            continue
        for start in starts:
            # A cell begins where its header does; else the columns are not where we think.
            if row[start - 1 : start].strip() or not row[start : start + 1].strip():
                raise UsageError(f"--in-use {name}: line {number}: not in the columns of the first line")
            cell = row[start:].split()[0]
            if cell != _NONE:
                parts.append(mention(cell, f"{name}: line {number}"))
    return union(parts)
