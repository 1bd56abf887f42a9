"""Writes the files of a synthetic layout."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

Descriptor = dict[str, Any]

_LARGEST = 1 << 32  # bytes of a layer: it is made in memory


class BlobWriter:
    """Writes blobs below one layout, counts them, and describes them."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        self._directory = str(layout / "blobs" / "sha256") + os.sep
        os.makedirs(self._directory)
        self.count = 0
        self.bytes = 0

    def write(self, content: bytes, media_type: str) -> Descriptor:
        """Writes one blob, unless it is present; gives its descriptor."""
        encoded = sha256(content).hexdigest()
        try:
            fd = os.open(self._directory + encoded, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            pass
        else:
            with open(fd, "wb", buffering=0) as file:
                file.write(content)
            self.count += 1
            self.bytes += len(content)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}

    def write_json(self, document: object, media_type: str) -> Descriptor:
        """The same for a JSON document."""
        return self.write(json.dumps(document, separators=(",", ":")).encode(), media_type)

    def remove(self, descriptor: Descriptor) -> None:
        """Removes a blob again: the layout is sparse."""
        os.unlink(self._directory + descriptor["digest"].removeprefix("sha256:"))
        self.count -= 1
        self.bytes -= descriptor["size"]

    def label(self, descriptor: Descriptor, labels: dict[str, str]) -> None:
        """Writes the label file of a blob."""
        directory = self._layout / "labels" / "sha256"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{descriptor['digest'].removeprefix('sha256:')}.json").write_text(json.dumps(labels))


def random_bytes(random: Random, size: int, at_once: int = 1 << 27) -> bytes:
    """Random bytes, in pieces, because Python counts the bits of one piece in a C int."""
    return b"".join(random.randbytes(min(at_once, size - start)) for start in range(0, size, at_once))


def layer(random: Random, size: int) -> tuple[bytes, str]:
    """A gzip-compressed tar of about `size` bytes that do not compress, and its diff ID."""
    content = random_bytes(random, min(max(1, size), _LARGEST))
    member = tarfile.TarInfo(f"usr/share/{content[:8].hex()}")
    member.size = len(content)
    archive = member.tobuf(tarfile.USTAR_FORMAT) + content
    archive += bytes(-len(archive) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
    # Stored, not deflated: the same bytes from every version of zlib.
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=0, mtime=0) as file:
        file.write(archive)
    return packed.getvalue(), f"sha256:{sha256(archive).hexdigest()}"
