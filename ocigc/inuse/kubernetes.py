"""Kubernetes objects, from `kubectl get -o json` or as YAML manifests (Helm's output too), and compose files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocigc.container import InUse
from ocigc.errors import UsageError
from ocigc.inuse.mention import mention, union

NAME = "`kubectl get -o json`, Kubernetes manifests or a compose file"

# Where an image has to be named: what is no reference there is an error.
_CONTAINERS = frozenset(("containers", "initContainers", "ephemeralContainers", "services"))
_STATUSES = frozenset(("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"))


def recognises(document: Any) -> bool:
    """One or more objects that each have an `apiVersion` and a `kind`, or the `services` of a compose file."""
    documents = document if isinstance(document, list) else [document]
    return bool(documents) and all(
        isinstance(entry, dict)
        and (("apiVersion" in entry and "kind" in entry) or isinstance(entry.get("services"), dict))
        for entry in documents
    )


def read(document: Any, name: str) -> InUse:
    """Every `image` and `imageID`, wherever it stands: in pods, in what makes pods, in custom resources.

    Outside of containers `image` may mean anything, so what is no reference is passed over there. Raises UsageError.
    """
    return union(list(_found(document, name)))


def _found(document: Any, name: str) -> Iterator[InUse]:
    # YAML's aliases let one node stand in many places, itself among them: each is visited once in each role.
    seen: set[tuple[int, bool]] = set()
    pending: list[tuple[Any, str, bool]] = [(document, name, False)]
    while pending:
        node, where, strict = pending.pop()
        if not isinstance(node, dict | list) or (id(node), strict) in seen:
            continue
        seen.add((id(node), strict))
        if isinstance(node, list):
            pending += [(child, f"{where}[{number}]", strict) for number, child in enumerate(node)]
            continue
        for key in ("image", "imageID"):
            yield _image(node.get(key), f"{where}.{key}", strict)
        for key, child in node.items():
            inside = key in _CONTAINERS or key in _STATUSES
            if inside and isinstance(child, dict):
                # A compose file's services have names.
                pending += [(service, f"{where}.{key}.{name}", True) for name, service in child.items()]
            else:
                pending.append((child, f"{where}.{key}", inside))


def _image(value: Any, where: str, strict: bool) -> InUse:
    if isinstance(value, dict) and not strict:
        # A volume that is an image.
        value, where = value.get("reference"), f"{where}.reference"
    if value is None or value == "":
        return InUse()
    try:
        if not isinstance(value, str):
            raise UsageError(f"--in-use {where}: must be a string")
        return mention(value, where)
    except UsageError:
        if strict:
            raise
        return InUse()
