"""Leases on disk: `leases/<id>.json`."""

from __future__ import annotations

from typing import Any

from ocigc.errors import MalformedError
from ocigc.lease import Lease
from ocigc.native import digest_algorithm
from ocigc.printable import printable
from ocigc.store import files, strict_json

DIRECTORY = "leases"
SUFFIX = ".json"
_LIMIT = 64 << 20  # bytes


def load(layout: int) -> list[Lease]:
    """All leases of a layout, by name. Raises MalformedError: what a lease that cannot be read holds is unknown."""
    leases = []
    with files.naming(DIRECTORY):
        names = [name for name in files.listing(layout, DIRECTORY) if name.endswith(SUFFIX)]
        if not names:
            return []
        with files.directory(layout, DIRECTORY) as parent:
            for name in names:
                path = printable(f"{DIRECTORY}/{name}")
                with files.naming(path):
                    content = files.read(parent, name, _LIMIT)
                leases.append(_lease(strict_json.loads(content, path), path))
    return leases


def _lease(document: Any, path: str) -> Lease:
    if not isinstance(document, dict):
        raise MalformedError(f"{path}: a lease must be a JSON object")
    identity, created = document.get("id"), document.get("created", "")
    if not isinstance(identity, str) or not isinstance(created, str):
        raise MalformedError(f"{path}: a lease must have a string \"id\", and \"created\" must be a string")
    labels = strict_json.string_map(document.get("labels") or {}, f"{path}: labels")
    resources = document.get("resources") or []
    if not isinstance(resources, list):
        raise MalformedError(f"{path}: \"resources\" must be an array")
    return Lease(identity, labels, tuple(_digests(resources, path)), created)


def _digests(resources: list[Any], path: str) -> list[str]:
    digests = []
    for resource in resources:
        kind, digest = (resource.get("type"), resource.get("id")) if isinstance(resource, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(digest, str):
            raise MalformedError(f"{path}: a resource must be an object with the strings \"type\" and \"id\"")
        if kind == "content":
            if digest_algorithm(digest) is None:
                raise MalformedError(f"{path}: {printable(digest)!r} is no digest")
            digests.append(digest)
    return digests
