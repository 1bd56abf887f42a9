"""A compressed archive, verified as it is read: once, from its beginning to its end.

Each file is hashed as it comes. Files that say what there should be (index.json, manifests, configs, labels) are kept
in a temporary file without a name, as is everything that begins like JSON. Layers are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile, gettempdir
from typing import IO

from ocigc.digest import Digest
from ocigc.errors import Refused, UsageError, printable
from ocigc.layout import docker_list
from ocigc.layout.archive import Archive, open_archive
from ocigc.layout.archive_dir import NOT_KEPT, ArchiveDir, File
from ocigc.layout.blob_check import hasher
from ocigc.layout.layout import INDEX, INDEX_LIMIT, MARKER, Layout
from ocigc.layout.opening import open_either
from ocigc.layout.tar import Kind, Member, Tar
from ocigc.native import Hashes, Store, Verdict
from ocigc.progress import Progress, Report, Watcher
from ocigc.verification.decompress import Decoder, Undecodable, gunzip, zstd_by_program, zstd_decoder

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20
_KEPT = 64 << 10  # bytes of any blob
_JSON_KEPT = 16 << 20  # bytes of what begins like JSON: larger is not looked into
_KEPT_NAMES = {MARKER: 1 << 16, INDEX: INDEX_LIMIT, docker_list.NAME: docker_list.LIMIT}
_MOST_KEPT = 8 << 30  # bytes in all
_REPORTED = 16 << 20  # bytes between two reports
_BEGINNING_READ = 4096  # bytes, as the core does
_BLANK = b" \t\n\r"


def open_any(path: str, watch: Watcher, confine: Callable[[], None] = lambda: None) -> Layout:
    """Opens the directory of a layout, an archive, or an archive that is compressed by gzip or zstd. The last is read
    to its end now, after a call of `confine`. Raises UsageError and Refused."""
    magic = b""
    if os.path.isfile(path):
        fd = open_archive(path)
        magic = os.pread(fd, 4, 0)
        os.close(fd)
    if magic.startswith(_GZIP):
        return StreamedArchive(path, gunzip, watch, confine)
    return StreamedArchive(path, _zstd(path), watch, confine) if magic == _ZSTD else open_either(path, watch)


def _zstd(path: str) -> Decoder:
    from shutil import which

    decoder = zstd_decoder()
    if decoder is not None:
        return decoder
    if which("zstd") is None:
        raise UsageError(
            f"{printable(path)}: compressed by zstd: install the program `zstd`, or Python's package backports.zstd"
        )
    return zstd_by_program


class StreamedArchive(Archive):
    """An archive that has been read from a stream. Its blobs have been hashed; layers were not kept."""

    is_streamed = True

    def __init__(self, path: str, decoder: Decoder, watch: Watcher, confine: Callable[[], None] = lambda: None) -> None:
        """Reads all of it; calls `confine` once it only has to read. Raises UsageError, and Refused where it cannot be
        read or there is no room for what has to be kept."""
        source = open_archive(path)
        try:
            with open(source, "rb", buffering=0) as file, TemporaryFile(buffering=0) as spool:
                stream = _Stream(file, decoder, watch("Verifying"))
                confine()
                tar = Tar(stream)  # type: ignore[arg-type]
                self._take(path, os.dup(spool.fileno()), tar, _Spool(spool, stream, tar).members())
        except OSError as error:
            raise Refused(f"{printable(path)}: {error.strerror or error}") from None

    def scan(self, *_: object) -> Store:
        """Its blobs, with the digests that were computed."""
        directory = self.dir
        assert isinstance(directory, ArchiveDir)
        store = _HashedStore.of_archive(self.fd, directory.members())
        store.verdicts = _verdicts(directory)
        return store


class _HashedStore(Store):
    """A store whose blobs were hashed as they came."""

    verdicts: Mapping[str, Verdict]

    def verify(self, nodes: Sequence[int], *_: object, **__: object) -> Hashes:
        """The verdicts of the blobs, which were hashed as they came."""
        return Hashes(bytearray(self.verdicts[digest] for digest in self.digests(nodes)), bytearray())


def _verdicts(layout: ArchiveDir) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for algorithm in layout.names_below("blobs"):
        try:
            files = layout.below("blobs", algorithm).files()
        except NotADirectoryError:
            continue
        found |= {f"{algorithm}:{name}": _verdict(f"{algorithm}:{name}", file) for name, file in files.items()}
    return found


def _verdict(digest: str, file: File) -> Verdict:
    algorithm, _, actual = file.digest.partition(":")
    if file.digest == digest:
        return Verdict.SOUND
    if algorithm == Digest(digest).algorithm:
        return Verdict.CORRUPT if actual else Verdict.UNSUPPORTED
    return Verdict.UNREADABLE if Digest(digest).registered else Verdict.UNSUPPORTED


class _Stream:
    """The output of a decoder, as a file to read."""

    def __init__(self, file: IO[bytes], decoder: Decoder, report: Report | None) -> None:
        self.trouble = ""
        self._pieces = decoder(file)
        self._file = file
        self._report = report
        self._size = os.fstat(file.fileno()).st_size
        self._reported = 0
        self._rest = memoryview(self._next() or b"")  # whatever decodes has begun

    def read(self, count: int) -> bytes:
        """Up to `length` bytes; none at the end, or if the stream cannot be decoded any further."""
        while not self._rest:
            piece = self._next()
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:count], self._rest[count:]
        return bytes(taken)

    def drain(self) -> None:
        """Reads on to the end, where there may be a checksum."""
        while self._next() is not None:
            pass

    def _next(self) -> bytes | None:
        try:
            piece = next(self._pieces, None)
        except Undecodable as error:
            self.trouble = str(error)
            return None
        position = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        if self._report is not None and position - self._reported >= _REPORTED:
            self._reported = position
            self._report(Progress(0, position, 0, self._size))
        return piece


@dataclass
class _Spool:
    """The contents that are needed later."""

    file: IO[bytes]
    stream: _Stream
    tar: Tar
    end: int = field(default=0, init=False)

    def members(self) -> Iterator[tuple[Member, File]]:
        """The members; each is hashed, and kept if it is needed later."""
        for member in self.tar:
            file = File(NOT_KEPT, member.size, member.modified)
            # If the archive ends within this one, it does not count as a member, and the next step says so.
            if member.kind != Kind.FILE or self._take(member, file):
                yield member, file
        self.stream.drain()
        if self.stream.trouble:
            self.tar.is_cut_off = True
            self.tar.trouble = f"it cannot be decompressed to its end: {self.stream.trouble}"

    def _take(self, member: Member, file: File) -> bool:
        """Whether all of it came."""
        algorithm, limit = _what(member.name)
        hashed = hasher(algorithm)
        pieces = self._pieces(member.size, None if hashed is None else hashed.update)
        first = next(pieces, b"")
        if first[:_BEGINNING_READ].lstrip(_BLANK)[:1] in (b"{", b"") and limit < _JSON_KEPT:
            limit = _JSON_KEPT
        came = len(first)
        keeps = member.size <= limit
        start = self.end
        if keeps:
            self._write(first)
        for piece in pieces:
            came += len(piece)
            if keeps:
                self._write(piece)
        if came < member.size:
            return False
        file.start = start if keeps else NOT_KEPT
        file.digest = f"{algorithm}:{'' if hashed is None else hashed.hexdigest()}"
        return True

    def _pieces(self, size: int, update: Callable[[object], None] | None) -> Iterator[bytes]:
        left = size
        while left and (piece := self.tar.read(min(left, _CHUNK))):
            if update is not None:
                update(piece)
            left -= len(piece)
            yield piece

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        if self.end + len(view) > _MOST_KEPT:
            raise Refused(f"more than {_MOST_KEPT:,} bytes of manifests and the like: decompress the archive first")
        while view:
            try:
                written = self.file.write(view)
            except OSError as error:
                raise Refused(f"{gettempdir()}: {error.strerror}; manifests of a stream are kept there") from None
            self.end += written
            view = view[written:]


def _what(name: str) -> tuple[str, int]:
    """How to treat a file of the archive: the algorithm to hash it by, and how many bytes of it to keep at most."""
    *above, last = [part for part in name.split("/") if part not in ("", ".")] or [""]
    if above[-2:-1] == ["blobs"] and Digest.recognises(f"{above[-1]}:{last}"):
        return above[-1], _KEPT
    if above[-2:-1] == ["labels"] or above[-1:] == ["leases"]:
        return "sha256", _JSON_KEPT
    return "sha256", _KEPT_NAMES.get(last, _KEPT)
