"""Lists of images: `docker images`, `nerdctl images` and `podman images` in JSON, and `docker image inspect`."""

from __future__ import annotations

from typing import Any

from ocigc.container import InUse
from ocigc.inuse.mention import field, fields, mention, union

NAME = "`docker images`, `nerdctl images` or `podman images --format json`"

_NONE = "<none>"


def recognises(document: Any) -> bool:
    """Objects that each have `RepoTags` beside an `Id`, or `Repository` and `Tag` beside an `ID`."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(entry, dict)
            and ({"Id", "RepoTags"} <= entry.keys() or {"ID", "Repository", "Tag"} <= entry.keys())
            for entry in document
        )
    )


def read(document: Any, name: str) -> InUse:
    """The images by name, ID and digest. Raises UsageError."""
    parts = []
    for number, entry in enumerate(document):
        where = f"{name}: entry {number}"
        parts += _listed(entry, where) if "Repository" in entry else _inspected(entry, where)
    return union(parts)


def _inspected(entry: dict[str, Any], where: str) -> list[InUse]:
    names = [each for key in ("RepoTags", "RepoDigests", "Names") for each in fields(entry, key, where)]
    return [field(entry, "Id", where), field(entry, "Digest", where), *names]


def _listed(entry: dict[str, Any], where: str) -> list[InUse]:
    """A row of a table, where `<none>` stands for what is not there. Its ID counts if nothing else does: most are
    shortened.
    """
    stated = {key: value for key, value in entry.items() if value != _NONE}
    parts = [field(stated, "Digest", where)]
    if "Repository" in stated:
        tag = f":{stated['Tag']}" if stated.get("Tag") else ""
        parts.append(mention(f"{stated['Repository']}{tag}", f"{where}: Repository"))
    return parts if any(parts) else [field(stated, "ID", where)]
