"""The graph of a store: what refers to what, read, marked and walked."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

from ocigc._native import ffi, lib
from ocigc.errors import MalformedError
from ocigc.gc.graph import Group, Groups, Owned, Walks, flags
from ocigc.hard_links import RemovedLinks
from ocigc.image import Descriptor, Media
from ocigc.native.blobs import Blobs, Detail
from ocigc.native.calls import (
    NEVER,
    NO_NODE,
    bytes_pointer,
    call,
    listed,
    long_call,
    memory,
    node_array,
    pointer,
    struct_of,
)
from ocigc.native.documents import MEDIAS
from ocigc.progress import Report

_LABEL = struct_of("ocigc_label")


def _reach(group: Group) -> int:
    if group.flat:
        return int(lib.OCIGC_REACH_FLAT)
    return int(lib.OCIGC_REACH_FORWARD if group.forward else lib.OCIGC_REACH_ALL)


def _walks(walks: Walks) -> tuple[object, object]:
    return pointer(walks.nodes), ffi.from_buffer("uint8_t[]", walks.medias)


class _StoreMarks:
    """Implements `ocigc.gc.graph.Marks`. Valid until the store is marked again, or its graph is cleared."""

    def __init__(self, handle: object) -> None:
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


class GraphStore(Blobs):
    """The blobs of a layout, and the graph of what refers to what. Implements `ocigc.gc.graph.Graph`.

    Calling sequence: `scan`; `read_labels`, `record` if wanted; `expand` from the roots; `add_referrer` and
    `find_referrers`; then `mark`, and any question.
    """

    def __init__(self, handle: Any, detail: Detail, taken: RemovedLinks | None) -> None:
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
        """Takes contents (concatenated) of nodes that somebody has read already. An `expand` within this block uses
        those that have the digest of their node, and reads the files of the others. Raises MalformedError.
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
        """Searches the blobs that nothing has reached for referrers. Also expands JSON whose stamp is after an instant,
        as a writer may be about to name it.
        """
        long_call(lib.ocigc_graph_find_referrers, self.handle, newer_than, 0, report=report)

    def add_referrer(self, subject: int, referrer: int) -> None:
        """Adds the edge from a subject to its referrer."""
        call(lib.ocigc_graph_add_referrer, self.handle, subject, referrer)

    def remove_referrer(self, subject: int, referrer: int) -> None:
        """Removes the edge from a subject to its referrer, if there is one. An absent referrer (NO_NODE) has none."""
        lib.ocigc_graph_remove_referrer(self.handle, subject, referrer)

    def clear_graph(self) -> None:
        """Frees the memory of the graph: from here on no blob refers to any other."""
        call(lib.ocigc_graph_clear, self.handle)

    # Ask

    def form(self, node: int) -> Media:
        """The form that `expand` has found a node to have, whatever media types say: MANIFEST, INDEX or UNKNOWN."""
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

    def mark(self, groups: Iterable[Group]) -> _StoreMarks:
        """Marks what each group reaches that no group before it reached."""
        marks = _StoreMarks(self.handle)
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

    def visiting(self, walks: Walks, wanted: Iterable[int]) -> bytearray:
        """Which walks visit a wanted node: a flag per walk. NO_NODE walks nowhere."""
        found, marks = bytearray(len(walks.nodes)), ffi.from_buffer("uint8_t[]", flags(wanted, len(self)))
        arguments = *_walks(walks), len(walks.nodes), marks, bytes_pointer(found)
        call(lib.ocigc_graph_visiting, self.handle, *arguments)
        return found

    def referred(self, nodes: array[int]) -> array[int]:
        """Those to which an edge leads, or that have a subject."""
        found, count = array("I", bytes(4 * len(nodes))), ffi.new("size_t *")
        call(lib.ocigc_graph_referred, self.handle, pointer(nodes), len(nodes), pointer(found), count)
        return found[: count[0]]

    def paths_to(self, node: int) -> tuple[array[int], bytearray]:
        """Paths to this node from every node that reaches it: per node, the next node on its path (NO_NODE if it does
        not reach this one), and the Role of that edge (SUBJECT: the next node is its referrer).
        """
        following = array("I", bytes(4 * len(self)))
        roles = bytearray(len(self))
        lib.ocigc_graph_paths_to(self.handle, node, pointer(following), bytes_pointer(roles))
        return following, roles
