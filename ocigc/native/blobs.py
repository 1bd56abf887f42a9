"""The blobs of a layout, by node: their digests, and the status of their files."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from itertools import islice
from typing import Any, Self

from ocigc._native import ffi, lib
from ocigc.closing import Closing
from ocigc.digest import Digest
from ocigc.hard_links import Files, HardLink, RemovedLinks
from ocigc.native.calls import NEVER, NO_NODE, Background, Rows, call, listed, long_call, node_array, pointer, struct_of
from ocigc.progress import Report
from ocigc.sequences import Mapped
from ocigc.values import frozen

_BATCH = 1024  # nodes
_FEW = 64  # nodes
_MEMBER = struct_of("ocigc_archive_member")
_LINK = struct_of("ocigc_hard_link")
_ALGORITHMS = {"sha256": (lib.OCIGC_SHA256, 32), "sha512": (lib.OCIGC_SHA512, 64), "blake3": (lib.OCIGC_BLAKE3, 32)}
"""The number of each registered algorithm, by name, and the bytes of its digests."""


class Detail(IntEnum):
    """What a scan asks of each blob: `enum ocigc_scan_detail`."""

    NAMES = lib.OCIGC_SCAN_NAMES
    STATUS = lib.OCIGC_SCAN_STATUS
    IDENTITY = lib.OCIGC_SCAN_IDENTITY


class MemberKind(IntEnum):
    """What a member of an archive is: `enum ocigc_archive_kind`."""

    BLOB = lib.OCIGC_ARCHIVE_BLOB
    LABEL = lib.OCIGC_ARCHIVE_LABEL
    FOREIGN = lib.OCIGC_ARCHIVE_FOREIGN


@frozen
class ArchiveMember:
    """A member of an archive: `struct ocigc_archive_member`. A blob and its label file are named by the digest."""

    kind: MemberKind
    name: str
    start: int
    size: int
    modified: int
    links: int


class Blobs(Closing):
    """The blobs of a layout as one scan found them. A node is the number of a present blob: 0 .. len - 1, in the order
    of algorithms' names, then of digests.
    """

    def __init__(self, handle: Any, detail: Detail, taken: RemovedLinks | None) -> None:
        self.handle = ffi.gc(handle, lib.ocigc_store_free)
        self._has_all_statuses = detail != Detail.NAMES
        self._taken = taken

    @classmethod
    def scan(
        cls,
        layout: int,
        report: Report | None = None,
        detail: Detail = Detail.NAMES,
        taken: RemovedLinks | None = None,
    ) -> Self:
        """Scans `blobs/` below an open directory. `taken` are the hard links that this run has removed from other
        layouts; they make no blob here `newer`. Raises Refused if there is a symlink or special file.
        """
        found = ffi.new("ocigc_store **")
        long_call(lib.ocigc_store_scan, layout, detail, 0, found, report=report)
        return cls(found[0], detail, taken)

    @classmethod
    def scan_shared(
        cls,
        layout: int,
        shared: int,
        wanted: Iterable[Digest],
        report: Report | None = None,
        detail: Detail = Detail.NAMES,
    ) -> Self:
        """The same, with those of the digests `wanted` (of registered algorithms) that only the open directory `shared`
        has, as `<algorithm>/<encoded>`. Raises Refused.
        """
        found = ffi.new("ocigc_store **")
        text = ffi.from_buffer("".join(f"{digest}\n" for digest in wanted).encode())
        long_call(lib.ocigc_store_scan_shared, layout, shared, text, len(text), detail, 0, found, report=report)
        return cls(found[0], detail, None)

    @classmethod
    def of_archive(cls, archive: int, members: Iterable[ArchiveMember]) -> Self:
        """The blobs of an open archive, of which each has one member. Raises Refused."""
        names, rows = bytearray(), bytearray()
        for each in members:
            name = each.name.encode("utf-8", "surrogateescape")
            stamp = min(max(each.modified, -NEVER), NEVER)
            rows += _MEMBER.pack(each.start, each.size, stamp, len(names), len(name), each.links, each.kind)
            names += name
        found = ffi.new("ocigc_store **")
        texts, array_ = ffi.from_buffer(names), ffi.from_buffer("struct ocigc_archive_member[]", rows)
        call(lib.ocigc_store_of_archive, archive, texts, array_, len(rows) // _MEMBER.size, found)
        return cls(found[0], Detail.STATUS, None)

    @classmethod
    def listed(cls, layout: int, algorithm: str, digests: bytes) -> Self:
        """The blobs below an open directory with these binary digests (concatenated), whether they exist or not. Raises
        Refused where their directory cannot be opened, and ValueError for an algorithm that is not registered."""
        number, width = _ALGORITHMS.get(algorithm, (0, 1))
        count, rest = divmod(len(digests), width)
        if not number or rest:
            raise ValueError(f"not digests of {algorithm}")
        found = ffi.new("ocigc_store **")
        call(lib.ocigc_store_list, layout, number, ffi.from_buffer("uint8_t[]", digests), count, found)
        return cls(found[0], Detail.NAMES, None)

    def close(self) -> None:
        """Frees all memory now."""
        ffi.release(self.handle)

    def __len__(self) -> int:
        return int(lib.ocigc_store_count(self.handle))

    # Digests

    def find(self, digest: str) -> int | None:
        """The node of a digest, None if the blob is absent."""
        encoded = digest.encode(errors="replace")
        node = int(lib.ocigc_store_find(self.handle, encoded, len(encoded)))
        return None if node == NO_NODE else node

    def find_longer(self, beginning: str) -> int | None:
        """The first node whose digest is longer than this and begins with it, or None."""
        wanted = beginning.split(":", 1)
        node = bisect_right(range(len(self)), wanted, key=lambda node: self.digest(node).split(":", 1))
        return node if node < len(self) and self.digest(node).startswith(beginning) else None

    def digest(self, node: int) -> Digest:
        """`alg:encoded`."""
        return next(self.digests((node,)))

    def digests(self, nodes: Iterable[int]) -> Iterator[Digest]:
        """The same of many."""
        remaining = iter(nodes)
        while batch := array("I", islice(remaining, _BATCH)):
            text = ffi.new("char[]", 256 * len(batch))
            length = lib.ocigc_store_digests(self.handle, pointer(batch), len(batch), text)
            yield from map(Digest, ffi.unpack(text, length).decode("ascii", "replace").splitlines())

    def sweepable(self, nodes: Sequence[int]) -> array[int]:
        """Those whose algorithm is registered: others are never deleted."""
        return self._select(lib.ocigc_store_sweepable, nodes)

    def added(self, earlier: Blobs) -> array[int]:
        """The nodes of blobs that an earlier scan of the same layout did not find."""
        return listed(lib.ocigc_store_added, self.handle, earlier.handle)

    # Files

    def stat(self, nodes: Sequence[int] | None = None, report: Report | None = None) -> None:
        """Reads the status of the nodes' files (None: of all files) where it is not known yet. Methods that need it do
        this by themselves, but reading many at once is faster. Raises Refused if a file is no longer a regular one.
        """
        if self._has_all_statuses:
            return
        flat = array("I") if nodes is None else node_array(nodes)
        if nodes is not None and len(flat) <= _FEW and all(map(self._has_status, flat)):
            return  # without a thread, as for each of many images
        address = ffi.NULL if nodes is None else pointer(flat)
        long_call(lib.ocigc_store_stat, self.handle, address, len(flat), 0, report=report)
        self._has_all_statuses = nodes is None

    @contextmanager
    def read_meanwhile(self, nodes: Sequence[int]) -> Iterator[None]:
        """The same while a `with` block runs, which must not ask for any status. What cannot be read then is read again
        when it is asked for.
        """
        with Background(lambda: self.stat(nodes)):
            yield

    def keep_statuses(self) -> None:
        """Keeps the status of every file that is opened from now on, for a caller that will ask for all. Raises
        Refused.
        """
        if not self._has_all_statuses:
            call(lib.ocigc_store_keep_statuses, self.handle)

    def _has_status(self, node: int) -> bool:
        return bool(lib.ocigc_store_has_status(self.handle, node))

    def size(self, node: int) -> int:
        """Bytes."""
        if not lib.ocigc_store_has_status(self.handle, node):
            self.stat([node])
        return int(lib.ocigc_store_size(self.handle, node))

    def sizes(self) -> array[int]:
        """The sizes of all, by node, in bytes."""
        self.stat()
        sizes = array("Q", bytes(8 * len(self)))
        lib.ocigc_store_sizes(self.handle, ffi.from_buffer("uint64_t[]", sizes))
        return sizes

    def empty(self) -> array[int]:
        """The nodes whose files have no bytes, ascending."""
        self.stat()
        return listed(lib.ocigc_store_empty, self.handle)

    def stamp(self, node: int) -> int:
        """The newer of mtime and ctime, an instant."""
        if not lib.ocigc_store_has_status(self.handle, node):
            self.stat([node])
        return int(lib.ocigc_store_stamp(self.handle, node))

    def modified(self, node: int) -> int:
        """The mtime as it is now, an instant. Raises Refused if it cannot be read."""
        return self._file(node).modified

    def newer(self, nodes: Sequence[int], instant: int) -> array[int]:
        """Those whose stamp is after an instant, unless only this run has moved it (see `scan`)."""
        self.stat(nodes)
        newer = self._select(lib.ocigc_store_newer, nodes, instant)
        taken = self._taken
        return newer if taken is None else array("I", (n for n in newer if taken.touched(self._file(n)) > instant))

    def freed(self, nodes: Sequence[int]) -> int:
        """The bytes that go with the nodes. A hard-linked file counts only with its last link."""
        flat = node_array(nodes)
        self.stat(flat)
        freed = ffi.new("uint64_t *")
        call(lib.ocigc_store_freed, self.handle, pointer(flat), len(flat), freed)
        return int(freed[0])

    def freed_each(self, nodes: array[int], ends: array[int]) -> array[int]:
        """The same for each of many groups of nodes. Group n ends before ends[n]."""
        self.stat(nodes)
        freed = array("Q", bytes(8 * len(ends)))
        out = ffi.from_buffer("uint64_t[]", freed)
        call(lib.ocigc_store_freed_each, self.handle, pointer(nodes), pointer(ends), len(ends), out)
        return freed

    def files(self, nodes: Iterable[int]) -> Files:
        """The files of the nodes."""
        flat = node_array(nodes)
        self.stat(flat)
        count = lib.ocigc_store_hard_links(self.handle, pointer(flat), len(flat), ffi.NULL, 0)
        rows = bytearray(_LINK.size * count)
        out = ffi.from_buffer("struct ocigc_hard_link[]", rows)
        lib.ocigc_store_hard_links(self.handle, pointer(flat), len(flat), out, count)
        bytes_ = ffi.new("struct ocigc_file_bytes *")
        call(lib.ocigc_store_file_bytes, self.handle, pointer(flat), len(flat), bytes_)
        names = Mapped(_linked, Rows(_LINK, rows))
        return Files(bytes_.alone, names, bytes_.size, bytes_.disk, bytes_.freed)

    def foreign(self) -> tuple[int, list[str]]:
        """How many files below blobs/ are not blobs, and the names of the first thousand."""
        names: list[str] = []
        while (name := lib.ocigc_store_foreign(self.handle, len(names))) != ffi.NULL:
            names.append(ffi.string(name).decode(errors="backslashreplace"))
        return int(lib.ocigc_store_foreign_count(self.handle)), names

    def read(self, node: int, limit: int, *, verify: bool = True) -> bytes:
        """The content of a blob of at most `limit` bytes. Raises Refused if it cannot be read, CorruptError if it does
        not match its digest.
        """
        content, length = ffi.new("char **"), ffi.new("size_t *")
        call(lib.ocigc_store_read, self.handle, node, limit, verify, content, length)
        try:
            return bytes(ffi.buffer(content[0], length[0]))
        finally:
            lib.ocigc_bytes_free(content[0])

    def _file(self, node: int) -> HardLink:
        found = ffi.new("struct ocigc_hard_link *")
        call(lib.ocigc_store_stat_now, self.handle, node, found)
        return _name(found)

    def _select(self, select: Callable[..., int], nodes: Sequence[int], *arguments: int) -> array[int]:
        flat = node_array(nodes)
        selected = array("I", bytes(4 * len(flat)))
        return selected[: select(self.handle, pointer(flat), len(flat), *arguments, pointer(selected))]


def _name(link: Any) -> HardLink:
    return HardLink(link.device, link.inode, link.links, link.size, link.stamp, link.modified)


def _linked(row: tuple[int, ...]) -> HardLink:
    return HardLink(*row)
