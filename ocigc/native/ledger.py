"""The ledger: what earlier verifications know of a store's blobs."""

from __future__ import annotations

from array import array
from contextlib import suppress
from enum import IntEnum
from itertools import compress

from ocigc._native import ffi, lib
from ocigc.native.calls import bytes_pointer, call, long_call, pointer
from ocigc.native.store import Hashes, Store
from ocigc.progress import Report


class Selection(IntEnum):
    """Selects blobs by what a ledger knows about them: `enum ocigc_selection`."""

    CHANGED = lib.OCIGC_SELECT_CHANGED
    RECORDED = lib.OCIGC_SELECT_RECORDED
    UNRECORDED = lib.OCIGC_SELECT_UNRECORDED
    OLDER = lib.OCIGC_SELECT_OLDER


class Ledger:
    """Records of a store scanned with Detail.IDENTITY: when a blob was verified, which file it was, its XXH3-128."""

    def __init__(self, store: Store) -> None:
        self._store = store  # which must outlive the handle
        found = ffi.new("ocigc_ledger **")
        call(lib.ocigc_ledger_new, store.handle, found)
        self._handle = ffi.gc(found[0], lib.ocigc_ledger_free)
        self._updated = array("I")

    def close(self) -> None:
        """Frees all memory now."""
        ffi.release(self._handle)

    def read(self, fd: int, now: int) -> int:
        """Takes the records of a file that are still true, but none that was verified after the instant `now`. Returns
        the number of damaged buckets of records that were dropped. Raises MalformedError if it is not a ledger.
        """
        damaged = ffi.new("uint64_t *")
        call(lib.ocigc_ledger_read, self._handle, fd, now, damaged)
        return int(damaged[0])

    def write(self, fd: int) -> None:
        """Writes it to an open, empty file."""
        call(lib.ocigc_ledger_write, self._handle, fd)

    @property
    def differs(self) -> bool:
        """Whether it differs from the file that was read."""
        return bool(lib.ocigc_ledger_differs(self._handle))

    def select(self, nodes: array[int], selection: Selection, before: int = 0) -> array[int]:
        """Those of the nodes that are selected; OLDER selects those verified before an instant, the oldest first."""
        selected = array("I", bytes(4 * len(nodes)))
        count = lib.ocigc_ledger_select(self._handle, pointer(nodes), len(nodes), selection, before, pointer(selected))
        return selected[:count]

    def compare(self, nodes: array[int], jobs: int, deadline: int, report: Report | None = None) -> bytearray:
        """Reads blobs again: SOUND or CORRUPT by XXH3-128 alone. After an interrupt, or when the monotonic clock (ns)
        reaches the deadline, the rest stays UNCHECKED.
        """
        verdicts = bytearray(len(nodes))
        arguments = self._handle, pointer(nodes), len(nodes), jobs, deadline, bytes_pointer(verdicts)
        with suppress(KeyboardInterrupt):
            long_call(lib.ocigc_ledger_compare, *arguments, report=report)
        return verdicts

    def update(self, nodes: array[int], hashes: Hashes, began: int) -> None:
        """Records what a run has found. The run began at an instant before the scan."""
        checksums = ffi.from_buffer("struct ocigc_checksum[]", hashes.checksums)
        self._updated.extend(compress(nodes, hashes.verdicts))
        lib.ocigc_ledger_update(
            self._handle, pointer(nodes), len(nodes), bytes_pointer(hashes.verdicts), checksums, began
        )

    def take_over(self, other: Ledger) -> None:
        """Adds the newer records of a ledger of the same store, except for blobs that this run has found not sound."""
        lib.ocigc_ledger_take_over(self._handle, other._handle, pointer(self._updated), len(self._updated))
