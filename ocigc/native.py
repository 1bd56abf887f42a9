"""The native core, typed: the only module that imports it.

Memory: a handle is freed with its Python object, or before by `close`. Long calls run in a thread of their own while
this one reports progress, and stop at the next interrupt.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from types import TracebackType
from typing import Any, Self

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError, OcigcError, Refused
from ocigc.gc.graph import Group
from ocigc.hard_links import Files, HardLinks, Name
from ocigc.image import Descriptor, Entry, Media
from ocigc.progress import Progress, Report

NO_NODE = 0xFFFFFFFF
NEVER = 2**63 - 1  # an instant that does not come
_POLL_SECONDS = 0.1
_BATCH = 1024  # nodes
_ALGORITHMS = {lib.OCIGC_SHA256: "sha256:", lib.OCIGC_SHA512: "sha512:", lib.OCIGC_BLAKE3: "blake3:"}

_EXCEPTIONS: dict[int, type[OcigcError]] = {lib.OCIGC_MALFORMED: MalformedError, lib.OCIGC_CORRUPT: CorruptError}

_MEDIAS = {media.value: media for media in Media}  # faster than to call Media

_ENTRY = struct.Struct("=qIIIIIIHB5x")  # `struct ocigc_entry`
_ENTRY_MEDIA = ffi.offsetof("struct ocigc_entry", "media")
_DESCRIPTOR = struct.Struct("=iiqIIIIII")  # `struct ocigc_descriptor`; a call a member takes longer than to parse it


class Unverifiable(Refused):
    """A manifest whose digest this core cannot compute."""


class Verdict(IntEnum):
    """What verification found of one blob; the numbers are those of `enum ocigc_verdict`."""

    UNCHECKED = 0
    SOUND = 1
    CORRUPT = 2
    UNSUPPORTED = 3
    CHANGED = 4
    UNREADABLE = 5
    GONE = 6


class Depth(IntEnum):
    """How much a scan asks of each blob; the numbers are those of `enum ocigc_depth`."""

    NAMES = 0
    FILES = 1
    IDENTITIES = 2


class Role(IntEnum):
    """What a descriptor is to the document that has it; the numbers are those of `enum ocigc_role`."""

    CONFIG = 0
    LAYER = 1
    BLOB = 2
    MANIFEST = 3
    SUBJECT = 4
    FOUND = 5
    LABEL = 6


class Swept(IntEnum):
    """What became of a blob in the sweep; the numbers are those of `enum ocigc_fate`."""

    KEPT = 0
    MOVED = 1
    SPARED = 2
    MISSING = 3


@dataclass(frozen=True, slots=True)
class Config:
    """Of an image config what the rules need. `created` is empty where there is none."""

    created: str
    labels: dict[str, str]
    diff_ids: tuple[str, ...]


def _message(error: Any) -> str:
    return str(ffi.string(error.message).decode("ascii", "replace"))


def _exception(error: Any) -> OcigcError:
    if error.code == lib.OCIGC_NO_MEMORY:
        return Refused("out of memory")
    if error.code == lib.OCIGC_UNVERIFIABLE:
        return Unverifiable(_message(error))
    return _EXCEPTIONS.get(error.code, Refused)(_message(error))


def _check(code: int, error: Any) -> None:
    if code != lib.OCIGC_OK:
        raise _exception(error)


class _Call:
    """A long call: its error and its progress, run aside so that an interrupt can stop it."""

    def __init__(self, report: Report | None) -> None:
        self.error = ffi.new("struct ocigc_error *")
        self.progress = ffi.new("struct ocigc_progress *")
        self._report = report

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        results: list[Any] = []
        begun, ended = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            try:
                if not self.progress.cancel:
                    results.append(function(*arguments, self.progress, self.error))
            finally:
                ended.set()

        try:
            threading.Thread(target=work).start()
            # Thread.join would do, but that an interrupt makes it take a thread that runs for one that has ended.
            while not ended.wait(_POLL_SECONDS):
                if self._report is not None:
                    p = self.progress
                    self._report(Progress(p.items, p.bytes, p.total_items, p.total_bytes))
        except BaseException:
            self.progress.cancel = 1
            # Whatever else comes: what the call works on is freed next. A call that has not begun will not.
            while begun.is_set() and not ended.is_set():
                with suppress(KeyboardInterrupt):
                    ended.wait()
            raise
        return results[0]

    def check(self, function: Callable[..., Any], *arguments: Any) -> None:
        _check(self.run(function, *arguments), self.error)


def sha256(content: bytes) -> str:
    """In hex. To load hashlib for it would take longer than to hash most of what there is."""
    out = ffi.new("uint8_t[32]")
    messages = ffi.new("uint8_t *[]", [ffi.from_buffer("uint8_t[]", content)])
    if lib.ocigc_digest_many(lib.OCIGC_SHA256, ffi.NULL, 1, messages, ffi.new("size_t[]", [len(content)]), out):
        raise Refused("out of memory")
    return bytes(out).hex()


def media_of(media_type: str) -> Media:
    """What a media type says of the form of the content."""
    encoded = media_type.encode(errors="replace")
    return Media(lib.ocigc_media_of(encoded, len(encoded)))


def parse_document(content: bytes, media: Media) -> list[Descriptor]:
    """The descriptors of a document that is held to be of a media. Raises MalformedError."""
    return [descriptor for _, descriptor, _, _ in _descriptors(content, media)]


def parse_children(content: bytes, media: Media) -> Iterator[tuple[Role, Descriptor, bytes]]:
    """The same, each with its role and as it stands there."""
    for role, descriptor, start, end in _descriptors(content, media):
        yield Role(role), descriptor, content[start:end]


def _descriptors(content: bytes, media: Media) -> Iterator[tuple[int, Descriptor, int, int]]:
    error = ffi.new("struct ocigc_error *")
    document = lib.ocigc_document_parse(content, len(content), media, error)
    if document == ffi.NULL:
        where = f" at byte {error.offset}" if error.code == lib.OCIGC_MALFORMED else ""
        raise MalformedError(f"{_message(error)}{where}")
    try:
        # One at a time, as there may be a million; of media types there are but a few.
        found = ffi.buffer(
            lib.ocigc_document_descriptors(document), lib.ocigc_document_count(document) * _DESCRIPTOR.size
        )
        text = ffi.buffer(lib.ocigc_document_text(document), lib.ocigc_document_text_length(document))
        known: dict[bytes, str] = {}
        for role, kind, size, start, length, *spans in _DESCRIPTOR.iter_unpack(found):
            media, media_length, digest, digest_length = spans
            media_type = text[media : media + media_length]
            descriptor = Descriptor(
                known.get(media_type) or known.setdefault(media_type, media_type.decode(errors="replace")),
                Digest(text[digest : digest + digest_length].decode(errors="replace")),
                size,
                _MEDIAS[kind],
            )
            yield role, descriptor, start, start + length
    finally:
        lib.ocigc_document_free(document)


def _string(text: Any, span: Any) -> str:
    return bytes(ffi.buffer(text + span.start, span.length)).decode(errors="replace")


def parse_config(content: bytes) -> Config:
    """Raises MalformedError where Go's encoding/json would not read the content as an image config."""
    error = ffi.new("struct ocigc_error *")
    config = lib.ocigc_config_parse(content, len(content), error)
    if config == ffi.NULL:
        raise _exception(error)
    try:
        text = lib.ocigc_config_text(config)
        labels = lib.ocigc_config_labels(config)
        diff_ids = lib.ocigc_config_diff_ids(config)
        return Config(
            _string(text, lib.ocigc_config_created(config)),
            {
                _string(text, labels[n].key): _string(text, labels[n].value)
                for n in range(lib.ocigc_config_label_count(config))
            },
            tuple(_string(text, diff_ids[n]) for n in range(lib.ocigc_config_diff_id_count(config))),
        )
    finally:
        lib.ocigc_config_free(config)


def _memory(pointer: Any, size: int) -> Any:
    """The bytes behind a pointer, which may be NULL where there are none."""
    return ffi.buffer(pointer, size) if size else b""


class Entries:
    """The entries of an index.json, each made when it is asked for: there may be a million. Whoever goes
    through them holds them: what they are made of is freed with them.

    Raises MalformedError where the content is no image index.
    """

    def __init__(self, content: bytes) -> None:
        error = ffi.new("struct ocigc_error *")
        handle = lib.ocigc_index_parse(content, len(content), error)
        if handle == ffi.NULL:
            if error.code != lib.OCIGC_MALFORMED:
                raise _exception(error)
            raise MalformedError(f"index.json: {_message(error)} at byte {error.offset}")
        self._handle = ffi.gc(handle, lib.ocigc_index_free)
        self._count = int(lib.ocigc_index_count(handle))
        self._rows = _memory(lib.ocigc_index_entries(handle), self._count * _ENTRY.size)
        self._text = _memory(lib.ocigc_index_text(handle), lib.ocigc_index_text_length(handle))
        types = lib.ocigc_index_media_types(handle)
        self._media_types = [
            self._string(types[n].start, types[n].length) for n in range(lib.ocigc_index_media_type_count(handle))
        ]
        found = lib.ocigc_index_references(handle)
        self._references: dict[int, list[str]] = {}
        for n in range(lib.ocigc_index_reference_count(handle)):
            digest = self._string(found[n].digest.start, found[n].digest.length)
            self._references.setdefault(found[n].entry, []).append(digest)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Entry:
        position = range(self._count)[position]
        _, start, length, text, name_length, created_length, _, digest_length, _ = self._row(position)
        target, name = self.target(position)
        created = self._string(text + digest_length + name_length, created_length) or None
        return Entry(start, start + length, target, name, created, tuple(self._references.get(position, ())))

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(self._count))

    def target(self, position: int) -> tuple[Descriptor, str | None]:
        """The descriptor of an entry, and its name."""
        size, _, _, text, name_length, _, media_type, digest_length, media = self._row(position)
        name = text + digest_length
        digest = self._text[text:name]
        algorithm = _ALGORITHMS.get(digest[0])
        encoded = Digest(digest.decode() if algorithm is None else algorithm + digest[1:].hex())
        descriptor = Descriptor(self._media_types[media_type], encoded, size, _MEDIAS[media])
        return descriptor, self._string(name, name_length) or None

    def media(self, position: int) -> Media:
        """What the target of an entry is held to be."""
        return _MEDIAS[self._row(position)[-1]]

    def targets(self, store: Store) -> array[int]:
        """The node of each entry's target, NO_NODE where that is absent."""
        nodes = array("I", bytes(4 * self._count))
        lib.ocigc_store_find_targets(store._handle, self._handle, _pointer(nodes))
        return nodes

    def sort(self, positions: array[int], nameless: str, owner: str, owned: bytes | None) -> None:
        """Sorts positions by names, then by digests. Those without a name are called `nameless` and their digest;
        `owner` stands before the names of those that are `owned` (a flag an entry).
        """
        texts = [ffi.new("char[]", text.encode()) for text in (nameless, owner)]
        flags = ffi.NULL if owned is None else ffi.from_buffer("uint8_t[]", owned)
        naming = ffi.new("struct ocigc_naming *", (*texts, flags))
        lib.ocigc_index_sort(self._handle, _pointer(positions), len(positions), naming)

    def medias(self) -> bytes:
        """What each entry's target is held to be, a byte each."""
        return memoryview(self._rows)[_ENTRY_MEDIA :: _ENTRY.size].tobytes()

    def sizes(self) -> Iterator[int]:
        """The size of each entry's target, as it says."""
        for row in _ENTRY.iter_unpack(self._rows):
            yield row[0]

    def name(self, position: int) -> tuple[str | None, bytes]:
        """The name of an entry, and what tells its target from any other's."""
        _, _, _, text, name_length, _, _, digest_length, _ = self._row(position)
        name = text + digest_length
        return self._string(name, name_length) or None, self._text[text:name]

    def name_length(self, position: int) -> int:
        """The bytes of the name of an entry, 0 where it has none."""
        return self._row(position)[4]

    def names(self) -> Iterator[str | None]:
        """The name of each."""
        for _, _, _, text, name_length, _, _, digest_length, _ in _ENTRY.iter_unpack(self._rows):
            yield self._string(text + digest_length, name_length) or None

    def references(self) -> Mapping[int, Sequence[str]]:
        """By position the digests that an entry's labels refer to, where there are any."""
        return self._references

    def _row(self, position: int) -> tuple[int, ...]:
        return _ENTRY.unpack_from(self._rows, position * _ENTRY.size)

    def _string(self, start: int, length: int) -> str:
        return str(self._text[start : start + length], "utf-8")


def _nodes(nodes: Iterable[int]) -> array[int]:
    return nodes if isinstance(nodes, array) else array("I", nodes)


def _name(name: Any) -> Name:
    return Name(name.device, name.inode, name.names, name.size, name.stamp, name.modified)


def _pointer(nodes: array[int]) -> Any:
    return ffi.from_buffer("uint32_t[]", nodes)


class _Marks:
    """Implements `ocigc.rules.graph.Marks`. Valid until the graph is asked for marks again, or cleared."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._groups = 0
        held = ffi.buffer(lib.ocigc_graph_holders(handle), 4 * lib.ocigc_store_count(handle))
        self._of = memoryview(held).cast("I")
        lib.ocigc_graph_release(handle)

    def add(self, groups: Iterable[Group]) -> None:
        roots, ends, flat = array("I"), array("I"), bytearray()
        for group in groups:
            roots.extend(group.roots)
            ends.append(len(roots))
            flat.append(group.flat)
        code = lib.ocigc_graph_hold(
            self._handle,
            _pointer(roots),
            _pointer(ends),
            ffi.from_buffer("uint8_t[]", flat),
            len(ends),
            self._groups + 1,
        )
        if code != lib.OCIGC_OK:
            raise Refused("out of memory")
        self._groups += len(ends)

    def owner(self, node: int) -> int | None:
        owner = self._of[node]
        return owner - 1 if owner else None

    def owned(self, first: int, stop: int) -> array[int]:
        return self._between(first + 1, stop) if stop > first else array("I")

    def unreachable(self) -> array[int]:
        return self._between(0, 0)

    def _between(self, low: int, high: int) -> array[int]:
        count = lib.ocigc_graph_held(self._handle, low, high, ffi.NULL, 0)
        nodes = array("I", bytes(4 * count))
        lib.ocigc_graph_held(self._handle, low, high, _pointer(nodes), count)
        return nodes


class Store:
    """The blobs of a layout, and the graph of what refers to what. Implements `ocigc.rules.graph.Graph`."""

    def __init__(self, handle: Any) -> None:
        self._handle = ffi.gc(handle, lib.ocigc_store_free)
        self._walk_nodes = array("I", bytes(4 * 64))
        self._walk_medias = array("i", bytes(4 * 64))
        self._surveyed = False
        self.taken: HardLinks | None = None
        """What this run has taken from other layouts: it makes nothing here `newer`."""

    @classmethod
    def scan(cls, layout: int, report: Report | None = None, depth: Depth = Depth.NAMES) -> Self:
        """Scans `blobs/` below an open directory. Raises Refused where something lies there that is no blob."""
        call = _Call(report)
        handle = call.run(lib.ocigc_store_scan, layout, depth, 0)
        if handle == ffi.NULL:
            raise _exception(call.error)
        store = cls(handle)
        store._surveyed = depth != Depth.NAMES
        return store

    def close(self) -> None:
        """Frees all memory now."""
        ffi.release(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Blobs

    def __len__(self) -> int:
        return int(lib.ocigc_store_count(self._handle))

    def find(self, digest: str) -> int | None:
        encoded = digest.encode(errors="replace")
        node = int(lib.ocigc_store_find(self._handle, encoded, len(encoded)))
        return None if node == NO_NODE else node

    def find_longer(self, beginning: str) -> int | None:
        # Nodes are in the order of their algorithms' names, then of their digests.
        wanted = beginning.split(":", 1)
        node = bisect_right(range(len(self)), wanted, key=lambda node: self.digest(node).split(":", 1))
        return node if node < len(self) and self.digest(node).startswith(beginning) else None

    def digest(self, node: int) -> Digest:
        text = ffi.new("char[256]")
        return Digest(
            ffi.unpack(text, lib.ocigc_store_digest(self._handle, node, text, 256)).decode("ascii", "replace")
        )

    def digests(self, nodes: Iterable[int]) -> Iterator[Digest]:
        """The same of many."""
        remaining = iter(nodes)
        while batch := array("I", islice(remaining, _BATCH)):
            text = ffi.new("char[]", 256 * len(batch))
            length = lib.ocigc_store_digests(self._handle, _pointer(batch), len(batch), text)
            yield from map(Digest, ffi.unpack(text, length).decode("ascii", "replace").splitlines())

    def survey(self, nodes: Sequence[int] | None = None, report: Report | None = None) -> None:
        """Finds out what the files of the nodes (None: of all) are, where that is not known yet. All that depends on it
        asks for itself; to ask for many at once is faster. Raises Refused where a file is none any more."""
        if self._surveyed:
            return
        flat = array("I") if nodes is None else _nodes(nodes)
        pointer = ffi.NULL if nodes is None else _pointer(flat)
        _Call(report).check(lib.ocigc_store_survey, self._handle, pointer, len(flat), 0)
        self._surveyed = nodes is None

    def size(self, node: int) -> int:
        """Bytes."""
        if not lib.ocigc_store_surveyed(self._handle, node):
            self.survey([node])
        return int(lib.ocigc_store_size(self._handle, node))

    def stamp(self, node: int) -> int:
        """The newest of mtime and ctime, an instant."""
        if not lib.ocigc_store_surveyed(self._handle, node):
            self.survey([node])
        return int(lib.ocigc_store_stamp(self._handle, node))

    def sweepable(self, nodes: Sequence[int]) -> array[int]:
        return self._those(lib.ocigc_store_sweepable, nodes)

    def newer(self, nodes: Sequence[int], instant: int) -> array[int]:
        self.survey(nodes)
        young = self._those(lib.ocigc_store_newer, nodes, instant)
        if self.taken is None:
            return young
        return array("I", (node for node in young if self.taken.touched(self._name(node)) > instant))

    def _those(self, select: Callable[..., int], nodes: Sequence[int], *terms: int) -> array[int]:
        flat = _nodes(nodes)
        selected = array("I", bytes(4 * len(flat)))
        return selected[: select(self._handle, _pointer(flat), len(flat), *terms, _pointer(selected))]

    def freed(self, nodes: Sequence[int]) -> int:
        flat = _nodes(nodes)
        self.survey(flat)
        return int(lib.ocigc_store_freed(self._handle, _pointer(flat), len(flat)))

    def files(self, nodes: Iterable[int]) -> Files:
        """The files behind the nodes."""
        flat = _nodes(nodes)
        self.survey(flat)
        count = lib.ocigc_store_linked(self._handle, _pointer(flat), len(flat), ffi.NULL, 0)
        found = ffi.new("struct ocigc_name[]", count)
        lib.ocigc_store_linked(self._handle, _pointer(flat), len(flat), found, count)
        names = list(map(_name, found))
        return Files(self.freed(flat) - HardLinks().remove(Files(0, names)), names)

    def _name(self, node: int) -> Name:
        name, error = ffi.new("struct ocigc_name *"), ffi.new("struct ocigc_error *")
        _check(lib.ocigc_store_name(self._handle, node, name, error), error)
        return _name(name)

    def foreign(self) -> tuple[int, list[str]]:
        """How many files below blobs/ are no blobs, and the names of the first of them."""
        names: list[str] = []
        while (name := lib.ocigc_store_foreign(self._handle, len(names))) != ffi.NULL:
            names.append(ffi.string(name).decode(errors="backslashreplace"))
        return int(lib.ocigc_store_foreign_count(self._handle)), names

    def read(self, node: int, limit: int, *, verify: bool = True) -> bytes:
        """A blob of at most `limit` bytes. Raises Refused where it cannot be read, CorruptError where it is not what
        its digest says."""
        content, length = ffi.new("char **"), ffi.new("size_t *")
        error = ffi.new("struct ocigc_error *")
        _check(lib.ocigc_store_read(self._handle, node, limit, verify, content, length, error), error)
        try:
            return bytes(ffi.buffer(content[0], length[0]))
        finally:
            lib.ocigc_bytes_free(content[0])

    # Graph

    def load_labels(self, report: Report | None = None) -> None:
        """Reads every label sidecar. Raises MalformedError."""
        _Call(report).check(lib.ocigc_graph_labels, self._handle)

    def label_roots(self) -> array[int]:
        """The nodes with a `gc.root` label."""
        count = lib.ocigc_graph_label_root_count(self._handle)
        nodes = array("I")
        if count:
            nodes.frombytes(ffi.buffer(lib.ocigc_graph_label_roots(self._handle), 4 * count))
        return nodes

    def expand(self, nodes: array[int], medias: bytes, report: Report | None = None) -> None:
        """Reads, verifies and parses every manifest and index that the nodes reach, each of which is held to be of a
        Media; NO_NODE reaches none. Raises Refused at the first that cannot be."""
        call = _Call(report)
        call.check(
            lib.ocigc_graph_expand,
            self._handle,
            _pointer(nodes),
            ffi.from_buffer("uint8_t[]", medias),
            len(nodes),
            0,
        )

    def pending(self) -> list[int]:
        """Manifests and indexes that somebody else has to verify after `expand` raised Unverifiable."""
        count = lib.ocigc_graph_pending(self._handle, ffi.NULL, 0)
        nodes = array("I", bytes(4 * count))
        lib.ocigc_graph_pending(self._handle, _pointer(nodes), count)
        self.survey(nodes)
        return list(nodes)

    def vouch(self, node: int) -> None:
        """Says that a pending node, surveyed before, is what its digest says."""
        lib.ocigc_graph_vouch(self._handle, node)

    def sniff(self, in_grace_after: int = NEVER, report: Report | None = None) -> None:
        """Looks for referrers among the blobs that nothing has reached, and for what JSON newer than an instant
        holds.
        """
        _Call(report).check(lib.ocigc_graph_sniff, self._handle, in_grace_after, 0)

    def refer(self, subject: int, referrer: int) -> None:
        """Lets whoever holds `subject` hold `referrer`."""
        if lib.ocigc_graph_refer(self._handle, subject, referrer) != lib.OCIGC_OK:
            raise Refused("out of memory")

    def unrefer(self, subject: int, referrer: int) -> None:
        """Lets `referrer` go without `subject`."""
        lib.ocigc_graph_unrefer(self._handle, subject, referrer)

    def subject(self, node: int) -> int | None:
        subject = int(lib.ocigc_graph_subject(self._handle, node))
        return None if subject == NO_NODE else subject

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        node = self.find(target.digest)
        return [] if node is None else self.walk_from(node, target.media)

    def walk_from(self, node: int, media: Media) -> list[tuple[int, Media]]:
        while True:
            capacity = len(self._walk_nodes)
            count = lib.ocigc_graph_walk(
                self._handle,
                node,
                media,
                _pointer(self._walk_nodes),
                ffi.from_buffer("int32_t[]", self._walk_medias),
                capacity,
            )
            if count <= capacity:
                return [(self._walk_nodes[n], _MEDIAS[self._walk_medias[n]]) for n in range(count)]
            if count > NO_NODE:
                raise Refused("out of memory")
            self._walk_nodes = array("I", bytes(4 * count))
            self._walk_medias = array("i", bytes(4 * count))

    def ascend(self, node: int) -> tuple[array[int], bytearray]:
        """The way from every node that holds this one down to it: of each node the next on it, NO_NODE where it does
        not hold it, and the Role by which that is held (SUBJECT: it is a referrer)."""
        following = array("I", bytes(4 * len(self)))
        roles = bytearray(len(self))
        lib.ocigc_graph_ascend(
            self._handle, node, _pointer(following), ffi.from_buffer("uint8_t[]", roles, require_writable=True)
        )
        return following, roles

    def referrers(self, node: int) -> list[int]:
        """The known referrers of a node, ascending."""
        count = lib.ocigc_graph_referrers(self._handle, node, ffi.NULL, 0)
        nodes = array("I", bytes(4 * count))
        lib.ocigc_graph_referrers(self._handle, node, _pointer(nodes), count)
        return sorted(set(nodes))

    def lacking(self) -> array[int]:
        """The nodes that refer to something absent."""
        count = lib.ocigc_graph_lacking(self._handle, ffi.NULL, 0)
        nodes = array("I", bytes(4 * count))
        lib.ocigc_graph_lacking(self._handle, _pointer(nodes), count)
        return nodes

    def mark(self, groups: Iterable[Group]) -> _Marks:
        marks = _Marks(self._handle)
        marks.add(groups)
        return marks

    def clear_graph(self) -> None:
        """Frees what the graph takes: from here on nothing refers to anything."""
        lib.ocigc_graph_clear(self._handle)

    # Verify

    def record(self, report: Report | None = None) -> None:
        """From now on `expand` records bad manifests instead of stopping, and what verify reports of descriptors."""
        self.survey(report=report)
        lib.ocigc_graph_record(self._handle)

    def faults(self) -> list[tuple[int, OcigcError]]:
        """Manifests and indexes that cannot be read, parsed or verified: node and why."""
        error = ffi.new("struct ocigc_error *")
        return [
            (int(lib.ocigc_graph_fault(self._handle, number, error)), _exception(error))
            for number in range(lib.ocigc_graph_fault_count(self._handle))
        ]

    def missing(self) -> list[Digest]:
        """Digests that descriptors name and that are not here."""
        return [
            Digest(ffi.string(lib.ocigc_graph_missing(self._handle, number)).decode("ascii", "replace"))
            for number in range(lib.ocigc_graph_missing_count(self._handle))
        ]

    def wrong_sizes(self) -> list[int]:
        """Nodes whose size is not what a descriptor says."""
        count = lib.ocigc_graph_wrong_size_count(self._handle)
        nodes = lib.ocigc_graph_wrong_sizes(self._handle)
        return [int(nodes[number]) for number in range(count)]

    def verify(self, nodes: Sequence[int], jobs: int = 0, report: Report | None = None) -> bytearray:
        """Hashes blobs, largest first; a Verdict for each node. An interrupt ends it and leaves the rest UNCHECKED."""
        flat = _nodes(nodes)
        self.survey(flat)
        verdicts = bytearray(len(flat))
        call = _Call(report)
        with suppress(KeyboardInterrupt):
            call.check(
                lib.ocigc_verify,
                self._handle,
                _pointer(flat),
                len(flat),
                jobs,
                ffi.NULL,
                ffi.from_buffer("uint8_t[]", verdicts, require_writable=True),
            )
        return verdicts

    # Sweep

    def sweep(self, nodes: Sequence[int], trash: int, report: Report | None = None) -> bytearray:
        """Moves blobs and their sidecars into an open trash directory; a Swept for each node."""
        flat = _nodes(nodes)
        self.survey(flat)
        fates = bytearray(len(flat))
        call = _Call(report)
        call.check(
            lib.ocigc_sweep,
            self._handle,
            _pointer(flat),
            len(flat),
            trash,
            ffi.from_buffer("uint8_t[]", fates, require_writable=True),
        )
        return fates


class Selection(IntEnum):
    """Blobs by what a ledger knows of them; the numbers are those of `enum ocigc_selection`."""

    CHANGED = 0
    RECORDED = 1
    UNRECORDED = 2
    OLDER = 3


class Ledger:
    """What earlier runs of verify knew of the blobs of a store that was scanned with Depth.IDENTITIES."""

    def __init__(self, store: Store) -> None:
        self._store = store  # the handle of which it needs
        handle = lib.ocigc_ledger_new(store._handle)
        if handle == ffi.NULL:
            raise Refused("out of memory")
        self._handle = ffi.gc(handle, lib.ocigc_ledger_free)

    def close(self) -> None:
        """Frees all memory now."""
        ffi.release(self._handle)

    def read(self, fd: int, now: int) -> int:
        """Takes over what a file says that is still true; nothing that was verified after the instant `now`. Gives the
        number of damaged buckets of records that were dropped. Raises MalformedError where it is no ledger.
        """
        error = ffi.new("struct ocigc_error *")
        _check(lib.ocigc_ledger_read(self._handle, fd, now, error), error)
        return int(lib.ocigc_ledger_damaged(self._handle))

    def write(self, fd: int) -> None:
        """Writes it to an open, empty file."""
        error = ffi.new("struct ocigc_error *")
        _check(lib.ocigc_ledger_write(self._handle, fd, error), error)

    @property
    def differs(self) -> bool:
        """Whether it says anything else than the file that was read."""
        return bool(lib.ocigc_ledger_differs(self._handle))

    def select(self, nodes: array[int], selection: Selection, before: int = 0) -> array[int]:
        """Those of the nodes that are meant; OLDER are those verified before an instant, the oldest first."""
        selected = array("I", bytes(4 * len(nodes)))
        count = lib.ocigc_ledger_select(
            self._handle, _pointer(nodes), len(nodes), selection, before, _pointer(selected)
        )
        return selected[:count]

    def compare(self, nodes: array[int], jobs: int, deadline: int, report: Report | None = None) -> bytearray:
        """Reads blobs again: SOUND or CORRUPT by XXH3-128 alone. The rest is UNCHECKED after an interrupt, and once
        the monotonic clock is past the deadline.
        """
        verdicts = bytearray(len(nodes))
        found = ffi.from_buffer("uint8_t[]", verdicts, require_writable=True)
        call = _Call(report)
        with suppress(KeyboardInterrupt):
            call.check(lib.ocigc_ledger_compare, self._handle, _pointer(nodes), len(nodes), jobs, deadline, found)
        return verdicts

    def verify(
        self, nodes: array[int], jobs: int, deadline: int, began: int, report: Report | None = None, *, in_order: bool
    ) -> bytearray:
        """Like Store.verify, and records what it finds in a run that began at an instant before the scan. Largest blob
        first, unless it is to go `in_order`.
        """
        verdicts = bytearray(len(nodes))
        found = ffi.from_buffer("uint8_t[]", verdicts, require_writable=True)
        checks = ffi.from_buffer("struct ocigc_check[]", bytearray(16 * len(nodes)))
        terms = ffi.new("struct ocigc_terms *", {"deadline": deadline, "in_order": in_order, "checks": checks})
        call = _Call(report)
        with suppress(KeyboardInterrupt):
            call.check(lib.ocigc_verify, self._store._handle, _pointer(nodes), len(nodes), jobs, terms, found)
        lib.ocigc_ledger_update(self._handle, _pointer(nodes), len(nodes), found, checks, began)
        return verdicts


def purge(parent: int, name: str, report: Report | None = None) -> None:
    """Removes a directory below an open one, with all that is in it."""
    _Call(report).check(lib.ocigc_purge, parent, name.encode())


def exchange(first_directory: int, first: str, second_directory: int, second: str) -> bool:
    """Swaps two names atomically; False where the file system or the kernel cannot. Raises OSError."""
    code = lib.ocigc_exchange(first_directory, first.encode(), second_directory, second.encode())
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    if code:
        raise OSError(code, os.strerror(code), first)
    return True


def return_memory() -> None:
    """From here on, large blocks of this process's memory go back to the system once they are freed."""
    lib.ocigc_return_memory()


def confine(*directories: int) -> bool:
    """Gives up, for good, the right to change anything outside of these open directories and to execute programs;
    False where the kernel has no Landlock to see to that."""
    return bool(lib.ocigc_confine(ffi.new("int32_t[]", directories), len(directories)) == 0)
