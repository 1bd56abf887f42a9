"""Versions: the precedence of Semantic Versioning 2.0.0. A leading `v` is allowed; minor and patch may be missing."""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"v?(?P<major>0|[1-9][0-9]*)(?:\.(?P<minor>0|[1-9][0-9]*))?(?:\.(?P<patch>0|[1-9][0-9]*))?"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""Compares as versions do."""


def precedence(text: str) -> Precedence | None:
    """Of a version; None where the text is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    major, minor, patch = (int(match[part] or 0) for part in ("major", "minor", "patch"))
    identifiers = match["pre"].split(".") if match["pre"] else []
    # Numbers come before words, and a version before which there is something comes behind that.
    order = tuple((not each.isdecimal(), int(each) if each.isdecimal() else 0, each) for each in identifiers)
    return major, minor, patch, not identifiers, order
