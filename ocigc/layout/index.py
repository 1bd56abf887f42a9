"""index.json: parsed strictly, and rewritten without changing a byte that need not change.

Other tools own this file too. So entries that go are cut out of its bytes, and names out of an entry's bytes.
Everything else (unknown members, the order of keys, white space) stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ocigc.errors import MalformedError
from ocigc.image import NAME_ANNOTATIONS, REFERENCE_NAME
from ocigc.native import Entries, members, sha256
from ocigc.reference import is_bare_tag, split_names, tag_of
from ocigc.strict_json import BEGINS_WITH_BOM, BOM, write_json
from ocigc.values import field, frozen

_PIECE = 1 << 20  # bytes

Read = Callable[[int, int], bytes]
"""Reads the bytes of index.json from one position up to another."""


@frozen
class IndexChange:
    """How entries change, by position: those that are `removed`, those that lose all their names, and those that lose
    some names (as the annotation writes them).
    """

    removed: Collection[int] = ()
    nameless: Collection[int] = ()
    renamed: Mapping[int, Collection[str]] = field(default_factory=dict)


@frozen
class Index:
    """index.json as it was read. `size` is in bytes; `sha256` is the hash of the content, in hex."""

    entries: Entries
    size: int
    sha256: str

    def changed(self, read: Read, change: IndexChange) -> Iterator[bytes]:
        """The content after a change, in pieces."""
        spans = _Spans(self.entries)
        changed: dict[int, bytes | None] = dict.fromkeys(change.removed)
        changed |= {number: without_names(read(*spans[number])) for number in change.nameless}
        changed |= {number: without_names(read(*spans[number]), names) for number, names in change.renamed.items()}
        for piece in _parts(spans, changed, self.size):
            if isinstance(piece, bytes):
                yield piece
            else:
                for start in range(*piece, _PIECE):
                    yield read(start, min(start + _PIECE, piece[1]))

    def with_entries(self, content: bytes, added: Sequence[bytes]) -> bytes:
        """The content with further entries after those that are there, in the same style."""
        if not added:
            return content
        if not self.entries:
            return _with_first_entries(content, added)
        end = self.entries[-1].end
        separator = b", "
        if len(self.entries) > 1:
            separator = content[self.entries[-2].end : self.entries[-1].start]
        return content[:end] + b"".join(separator + entry for entry in added) + content[end:]


def parse(content: bytes) -> Index:
    """Parses index.json. Raises MalformedError where the content is not an image index."""
    if content.startswith(BOM):
        raise MalformedError(f"index.json: {BEGINS_WITH_BOM}")
    return Index(Entries(content), len(content), sha256(content))


class _Spans:
    """Where entries lie in the file. Each is computed on demand, as a change concerns only a few of them."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> tuple[int, int]:
        entry = self._entries[number]
        return entry.start, entry.end


def _parts(
    spans: _Spans | Sequence[tuple[int, int]], changed: Mapping[int, bytes | None], size: int
) -> Iterator[tuple[int, int] | bytes]:
    """A list in which some spans are replaced by other pieces, or removed (None) with one separator each. Gives those
    pieces, and the ranges that stay as they are.
    """
    if not changed or not spans:
        yield 0, size
        return
    yield 0, spans[0][0]
    first, any_yet = 0, False
    for number in (*sorted(changed), len(spans)):
        if first < number:
            yield spans[first - 1][1] if any_yet else spans[first][0], spans[number - 1][1]
            any_yet = True
        if (piece := changed.get(number)) is not None:
            if any_yet:
                yield spans[number - 1][1], spans[number][0]
            yield piece
            any_yet = True
        first = number + 1
    yield spans[len(spans) - 1][1], size


def _with_first_entries(content: bytes, added: Sequence[bytes]) -> bytes:
    """Adds the first entries to an index whose `manifests` is empty or absent."""
    entries = b"[" + b", ".join(added) + b"]"
    for member in members(content):
        if member.key == "manifests":
            return content[: member.value] + entries + content[member.end :]
    return _with_first_member(content, "manifests", entries)


def _with_first_member(content: bytes, key: str, value: bytes) -> bytes:
    opening = content.index(b"{") + 1
    comma = b", " if members(content) else b""
    return content[:opening] + json.dumps(key).encode() + b": " + value + comma + content[opening:]


def without_names(entry: bytes, names: Collection[str] | None = None) -> bytes:
    """The bytes of an entry without some of its names (None: all), whichever annotation has them."""
    annotations = next(member for member in members(entry) if member.key == "annotations")
    content = entry[annotations.value : annotations.end]
    return entry[: annotations.value] + _without_names(content, names) + entry[annotations.end :]


def _without_names(annotations: bytes, names: Collection[str] | None) -> bytes:
    found = members(annotations)
    present = {
        number: split_names(json.loads(annotations[member.value : member.end]))
        for number, member in enumerate(found)
        if member.key in NAME_ANNOTATIONS
    }
    taken = None if names is None else _with_tags(names, chain.from_iterable(present.values()))
    changed: dict[int, bytes | None] = {}
    for number, before in present.items():
        after = [] if taken is None else [name for name in before if name not in taken]
        if not after:
            changed[number] = None
        elif len(after) < len(before):
            key = annotations[found[number].start : found[number].value]
            changed[number] = key + write_json(",".join(after))
    return cut(annotations, [(member.start, member.end) for member in found], changed)


def with_name(entry: bytes, name: str) -> bytes:
    """The bytes of an entry with another name, in the annotation that had its name; nothing else changes."""
    present = next((member for member in members(entry) if member.key == "annotations"), None)
    annotations = b"null" if present is None else entry[present.value : present.end]
    if annotations == b"null":
        annotations = b"{}"
    keys = [member.key for member in members(annotations)]
    key = next((each for each in keys if each in NAME_ANNOTATIONS), REFERENCE_NAME)
    if is_bare_tag(name):
        key = REFERENCE_NAME
    value = write_json(name)
    annotations = _with_first_member(_without_names(annotations, None), key, value)
    if present is None:
        return _with_first_member(entry, "annotations", annotations)
    return entry[: present.value] + annotations + entry[present.end :]


def _with_tags(names: Collection[str], present: Iterable[str]) -> set[str | None]:
    """Names that go, and their tags, as tools write the tag of a name into a second annotation."""
    kept = {tag_of(name) for name in present if name not in names and not is_bare_tag(name)}
    return {*names, *({tag_of(name) for name in names} - kept)}


def cut(content: bytes, spans: Sequence[tuple[int, int]], changed: Mapping[int, bytes | None]) -> bytes:
    """A list in which some spans are replaced by other pieces, or removed (None)."""
    parts = _parts(spans, changed, len(content))
    return b"".join(part if isinstance(part, bytes) else content[slice(*part)] for part in parts)
