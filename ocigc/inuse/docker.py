"""`docker inspect` of containers: the list that moby's own prune goes through."""

from __future__ import annotations

from typing import Any

from ocigc.container import Container, InUse
from ocigc.errors import UsageError

NAME = "`docker inspect` of containers"


def recognises(document: Any) -> bool:
    """An array of objects that each have a `Config` and an `Image`; an empty array is an empty answer."""
    return isinstance(document, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("Config"), dict) and "Image" in entry for entry in document
    )


def read(document: Any, name: str) -> InUse:
    """The containers. Raises UsageError where a field is no string."""
    return InUse(tuple(_container(entry, f"{name}: entry {number}") for number, entry in enumerate(document)))


def _container(entry: dict[str, Any], where: str) -> Container:
    fields = {"Id": entry.get("Id"), "Config.Image": entry["Config"].get("Image"), "Image": entry["Image"]}
    for field, value in fields.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"--in-use {where}: {field} must be a string")
    return Container(fields["Id"] or "", fields["Config.Image"] or "", fields["Image"] or "")
