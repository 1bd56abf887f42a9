"""Lists of containers: `docker ps`, `podman ps`, `nerdctl ps` and `docker compose ps`, in JSON."""

from __future__ import annotations

from typing import Any

from ocigc.container import InUse
from ocigc.inuse.mention import field, union

NAME = "`docker ps`, `podman ps` or `nerdctl ps --format json`"


def recognises(document: Any) -> bool:
    """Objects that each have an `Image` and an `ID` (podman: `Id`), and no `Config`: those are `docker inspect`'s."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(entry, dict) and "Image" in entry and ("ID" in entry or "Id" in entry) and "Config" not in entry
            for entry in document
        )
    )


def read(document: Any, name: str) -> InUse:
    """The images by name and, from podman, by ID. Raises UsageError."""
    return union(
        [
            field(entry, key, f"{name}: entry {number}")
            for number, entry in enumerate(document)
            for key in ("Image", "ImageID")
        ]
    )
