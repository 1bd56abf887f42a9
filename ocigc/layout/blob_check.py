"""Finds and verifies single blobs. It also computes the digests that the native core cannot, those of blake3, with an
optional package.
"""

from __future__ import annotations

from typing import Any

from ocigc.digest import Digest
from ocigc.errors import CorruptError, Refused
from ocigc.layout.dirfd import Dir
from ocigc.native import Store, Verdict

_CHUNK = 1 << 20
WITHOUT_BLAKE3 = "cannot be verified without blake3: pip install 'ocigc[blake3]'"


def has_blob(directory: Dir, digest: Digest) -> bool:
    """Whether `blobs/<alg>/<encoded>` exists below a directory. Raises OSError."""
    algorithm, encoded = digest.parts
    try:
        with directory.below("blobs", algorithm) as parent:
            return parent.exists(encoded)
    except FileNotFoundError:
        return False


def hasher(algorithm: str) -> Any:
    """A hash object for a registered algorithm; None for any other, or where its package is missing."""
    if algorithm in ("sha256", "sha512"):
        import hashlib

        return hashlib.new(algorithm)
    if algorithm != "blake3":
        return None
    try:
        from blake3 import blake3
    except ImportError:
        return None
    return blake3()


def verdict(directory: Dir, digest: Digest) -> Verdict:
    """Verifies the file `blobs/<alg>/<encoded>` below a directory. Gives UNSUPPORTED for an algorithm that cannot be
    computed.
    """
    algorithm, encoded = digest.parts
    content = hasher(algorithm)
    if content is None:
        return Verdict.UNSUPPORTED
    try:
        with directory.below("blobs", algorithm) as parent:
            with parent.reader(encoded) as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
    except FileNotFoundError:
        return Verdict.GONE
    except (OSError, Refused):
        return Verdict.UNREADABLE
    return Verdict.SOUND if content.hexdigest() == encoded else Verdict.CORRUPT


def verify_uncomputed(layout: Dir, store: Store) -> None:
    """Verifies the manifests whose digests the core cannot compute. Raises Refused at the first that is not sound."""
    for node in store.unverified():
        digest = store.digest(node)
        found = verdict(layout, digest)
        if found == Verdict.UNSUPPORTED:
            raise Refused(f"{digest}: {WITHOUT_BLAKE3}")
        if found == Verdict.CORRUPT:
            raise CorruptError(f"{digest}: the content does not have this digest")
        if found != Verdict.SOUND:
            raise Refused(f"{digest}: cannot be read")
        store.set_verified(node)
