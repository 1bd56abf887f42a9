"""`podman inspect` of containers: docker's form with IDs that say no algorithm, and two members more."""

from __future__ import annotations

from typing import Any

from ocigc.container import InUse
from ocigc.inuse.mention import field, union

NAME = "`podman inspect` of containers"


def recognises(document: Any) -> bool:
    """Objects that each have `ImageName` beside `Image`."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(entry, dict) and "Image" in entry and "ImageName" in entry for entry in document)
    )


def read(document: Any, name: str) -> InUse:
    """The images by name, ID (their config's digest) and digest. Raises UsageError."""
    return union(
        [
            field(entry, key, f"{name}: entry {number}")
            for number, entry in enumerate(document)
            for key in ("Image", "ImageName", "ImageDigest")
        ]
    )
