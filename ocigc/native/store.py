"""The store: the blobs of a layout and the graph of what refers to what, marked, verified and swept."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import OcigcError
from ocigc.gc.graph import Group
from ocigc.hard_links import HardLinks
from ocigc.image import Descriptor, Media
from ocigc.native.blobs import Blobs, Detail
from ocigc.native.calls import (
    NEVER,
    NO_NODE,
    bytes_pointer,
    call,
    exception,
    listed,
    long_call,
    node_array,
    pointer,
)
from ocigc.native.documents import MEDIAS
from ocigc.progress import Report

__all__ = ["Detail", "Store", "Swept", "Verdict"]


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


class _Marks:
    """Implements `ocigc.gc.graph.Marks`. Valid until the store is marked again, or its graph is cleared."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._groups = 0
        owners = ffi.buffer(lib.ocigc_graph_owners(handle), 4 * lib.ocigc_store_count(handle))
        self._owners = memoryview(owners).cast("I")
        lib.ocigc_graph_unmark(handle)

    def add(self, groups: Iterable[Group]) -> None:
        roots, ends, flat = array("I"), array("I"), bytearray()
        for group in groups:
            roots.extend(group.roots)
            ends.append(len(roots))
            flat.append(group.flat)
        flags = ffi.from_buffer("uint8_t[]", flat)
        call(lib.ocigc_graph_mark, self._handle, pointer(roots), pointer(ends), flags, len(ends), self._groups + 1)
        self._groups += len(ends)

    def owner(self, node: int) -> int | None:
        owner = self._owners[node]
        return owner - 1 if owner else None

    def owned(self, first: int, stop: int) -> array[int]:
        return listed(lib.ocigc_graph_owned, self._handle, first + 1, stop) if stop > first else array("I")

    def unreachable(self) -> array[int]:
        return listed(lib.ocigc_graph_owned, self._handle, 0, 0)


class Store(Blobs):
    """The blobs of a layout, and the graph of what refers to what. Implements `ocigc.gc.graph.Graph`.

    Calling sequence: `scan`; `read_labels`, `record` if wanted; `expand` from the roots; `add_referrer` and
    `find_referrers`; then `mark`, and any question. `verify` and `sweep` need the scan alone.
    """

    def __init__(self, handle: Any, detail: Detail, taken: HardLinks | None) -> None:
        super().__init__(handle, detail, taken)
        self._walk_nodes = array("I", bytes(4 * 64))
        self._walk_medias = array("i", bytes(4 * 64))

    # Read

    def read_labels(self, report: Report | None = None) -> None:
        """Reads the label files of all blobs. Raises MalformedError."""
        long_call(lib.ocigc_graph_read_labels, self.handle, report=report)

    def label_roots(self) -> array[int]:
        """The nodes with a `gc.root` label."""
        return listed(lib.ocigc_graph_label_roots, self.handle)

    def expand(self, nodes: array[int], medias: bytes, report: Report | None = None) -> None:
        """Reads, verifies and parses every manifest and index that the nodes reach; `medias` has the Media of each
        node, and NO_NODE reaches nothing. Raises Refused at the first that cannot be read, verified or parsed.
        """
        types = ffi.from_buffer("uint8_t[]", medias)
        long_call(lib.ocigc_graph_expand, self.handle, pointer(nodes), types, len(nodes), 0, report=report)

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
        """Removes the edge from a subject to its referrer."""
        lib.ocigc_graph_remove_referrer(self.handle, subject, referrer)

    def clear_graph(self) -> None:
        """Frees the memory of the graph: from here on no blob refers to any other."""
        call(lib.ocigc_graph_clear, self.handle)

    # Ask

    def subject(self, node: int) -> int | None:
        """The present subject of a manifest."""
        subject = int(lib.ocigc_graph_subject(self.handle, node))
        return None if subject == NO_NODE else subject

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

    def paths_to(self, node: int) -> tuple[array[int], bytearray]:
        """The paths from every node that reaches this one down to it: per node the next on its path (NO_NODE if it does
        not reach it), and the Role of that edge (SUBJECT: the next is its referrer).
        """
        following = array("I", bytes(4 * len(self)))
        roles = bytearray(len(self))
        lib.ocigc_graph_paths_to(self.handle, node, pointer(following), bytes_pointer(roles))
        return following, roles

    # Verify

    def record(self, report: Report | None = None) -> None:
        """From here on `expand` records bad manifests instead of raising, and records what descriptors get wrong."""
        self.stat(report=report)
        lib.ocigc_graph_record(self.handle)

    def faults(self) -> list[tuple[int, OcigcError]]:
        """The manifests and indexes that cannot be read, parsed or verified: node and why."""
        error = ffi.new("struct ocigc_error *")
        count = lib.ocigc_graph_fault_count(self.handle)
        return [(int(lib.ocigc_graph_fault(self.handle, n, error)), exception(error)) for n in range(count)]

    def missing(self) -> list[Digest]:
        """The digests that descriptors name and that are absent."""
        found = (lib.ocigc_graph_missing(self.handle, n) for n in range(lib.ocigc_graph_missing_count(self.handle)))
        return [Digest(ffi.string(digest).decode("ascii", "replace")) for digest in found]

    def wrong_sizes(self) -> list[int]:
        """The nodes whose size is not what a descriptor says."""
        return list(listed(lib.ocigc_graph_wrong_sizes, self.handle))

    def verify(self, nodes: Sequence[int], jobs: int = 0, report: Report | None = None) -> bytearray:
        """Hashes blobs, the largest first; a Verdict per node. An interrupt leaves the rest UNCHECKED."""
        flat = node_array(nodes)
        self.stat(flat)
        verdicts = bytearray(len(flat))
        arguments = self.handle, pointer(flat), len(flat), jobs, ffi.NULL, bytes_pointer(verdicts)
        with suppress(KeyboardInterrupt):
            long_call(lib.ocigc_verify, *arguments, report=report)
        return verdicts

    # Sweep

    def sweep(self, nodes: Sequence[int], trash: int, report: Report | None = None) -> bytearray:
        """Moves blobs and their label files into an open trash directory; a Swept per node. Raises Refused."""
        flat = node_array(nodes)
        self.stat(flat)
        results = bytearray(len(flat))
        arguments = self.handle, pointer(flat), len(flat), trash, bytes_pointer(results)
        long_call(lib.ocigc_sweep, *arguments, report=report)
        return results
