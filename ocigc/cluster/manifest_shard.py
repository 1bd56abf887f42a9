"""Manifests of one layout, read by workers for the host that decides: the form of a shard, and of its result."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from struct import iter_unpack

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.image import Media
from ocigc.layout.dirfd import Dir
from ocigc.native import Role, parse_children
from ocigc.progress import Progress, Report

_THREADS = 16  # a store on a network answers late, but can answer many at once
_LIMIT = 1 << 20  # bytes of a document: a larger one is left to the host
_MOST = 64 << 20  # bytes of a result


@dataclass(frozen=True, slots=True)
class ManifestShard:
    """Digests, separated by blanks, that entries of the index.json of the layout at a path below the root name."""

    root: str
    path: str
    digests: str


@dataclass(frozen=True, slots=True)
class Manifests:
    """Documents that match their digests: those of the shard, and the manifests that indexes among them name. What
    could not be read is left out. The digests are separated by blanks. `sizes` (in bytes, 4 bytes each, little-endian)
    and `content`, one document after another, are compressed, in base64.
    """

    digests: str
    sizes: str
    content: str

    @staticmethod
    def of(found: Mapping[Digest, bytes]) -> Manifests:
        """Packs documents."""
        sizes = b"".join(len(each).to_bytes(4, "little") for each in found.values())
        return Manifests(" ".join(found), _packed(sizes), _packed(b"".join(found.values())))

    def unpacked(self) -> tuple[list[str], list[int], bytes]:
        """The digests, the sizes and the contents. Raises ValueError where they do not fit together."""
        digests = self.digests.split(" ") if self.digests else []
        sizes = _unpacked(self.sizes, 4 * len(digests))
        lengths = [each for (each,) in iter_unpack("<I", sizes)]
        size = sum(lengths)
        if size > _MOST:
            raise ValueError("it has more than may be read")
        return digests, lengths, _unpacked(self.content, size)


def _packed(content: bytes) -> str:
    return b64encode(zlib.compress(content, 1)).decode()


def _unpacked(text: str, size: int) -> bytes:
    """The given number of bytes. Raises ValueError where there are more or fewer."""
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(b64decode(text, validate=True), size + 1)
    except zlib.error:
        raise ValueError("its contents cannot be unpacked") from None
    if len(found) != size or not unpacking.eof:
        raise ValueError("its contents have another size than it says")
    return found


def run(shard: ManifestShard, report: Report) -> Manifests:
    """Reads a shard. Raises OSError where its layout cannot be opened."""
    with Dir.at(shard.root) as root, root.below(*shard.path.split("/")) as layout:
        try:
            blobs = layout.below("blobs")
        except FileNotFoundError:
            return Manifests.of({})
        with blobs, _ManifestReader(blobs) as reader:
            return Manifests.of(_read(reader, shard.digests.split(" "), report))


def _read(reader: _ManifestReader, digests: Iterable[str], report: Report) -> Mapping[Digest, bytes]:
    """The documents with these digests, and those that they name, level by level."""
    found: dict[Digest, bytes] = {}
    left = _MOST
    level = [digest for each in digests if (digest := Digest.parse_registered(each)) is not None]
    while level:
        below: dict[Digest, None] = {}
        for digest, content in reader.read(level):
            report(Progress(len(found), _MOST - left, 0, 0))
            if content is None or len(content) > left:
                continue
            left -= len(content)
            found[digest] = content
            below.update(dict.fromkeys(_manifests(content)))
        level = [digest for digest in below if digest not in found]
    return found


class _ManifestReader:
    """Reads documents below an open blobs/, many at once."""

    def __init__(self, blobs: Dir) -> None:
        self._blobs = blobs
        self._directories: dict[str, Dir] = {}
        self._threads = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> _ManifestReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for directory in self._directories.values():
            directory.close()

    def read(self, digests: Iterable[Digest]) -> Iterator[tuple[Digest, bytes | None]]:
        """The digests, each with its document; None where there is none that matches."""
        wanted = [digest for digest in digests if self._has(digest.parts[0])]
        return zip(wanted, self._threads.map(self._one, wanted), strict=True)

    def _has(self, algorithm: str) -> bool:
        if algorithm not in self._directories:
            try:
                self._directories[algorithm] = self._blobs.below(algorithm)
            except OSError:
                return False
        return algorithm in hashlib.algorithms_available

    def _one(self, digest: Digest) -> bytes | None:
        algorithm, encoded = digest.parts
        try:
            content = self._directories[algorithm].read(encoded, _LIMIT)
        except (OSError, Refused):
            return None
        return content if hashlib.new(algorithm, content).hexdigest() == encoded else None


def _manifests(content: bytes) -> list[Digest]:
    """The manifests that an index names; none where it is not an index."""
    try:
        found = [(role, each.digest) for role, each, _ in parse_children(content, Media.INDEX)]
    except MalformedError:
        return []
    return [digest for role, digest in found if role == Role.MANIFEST and Digest.parse_registered(digest) is not None]
