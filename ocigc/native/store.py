"""The store: the blobs of a layout with their graph, to be measured, verified and swept."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import IntEnum

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import OcigcError
from ocigc.image import Media
from ocigc.native.blobs import Detail
from ocigc.native.calls import (
    NEVER,
    LongCall,
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
from ocigc.native.graph_store import GraphStore
from ocigc.progress import Report
from ocigc.values import frozen

__all__ = ["CHECKSUM", "Detail", "FateAmounts", "HashRun", "Hashes", "Missing", "Shared", "Store", "Swept", "Verdict"]

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
    """The result of hashing some blobs: a Verdict for each and, if wanted, the XXH3-128 of the sound ones, CHECKSUM
    bytes each. `troubles` say why some are UNCHECKED, unless that was an interrupt."""

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


class HashRun:
    """The hashing of some blobs of a store, in threads of the core."""

    def __init__(
        self,
        handle: object,
        nodes: array[int],
        jobs: int,
        *,
        checksums: bool,
        deadline: int = NEVER,
        in_order: bool = False,
        held: bool = False,
    ) -> None:
        self._hashes = Hashes(bytearray(len(nodes)), bytearray(CHECKSUM * len(nodes) if checksums else 0))
        self._held = ffi.new("int32_t *", held)
        found = ffi.from_buffer("struct ocigc_checksum[]", self._hashes.checksums) if checksums else ffi.NULL
        options = {"deadline": deadline, "in_order": in_order, "checksums": found, "held": self._held}
        terms = ffi.new("struct ocigc_verify_options *", options)
        verdicts = bytes_pointer(self._hashes.verdicts)
        self._call = LongCall(lib.ocigc_verify, handle, pointer(nodes), len(nodes), jobs, terms, verdicts)
        self._checksums = found  # terms has only its address
        self._is_begun = False

    def begin(self) -> None:
        """Begins to hash: with `held`, only large blobs."""
        self._is_begun = True
        self._call.start()

    def finish(self, report: Report | None) -> Hashes:
        """Hashes all, or what is left. An interrupt leaves the rest UNCHECKED. Raises OcigcError."""
        lib.ocigc_verify_release(self._held)
        try:
            if not self._is_begun:
                self.begin()
            self._call.wait(report)
        except BaseException as error:
            self._call.cancel()
            if not isinstance(error, KeyboardInterrupt):
                raise
        return self._hashes

    def cancel(self) -> None:
        """Stops it."""
        self._call.cancel()


class Store(GraphStore):
    """The same, measured, verified and swept. `verify` and `sweep` need the scan alone."""

    _begun: HashRun | None = None

    def close(self) -> None:
        """Stops hashing that has begun, and frees all memory now."""
        if self._begun is not None:
            self._begun.cancel()
        super().close()

    # Measure

    def usage(
        self,
        nodes: array[int],
        medias: bytes | None,
        ends: array[int] | None = None,
        flags: bytes | bytearray | None = None,
    ) -> Rows:
        """Measures groups of nodes: for each, the bytes of its nodes, of those that other groups have too, and of those
        whose `flags` (a byte per node) have the lowest bit set; and all flags of its nodes. A group has what its nodes
        walk, read as the Media in `medias`, or, without `medias`, only the nodes themselves. Group n ends before
        ends[n] (None: each node is a group).
        """
        self.stat()
        ends = array("I", range(1, len(nodes) + 1)) if ends is None else ends
        found = bytearray(_USAGE.size * len(ends))
        out = ffi.from_buffer("struct ocigc_usage[]", found)
        types, marks = (ffi.NULL if each is None else ffi.from_buffer("uint8_t[]", each) for each in (medias, flags))
        call(lib.ocigc_graph_usage, self.handle, pointer(nodes), types, pointer(ends), len(ends), marks, out)
        return Rows(_USAGE, found)

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
        """What each unit has of the nodes, and after the units, what each group has: in all, of the fates with the flag
        and, without the nodes that are `skipped`, of each fate (a byte per node, below 8).
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

    # Verify

    def record(self, report: Report | None = None, *, descriptors: bool = True) -> None:
        """From now on, `expand` records bad blobs as `faults` instead of raising. With `descriptors`, which reads the
        status of all files, it also records what is `missing` and what has a wrong size.
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
        hashing = HashRun(self.handle, flat, jobs, checksums=checksums, deadline=deadline, in_order=in_order)
        return hashing.finish(report)

    def begin_verify(self, jobs: int = 0, *, checksums: bool = False) -> HashRun:
        """Begins to hash all blobs, the large ones first. The others wait until `HashRun.finish`, because the graph may
        be read meanwhile, and that hashes many of them. The scan must have asked for statuses."""
        nodes = array("I", range(len(self)))
        self.stat(nodes)
        self._begun = HashRun(self.handle, nodes, jobs, checksums=checksums, held=True)
        self._begun.begin()
        return self._begun

    def read_all(self, nodes: array[int], readers: int, report: Report | None = None) -> int:
        """Reads blobs, the given number at a time, and does nothing with them. Returns how many bytes that were."""
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


def _copied(code: str, address: object, count: int, *before: int) -> array[int]:
    """The numbers at an address, after some others."""
    found = array(code, before)
    found.frombytes(memory(address, count * found.itemsize))
    return found
