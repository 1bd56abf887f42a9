"""The entries of an index.json."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from enum import IntFlag
from typing import TYPE_CHECKING

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.image import Descriptor, Entry, Media
from ocigc.native.calls import bytes_pointer, call, exception, memory, message, pointer, struct_of
from ocigc.native.documents import ALGORITHMS, MEDIAS

if TYPE_CHECKING:
    from ocigc.native.store import Store

_ENTRY = struct_of("ocigc_entry")
_MEDIA = ffi.offsetof("struct ocigc_entry", "media")
_DATA = ffi.offsetof("struct ocigc_entry", "data")
_REFERENCE = struct_of("ocigc_reference")
_SPAN = struct_of("ocigc_span")


class NameForm(IntFlag):
    """What the name of an entry looks like: `enum ocigc_name_form`. An ODD one may be that of a dangling image, or a
    fallback tag.
    """

    GIVEN = lib.OCIGC_NAME_GIVEN
    TAG = lib.OCIGC_NAME_TAG
    LIST = lib.OCIGC_NAME_LIST
    ODD = lib.OCIGC_NAME_ODD


class Entries:
    """The entries of an index.json, each made when it is asked for: there may be a million. Their memory is freed with
    this object, so an iterator must not outlive it.

    Raises MalformedError if the content is not an image index.
    """

    def __init__(self, content: bytes) -> None:
        error, found = ffi.new("struct ocigc_error *"), ffi.new("struct ocigc_index **")
        if lib.ocigc_index_parse(content, len(content), found, error) != lib.OCIGC_OK:
            if error.code != lib.OCIGC_MALFORMED:
                raise exception(error)
            raise MalformedError(f"index.json: {message(error)} at byte {error.offset}")
        index = found[0]
        self._handle = ffi.gc(index, lib.ocigc_index_free)
        self._count = int(index.count)
        self._rows = memory(index.entries, self._count * _ENTRY.size)
        self._text = memory(index.text, index.text_length)
        spans = memory(index.media_types, index.media_type_count * _SPAN.size)
        self._media_types = [self._string(start, length) for start, length in _SPAN.iter_unpack(spans)]
        self._references: dict[int, list[str]] = {}
        self._image_references: dict[int, list[str]] = {}
        self._subjects: dict[int, str] = {}
        self._kinds: dict[int, str] = {}
        self._contents: list[tuple[str, int]] = []  # what the references refer to, and what that is to be read as
        rows = memory(index.references, index.reference_count * _REFERENCE.size)
        for position, start, length, kind, media in _REFERENCE.iter_unpack(rows):
            value = self._string(start, length)
            if kind == lib.OCIGC_REFERENCE_CONTENT:
                self._references.setdefault(position, []).append(value)
                self._contents.append((value, media))
            elif kind == lib.OCIGC_REFERENCE_IMAGE:
                self._image_references.setdefault(position, []).append(value)
            else:
                (self._subjects if kind == lib.OCIGC_REFERENCE_SUBJECT else self._kinds)[position] = value

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Entry:
        position = range(self._count)[position]
        _, start, length, *_ = self._row(position)
        target, name = self.target(position)
        return Entry(
            start, start + length, target, name, self.created(position), tuple(self._references.get(position, ()))
        )

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(self._count))

    def target(self, position: int) -> tuple[Descriptor, str | None]:
        """The descriptor of an entry, and its name."""
        size, _, _, text, name_length, _, media_type, digest_length, media, _ = _ENTRY.unpack_from(
            self._rows, position * _ENTRY.size
        )
        name = text + digest_length
        digest = self._text[text:name]
        algorithm = ALGORITHMS.get(digest[0])
        encoded = Digest(digest.decode() if algorithm is None else f"{algorithm}:{digest[1:].hex()}")
        descriptor = Descriptor(self._media_types[media_type], encoded, size, MEDIAS[media])
        return descriptor, self._string(name, name_length) or None

    def media(self, position: int) -> Media:
        """What the target of an entry is, by its media type."""
        return MEDIAS[self._row(position)[8]]

    def medias(self) -> bytes:
        """The same of all, one byte per entry."""
        return memoryview(self._rows)[_MEDIA :: _ENTRY.size].tobytes()

    def targets(self, store: Store) -> array[int]:
        """The node of each entry's target, NO_NODE if it is absent."""
        nodes = array("I", bytes(4 * self._count))
        lib.ocigc_store_find_targets(store.handle, self._handle, pointer(nodes))
        return nodes

    def sort(self, positions: array[int], nameless: str, prefix: str, prefixed: bytes | None) -> None:
        """Sorts positions by names, then by digests. The name of an entry without one is `nameless` and its digest;
        `prefix` goes before the names of those that are `prefixed` (one flag per entry).
        """
        texts = [ffi.new("char[]", text.encode(errors="surrogatepass")) for text in (nameless, prefix)]
        flags = ffi.NULL if prefixed is None else ffi.from_buffer("uint8_t[]", prefixed)
        naming = ffi.new("struct ocigc_naming *", (*texts, flags))
        lib.ocigc_index_sort(self._handle, pointer(positions), len(positions), naming)

    def forms(self) -> tuple[bytes, array[int]]:
        """For each entry, what its name looks like (a sum of NameForm, in a byte), and the position of the first entry
        with the same name and target. Raises Refused if memory runs out.
        """
        forms, firsts = bytearray(self._count), array("I", bytes(4 * self._count))
        call(lib.ocigc_index_names, self._handle, bytes_pointer(forms), pointer(firsts))
        return bytes(forms), firsts

    def sizes(self) -> Iterator[int]:
        """The size in bytes that each entry gives for its target."""
        for row in _ENTRY.iter_unpack(self._rows):
            yield row[0]

    def name(self, position: int) -> tuple[str | None, bytes]:
        """The name of an entry, and bytes that identify its target."""
        _, _, _, text, name_length, _, _, digest_length, *_ = self._row(position)
        name = text + digest_length
        return self._string(name, name_length) or None, self._text[text:name]

    def all_created(self) -> Iterator[str | None]:
        """When each entry says that its image was created."""
        for _, _, _, text, name_length, length, _, digest_length, *_ in _ENTRY.iter_unpack(self._rows):
            yield self._string(text + digest_length + name_length, length) if length else None

    def text(self, position: int) -> str:
        """The name of an entry, "" if it has none."""
        _, _, _, text, name_length, _, _, digest_length, *_ = self._row(position)
        return self._string(text + digest_length, name_length)

    def created(self, position: int) -> str | None:
        """When an entry says that its image was created."""
        _, _, _, text, name_length, length, _, digest_length, *_ = self._row(position)
        return self._string(text + digest_length + name_length, length) or None

    def name_length(self, position: int) -> int:
        """The bytes of an entry's name, 0 if it has none."""
        return self._row(position)[4]

    def names(self) -> Iterator[str | None]:
        """The name of each entry."""
        for _, _, _, text, name_length, _, _, digest_length, *_ in _ENTRY.iter_unpack(self._rows):
            yield self._string(text + digest_length, name_length) or None

    def references(self) -> Mapping[int, Sequence[str]]:
        """The digests that entries refer to besides their targets, by position of the entry: by labels
        (`gc.ref.content`), or as descriptors in a manifest that the entry embeds as its `data`.
        """
        return self._references

    def subjects(self) -> Mapping[int, str]:
        """The digests of subjects that entries give (`io.containerd.manifest.subject`, or a manifest that they embed),
        by position."""
        return self._subjects

    def kinds(self) -> Mapping[int, str]:
        """The `kind` annotations of entries, as cosign and hauler write them, by position."""
        return self._kinds

    def image_references(self) -> Mapping[int, Sequence[str]]:
        """The names of images that entries refer to by labels (`gc.ref.image`), by position of the entry."""
        return self._image_references

    def reference_roots(self, store: Store) -> tuple[array[int], bytes]:
        """The nodes of all `references`, and what each is to be read as: arguments of `Store.expand`."""
        nodes, medias = array("I"), bytearray()
        for digest, media in self._contents:
            if (node := store.find(digest)) is not None:
                nodes.append(node)
                medias.append(media)
        return nodes, bytes(medias)

    def sound_data(self) -> list[int]:
        """The positions of entries whose `data` is the content of their target."""
        return self._with_data(lib.OCIGC_DATA_SOUND)

    def corrupt_data(self) -> list[int]:
        """The positions of entries whose `data` does not match their descriptor. If the target is absent too, what it
        refers to is unknown.
        """
        return self._with_data(lib.OCIGC_DATA_CORRUPT)

    def _with_data(self, state: int) -> list[int]:
        found = memoryview(self._rows)[_DATA :: _ENTRY.size].tobytes()
        return [n for n, data in enumerate(found) if data == state] if state in found else []

    def _row(self, position: int) -> tuple[int, ...]:
        return _ENTRY.unpack_from(self._rows, position * _ENTRY.size)

    def _string(self, start: int, length: int) -> str:
        return str(self._text[start : start + length], "utf-8")
