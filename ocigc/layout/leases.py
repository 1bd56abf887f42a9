"""Leases on disk: `leases/<id>.json`."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, Remedy, UsageError, printable
from ocigc.labels import Lease
from ocigc.layout.dirfd import Dir, naming, reason
from ocigc.layout.layout import MARKER
from ocigc.strict_json import parse_json, string_map

DIRECTORY = "leases"
SUFFIX = ".json"
_LIMIT = 16 << 20  # bytes
_MOST = 10_000
_TOTAL = 256 << 20  # bytes
_IDENTITY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def load(layout: Dir) -> list[Lease]:
    """All leases of a layout, by name. Raises MalformedError for a lease that cannot be parsed, as it is unknown what
    that keeps.
    """
    leases = []
    with naming(DIRECTORY):
        names = [name for name in layout.names_below(DIRECTORY) if name.endswith(SUFFIX)]
        if not names:
            return []
        if len(names) > _MOST:
            raise Refused(f"{DIRECTORY}: more than {_MOST:,} leases; release those that are not needed")
        left = _TOTAL
        with layout.below(DIRECTORY) as parent:
            for name in names:
                path = printable(f"{DIRECTORY}/{name}")
                try:
                    content = parent.read(name, _LIMIT)
                except OSError as error:
                    raise Refused(f"{path}: {reason(error)}") from None
                except Refused as error:
                    raise Refused(f"{DIRECTORY}/{error}") from None
                left -= len(content)
                if left < 0:
                    raise Refused(
                        f"{DIRECTORY}: more than {_TOTAL:,} bytes of leases; release those that are not needed"
                    )
                try:
                    leases.append(_lease(parse_json(content, path), path))
                except MalformedError as error:
                    raise MalformedError(f"{error}; nobody knows what it keeps: repair or remove it") from None
    return leases


def create(layout: Dir, state: Dir, lease: Lease) -> None:
    """Writes a new lease. `state` is an open directory on the same file system. Raises UsageError and OSError."""
    if not _IDENTITY.fullmatch(lease.id):
        raise UsageError(f"{printable(lease.id)!r} is not a name of a lease: use letters, digits, '.', '_' and '-'")
    document = {
        "id": lease.id,
        "created": lease.created,
        "labels": dict(lease.labels),
        "resources": [{"type": "content", "id": digest} for digest in lease.resources],
    }
    with suppress(FileExistsError):
        layout.make(DIRECTORY)
        layout.sync()
    draft = f"lease-{lease.id}"
    with naming(f"{DIRECTORY}/{lease.id}{SUFFIX}"), layout.below(DIRECTORY) as parent:
        state.remove(draft)
        state.write(draft, json.dumps(document).encode(), layout.stat(MARKER))
        try:
            # Unlike a rename, a link never replaces an existing lease.
            state.link(draft, parent, lease.id + SUFFIX)
        except FileExistsError:
            raise UsageError(f"a lease {lease.id!r} exists already", Remedy.OTHER_LEASE_ID) from None
        finally:
            state.remove(draft)
        parent.sync()


def release(layout: Dir, identity: str) -> None:
    """Removes a lease. Raises UsageError where there is none."""
    try:
        if not _IDENTITY.fullmatch(identity):
            raise FileNotFoundError
        with layout.below(DIRECTORY) as parent:
            os.unlink(identity + SUFFIX, dir_fd=parent.fd)
            parent.sync()
    except FileNotFoundError:
        raise UsageError(f"no lease {printable(identity)!r}", Remedy.LIST_LEASES) from None


def _lease(document: object, path: str) -> Lease:
    if not isinstance(document, dict):
        raise MalformedError(f"{path}: a lease must be a JSON object")
    identity, created = document.get("id"), document.get("created", "")
    if not isinstance(identity, str) or not isinstance(created, str):
        raise MalformedError(f'{path}: a lease must have a string "id", and "created" must be a string')
    labels, resources = document.get("labels"), document.get("resources")
    labels = {} if labels is None else string_map(labels, f"{path}: labels")
    resources = [] if resources is None else resources
    if not isinstance(resources, list):
        raise MalformedError(f'{path}: "resources" must be an array')
    return Lease(identity, labels, tuple(_digests(resources, path)), created)


def _digests(resources: list[object], path: str) -> list[str]:
    digests = []
    for resource in resources:
        kind, digest = (resource.get("type"), resource.get("id")) if isinstance(resource, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(digest, str):
            raise MalformedError(f'{path}: a resource must be an object with the strings "type" and "id"')
        if kind == "content":
            if not Digest.recognises(digest):
                raise MalformedError(f"{path}: {printable(digest)!r} is not a digest")
            digests.append(digest)
    return digests
