"""index.json: read strictly, rewritten without touching a byte that need not change.

Other tools own this file too. So entries that go are cut out of its bytes, names are cut out of theirs, and all the
rest (unknown members, the order of keys, white space) stays as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import AnyStr

from ocigc.descriptor import Descriptor
from ocigc.errors import MalformedError
from ocigc.image import CREATED_ANNOTATION, NAME_ANNOTATIONS
from ocigc.labels import content_references
from ocigc.native import parse_index

# What is parsed takes many times the memory of its bytes.
_ENTRIES = 1 << 21
_ENTRY_LIMIT = 1 << 20  # bytes

_WHITESPACE = " \t\r\n"
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `manifests`: its place in the file's bytes, its descriptor, the name that it gives to that (None:
    none), and the digests that its labels refer to besides."""

    start: int
    end: int
    descriptor: Descriptor
    name: str | None
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """index.json as it was read."""

    content: bytes
    entries: tuple[Entry, ...]

    @property
    def sha256(self) -> str:
        """What tells this content from any other, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def created(self, position: int) -> str | None:
        """When the entry at a position says that its image was made; None where it does not."""
        entry = self.entries[position]
        return _annotations(self.content[entry.start : entry.end], position).get(CREATED_ANNOTATION)

    def without(self, removed: Collection[int], nameless: Collection[int]) -> bytes:
        """The content without the entries at the positions `removed`, and with those at `nameless` bare of names."""
        pieces = [
            None
            if number in removed
            else _without_names(self.content[entry.start : entry.end])
            if number in nameless
            else self.content[entry.start : entry.end]
            for number, entry in enumerate(self.entries)
        ]
        return _join(self.content, [(entry.start, entry.end) for entry in self.entries], pieces)

    def with_entries(self, added: Sequence[bytes]) -> bytes:
        """The content with further entries behind those that are there, set apart as those are."""
        if not added:
            return self.content
        if not self.entries:
            return _with_first_entries(self.content, added)
        end = self.entries[-1].end
        separator = b", "
        if len(self.entries) > 1:
            separator = self.content[self.entries[-2].end : self.entries[-1].start]
        return self.content[:end] + b"".join(separator + entry for entry in added) + self.content[end:]


def parse(content: bytes) -> Index:
    """Raises MalformedError where the content is no image index."""
    entries = []
    for position, (descriptor, start, end) in enumerate(parse_index(content)):
        if position == _ENTRIES or end - start > _ENTRY_LIMIT:
            what = f"more than {_ENTRIES:,} entries" if position == _ENTRIES else f"larger than {_ENTRY_LIMIT:,} bytes"
            raise MalformedError(f"index.json: manifests[{position}]: {what}")
        annotations = _annotations(content[start:end], position)
        name = next((annotations[key] for key in NAME_ANNOTATIONS if annotations.get(key)), None)
        entries.append(Entry(start, end, descriptor, name, tuple(content_references(annotations))))
    return Index(content, tuple(entries))


def _annotations(entry: bytes, position: int) -> dict[str, str]:
    annotations = _decode(entry.decode())[0].get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise MalformedError(f"index.json: manifests[{position}]: annotations must be an object of strings")
    return annotations


def _join(content: AnyStr, spans: Sequence[tuple[int, int]], pieces: Sequence[AnyStr | None]) -> AnyStr:
    """The content with a piece in place of each span of a list, or without it (None) and one separator."""
    if not spans:
        return content
    joined = [content[: spans[0][0]]]
    for number, piece in enumerate(pieces):
        if piece is None:
            continue
        if len(joined) > 1:
            joined.append(content[spans[number - 1][1] : spans[number][0]])
        joined.append(piece)
    joined.append(content[spans[-1][1] :])
    return content[:0].join(joined)


def _skip(text: str, position: int) -> int:
    while text[position] in _WHITESPACE:
        position += 1
    return position


def _members(text: str, position: int) -> Iterator[tuple[str, int, int, int]]:
    """The members of the object at `position`: key, where the member starts, its value starts, and both end."""
    decoder = json.JSONDecoder()
    position = _skip(text, position + 1)
    while text[position] != "}":
        start = position
        key, position = scanstring(text, position + 1, True)
        value = _skip(text, _skip(text, position) + 1)
        _, end = decoder.raw_decode(text, value)
        yield key, start, value, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _with_first_entries(content: bytes, added: Sequence[bytes]) -> bytes:
    """An index without entries, given its first: in place of an empty or absent `manifests`."""
    text = content.decode()
    entries = ", ".join(entry.decode() for entry in added)
    opening = text.index("{") + 1
    for key, _, value, end in _members(text, opening - 1):
        if key == "manifests":
            return f"{text[:value]}[{entries}]{text[end:]}".encode()
    comma = "" if text[_skip(text, opening)] == "}" else ", "
    return f'{text[:opening]}"manifests": [{entries}]{comma}{text[opening:]}'.encode()


def _without_names(entry: bytes) -> bytes:
    """An entry's bytes without its name annotations."""
    text = entry.decode()
    annotations = next(value for key, _, value, _ in _members(text, 0) if key == "annotations")
    members = list(_members(text, annotations))
    spans = [(start, end) for _, start, _, end in members]
    pieces = [None if key in NAME_ANNOTATIONS else text[start:end] for key, start, _, end in members]
    return _join(text, spans, pieces).encode()
