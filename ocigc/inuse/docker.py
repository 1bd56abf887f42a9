"""`docker inspect` of containers: the list that moby's own prune goes through. nerdctl writes nearly the same."""

from __future__ import annotations

from typing import Any

from ocigc.container import Container, InUse
from ocigc.errors import UsageError
from ocigc.inuse.mention import field, union

NAME = "`docker inspect` of containers"


def recognises(document: Any) -> bool:
    """An array of objects that each have a `Config` and an `Image`; an empty array is an empty answer."""
    return isinstance(document, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("Config"), dict) and "Image" in entry for entry in document
    )


def read(document: Any, name: str) -> InUse:
    """The containers. Raises UsageError where a field is no string."""
    return union([_container(entry, f"{name}: entry {number}") for number, entry in enumerate(document)])


def _container(entry: dict[str, Any], where: str) -> InUse:
    fields = {"Id": entry.get("Id"), "Config.Image": entry["Config"].get("Image"), "Image": entry["Image"]}
    for key, value in fields.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"--in-use {where}: {key} must be a string")
    image = fields["Image"] or ""
    if "Image" not in entry["Config"] and not image.startswith("sha256:"):
        # nerdctl's: there `Image` is the name, and nothing else tells it.
        return field(entry, "Image", where)
    return InUse((Container(fields["Id"] or "", fields["Config.Image"] or "", image),))
