"""Manifests, indexes and configs of a store, read again for what the graph does not keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ocigc.errors import MalformedError, Refused
from ocigc.image import Descriptor, Media
from ocigc.native import Role, Store, parse_children
from ocigc.values import frozen

LIMIT = 16 << 20  # bytes
_EMBEDDED_LIMIT = 1 << 20  # bytes of base64
_ATTESTATION = "vnd.docker.reference.type"
_BLOB_SUM = b'"blobSum"'
_HASHES = ("sha256", "sha512")


@frozen
class Child:
    """One thing that a manifest or an index refers to. `platform` is what the descriptor states, or empty. `embedded`
    means that the descriptor contains the content; `attestation`, that it describes a sibling manifest and cannot be
    run (BuildKit).
    """

    role: Role
    descriptor: Descriptor
    platform: str = ""
    embedded: bool = False
    attestation: bool = False


class Documents:
    """The documents of a store, read on demand. A document that cannot be read or parsed has no children and no
    platform.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def children(self, node: int) -> Sequence[Child]:
        """What a manifest or an index refers to, in the order of roles."""
        try:
            content = self._store.read(node, LIMIT)
        except Refused:
            return ()
        if _BLOB_SUM in content:
            return _layers(content)
        for media in (Media.MANIFEST, Media.INDEX):
            try:
                return [_child(*found) for found in parse_children(content, media)]
            except MalformedError:
                continue
        return ()

    def platform(self, node: int) -> str:
        """The platform that an image config states."""
        try:
            document = json.loads(self._store.read(node, LIMIT))
        except (Refused, ValueError, RecursionError):
            return ""
        return platform_name(document)


def _layers(content: bytes) -> Sequence[Child]:
    """The layers of a manifest of docker's schema 1, which has no descriptors."""
    try:
        return [
            Child(Role.LAYER, found) for role, found, _ in parse_children(content, Media.JSON) if role == Role.FOUND
        ]
    except MalformedError:
        return ()


def platform_name(document: object) -> str:
    """`os/architecture[/variant]` of a config, or of the `platform` of a descriptor; empty where it is not stated."""
    if not isinstance(document, dict):
        return ""
    return "/".join(str(document[key]) for key in ("os", "architecture", "variant") if document.get(key))


def _child(role: Role, descriptor: Descriptor, content: bytes) -> Child:
    if role != Role.MANIFEST and b'"data"' not in content:
        return Child(role, descriptor)
    members: Mapping[str, object] = json.loads(content)
    annotations = members.get("annotations")
    return Child(
        role,
        descriptor,
        platform_name(members.get("platform")),
        embedded_content(members.get("data"), descriptor) is not None,
        isinstance(annotations, dict) and _ATTESTATION in annotations,
    )


def embedded_content(data: object, descriptor: Descriptor) -> bytes | None:
    """The content that a descriptor embeds as its `data`, in base64 (image-spec, "Embedded content"); None where that
    is not what its digest says.
    """
    if not isinstance(data, str) or len(data) > _EMBEDDED_LIMIT:
        return None
    # Such data is rare, and loading these modules takes longer than reading most manifests.
    import hashlib
    from base64 import b64decode

    try:
        content = b64decode(data, validate=True)
    except ValueError:
        return None
    algorithm, encoded = descriptor.digest.parts
    is_sound = algorithm in _HASHES and hashlib.new(algorithm, content).hexdigest() == encoded
    return content if is_sound else None
