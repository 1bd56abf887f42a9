"""The store: the blobs of a layout and the graph of what refers to what, marked, verified and swept."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from itertools import accumulate
from typing import Any

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import MalformedError, OcigcError
from ocigc.gc.graph import Group, Groups, Owned, Walks, flags
from ocigc.hard_links import HardLinks
from ocigc.image import Descriptor, Media
from ocigc.native.blobs import Blobs, Detail
from ocigc.native.calls import (
    NEVER,
    NO_NODE,
    Rows,
    bytes_pointer,
    call,
    exception,
    listed,
    long_call,
    memory,
    node_array,
    pointer,
    struct_of,
)
from ocigc.native.documents import MEDIAS, Role
from ocigc.progress import Report
from ocigc.values import frozen

__all__ = ["CHECKSUM", "Detail", "Hashes", "Missing", "Shared", "Store", "Swept", "Verdict"]

_LABEL = struct_of("ocigc_label")
_MISSING = struct_of("ocigc_missing")
_USAGE = struct_of("ocigc_usage")
_AMOUNT = struct_of("ocigc_amount")


class Verdict(IntEnum):
    """What verification found of one blob: `enum ocigc_verdict`."""

    UNCHECKED = lib.OCIGC_VERDICT_UNCHECKED
    SOUND = lib.OCIGC_VERDICT_SOUND
    CORRUPT = lib.OCIGC_VERDICT_CORRUPT
    UNSUPPORTED = lib.OCIGC_VERDICT_UNSUPPORTED
    CHANGED = lib.OCIGC_VERDICT_CHANGED
    UNREADABLE = lib.OCIGC_VERDICT_UNREADABLE
    GONE = lib.OCIGC_VERDICT_GONE


class Swept(IntEnum):
    """What the sweep did with one blob: `enum ocigc_sweep_result`."""

    NOT_TRIED = lib.OCIGC_SWEEP_NOT_TRIED
    MOVED = lib.OCIGC_SWEEP_MOVED
    SKIPPED = lib.OCIGC_SWEEP_SKIPPED
    MISSING = lib.OCIGC_SWEEP_MISSING


@frozen
class Missing:
    """A descriptor whose blob is absent: `node` is the manifest, index or labelled blob that names it, `role` what it
    is there. `foreign` layers need not be distributed with an image.
    """

    digest: Digest
    node: int
    role: Role
    media: Media
    foreign: bool


@frozen
class Hashes:
    """What came of hashing some blobs: a Verdict for each, and the XXH3-128 of the sound ones, CHECKSUM bytes each (or
    nothing, where nobody asked). `troubles` say why some are UNCHECKED, where that was no interrupt."""

    verdicts: bytearray
    checksums: bytearray
    troubles: Sequence[str] = ()


CHECKSUM: int = ffi.sizeof("struct ocigc_checksum")
"""Bytes."""


@frozen
class Shared:
    """Who has which blob, as `struct ocigc_sharing` says. Those of unit n are nodes[starts[n]:starts[n + 1]], and its
    groups are in the same way among the `unit_groups`.
    """

    owners: array[int]
    groups: int
    nodes: array[int]
    medias: bytes
    starts: array[int]
    unit_groups: array[int]
    group_starts: array[int]


@frozen
class FateAmounts:
    """What owners have, as `struct ocigc_amounts` says: bytes, and by fate (size, count, fate). Those rows of owner n
    are rows[starts[n]:starts[n + 1]].
    """

    alone: array[int]
    flagged: array[int]
    rows: Rows
    starts: array[int]


def _reach(group: Group) -> int:
    if group.flat:
        return int(lib.OCIGC_REACH_FLAT)
    return int(lib.OCIGC_REACH_FORWARD if group.forward else lib.OCIGC_REACH_ALL)


def _walks(walks: Walks) -> tuple[Any, Any]:
    return pointer(walks.nodes), ffi.from_buffer("uint8_t[]", walks.medias)


class _Marks:
    """Implements `ocigc.gc.graph.Marks`. Valid until the store is marked again, or its graph is cleared."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._groups = 0
        owners = ffi.buffer(lib.ocigc_graph_owners(handle), 4 * lib.ocigc_store_count(handle))
        self._owners = memoryview(owners).cast("I")
        lib.ocigc_graph_unmark(handle)

    def add(self, groups: Iterable[Group]) -> None:
        roots, ends, reach = array("I"), array("I"), bytearray()
        for group in groups:
            roots.extend(group.roots)
            ends.append(len(roots))
            reach.append(_reach(group))
        reaches = ffi.from_buffer("uint8_t[]", reach)
        call(lib.ocigc_graph_mark, self._handle, pointer(roots), pointer(ends), reaches, len(ends), self._groups + 1)
        self._groups += len(ends)

    def add_each(self, groups: Groups) -> None:
        reach = _reach(Group((), forward=groups.forward))
        ends = groups.ends
        reaches = ffi.from_buffer("uint8_t[]", bytes([reach]) * len(ends))
        arguments = pointer(groups.roots), pointer(ends), reaches, len(ends), self._groups + 1
        call(lib.ocigc_graph_mark, self._handle, *arguments)
        self._groups += len(ends)

    def owner(self, node: int) -> int | None:
        owner = self._owners[node]
        return owner - 1 if owner else None

    def owned(self, first: int, stop: int) -> array[int]:
        return listed(lib.ocigc_graph_owned, self._handle, first + 1, stop) if stop > first else array("I")

    def unreachable(self) -> array[int]:
        return listed(lib.ocigc_graph_owned, self._handle, 0, 0)

    def owned_on_walks(self, walks: Walks, groups: Sequence[int], among: bytearray) -> Owned:
        room = among.count(1)
        nodes, medias, ends = array("I", (0,)) * room, bytearray(room), array("I", (0,)) * len(groups)
        out = pointer(nodes), bytes_pointer(medias), pointer(ends)
        owners = array("I", (group + 1 for group in groups))
        flags = bytes_pointer(among)
        call(lib.ocigc_graph_walk_owned, self._handle, *_walks(walks), pointer(owners), len(owners), flags, *out)
        count = ends[-1] if ends else 0
        return Owned(nodes, medias, ends) if count == room else Owned(nodes[:count], medias[:count], ends)


class Store(Blobs):
    """The blobs of a layout, and the graph of what refers to what. Implements `ocigc.gc.graph.Graph`.

    Calling sequence: `scan`; `read_labels`, `record` if wanted; `expand` from the roots; `add_referrer` and
    `find_referrers`; then `mark`, and any question. `verify` and `sweep` need the scan alone.
    """

    def __init__(self, handle: Any, detail: Detail, taken: HardLinks | None) -> None:
        super().__init__(handle, detail, taken)
        self._walk_nodes = array("I", bytes(4 * 64))
        self._walk_medias = array("i", bytes(4 * 64))
        self._added = array("I")

    # Read

    def read_labels(self, report: Report | None = None) -> None:
        """Reads the label files of all blobs. Raises MalformedError."""
        long_call(lib.ocigc_graph_read_labels, self.handle, report=report)

    def label_roots(self) -> array[int]:
        """The nodes that their own labels make roots: by `gc.root`, or by a label of garbage collection that is not
        understood.
        """
        wanted = (lib.OCIGC_LABEL_ROOT, lib.OCIGC_LABEL_UNKNOWN)
        return array("I", dict.fromkeys(node for node, kind, _, _ in self._labels() if kind in wanted))

    def add_roots(self, nodes: Iterable[int]) -> None:
        """Makes nodes roots that neither an image nor a label makes roots."""
        self._added.extend(nodes)

    def added_roots(self) -> array[int]:
        """The nodes that `add_roots` has made roots."""
        return self._added[:]

    def own_roots(self) -> array[int]:
        """The roots that are not images or leases: by labels, or added."""
        return self.label_roots() + self._added

    def unknown_labels(self) -> list[tuple[int, str]]:
        """The labels of garbage collection that are not understood: node and key."""
        return self._labels_of(lib.OCIGC_LABEL_UNKNOWN)

    def image_labels(self) -> list[tuple[int, str]]:
        """`gc.ref.image` labels: while the node stays, so does the image of that name."""
        return self._labels_of(lib.OCIGC_LABEL_IMAGE)

    def image_back_labels(self) -> list[tuple[int, str]]:
        """`gc.bref.image` labels: while an image of that name stays, so does the node."""
        return self._labels_of(lib.OCIGC_LABEL_IMAGE_BACK)

    def _labels(self) -> Iterator[tuple[int, int, int, int]]:
        count, text = ffi.new("uint32_t *"), ffi.new("char **")
        labels = lib.ocigc_graph_labels(self.handle, count, text)
        return _LABEL.iter_unpack(memory(labels, count[0] * _LABEL.size))

    def _labels_of(self, wanted: int) -> list[tuple[int, str]]:
        count, text = ffi.new("uint32_t *"), ffi.new("char **")
        lib.ocigc_graph_labels(self.handle, count, text)
        return [
            (node, ffi.buffer(text[0] + start, length)[:].decode(errors="replace"))
            for node, kind, start, length in self._labels()
            if kind == wanted
        ]

    def expand(self, nodes: array[int], medias: bytes, report: Report | None = None) -> None:
        """Reads, verifies and parses what the nodes reach, as `ocigc_graph_expand` says; `medias` has the Media of each
        node, and NO_NODE reaches nothing. Raises Refused at the first blob that cannot be read, verified or parsed.
        """
        types = ffi.from_buffer("uint8_t[]", medias)
        long_call(lib.ocigc_graph_expand, self.handle, pointer(nodes), types, len(nodes), 0, report=report)

    @contextmanager
    def ahead(self, nodes: array[int], sizes: Iterable[int], content: bytes) -> Iterator[None]:
        """Contents of nodes that somebody has read already, one after another: an `expand` within this takes those that
        have the digest of their node, and reads the files of the others. Raises MalformedError.
        """
        ends = array("Q", accumulate(sizes))
        if len(ends) != len(nodes) or (ends[-1] if ends else 0) != len(content):
            raise MalformedError("not one size for each content")
        try:
            found = ffi.from_buffer("uint64_t[]", ends), len(nodes), ffi.from_buffer("char[]", content)
            call(lib.ocigc_store_ahead, self.handle, pointer(nodes), *found)
            yield
        finally:
            lib.ocigc_store_ahead_end(self.handle)

    def unverified(self) -> list[int]:
        """The manifests and indexes that the caller must verify after `expand` raised Unverifiable."""
        nodes = listed(lib.ocigc_graph_unverified, self.handle)
        self.stat(nodes)
        return list(nodes)

    def set_verified(self, node: int) -> None:
        """Says that a node from `unverified` matches its digest."""
        lib.ocigc_graph_set_verified(self.handle, node)

    def find_referrers(self, newer_than: int = NEVER, report: Report | None = None) -> None:
        """Searches the blobs that nothing has reached for referrers. Also expands JSON whose stamp is after an instant:
        a writer may be about to name it.
        """
        long_call(lib.ocigc_graph_find_referrers, self.handle, newer_than, 0, report=report)

    def add_referrer(self, subject: int, referrer: int) -> None:
        """Adds the edge from a subject to its referrer."""
        call(lib.ocigc_graph_add_referrer, self.handle, subject, referrer)

    def remove_referrer(self, subject: int, referrer: int) -> None:
        """Removes the edge from a subject to its referrer, if there is one. An absent referrer, NO_NODE, has none."""
        lib.ocigc_graph_remove_referrer(self.handle, subject, referrer)

    def clear_graph(self) -> None:
        """Frees the memory of the graph: from here on no blob refers to any other."""
        call(lib.ocigc_graph_clear, self.handle)

    # Ask

    def form(self, node: int) -> Media:
        """What `expand` has read a node as, whatever media types say: MANIFEST, INDEX, or UNKNOWN."""
        return MEDIAS[lib.ocigc_graph_form(self.handle, node)]

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest."""
        subject = int(lib.ocigc_graph_subject(self.handle, node))
        return None if subject == NO_NODE else subject

    def subjects(self, nodes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """For those of the nodes that have a subject: the index of the node in the list, and the subject, which may be
        ABSENT.
        """
        flat = node_array(nodes)
        found = array("I", bytes(4 * len(flat)))
        if lib.ocigc_graph_subjects(self.handle, pointer(flat), len(flat), pointer(found)):
            yield from ((place, node) for place, node in enumerate(found) if node != NO_NODE)

    def referrers(self, node: int) -> list[int]:
        """The known referrers of a node, ascending."""
        return sorted(set(listed(lib.ocigc_graph_referrers, self.handle, node)))

    def incomplete(self) -> array[int]:
        """The nodes that refer to an absent blob."""
        return listed(lib.ocigc_graph_incomplete, self.handle)

    def mark(self, groups: Iterable[Group]) -> _Marks:
        """Marks what each group reaches that no group before it reached."""
        marks = _Marks(self.handle)
        marks.add(groups)
        return marks

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        """The present blobs in preorder, each once, as moby's `walkPresentChildren` visits them."""
        node = self.find(target.digest)
        return [] if node is None else self.walk_from(node, target.media)

    def walk_from(self, node: int, media: Media) -> list[tuple[int, Media]]:
        """The same from a node that is of a media."""
        count = ffi.new("size_t *")
        while True:
            capacity = len(self._walk_nodes)
            medias = ffi.from_buffer("int32_t[]", self._walk_medias)
            call(lib.ocigc_graph_walk, self.handle, node, media, pointer(self._walk_nodes), medias, capacity, count)
            if count[0] <= capacity:
                return [(self._walk_nodes[n], MEDIAS[self._walk_medias[n]]) for n in range(count[0])]
            self._walk_nodes = array("I", bytes(4 * count[0]))
            self._walk_medias = array("i", bytes(4 * count[0]))

    def walked_as(self, walks: Walks, media: Media) -> bytearray:
        """The nodes that these walks visit as this media: a flag per node."""
        found = bytearray(len(self))
        arguments = *_walks(walks), len(walks.nodes), media, bytes_pointer(found)
        call(lib.ocigc_graph_walked_as, self.handle, *arguments)
        return found

    def referred(self, nodes: array[int]) -> array[int]:
        """Those to which an edge leads, or a subject."""
        found, count = array("I", bytes(4 * len(nodes))), ffi.new("size_t *")
        call(lib.ocigc_graph_referred, self.handle, pointer(nodes), len(nodes), pointer(found), count)
        return found[: count[0]]

    def usage(
        self,
        nodes: array[int],
        medias: bytes | None,
        ends: array[int] | None = None,
        flags: bytes | bytearray | None = None,
    ) -> Rows:
        """What groups of nodes come to: for each the bytes of its nodes, those of nodes that other groups have too,
        those of nodes whose `flags` (a byte per node) have the lowest bit set, and all flags of its nodes. A group has
        what its nodes walk, read as the Media in `medias`, or without those the nodes themselves. Group n ends before
        ends[n] (None: each node is a group).
        """
        self.stat()
        ends = array("I", range(1, len(nodes) + 1)) if ends is None else ends
        found = bytearray(_USAGE.size * len(ends))
        out = ffi.from_buffer("struct ocigc_usage[]", found)
        types, marks = (ffi.NULL if each is None else ffi.from_buffer("uint8_t[]", each) for each in (medias, flags))
        call(lib.ocigc_graph_usage, self.handle, pointer(nodes), types, pointer(ends), len(ends), marks, out)
        return Rows(_USAGE, found)

    def visiting(self, nodes: array[int], medias: bytes, wanted: Iterable[int]) -> bytearray:
        """Which nodes walk to a wanted one, each read as its Media in `medias`: a byte per node, 0 or 1. NO_NODE walks
        nowhere.
        """
        found, marks = bytearray(len(nodes)), flags(wanted, len(self))
        types, marked = (ffi.from_buffer("uint8_t[]", each) for each in (medias, marks))
        call(lib.ocigc_graph_visiting, self.handle, pointer(nodes), types, len(nodes), marked, bytes_pointer(found))
        return found

    def sharing(self, roots: array[int], medias: bytes, numbers: array[int]) -> Shared:
        """Who has which blob: root n, read as medias[n], is the image of unit n. The `numbers` of units are random."""
        found = ffi.new("struct ocigc_sharing **")
        types, random = ffi.from_buffer("uint8_t[]", medias), ffi.from_buffer("uint64_t[]", numbers)
        call(lib.ocigc_graph_sharing, self.handle, pointer(roots), types, random, len(roots), found)
        try:
            shared = found[0]
            starts = _copied("I", shared.ends, len(roots), 0)
            group_starts = _copied("I", shared.group_ends, len(roots), 0)
            return Shared(
                _copied("i", shared.owners, len(self)),
                shared.groups,
                _copied("I", shared.nodes, shared.count),
                bytes(memory(shared.medias, shared.count)),
                starts,
                _copied("I", shared.unit_groups, group_starts[-1]),
                group_starts,
            )
        finally:
            lib.ocigc_sharing_free(found[0])

    def amounts(
        self, owners: array[int], units: int, groups: int, fates: bytearray, skipped: bytearray, flag: int
    ) -> FateAmounts:
        """What each unit, and after the units each group, has of the nodes: in all, of the fates with the flag, and,
        without the nodes that are `skipped`, of each fate (a byte per node, below 8).
        """
        self.stat()
        found = ffi.new("struct ocigc_amounts **")
        places = ffi.from_buffer("int32_t[]", owners)
        each, left = bytes_pointer(fates), bytes_pointer(skipped)
        call(lib.ocigc_graph_amounts, self.handle, places, units, groups, each, left, flag, found)
        try:
            amounts, count = found[0], units + groups
            return FateAmounts(
                _copied("Q", amounts.alone, count),
                _copied("Q", amounts.flagged, count),
                Rows(_AMOUNT, bytes(memory(amounts.rows, amounts.count * _AMOUNT.size))),
                _copied("I", amounts.ends, count, 0),
            )
        finally:
            lib.ocigc_amounts_free(found[0])

    def paths_to(self, node: int) -> tuple[array[int], bytearray]:
        """The paths from every node that reaches this one down to it: per node the next on its path (NO_NODE if it does
        not reach it), and the Role of that edge (SUBJECT: the next is its referrer).
        """
        following = array("I", bytes(4 * len(self)))
        roles = bytearray(len(self))
        lib.ocigc_graph_paths_to(self.handle, node, pointer(following), bytes_pointer(roles))
        return following, roles

    # Verify

    def record(self, report: Report | None = None, *, descriptors: bool = True) -> None:
        """From here on `expand` records bad blobs as `faults` instead of raising; with `descriptors`, which asks for
        the status of all files, also what is `missing` and has a wrong size.
        """
        if descriptors:
            self.stat(report=report)
        wanted = lib.OCIGC_RECORD_FAULTS | (lib.OCIGC_RECORD_DESCRIPTORS if descriptors else 0)
        lib.ocigc_graph_record(self.handle, wanted)

    def faults(self) -> list[tuple[int, OcigcError]]:
        """The blobs that must be understood and cannot be read, verified or parsed: node and why, in the order of
        nodes. What they refer to is unknown, so they have no edges.
        """
        error = ffi.new("struct ocigc_error *")
        count = lib.ocigc_graph_fault_count(self.handle)
        return [(int(lib.ocigc_graph_fault(self.handle, n, error)), exception(error)) for n in range(count)]

    def missing(self) -> list[Digest]:
        """The digests that descriptors name and that are absent, each once."""
        return list(dict.fromkeys(missing.digest for missing in self.missing_descriptors()))

    def missing_descriptors(self) -> list[Missing]:
        """The descriptors whose blobs are absent, by digest, node and role. `data` takes the place of its blob."""
        count, text = ffi.new("uint32_t *"), ffi.new("char **")
        rows = memory(lib.ocigc_graph_missing(self.handle, count, text), count[0] * _MISSING.size)
        return [
            Missing(
                Digest(ffi.buffer(text[0] + start, length)[:].decode("ascii", "replace")),
                node,
                Role(role),
                MEDIAS[media],
                bool(foreign),
            )
            for node, start, length, role, media, foreign in _MISSING.iter_unpack(rows)
        ]

    def wrong_sizes(self) -> list[int]:
        """The nodes whose size is not what a descriptor says."""
        return list(listed(lib.ocigc_graph_wrong_sizes, self.handle))

    def verify(
        self,
        nodes: Sequence[int],
        jobs: int = 0,
        report: Report | None = None,
        *,
        deadline: int = NEVER,
        in_order: bool = False,
        checksums: bool = False,
    ) -> Hashes:
        """Hashes blobs on `jobs` threads (0: one per core), the largest first unless they go `in_order`; with
        `checksums` also their XXH3-128. An interrupt, or the monotonic clock (ns) at the deadline, leaves the rest
        UNCHECKED."""
        flat = node_array(nodes)
        self.stat(flat)
        hashes = Hashes(bytearray(len(flat)), bytearray(CHECKSUM * len(flat) if checksums else 0))
        found = ffi.from_buffer("struct ocigc_checksum[]", hashes.checksums) if checksums else ffi.NULL
        options = {"deadline": deadline, "in_order": in_order, "checksums": found}
        terms = ffi.new("struct ocigc_verify_options *", options)
        arguments = self.handle, pointer(flat), len(flat), jobs, terms, bytes_pointer(hashes.verdicts)
        with suppress(KeyboardInterrupt):
            long_call(lib.ocigc_verify, *arguments, report=report)
        return hashes

    def read_all(self, nodes: array[int], readers: int, report: Report | None = None) -> int:
        """Reads blobs, so many at a time, and does nothing with them; how many bytes that were."""
        read = ffi.new("uint64_t *")
        arguments = self.handle, pointer(nodes), len(nodes), readers, 0, read
        long_call(lib.ocigc_read_blobs, *arguments, report=report)
        return int(read[0])

    def forget(self, nodes: array[int]) -> None:
        """Asks the kernel to keep nothing of these blobs in memory."""
        long_call(lib.ocigc_read_blobs, self.handle, pointer(nodes), len(nodes), 0, 1, ffi.new("uint64_t *"))

    # Sweep

    def sweep(
        self, nodes: Sequence[int], trash: int, report: Report | None = None, *, durable: bool = False
    ) -> bytearray:
        """Moves blobs and their label files into an open trash directory; a Swept per node. With `durable`, they
        are synced there before they leave the layout. Raises Refused."""
        flat = node_array(nodes)
        self.stat(flat)
        results = bytearray(len(flat))
        arguments = self.handle, pointer(flat), len(flat), trash, durable, bytes_pointer(results)
        long_call(lib.ocigc_sweep, *arguments, report=report)
        return results


def _copied(code: str, address: Any, count: int, *before: int) -> array[int]:
    """The numbers at an address, after some others."""
    found = array(code, before)
    found.frombytes(memory(address, count * found.itemsize))
    return found
