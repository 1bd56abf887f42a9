"""Content in memory: manifests, indexes and image configs are parsed here, and SHA-256 is computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.image import Descriptor, Media
from ocigc.native.calls import call, exception, memory, message, struct_of
from ocigc.values import frozen

MEDIAS = {media.value: media for media in Media}
"""Media by number: faster than calling Media."""
if any(media != getattr(lib, f"OCIGC_MEDIA_{media.name}") for media in Media):
    raise ImportError("ocigc.image.Media differs from enum ocigc_media of the native core")

_DESCRIPTOR = struct_of("ocigc_descriptor")
_MEMBER = struct_of("ocigc_member")
ALGORITHMS: dict[int, str] = {lib.OCIGC_SHA256: "sha256", lib.OCIGC_SHA512: "sha512", lib.OCIGC_BLAKE3: "blake3"}


class Role(IntEnum):
    """What a descriptor is in its document: `enum ocigc_role`."""

    CONFIG = lib.OCIGC_ROLE_CONFIG
    LAYER = lib.OCIGC_ROLE_LAYER
    BLOB = lib.OCIGC_ROLE_BLOB
    MANIFEST = lib.OCIGC_ROLE_MANIFEST
    SUBJECT = lib.OCIGC_ROLE_SUBJECT
    FOUND = lib.OCIGC_ROLE_FOUND
    LABEL = lib.OCIGC_ROLE_LABEL
    BACK = lib.OCIGC_ROLE_BACK
    EMBEDDED = lib.OCIGC_ROLE_EMBEDDED


@frozen
class Config:
    """What the rules need of an image config. `created` is empty if it is not given."""

    created: str
    labels: dict[str, str]
    diff_ids: tuple[str, ...]


@frozen
class JsonMember:
    """Where a member of a JSON object is: its key begins at `start`, its value begins at `value` and ends at `end`. The
    elements of an array have no `key`.
    """

    key: str
    start: int
    value: int
    end: int


def members(content: bytes) -> list[JsonMember]:
    """The members of the object, or the elements of the array, that the content is. Raises MalformedError."""
    count = ffi.new("size_t *")
    call(lib.ocigc_json_members, content, len(content), ffi.NULL, 0, count)
    found = ffi.new("struct ocigc_member[]", count[0])
    call(lib.ocigc_json_members, content, len(content), found, count[0], count)
    rows = _MEMBER.iter_unpack(memory(found, count[0] * _MEMBER.size))
    return [
        JsonMember(
            json.loads(content[key : key + length]) if length else "",
            key if length else value,
            value,
            value + value_length,
        )
        for key, length, value, value_length in rows
    ]


def media_of(media_type: str) -> Media:
    """What a media type says about the form of the content."""
    encoded = media_type.encode(errors="replace")
    return MEDIAS[lib.ocigc_media_of(encoded, len(encoded))]


def parse_document(content: bytes, media: Media) -> list[Descriptor]:
    """The descriptors of a document: read strictly as a MANIFEST or INDEX, leniently as any other media. Raises
    MalformedError.
    """
    return [descriptor for _, descriptor, _, _ in _descriptors(content, media)]


def parse_children(content: bytes, media: Media) -> Iterator[tuple[Role, Descriptor, bytes]]:
    """The same, each with its role and its own bytes."""
    for role, descriptor, start, end in _descriptors(content, media):
        yield Role(role), descriptor, content[start:end]


def _descriptors(content: bytes, media: Media) -> Iterator[tuple[int, Descriptor, int, int]]:
    error, found = ffi.new("struct ocigc_error *"), ffi.new("struct ocigc_document **")
    if lib.ocigc_document_parse(content, len(content), media, found, error) != lib.OCIGC_OK:
        if error.code != lib.OCIGC_MALFORMED:
            raise exception(error)
        raise MalformedError(f"{message(error)} at byte {error.offset}")
    document = found[0]
    try:
        # One at a time, as there may be a million. They have few media types.
        rows = memory(document.descriptors, document.count * _DESCRIPTOR.size)
        text = memory(document.text, document.text_length)
        known: dict[bytes, str] = {}
        for role, kind, size, start, length, *spans in _DESCRIPTOR.iter_unpack(rows):
            at, media_length, digest, digest_length = spans
            media_type = text[at : at + media_length]
            descriptor = Descriptor(
                known.get(media_type) or known.setdefault(media_type, media_type.decode(errors="replace")),
                Digest(text[digest : digest + digest_length].decode(errors="replace")),
                size,
                MEDIAS[kind],
            )
            yield role, descriptor, start, start + length
    finally:
        lib.ocigc_document_free(document)


def _string(text: object, span: Any) -> str:
    return bytes(ffi.buffer(text + span.start, span.length)).decode(errors="replace")


def parse_config(content: bytes) -> Config:
    """Raises MalformedError if Go's encoding/json would not read the content as an image config."""
    found = ffi.new("struct ocigc_config **")
    call(lib.ocigc_config_parse, content, len(content), found)
    config = found[0]
    try:
        labels, diff_ids = config.labels, config.diff_ids
        return Config(
            _string(config.text, config.created),
            {
                _string(config.text, labels[n].key): _string(config.text, labels[n].value)
                for n in range(config.label_count)
            },
            tuple(_string(config.text, diff_ids[n]) for n in range(config.diff_id_count)),
        )
    finally:
        lib.ocigc_config_free(config)


def sha256(content: bytes) -> str:
    """In hex. (Loading hashlib takes longer than hashing most contents.)"""
    out = ffi.new("uint8_t[32]")
    messages = ffi.new("uint8_t *[]", [ffi.from_buffer("uint8_t[]", content)])
    call(lib.ocigc_digest_many, lib.OCIGC_SHA256, ffi.NULL, 1, messages, ffi.new("size_t[]", [len(content)]), out)
    return bytes(out).hex()
