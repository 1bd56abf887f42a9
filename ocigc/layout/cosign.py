"""Signatures, attestations and bills of materials as `cosign save` and hauler keep them: the `kind` annotation of an
entry says what it is, and its payload names the digest of what it is about.

Sources: cosign `pkg/oci/layout/write.go` (`kind`) and "Simple Signing"; in-toto "Statement"; hauler
`pkg/content/oci.go`, whose version 2 calls the kinds `dev.hauler/…`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.image import Media
from ocigc.layout.index_images import IndexImages
from ocigc.native import NO_NODE, Entries, Role, Store, parse_children

_PREFIXES = ("dev.cosignproject.cosign/", "dev.hauler/")
_IMAGES = ("image", "imageIndex")
_ABOUT = ("sigs", "atts", "sboms")
_MANIFEST_LIMIT = 16 << 20  # bytes
_PAYLOAD_LIMIT = 4 << 20
_DEPTH = 8  # of what is nested in a payload


def stated_subjects(images: IndexImages, entries: Entries, store: Store) -> dict[int, Collection[str]]:
    """By position of the image the digests of the subjects that entries state besides their manifests.

    What names none is about the images of the same name, or else about all that were saved with it.
    """
    subjects, annotations = entries.subjects(), entries.kinds()
    if not subjects and not annotations:
        return {}
    found: dict[int, Collection[str]] = {
        position: (subjects[position],) for position in images.positions if position in subjects
    }
    kinds = {position: _kind(annotations.get(position, "")) for position in images.positions}
    about = [position for position, kind in kinds.items() if kind in _ABOUT]
    for position, target in zip(about, images.picked(about).targets(store), strict=True):
        named = set() if target == NO_NODE else set(_payload_digests(store, target, images[position].target.media))
        found[position] = named or _saved_with(images, position, kinds)
    return found


def _kind(annotation: str) -> str:
    """The kind without its prefix; empty for one of other tools."""
    prefix = next((each for each in _PREFIXES if annotation.startswith(each)), None)
    return "" if prefix is None else annotation.removeprefix(prefix)


def _saved_with(images: IndexImages, position: int, kinds: Mapping[int, str]) -> set[str]:
    others = [each for each in images.positions if kinds.get(each) in _IMAGES]
    names = images[position].names
    of_name = {images[each].target.digest for each in others if images[each].names == names}
    return set(of_name or {images[each].target.digest for each in others})


def _payload_digests(store: Store, node: int, media: Media) -> Iterator[str]:
    """The digests that the layers of a manifest name as what they are about."""
    try:
        children = list(parse_children(store.read(node, _MANIFEST_LIMIT), media))
    except Refused:
        return
    for role, descriptor, _ in children:
        layer = store.find(descriptor.digest) if role == Role.LAYER else None
        if layer is None or store.size(layer) > _PAYLOAD_LIMIT:
            continue
        try:
            yield from _named(json.loads(store.read(layer, _PAYLOAD_LIMIT)), _DEPTH)
        except (Refused, ValueError, RecursionError):
            continue


def _named(payload: Any, depth: int) -> Iterator[str]:
    """What a payload is about: simple signing, an in-toto statement, or an envelope around one."""
    if not isinstance(payload, dict) or not depth:
        return
    critical = payload.get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    if isinstance(image, dict):
        yield from _digests([image.get("docker-manifest-digest")])
    subjects = payload.get("subject")
    for subject in subjects if isinstance(subjects, list) else ():
        digest = subject.get("digest") if isinstance(subject, dict) else None
        if isinstance(digest, dict):
            yield from _digests([f"{algorithm}:{encoded}" for algorithm, encoded in digest.items()])
    wrapped = payload.get("payload")
    if isinstance(wrapped, str):
        from base64 import b64decode  # noqa: PLC0415

        yield from _named(json.loads(b64decode(wrapped, validate=True)), depth - 1)


def _digests(texts: list[Any]) -> Iterator[str]:
    return (text for text in texts if isinstance(text, str) and Digest.parse_registered(text) is not None)
