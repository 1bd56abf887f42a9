"""Blobs under blake3, which the native core does not compute: the optional blake3 package does."""

from __future__ import annotations

from typing import Any

from ocigc.digest import Digest
from ocigc.errors import CorruptError, Refused
from ocigc.layout.dirfd import Dir
from ocigc.native import Store, Verdict

_PREFIX = "blake3:"
_CHUNK = 4 << 20


def hasher() -> Any:
    """What hashes, or None where the package is not there."""
    try:
        from blake3 import blake3  # noqa: PLC0415
    except ImportError:
        return None
    return blake3()


def verdict(layout: Dir, digest: Digest) -> Verdict:
    """What a blob is by its name; UNSUPPORTED where it is of another algorithm or the package is not there."""
    if not digest.startswith(_PREFIX) or (content := hasher()) is None:
        return Verdict.UNSUPPORTED
    try:
        with layout.below("blobs", "blake3") as parent:
            with open(parent.open_plain(digest.removeprefix(_PREFIX)), "rb", buffering=0) as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
    except FileNotFoundError:
        return Verdict.GONE
    except OSError:
        return Verdict.UNREADABLE
    return Verdict.SOUND if _PREFIX + content.hexdigest() == digest else Verdict.CORRUPT


def vouch(layout: Dir, store: Store) -> None:
    """Verifies the manifests that wait for it. Raises Refused at the first that is not sound."""
    for node in store.unverified():
        digest = store.digest(node)
        found = verdict(layout, digest)
        if found == Verdict.UNSUPPORTED:
            raise Refused(f"{digest}: cannot be verified without blake3: pip install 'ocigc[blake3]'")
        if found == Verdict.CORRUPT:
            raise CorruptError(f"{digest}: the content is not what its digest says")
        if found != Verdict.SOUND:
            raise Refused(f"{digest}: cannot be read")
        store.set_verified(node)
