"""`crictl ps -o json` and `crictl images -o json`: what a node of a cluster runs, or has."""

from __future__ import annotations

from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.in_use import InUse
from ocigc.inuse.mention import Source, field, fields, union


def _is_cri(document: Any) -> bool:
    """An object with the list `containers` or `images`, whose entries are what crictl writes."""
    if not isinstance(document, dict) or "kind" in document:
        return False
    lists = {key: document[key] for key in ("containers", "images") if isinstance(document.get(key), list)}
    return bool(lists) and all(
        isinstance(entry, dict) and ("image" in entry if kind == "containers" else {"id", "repoTags"} <= entry.keys())
        for kind, entries in lists.items()
        for entry in entries
    )


def _read_cri(document: Any, name: str) -> InUse:
    """The images by reference and digest. Raises UsageError."""
    parts = []
    for kind in ("containers", "images"):
        for number, entry in enumerate(document.get(kind) or ()):
            where = f"{name}: {kind}[{number}]"
            parts += _container(entry, where) if kind == "containers" else _image(entry, where)
    return union(parts)


def _container(entry: dict[str, Any], where: str) -> list[InUse]:
    image = entry.get("image")
    if not isinstance(image, dict):
        raise UsageError(f"--in-use {where}: image must be an object")
    named = [field(image, key, where) for key in ("image", "userSpecifiedImage")]
    return [*named, *(field(entry, key, where) for key in ("imageRef", "imageId"))]


def _image(entry: dict[str, Any], where: str) -> list[InUse]:
    return [field(entry, "id", where), *fields(entry, "repoTags", where), *fields(entry, "repoDigests", where)]


CRI = Source("`crictl ps` or `crictl images -o json`", _is_cri, _read_cri)
