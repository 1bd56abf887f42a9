"""A plain list: a reference or digest a line. Empty lines, and what stands behind a `#`, say nothing."""

from __future__ import annotations

import re

from ocigc.container import InUse
from ocigc.errors import UsageError
from ocigc.inuse.mention import mention, union

NAME = "a list of references"

_COMMENT = re.compile(r"(?:^|\s)#.*")


def read(text: str, name: str) -> InUse:
    """What the lines name. Raises UsageError at the first that names nothing."""
    lines = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), start=1))
    return union([_mention(line, f"{name}: line {number}") for number, line in lines if line])


def _mention(line: str, where: str) -> InUse:
    if line == "null":
        raise UsageError(f"--in-use {where}: null is what jq prints where there is nothing, and no image")
    return mention(line, where)
